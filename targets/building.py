"""How a fresh server comes into being: from a class or factory with any signature, or as a copy of a server object.

What a constructor wants is read off the names of its parameters: an address, a host, a port, a handler. A parameter
without a default that has none of these names cannot be supplied by anybody but the user, who then writes a factory.
In this version a server takes its peers one after another, so threading and forking servers are hosted as their plain
equivalents.
"""

from __future__ import annotations

import functools
import inspect
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from socketserver import TCPServer
from typing import Any, Final, cast

from handshaker.harness.errors import TargetError
from handshaker.targets.base import Address, Handler, qualified_name
from handshaker.targets.detect import words_of

__all__ = ["Argument", "Call", "activate", "clone", "plain", "plain_reason", "plan", "settle"]

_ROLES: Final = {
    **dict.fromkeys(("address", "addr", "sockaddr", "endpoint"), "address"),
    **dict.fromkeys(("host", "hostname", "ip", "interface"), "host"),
    "port": "port",
}
_NOT_OURS: Final = {
    "allow",
    "reuse",
    "family",
    "client",
    "remote",
    "peer",
    "upstream",
    "target",
    "backend",
    "max",
    "public",
}
_HANDLER: Final = {"requesthandlerclass", "requesthandler", "handlerclass", "handler"}
_MIXINS: Final = tuple(
    getattr(socketserver, name) for name in ("ThreadingMixIn", "ForkingMixIn") if hasattr(socketserver, name)
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its parameter's name, what it is given (`""`: nothing that we have), and whether by keyword."""

    name: str
    role: str
    keyword: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """How to call a server class or factory."""

    function: Callable[..., Any]
    arguments: tuple[Argument, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The parameters that only the author can supply."""
        return tuple(argument.name for argument in self.arguments if not argument.role)

    @property
    def takes_handler(self) -> bool:
        """Whether a handler is passed in this call."""
        return any(argument.role == "handler" for argument in self.arguments)

    def bind(self, handler: Handler | None) -> Callable[[Address], Any]:
        """This call as a function of the address alone; the usual signature costs nothing more than itself."""
        usual = [(argument.role, argument.keyword) for argument in self.arguments]
        if usual == [("address", False), ("handler", False)]:
            function = self.function
            return lambda address: function(address, handler)
        return lambda address: self(address, handler)

    def __call__(self, address: Address, handler: Handler | None) -> Any:
        """What the function returns, given *address* and *handler*. Raises TargetError when something is missing."""
        if self.missing:
            raise TargetError(_cannot_supply(self.function, self.missing))
        supply = {"address": address, "host": address[0], "port": address[1], "handler": handler}
        positional = [supply[argument.role] for argument in self.arguments if not argument.keyword]
        named = {argument.name: supply[argument.role] for argument in self.arguments if argument.keyword}
        return self.function(*positional, **named)


def _cannot_supply(function: Callable[..., Any], missing: tuple[str, ...]) -> str:
    name = qualified_name(function)
    arguments = ", ".join(f"{parameter}=..." for parameter in missing)
    return (
        f"{name} needs {' and '.join(map(repr, missing))}, which handshaker cannot supply; supplied are a server "
        f"address, a host, a port and a handler, by the names of the parameters; write a function that returns "
        f"{name.replace(':', '.')}(..., {arguments}) with port 0, and name it with --factory or as TARGET"
    )


def plan(function: Callable[..., Any], *, with_handler: bool) -> Call:
    """How to call *function* (a server class or factory), with a handler to pass or without one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Call(function, _usual(with_handler=with_handler))
    found: list[Argument] = []
    skipped = False
    for item in parameters:
        role = _role(item.name)
        if item.kind is item.VAR_POSITIONAL and isinstance(function, type) and not found:
            found += _usual(with_handler=with_handler)
        elif item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
            continue
        elif role and (with_handler or role != "handler" or item.default is item.empty):
            found.append(Argument(item.name, role, keyword=skipped or item.kind is item.KEYWORD_ONLY))
        elif item.default is item.empty:
            found.append(Argument(item.name, "", keyword=skipped or item.kind is item.KEYWORD_ONLY))
        else:
            skipped = True
    return Call(function, _host_beside_port(found))


def _usual(*, with_handler: bool) -> tuple[Argument, ...]:
    """What socketserver's own classes take; a class that takes `*args` hands them on to one of these."""
    return (Argument("server_address", "address"), Argument("RequestHandlerClass", "handler"))[: 1 + with_handler]


def _role(name: str) -> str:
    """What a parameter of this name is given; `""` for a name that says nothing or speaks of another side."""
    if name.replace("_", "").lower() in _HANDLER:
        return "handler"
    words = words_of(name)
    if not words or _NOT_OURS.intersection(words):
        return ""
    return _ROLES.get(words[-1], "")


def _host_beside_port(arguments: list[Argument]) -> tuple[Argument, ...]:
    """What is called an address is only a host when a port is asked for as well."""
    if all(argument.role != "port" for argument in arguments):
        return tuple(arguments)
    return tuple(replace(item, role="host") if item.role == "address" else item for item in arguments)


@functools.cache
def _inline(mixin: Any) -> Any:
    # It passes for a class of socketserver, for it adds nothing that is not socketserver's own.
    content = {"__module__": "socketserver", "process_request": socketserver.BaseServer.process_request}
    return type(mixin)(f"Plain{mixin.__name__}", (mixin,), content)


@functools.cache
def plain(cls: Any) -> Any:
    """*cls* itself, or for a threading or forking server class its equivalent that serves one peer after another.

    The equivalent has socketserver's plain `process_request` directly before the mixin in its method resolution
    order, so that overrides in the user's own classes still run.
    """
    mixins = tuple(_inline(mixin) for mixin in _MIXINS if issubclass(cls, mixin))
    if not mixins or issubclass(cls, mixins):
        return cls
    content = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, (cls, *mixins), content)


def plain_reason(cls: type) -> str:
    """The remark that belongs to `plain(cls)`; `""` when *cls* is plain already."""
    found = [mixin.__name__ for mixin in _MIXINS if issubclass(cls, mixin)]
    if not found:
        return ""
    return (
        f"{qualified_name(cls)} is a {found[0]} server; it is hosted as its plain equivalent, which serves one peer "
        f"after another, so nothing is said about handlers that run at the same time"
    )


def settle(made: Any, maker: Any) -> TCPServer:
    """*made* as a plain server. Raises TargetError when what *maker* returned is no server of socketserver."""
    if not isinstance(made, socketserver.BaseServer):
        raise TargetError(_not_a_server(made, maker))
    server: Any = made
    cls: Any = type(server)
    if plain(cls) is not cls:
        server.__class__ = plain(cls)
    return cast("TCPServer", server)


def _not_a_server(made: Any, maker: Any) -> str:
    name = qualified_name(maker)
    if inspect.iscoroutine(made):
        made.close()
    said = f"{name} returned {made!r:.80}, not a server; allowed: an object of a subclass of socketserver.BaseServer"
    inside = [key for key, value in getattr(made, "__dict__", {}).items() if isinstance(value, socketserver.BaseServer)]
    if inside:
        return f"{said}: write a function that returns the `.{inside[0]}` of that object, and name the function"
    if made is None:
        return f"{said}: end the function with `return server`, before any call of serve_forever()"
    return f"{said}: write a function that returns the server, and name the function"


def activate(server: TCPServer, address: Address) -> bool:
    """Bind *server* to *address* and let it listen, as far as it does not already; whether anything was left to do."""
    listener = server.socket
    if getattr(listener, "_closed", False):
        raise TargetError(
            f"{qualified_name(server)} came with its socket closed; return the server before server_close()"
        )
    bound = listener.getsockname()[1] != 0
    if bound and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    try:
        if not bound:
            server.server_address = address
            server.server_bind()
        server.server_activate()
    except BaseException:
        server.server_close()
        raise
    return True


def clone(server: TCPServer, address: Address) -> TCPServer:
    """A fresh server at *address* with the class and the attributes of *server*, and a socket of its own."""
    cls: Any = type(server)
    cls = plain(cls)
    fresh: TCPServer = cls.__new__(cls)
    vars(fresh).update(vars(server))
    vars(fresh).update(_BaseServer__is_shut_down=threading.Event(), _BaseServer__shutdown_request=False)
    fresh.socket = socket.socket(server.address_family, server.socket_type)
    activate(fresh, address)
    return fresh
