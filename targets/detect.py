"""What kind of thing TARGET is, decided from the thing itself; what cannot be decided is asked, never guessed.

A class says it by its bases. A callable says it by the class it returns, by the names and the number of its
parameters (a handler is called with request, client_address, server; a factory with nothing that handshaker could
not supply), and last by its own name.
"""

from __future__ import annotations

import functools
import inspect
import re
import socket
import socketserver
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.errors import TargetError, UsageError
from handshaker.targets.base import TargetKind, qualified_name

__all__ = [
    "HANDLER_METHODS",
    "SERVER_METHODS",
    "declared_kind",
    "handler_class_of",
    "handler_kind",
    "kind_of",
    "overrides",
    "require_stream",
    "unwrapped",
    "words_of",
]

HANDLER_METHODS: Final = ("__init__", "setup", "handle", "finish")
SERVER_METHODS: Final = (
    "finish_request", "process_request", "shutdown_request", "close_request", "handle_error", "verify_request",
    "get_request", "server_bind", "server_activate", "server_close", "serve_forever", "handle_request",
    "_handle_request_noblock", "service_actions",
)  # fmt: skip

_ALLOWED: Final = (
    "allowed: a handler class (a subclass of socketserver.BaseRequestHandler), a callable that makes one from "
    "(request, client_address, server), a server class, a function that returns a server, or a server object"
)
_FOREIGN: Final = ("asyncio", "twisted", "trio", "anyio", "gevent", "eventlet", "tornado", "uvicorn", "aiohttp")
_HANDLER_PARAMETERS: Final = {"request", "client_address", "server"}
_MAKING: Final = {"make", "create", "build", "new", "get", "factory"}


def kind_of(thing: Any, text: str = "") -> TargetKind:
    """What *thing*, which the user called *text*, is.

    Raises TargetError when it is nothing that can be hosted, UsageError when it is a callable that does not tell.
    """
    name = text or qualified_name(thing)
    if isinstance(thing, socketserver.BaseServer):
        return TargetKind.SERVER_INSTANCE
    core = unwrapped(thing)
    if isinstance(core, type):
        return _kind_of_class(core, name, bare=core is thing)
    if not callable(core):
        raise TargetError(f"{name} is {_article(type(core).__name__)} object, not a handler or a server; {_ALLOWED}")
    _refuse_async(core, name)
    kind = declared_kind(thing) or _kind_by_name(thing)
    if kind is None:
        raise UsageError(_unclear(name))
    return kind


def unwrapped(thing: Any) -> Any:
    """What is below all `functools.partial`s."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"


def _unclear(name: str) -> str:
    return (
        f"{name} is callable, but neither its annotations nor its parameters say whether it makes handlers or servers; "
        f"when it returns a server write `handshaker run {name} --factory {name}`, when it makes handlers write "
        f"`handshaker run {name} --server socketserver:TCPServer`"
    )


def _kind_of_class(cls: type, name: str, *, bare: bool) -> TargetKind:
    if issubclass(cls, socketserver.BaseRequestHandler):
        for hook in ("setup", "handle", "finish"):
            _refuse_async(getattr(cls, hook), f"{name}.{hook}")
        return TargetKind.HANDLER_CLASS if bare else TargetKind.HANDLER_CALLABLE
    if issubclass(cls, socketserver.BaseServer):
        return TargetKind.SERVER_CLASS if bare else TargetKind.SERVER_FACTORY
    raise TargetError(f"{name} is a class, but neither a handler nor a server{_why_not(cls)}; {_ALLOWED}")


def _why_not(cls: type) -> str:
    for base in cls.__mro__:
        package = base.__module__.partition(".")[0]
        if package in _FOREIGN:
            return f": it is based on {package}, and this version hosts handlers of socketserver only"
    if _required(cls) is not None and "server" in words_of(cls.__name__):
        return ": if its objects hold one, write a function that makes the object and returns the server in it"
    return ""


def _refuse_async(function: Any, name: str) -> None:
    called = function if inspect.isroutine(function) else getattr(type(function), "__call__", function)  # noqa: B004
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise TargetError(
            f"{name} is async, which socketserver calls and never awaits; write it without async; {_ALLOWED}"
        )


def declared_kind(thing: Any) -> TargetKind | None:
    """What a callable's return annotation or its parameters say that it makes; None when they say nothing.

    Raises TargetError when they say that it is an application for another kind of server.
    """
    return _kind_by_annotation(unwrapped(thing)) or _kind_by_parameters(thing)


def _kind_by_annotation(function: Any) -> TargetKind | None:
    returned = _returned(function)
    if isinstance(returned, type):
        if issubclass(returned, socketserver.BaseRequestHandler):
            return TargetKind.HANDLER_CALLABLE
        if issubclass(returned, socketserver.BaseServer):
            return TargetKind.SERVER_FACTORY
    return None


def _returned(function: Any) -> Any:
    """The return annotation as an object; a string that cannot be evaluated counts as none."""
    target = getattr(function, "__func__", function)
    try:
        return inspect.get_annotations(target, eval_str=True).get("return")
    except Exception:
        return getattr(target, "__annotations__", {}).get("return")


def _kind_by_parameters(thing: Callable[..., Any]) -> TargetKind | None:
    names = {parameter.name for parameter in _parameters(thing)}
    if {"environ", "start_response"} <= names:
        raise TargetError(
            f"{qualified_name(thing)} is a WSGI application, not a handler or a server; write a function that returns "
            f"wsgiref.simple_server.make_server('127.0.0.1', 0, application) and name that function"
        )
    if len(names & _HANDLER_PARAMETERS) >= 2:
        return TargetKind.HANDLER_CALLABLE
    return None


def _kind_by_name(thing: Callable[..., Any]) -> TargetKind | None:
    required = _required(thing)
    if required is None:
        return None
    words = set(words_of(getattr(unwrapped(thing), "__name__", "")))
    if "server" in words:
        return TargetKind.SERVER_FACTORY
    if len(required) == 3 or ("handler" in words and not words & _MAKING):
        return TargetKind.HANDLER_CALLABLE
    spread = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in _parameters(thing))
    return TargetKind.SERVER_FACTORY if not required and (not spread or words & _MAKING) else None


def _parameters(thing: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return []


def _required(thing: Callable[..., Any]) -> list[str] | None:
    """The names of the parameters that a caller must supply by position; None when there is no signature to read."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [item.name for item in parameters if item.default is item.empty and item.kind not in variable]


