"""The server that a handler was written for: known for the standard library's handlers, looked for beside the others.

A handler that is put under a plain TCPServer but asks its server for more than that has, fails at once. So the bases
of the handler are followed from the most derived one: each is either known here, or its module defines a server class
that can be constructed, or the search goes on. Applications that a server needs are small ones of our own: their
errors would not be the handler's.
"""

from __future__ import annotations

import functools
import http.server
import inspect
import logging.config
import pydoc
import socket
import socketserver
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.transports import TRANSPORTS
from handshaker.targets.base import LOOPBACK, Address, Handler, qualified_name, spelled
from handshaker.targets.bases import STDLIB, Implementation, handler_bases, owner_of, server_bases
from handshaker.targets.building import plan
from handshaker.targets.detect import expects_datagrams, socket_kind, socket_types
from handshaker.targets.shaping import transport_of_server

__all__ = [
    "ALIASES",
    "Natural",
    "logging_config_server",
    "natural_server",
    "plain_message",
    "pydoc_server",
    "servers_beside",
    "wsgi_server",
    "xmlrpc_server",
]

ALIASES: Final = {
    "logging.config": f"{__name__}:logging_config_server",
    "logging.config:listen": f"{__name__}:logging_config_server",
    "pydoc": f"{__name__}:pydoc_server",
    "pydoc:_start_server": f"{__name__}:pydoc_server",
}


_BODY_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Natural:
    """The server for a handler: the class or factory that makes it, the class that is made, and why this one."""

    make: Callable[..., Any]
    server_class: type
    reason: str


def wsgi_server(
    handler: Handler = WSGIRequestHandler, address: Address = LOOPBACK, server_class: type[WSGIServer] = WSGIServer
) -> WSGIServer:
    """A WSGI server whose application answers with the method, the path and the size of the body."""
    server = server_class(address, handler)
    server.set_app(_answer)
    return server


def _answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    size = environ.get("CONTENT_LENGTH", "")
    # What a peer claims is not what is set aside for it: a length of eleven digits would be out of memory.
    body = environ["wsgi.input"].read(min(int(size[:6]), _BODY_BYTES_MAX)) if size.isdecimal() else b""
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}\n".encode("latin-1", "replace")]


def xmlrpc_server(
    handler: Any = SimpleXMLRPCRequestHandler,
    address: Address = LOOPBACK,
    server_class: type[SimpleXMLRPCServer] = SimpleXMLRPCServer,
) -> SimpleXMLRPCServer:
    """An XML-RPC server with the introspection functions and `add(a, b)`."""
    server = server_class(address, requestHandler=handler)
    server.register_introspection_functions()
    server.register_function(_add, "add")
    return server


def _add(a: Any, b: Any) -> Any:
    """The sum of a and b."""
    return a + b


@functools.cache
def _logging_listener() -> Any:
    return logging.config.listen(0)  # noqa: S612 - it is what is tested; its thread is never started


def logging_config_server(address: Address = LOOPBACK) -> socketserver.BaseServer:
    """The server that `logging.config.listen` would start in a thread, with its own handler."""
    thread = _logging_listener()
    host, port = address[:2]
    made: socketserver.BaseServer = thread.rcvr(
        host=host, port=port, handler=thread.hdlr, ready=thread.ready, verify=None
    )
    return made


@functools.cache
def _pydoc_server_class() -> Any:
    """The class that pydoc makes inside a function that starts a thread; a bad port ends that function just before."""
    try:
        pydoc._start_server(_page, "127.0.0.1", "no port")  # type: ignore[attr-defined]
    except ValueError as error:
        traceback = error.__traceback__
    found: dict[str, Any] = {}
    while traceback is not None:
        found.update(traceback.tb_frame.f_locals if traceback.tb_frame.f_code.co_name == "_start_server" else {})
        traceback = traceback.tb_next
    server_class, handler_class = found["DocServer"], found["DocHandler"]
    server_class.base, server_class.handler = http.server.HTTPServer, handler_class
    handler_class.urlhandler = staticmethod(_page)
    return server_class


def _page(url: str, content_type: str) -> str:
    return f"{content_type} {url}\n"


def pydoc_server(address: Address = LOOPBACK) -> http.server.HTTPServer:
    """The server that `pydoc -p` would run in a thread, with its own handler and a page of one line for every path."""
    host, port = address[:2]
    try:
        made: http.server.HTTPServer = _pydoc_server_class()(host, port, None)
    except (AttributeError, KeyError) as error:
        version = ".".join(str(part) for part in sys.version_info[:3])
        raise TargetError(f"the pydoc of Python {version} is not built as expected: {error!r}") from error
    return made


_KNOWN: Final[dict[type, tuple[Callable[..., Any], type]]] = {
    WSGIRequestHandler: (wsgi_server, WSGIServer),
    SimpleXMLRPCRequestHandler: (xmlrpc_server, SimpleXMLRPCServer),
    http.server.BaseHTTPRequestHandler: (http.server.HTTPServer, http.server.HTTPServer),
}


_CALL: Final = b"<methodCall><methodName>system.listMethods</methodName></methodCall>"
_PLAIN: Final[dict[type, bytes]] = {
    SimpleXMLRPCRequestHandler: b"POST /RPC2 HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(_CALL), _CALL),
    http.server.BaseHTTPRequestHandler: b"GET / HTTP/1.0\r\n\r\n",
}


def plain_message(handler_class: type | None) -> bytes:
    """A request that every handler of a known kind understands; nothing when the kind is not known."""
    bases = handler_class.__mro__ if handler_class is not None else ()
    return next((_PLAIN[base] for base in bases if base in _PLAIN), b"")


