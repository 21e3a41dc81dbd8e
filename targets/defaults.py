"""What the hooks of somebody's own BaseRequestHandler do when nobody overrides them; they should do nothing.

Each is called on an object that has never seen a connection: whatever it asks of request, client_address or server
raises, and is what it should not have touched. Asked once for each handler class.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from handshaker.harness.vocabulary import HOOKS
from handshaker.targets.bases import STDLIB, owner_of

__all__ = ["default_hooks"]

_SUPPLIED: Final = ("request", "client_address", "server")


class _Touched(BaseException):
    """Something was asked of an object that should have been left alone."""


class _Untouchable:
    """An object of which nothing can be asked."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> NoReturn:
        raise _Touched(name)


def _refuse(name: str) -> Any:
    def method(self: Any, *_: Any) -> NoReturn:
        raise _Touched(name)

    return method


for _name in (
    "bool",
    "bytes",
    "call",
    "contains",
    "eq",
    "getitem",
    "hash",
    "iter",
    "len",
    "ne",
    "repr",
    "setattr",
    "str",
):
    setattr(_Untouchable, f"__{_name}__", _refuse(f"__{_name}__"))


def default_hooks(handler_class: type) -> tuple[tuple[str, str, str], ...]:
    """What each default hook below *handler_class* does: its name, a word for it, and the details.

    The words are nothing, touches, returns, raises and missing. Of the standard library's base class, which is what
    everybody knows, only a handler tells that overrides none of its hooks.
    """
    base: Any = owner_of(handler_class).named("BaseRequestHandler")
    if base is None or (base in STDLIB.classes.values() and _overrides(handler_class, base)):
        return ()
    return tuple((hook, *_called(base, hook)) for hook in HOOKS)


def _overrides(cls: Any, base: Any) -> bool:
    return any(getattr(cls, hook) is not getattr(base, hook) for hook in HOOKS)


def _called(base: Any, hook: str) -> tuple[str, str]:
    method = getattr(base, hook, None)
    if not callable(method):
        return "missing", f"{base.__name__} has no {hook}()"
    try:
        bare = base.__new__(base)
        for name in _SUPPLIED:
            setattr(bare, name, _Untouchable())
        returned = method(bare)
    except _Touched as touched:
        return "touches", f"it asks for {touched} of request, client_address or server"
    except Exception as error:
        return "raises", f"{type(error).__name__}: {error}"
    return ("nothing", "") if returned is None else ("returns", type(returned).__name__)
