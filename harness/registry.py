"""File name = registry name: what lies in a folder, and what third parties add through an entry point group.

A file belongs to the registry when it defines every *verb* of its kind at the top level; helpers beside it do not.
Listing reads file names and text and imports nothing; loading imports exactly one module. Our own files win over
a third party's of the same name, so that an installed package cannot change what a documented name means.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Any, Final

from handshaker.harness.errors import UsageError, did_you_mean

__all__ = ["Registry"]

_SUFFIX: Final = ".py"


class Registry:
    """The named things of one kind: list them without importing any, load one when it is wanted.

    *package* is the import name of the folder, *group* the entry point group of third parties, *noun* the word for
    one of them in messages, *verbs* the functions that each must define.
    """

    def __init__(self, package: str, group: str, *, noun: str, verbs: tuple[str, ...]) -> None:
        self.package, self.group, self.noun, self.verbs = package, group, noun, verbs
        self._patterns = [_definition(verb) for verb in verbs]

    def __repr__(self) -> str:
        return f"Registry({self.package!r}, {self.group!r})"

    def names(self) -> tuple[str, ...]:
        """The names that `load` takes, sorted."""
        return tuple(sorted({*self._files(), *self._entry_points()}))

    def load(self, name: str) -> Any:
        """The module (or a third party's object) called *name*, which has all verbs.

        Raises UsageError when there is none, with close names, or when a third party's cannot be used.
        """
        if name in self._files():
            return importlib.import_module(f"{self.package}.{name}")
        found = self._entry_points().get(name)
        if found is None:
            raise UsageError(f"no {self.noun} is called {name!r}; {did_you_mean(name, self.names())}")
        return self._load_entry_point(found)

    def _files(self) -> list[str]:
        sources = [file for file in files(self.package).iterdir() if file.name.endswith(_SUFFIX)]
        return [file.name.removesuffix(_SUFFIX) for file in sources if self._belongs(file.read_text("utf-8"))]

    def _belongs(self, source: str) -> bool:
        return all(defines(source) for defines in self._patterns)

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {found.name: found for found in entry_points(group=self.group)}

    def _load_entry_point(self, found: EntryPoint) -> Any:
        owner = found.dist.name if found.dist else "an installed package"
        try:
            loaded = found.load()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"{self.noun} {found.name!r} of {owner} cannot be imported from {found.value!r} ({problem}); "
                f"repair or remove that package"
            ) from error
        lacking = [verb for verb in self.verbs if not callable(getattr(loaded, verb, None))]
        if lacking:
            raise UsageError(
                f"{self.noun} {found.name!r} of {owner} lacks {', '.join(lacking)}; "
                f"{found.value!r} must define {', '.join(self.verbs)}"
            )
        return loaded


def _definition(verb: str) -> Callable[[str], object]:
    return re.compile(rf"^(?:(?:async )?def|class) {re.escape(verb)}\b|^{re.escape(verb)}\s*[:=]", re.MULTILINE).search
