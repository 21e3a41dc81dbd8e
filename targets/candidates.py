"""What a module offers for testing: the handlers, servers and factories that it defines, not those it only imports.

A function counts here only when it says by its annotations, its parameters or its name what it makes; `main()` may
well return a server, but it is not offered. A class that does not say how to handle a request is a base for others.
Where nothing is offered, a user is shown the functions that might be meant.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, Final

from handshaker.harness.errors import HandshakerError, TargetError, UsageError
from handshaker.targets.base import TargetKind
from handshaker.targets.bases import handler_bases, server_bases
from handshaker.targets.building import plan
from handshaker.targets.detect import declared_kind, kind_of, words_of

__all__ = ["Candidate", "candidates", "imported_candidates", "possible_factories"]

_DOING: Final = {"main", "run", "start", "stop"}
"""What is called so does something, and hardly returns a server that is still to be run."""


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


def possible_factories(module: ModuleType) -> tuple[str, ...]:
    """The functions of *module* that handshaker could call and that might return a server.

    Those that speak of servers, or call one that does; all of them when none does.
    """
    callable_ones = {name: thing for name, thing in vars(module).items() if _is_possible(name, thing, module)}
    speaking: set[str] = set()
    for _ in callable_ones:  # at most so many calls lead from one to another
        speaking |= {name for name, thing in callable_ones.items() if _speaks_of_servers(thing, speaking)}
    return tuple(name for name in callable_ones if name in speaking or not speaking)


def _is_possible(name: str, thing: Any, module: ModuleType) -> bool:
    if name.startswith("_") or not isinstance(thing, FunctionType) or not _is_own(thing, module):
        return False
    if _DOING.intersection(words_of(name)) or plan(thing, with_handler=True).missing:
        return False
    try:
        return kind_of(thing) is TargetKind.SERVER_FACTORY
    except UsageError:
        return True  # it does not tell
    except TargetError:
        return False


def _speaks_of_servers(function: FunctionType, speaking: set[str]) -> bool:
    return any(name in speaking or "server" in words_of(name) for name in function.__code__.co_names)


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
