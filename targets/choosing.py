"""What is tested and what hosts it, when TARGET alone does not say it: beside `--server`, `--factory`, or in a file.

What cannot be decided is asked, with the commands to choose from in the spelling that the user has typed.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

from handshaker.harness.errors import UsageError
from handshaker.targets.base import Handler, TargetKind, spelled
from handshaker.targets.bases import server_bases
from handshaker.targets.building import plan
from handshaker.targets.candidates import candidates
from handshaker.targets.detect import declared_kind, handler_class_of, kind_of, socket_types, unwrapped

__all__ = ["HANDLERS", "default_handler", "kind_beside", "thing_beside_factory"]

HANDLERS: Final = (TargetKind.HANDLER_CLASS, TargetKind.HANDLER_CALLABLE)


def kind_beside(thing: Any, text: str, server: Any, factory: Any) -> TargetKind:
    """What TARGET is, also by what was said beside it. Raises UsageError when the two contradict each other."""
    if server is not None and factory is not None:
        raise UsageError("--server and --factory both say where the handler lives; write one of them")
    if server is not None and not (isinstance(server, type) and issubclass(server, server_bases())):
        raise UsageError(
            f"--server {server!r} is not a server class; allowed: a subclass of socketserver.BaseServer; "
            f"a function that returns a server is named with --factory"
        )
    if factory is not None and (not callable(factory) or handler_class_of(factory) is not None):
        raise UsageError(f"--factory {factory!r} makes no server; allowed: a function that returns a server")
    if factory is thing and factory is not None:
        return TargetKind.SERVER_FACTORY
    if server is None and factory is None:
        return kind_of(thing, text)
    return _kind_of_hosted(thing, text)


def _kind_of_hosted(thing: Any, text: str) -> TargetKind:
    """A function that does not say otherwise is a handler when its server was named."""
    try:
        kind = kind_of(thing, text)
    except UsageError:
        return TargetKind.HANDLER_CALLABLE
    if kind is TargetKind.SERVER_FACTORY and not isinstance(unwrapped(thing), type) and declared_kind(thing) is None:
        return TargetKind.HANDLER_CALLABLE
    if kind not in HANDLERS:
        raise UsageError(
            f"{text!r} is a {kind} already; leave --server and --factory away, or name a handler as TARGET"
        )
    return kind


def thing_beside_factory(module: ModuleType, text: str, factory: Any, named: str) -> Any:
    """What is meant by *module*, which is TARGET *text*, when *factory*, which the user called *named*, makes a server.

    The only handler in it, when it offers nothing else; else what the factory makes. Raises UsageError when the factory
    asks for a handler and the module does not tell which.
    """
    offered, handlers = candidates(module), _handlers(module)
    if len(handlers) == len(offered) == 1:
        return getattr(module, handlers[0])
    if not callable(factory) or not plan(factory, with_handler=False).takes_handler:
        return factory
    if len(handlers) == 1:
        return getattr(module, handlers[0])
    said = f"{named!r} is given its handler, and the handlers that {text!r} defines are {', '.join(handlers) or 'none'}"
    names = [f"{text}:{name}" for name in handlers] or ["module:Handler"]
    raise UsageError(
        "\n".join([f"{said}; name one:", *(f"    handshaker run {name} --factory {named}" for name in names)])
    )


def default_handler(server_class: type, text: str) -> Handler:
    """For a server class that is TARGET *text* and demands a handler: the only one that its module defines.

    Raises UsageError when there are none or several, with the commands for those that fit the server.
    """
    module = sys.modules[server_class.__module__]
    found = _handlers(module)
    if len(found) == 1:
        handler: Handler = getattr(module, found[0])
        return handler
    server = spelled(server_class, text)
    place = server.rpartition(":")[0]
    named = [f"{place}:{name}" for name in _proposed(module, found, server_class)] or ["module:Handler"]
    said = (
        f"{text!r} is a server class that is given its handler, and the handlers that its module defines are "
        f"{', '.join(found) or 'none'}; write{' one of' if len(named) > 1 else ''}:"
    )
    raise UsageError("\n".join([said, *(f"    handshaker run {name} --server {server}" for name in named)]))


def _handlers(module: ModuleType) -> list[str]:
    return [item.name for item in candidates(module) if item.kind in HANDLERS]


def _proposed(module: ModuleType, names: list[str], server_class: Any) -> list[str]:
    """Those that may fit the type of the server's socket, and of these the ones that are no base of another."""
    classes = {name: handler_class_of(getattr(module, name)) for name in names}
    types = {name: socket_types(cls) for name, cls in classes.items()}
    fitting = [name for name in names if not types[name] or server_class.socket_type in types[name]]
    concrete = [name for name in fitting if not _is_base_of_another(classes[name], classes.values())]
    return concrete or fitting or names


def _is_base_of_another(cls: type | None, others: Any) -> bool:
    return cls is not None and any(
        other is not None and other is not cls and issubclass(other, cls) for other in others
    )