def words_of(name: str) -> tuple[str, ...]:
    """The lower-case words of a snake_case or CamelCase name, in order."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def handler_class_of(thing: Any) -> type[socketserver.BaseRequestHandler] | None:
    """The handler class that *thing* is, wraps, or is annotated to return; None for an opaque callable."""
    core = unwrapped(thing)
    found = core if isinstance(core, type) else _returned(core)
    return found if isinstance(found, type) and issubclass(found, socketserver.BaseRequestHandler) else None


def handler_kind(cls: type | None) -> str:
    """`stream`, `datagram`, or `base` for a handler that takes either (or is not known)."""
    if cls is not None and issubclass(cls, socketserver.StreamRequestHandler):
        return "stream"
    return "datagram" if cls is not None and issubclass(cls, socketserver.DatagramRequestHandler) else "base"


def require_stream(handler: type | None, server: Any, name: str) -> None:
    """Raise TargetError, calling the target *name*, unless *handler* under *server* (class or object) is IPv4 TCP."""
    if handler_kind(handler) == "datagram" or getattr(server, "socket_type", None) == socket.SOCK_DGRAM:
        raise TargetError(
            f"{name} speaks datagrams, which are not supported yet; this version tests stream handlers over TCP: "
            f"allowed are subclasses of socketserver.StreamRequestHandler or BaseRequestHandler under a TCPServer"
        )
    if not hasattr(server, "socket_type"):
        raise TargetError(f"{name}: {qualified_name(server)} has no socket; derive it from socketserver.TCPServer")
    if server.address_family != socket.AF_INET:
        family = socket.AddressFamily(server.address_family).name
        raise TargetError(
            f"{name} listens on {family}, which is not supported yet; this version tests over TCP and IPv4: name the "
            f"handler itself as TARGET, or a subclass of the server with address_family = socket.AF_INET"
        )


def overrides(handler: type | None, server: Any) -> tuple[str, ...]:
    """The methods of *handler* (None: all) and of *server* (class or object) that are not socketserver's own."""
    own = HANDLER_METHODS if handler is None else tuple(name for name in HANDLER_METHODS if _overridden(handler, name))
    cls = server if isinstance(server, type) else type(server)
    assigned = () if isinstance(server, type) else vars(server)
    return own + tuple(name for name in SERVER_METHODS if name in assigned or _overridden(cls, name))


def _overridden(cls: type, name: str) -> bool:
    owner = next((base for base in cls.__mro__ if name in vars(base)), object)
    return owner.__module__ not in ("socketserver", "builtins")