def natural_server(
    handler_class: type | None, transport: str = "", implementation: Implementation | None = None, text: str = ""
) -> Natural:
    """The server for *handler_class*; socketserver's own when it is not known or nothing better is found.

    With *transport* it is one that can be hosted over that: of the same type of socket, in whatever family. With
    *implementation* it is that one's own. Raises UsageError, calling the handler *text*, when servers for connections
    and for datagrams lie beside it and nothing says which it is for.
    """
    kind = TRANSPORTS[transport].type if transport else socket_kind(handler_class)
    if implementation is not None:
        return _usual(handler_class, transport, kind, implementation)
    for base in handler_class.__mro__ if handler_class is not None else ():
        found = _for_base(base, kind, handler_class, transport, text)
        if found is not None:
            make, server_class, why = found
            return Natural(make, server_class, f"hosted under {_dotted(server_class)}, {why}")
    # A handler of another implementation belongs under that one's server.
    return _usual(handler_class, transport, kind, owner_of(handler_class) if handler_class is not None else STDLIB)


def _usual(handler_class: type | None, transport: str, kind: int | None, own: Implementation) -> Natural:
    datagrams = expects_datagrams(handler_class) if kind is None else kind == socket.SOCK_DGRAM
    name = TRANSPORTS[transport].server if transport else "UDPServer" if datagrams else "TCPServer"
    server_class: Any = own.named(name) or STDLIB.named(name)
    why = "since no other server is known for it"
    if datagrams and kind is None:
        why = "since its handle() takes requests apart as pairs of bytes and a socket"
    return Natural(server_class, server_class, f"hosted under {_dotted(server_class)}, {why}")


def _for_base(
    base: type, kind: int | None, handler_class: Any, transport: str, text: str
) -> tuple[Callable[..., Any], type, str] | None:
    if base in _KNOWN:
        return (*_KNOWN[base], f"the server for {_dotted(base)}") if kind != socket.SOCK_DGRAM else None
    if base.__module__ == "builtins" or base in handler_bases():
        return None
    beside = _preferred(_beside(base), handler_class) if kind is None else _of_type(_beside(base), kind)
    makeable = [cls for cls in beside if _can_move(cls, transport) and not plan(cls, with_handler=True).missing]
    if kind is None and not socket_types(handler_class) and len({cls.socket_type for cls in makeable}) > 1:
        raise UsageError(_which(handler_class, makeable, text))
    fitting = _fitting(base, _of_one_transport(makeable, transport))
    if fitting is None:
        return None
    return fitting, fitting, f"the server class defined beside {_dotted(base)}"


def _of_type(servers: list[Any], kind: int) -> list[Any]:
    return [cls for cls in servers if cls.socket_type == kind]


def _preferred(servers: list[Any], handler_class: type) -> list[Any]:
    """Those for the type of socket that the handler says it is for, if there are any; datagrams when it takes both."""
    types = socket_types(handler_class)
    wanted = socket.SOCK_DGRAM if socket.SOCK_DGRAM in types else socket.SOCK_STREAM
    return (_of_type(servers, wanted) if types else []) or servers


def _which(handler_class: type, servers: list[type], text: str) -> str:
    """The question which of *servers* a handler is for, with the commands to choose from."""
    name = text or qualified_name(handler_class)
    commands = [f"    handshaker run {name} --server {spelled(cls, name)}" for cls in _roots(servers)]
    said = (
        f"{name}: nothing in its methods says whether its requests are connections or datagrams, and there are servers "
        f"for both beside it; name one:"
    )
    return "\n".join([said, *commands])


def _can_move(server_class: Any, transport: str) -> bool:
    """Whether it makes sense to try *server_class* over *transport*: one that expects a path has no use for a port."""
    row = transport_of_server(server_class)
    return not transport or row is None or not row.unix or TRANSPORTS[transport].unix


def servers_beside(handler_class: type) -> list[type]:
    """The server classes that the module of *handler_class* defines for its transport, in order of their definition."""
    kind, beside = socket_kind(handler_class), _beside(handler_class)
    return _of_one_transport(_preferred(beside, handler_class) if kind is None else _of_type(beside, kind))


def _beside(handler_class: type) -> list[Any]:
    return [cls for cls in _defined_beside(handler_class) if transport_of_server(cls) is not None]


def _of_one_transport(servers: list[Any], wanted: str = "") -> list[type]:
    """Those that serve the wanted transport, else those of the simplest one that is served."""
    served = {transport_of_server(cls) for cls in servers}
    if TRANSPORTS.get(wanted) in served:
        return [cls for cls in servers if transport_of_server(cls) is TRANSPORTS[wanted]]
    first = next((row for row in TRANSPORTS.values() if row in served), None)
    return [cls for cls in servers if transport_of_server(cls) is first]


def _defined_beside(handler_class: type) -> list[type]:
    name = handler_class.__module__
    return [
        cls
        for cls in vars(sys.modules.get(name, socketserver)).values()
        if isinstance(cls, type) and issubclass(cls, server_bases()) and cls.__module__ == name
    ]


def _fitting(handler_class: type, servers: list[type]) -> type | None:
    """The server whose constructor takes this handler by default; else the only one of which no other is the base."""
    by_default = [cls for cls in servers if handler_class in _defaults(cls)]
    roots = _roots(by_default or servers)
    return roots[0] if len(roots) == 1 else None


def _roots(servers: list[type]) -> list[type]:
    """Those that are based on none of the others."""
    return [cls for cls in servers if not any(other is not cls and issubclass(cls, other) for other in servers)]


def _defaults(server_class: type) -> list[Any]:
    return [parameter.default for parameter in inspect.signature(server_class).parameters.values()]


def _dotted(cls: type) -> str:
    return qualified_name(cls).replace(":", ".")
