"""What a module offers for testing: the handlers, servers and factories that it defines, not those it only imports.

A function counts here only when it says by its annotations, its parameters or its name what it makes; `main()` may
well return a server, but it is not offered. A class that does not say how to handle a request is a base for others.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from handshaker.harness.errors import HandshakerError
from handshaker.targets.base import TargetKind
from handshaker.targets.bases import handler_bases, server_bases
from handshaker.targets.detect import declared_kind, kind_of, words_of

__all__ = ["Candidate", "candidates", "imported_candidates"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in a module that can be a target: its name there, and its kind."""

    name: str
    kind: TargetKind


def candidates(module: ModuleType) -> tuple[Candidate, ...]:
    """What *module* itself defines, in order of definition, each thing once."""
    return _offered(module, own=True)


def imported_candidates(module: ModuleType) -> tuple[Candidate, ...]:
    """What *module* only imports, in order of the imports."""
    return _offered(module, own=False)


def _offered(module: ModuleType, *, own: bool) -> tuple[Candidate, ...]:
    found: dict[int, Candidate] = {}
    for name, thing in vars(module).items():
        if name.startswith("_") or _is_own(thing, module) is not own:
            continue
        kind = _kind(thing)
        if kind is not None:
            found.setdefault(id(thing), Candidate(name, kind))
    return tuple(found.values())


def _is_own(thing: Any, module: ModuleType) -> bool:
    """Objects and partials have no module of their own: they belong to the module that names them."""
    if isinstance(thing, (type, FunctionType)):
        return thing.__module__ == module.__name__
    return True


def _kind(thing: Any) -> TargetKind | None:
    if not isinstance(thing, (type, FunctionType, functools.partial, *server_bases())):
        return None
    try:
        kind = kind_of(thing) if not isinstance(thing, FunctionType) else _kind_of_function(thing)
    except HandshakerError:
        return None
    return None if kind is TargetKind.HANDLER_CLASS and _is_base(thing) else kind


def _kind_of_function(function: FunctionType) -> TargetKind | None:
    words = words_of(function.__name__)
    named = "server" in words and "run" not in words and "start" not in words and "handler" not in words
    return declared_kind(function) or (kind_of(function) if named else None)


def _is_base(cls: Any) -> bool:
    return any(cls.handle is getattr(base, "handle", None) for base in handler_bases())
