"""How a fresh server comes into being: from a class or factory with any signature, or as a copy of a server object.

What a constructor wants is read off the names of its parameters: an address, a host, a port, a handler. A parameter
without a default that has none of these names cannot be supplied by anybody but the user, who then writes a factory.
What has come into being is made to fit (`shaping`): a server of another family than was asked for moves into a socket
of its own.
"""

from __future__ import annotations

import inspect
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from socketserver import TCPServer
from typing import Any, Final, cast

from handshaker.harness.errors import TargetError
from handshaker.harness.places import remove_socket_file
from handshaker.targets.base import LOOPBACK, Address, Handler, qualified_name
from handshaker.targets.bases import server_bases
from handshaker.targets.detect import words_of
from handshaker.targets.shaping import plain

__all__ = ["Argument", "Call", "activate", "clone", "plan", "settle"]

_ROLES: Final = {
    **dict.fromkeys(("address", "addr", "sockaddr", "endpoint"), "address"),
    **dict.fromkeys(("host", "hostname", "ip", "interface"), "host"),
    "port": "port",
}
_PATHS: Final = {"path", "file", "filename", "name", "uds"}
_UNIX: Final = {"socket", "sock", "unix", "uds"}
"""A path is the server's own when its name says so, as in `socket_path`; `root_path` is not."""
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

    def takes(self, *roles: str) -> bool:
        """Whether an argument with one of these roles is passed in this call."""
        return any(argument.role in roles for argument in self.arguments)

    @property
    def takes_handler(self) -> bool:
        """Whether a handler is passed in this call."""
        return self.takes("handler")

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
        if self.takes("path") and isinstance(address, tuple):
            raise TargetError(_no_path(self.function))
        # Who asks for a host and a port is given these; a server that is wanted elsewhere is moved there (`activate`).
        host, port = address[:2] if isinstance(address, tuple) else LOOPBACK
        supply = {"address": address, "path": address, "host": host, "port": port, "handler": handler}
        positional = [supply[argument.role] for argument in self.arguments if not argument.keyword]
        named = {argument.name: supply[argument.role] for argument in self.arguments if argument.keyword}
        return self.function(*positional, **named)


def _no_path(function: Callable[..., Any]) -> str:
    return (
        f"{qualified_name(function)} asks for the path of a Unix socket, so its server cannot be hosted over IP; leave "
        f"--transport away, or name a server or a function that takes any address (a parameter server_address)"
    )


def _cannot_supply(function: Callable[..., Any], missing: tuple[str, ...]) -> str:
    name = qualified_name(function)
    arguments = ", ".join(f"{parameter}=..." for parameter in missing)
    return (
        f"{name} needs {' and '.join(map(repr, missing))}, which handshaker cannot supply; supplied are a server "
        f"address, a host, a port, a socket path and a handler, by the names of the parameters; write a function that "
        f"returns {name.replace(':', '.')}(..., {arguments}) with port 0, and name it with --factory or as TARGET"
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
    return Call(function, _path_alone(_host_beside_port(found)))


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
    if words[-1] in _PATHS and _UNIX.intersection(words):
        return "path"
    return _ROLES.get(words[-1], "")


def _path_alone(arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """What a server needs and calls just a path is where it listens, when it asks for no other address."""
    if any(argument.role not in ("", "handler") for argument in arguments):
        return arguments
    return tuple(replace(item, role="path") if not item.role and item.name == "path" else item for item in arguments)


def _host_beside_port(arguments: list[Argument]) -> tuple[Argument, ...]:
    """What is called an address is only a host when a port is asked for as well."""
    if all(argument.role != "port" for argument in arguments):
        return tuple(arguments)
    return tuple(replace(item, role="host") if item.role == "address" else item for item in arguments)


def settle(made: Any, maker: Any, shape: Callable[[Any], Any] = plain) -> TCPServer:
    """*made*, with the class that *shape* makes of its class; its socket stays as it is.

    Raises TargetError when what *maker* returned is no server of socketserver.
    """
    if not isinstance(made, server_bases()):
        raise TargetError(_not_a_server(made, maker))
    server: Any = made
    own = vars(type(server)).get("_handshaker_of_", type(server))  # what records comes in front of what is added here
    cls = shape(own)
    if cls is not own:
        server.__class__ = cls
    return cast("TCPServer", server)


def _not_a_server(made: Any, maker: Any) -> str:
    name = qualified_name(maker)
    if inspect.iscoroutine(made):
        made.close()
    said = f"{name} returned {made!r:.80}, not a server; allowed: an object of a subclass of socketserver.BaseServer"
    inside = [key for key, value in getattr(made, "__dict__", {}).items() if isinstance(value, server_bases())]
    if inside:
        return f"{said}: write a function that returns the `.{inside[0]}` of that object, and name the function"
    if made is None:
        return f"{said}: end the function with `return server`, before any call of serve_forever()"
    return f"{said}: write a function that returns the server, and name the function"


def activate(server: TCPServer, address: Address) -> bool:
    """Bind *server* to *address* and let it listen, as far as it does not already; whether anything was left to do.

    A server whose class has another address family than its socket first gets a socket of the right one.
    """
    moved = _move(server)
    listener = server.socket
    if getattr(listener, "_closed", False):
        raise TargetError(
            f"{qualified_name(server)} came with its socket closed; return the server before server_close()"
        )
    bound = not moved and _is_bound(listener)
    if bound and (listener.type != socket.SOCK_STREAM or listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
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


def _move(server: Any) -> bool:
    """Replace the socket of *server* by one of its class's family, if it has another; whether it was replaced."""
    if server.socket.family == server.address_family:
        return False
    remove_socket_file(server.socket)
    server.socket.close()
    server.socket = socket.socket(server.address_family, server.socket_type)
    return True


def _is_bound(listener: socket.socket) -> bool:
    address = listener.getsockname()
    return bool(address[1] if isinstance(address, tuple) else address)


def clone(server: TCPServer, address: Address, shape: Callable[[Any], Any] = plain) -> TCPServer:
    """A fresh server at *address* with the attributes of *server* and the class that *shape* makes of its class."""
    cls = shape(type(server))
    fresh: TCPServer = cls.__new__(cls)
    vars(fresh).update(vars(server))
    vars(fresh).update(_BaseServer__is_shut_down=threading.Event(), _BaseServer__shutdown_request=False)
    fresh.socket = socket.socket(fresh.address_family, fresh.socket_type)
    activate(fresh, address)
    return fresh
