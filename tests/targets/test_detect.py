"""What TARGET is, decided from the thing itself."""

from __future__ import annotations

import asyncio
import functools
import http.server
import socket
import socketserver
from typing import Any
from wsgiref.simple_server import demo_app, make_server

import pytest

from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.transports import TRANSPORTS
from handshaker.targets.base import TargetKind, qualified_name
from handshaker.targets.detect import (
    expects_datagrams,
    handler_class_of,
    handler_kind,
    kind_of,
    overrides,
    require_fit,
    socket_types,
)


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


class Site:
    def handle_peer(self, request: Any, client_address: Any, server: Any) -> Any:
        return Echo(request, client_address, server)

    def __call__(self, request: Any, client_address: Any, server: Any) -> Any:
        return Echo(request, client_address, server)

    def open(self, port: int = 8000) -> Any:
        return socketserver.TCPServer(("", port), Echo)


def closure(directory: str) -> Any:
    def handler(*args: Any) -> Any:
        return http.server.SimpleHTTPRequestHandler(*args, directory=directory)

    return handler


def annotated_handler(*args: Any) -> Echo:
    return Echo(*args)


def annotated_server(*args: Any) -> socketserver.TCPServer:
    return socketserver.TCPServer(("", 0), Echo)


def unresolvable(a: Any, b: Any, c: Any) -> "NoSuchName":  # noqa: F821, UP037
    return Echo(a, b, c)


def app_server(app: Any, root: Any, debug: Any) -> Any: ...
def opaque(*args: Any) -> Any: ...
def two(a: Any, b: Any) -> Any: ...


class Elsewhere:
    """Has the hooks of a handler, and not its base."""

    def setup(self) -> None: ...
    def handle(self) -> None: ...
    def finish(self) -> None: ...


bare = functools.partial(Echo)

HANDLERS = {
    "partial": bare,
    "nested partial": functools.partial(functools.partial(http.server.SimpleHTTPRequestHandler), directory="."),
    "bound method": Site().handle_peer,
    "object": Site(),
    "closure": closure("."),
    "lambda by names": lambda request, address, server: Echo(request, address, server),  # noqa: PLW0108
    "lambda by number": lambda a, b, c: Echo(a, b, c),  # noqa: PLW0108
    "annotation": annotated_handler,
    "annotation that cannot be resolved": unresolvable,
}

FACTORIES = {
    "annotation": annotated_server,
    "bound method": Site().open,
    "lambda": lambda: socketserver.TCPServer(("", 0), Echo),
    "partial of a class": functools.partial(socketserver.TCPServer, ("", 0), Echo),
    "partial of a function": functools.partial(two, 1, 2),
    "make_server": make_server,
    "app_server": app_server,
}


@pytest.mark.parametrize("thing", HANDLERS.values(), ids=HANDLERS)
def test_what_makes_handlers_is_a_handler_callable(thing: Any) -> None:
    """Partials, bound methods, objects, closures and lambdas that are called as a handler class is."""
    assert kind_of(thing) is TargetKind.HANDLER_CALLABLE


@pytest.mark.parametrize("thing", FACTORIES.values(), ids=FACTORIES)
def test_what_returns_servers_is_a_factory(thing: Any) -> None:
    """Functions without required parameters, with a telling annotation or name, and partials of server classes."""
    assert kind_of(thing) is TargetKind.SERVER_FACTORY


def test_classes_and_objects_say_it_by_their_bases() -> None:
    """A handler class, a server class and a server object are told apart."""
    assert kind_of(Echo) is TargetKind.HANDLER_CLASS
    assert kind_of(http.server.ThreadingHTTPServer) is TargetKind.SERVER_CLASS
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        assert kind_of(server) is TargetKind.SERVER_INSTANCE


@pytest.mark.parametrize("thing", [opaque, two], ids=["*args", "two parameters"])
def test_an_unclear_callable_is_asked_about(thing: Any) -> None:
    """What neither annotation, parameters nor name decide is not guessed: both ways to say it are written out."""
    with pytest.raises(UsageError) as caught:
        kind_of(thing, "app:thing")
    assert "--factory app:thing" in str(caught.value)
    assert "--server socketserver:TCPServer" in str(caught.value)


async def coroutine(request: Any, client_address: Any, server: Any) -> Any: ...


class AsyncHandler(socketserver.StreamRequestHandler):
    async def handle(self) -> None: ...


class AsyncCall:
    async def __call__(self, request: Any, client_address: Any, server: Any) -> Any: ...


@pytest.mark.parametrize(
    "thing",
    [coroutine, AsyncHandler, AsyncCall(), functools.partial(coroutine)],
    ids=["function", "hook", "object", "partial"],
)
def test_async_is_refused(thing: Any) -> None:
    """Nothing of socketserver awaits, so an async handler would never run."""
    with pytest.raises(TargetError, match="never awaits"):
        kind_of(thing)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (7, "an int object"),
        (None, "a NoneType object"),
        (dict, "neither a handler nor a server"),
        (Elsewhere, f"on another implementation of socketserver, add --implementation {__name__}"),
        (asyncio.Protocol, "based on asyncio"),
        (demo_app, "WSGI application"),
    ],
)
def test_what_cannot_be_hosted_is_named(thing: Any, said: str) -> None:
    """The message says what it is, and what is allowed or what to write."""
    with pytest.raises(TargetError, match=said):
        kind_of(thing)


class Gram(socketserver.DatagramRequestHandler): ...


class Either(socketserver.BaseRequestHandler): ...


def test_the_handlers_kind_is_that_of_its_base() -> None:
    """stream, datagram, or base for a handler that takes either, or is not known."""
    assert [handler_kind(cls) for cls in (Echo, Gram, Either, None)] == ["stream", "datagram", "base", "base"]


def test_the_handler_class_is_found_through_partials_and_annotations() -> None:
    """An opaque callable has none."""
    assert handler_class_of(functools.partial(bare)) is Echo
    assert handler_class_of(annotated_handler) is Echo
    assert handler_class_of(closure(".")) is None
    assert handler_class_of(dict) is None


@pytest.mark.parametrize(
    ("handler", "transport", "allowed"),
    [
        (Gram, "tcp", "udp, udp6, unix-dgram"),
        (Gram, "unix", "udp, udp6, unix-dgram"),
        (Echo, "udp6", "tcp, tcp6, unix"),
    ],
)
def test_a_transport_that_a_handler_cannot_speak_is_refused(handler: type, transport: str, allowed: str) -> None:
    """The message names the target, its base class, and the transports that are allowed."""
    with pytest.raises(TargetError, match=rf"app:Target is a .*RequestHandler.*allowed transports are {allowed}"):
        require_fit(handler, TRANSPORTS[transport], "app:Server", "app:Target")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_handler_without_a_kind_speaks_every_transport(transport: str) -> None:
    """BaseRequestHandler promises nothing about its request; a fitting base promises one kind."""
    require_fit(Either, TRANSPORTS[transport], "", "")
    require_fit(Gram if TRANSPORTS[transport].datagram else Echo, TRANSPORTS[transport], "", "")


class Unpacks(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sender = self.request
        sender.sendto(data, self.client_address)


class Indexes(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data = self.request[0].strip()
        self.request[1].sendto(data, self.client_address)


class Receives(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        head, rest = self.request.recv(10)[:2]
        self.request.sendall(bytes([rest, head]))


class Inherits(Indexes):
    def setup(self) -> None: ...


class Property(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        print(self.payload)

    @property
    def payload(self) -> bytes:
        def first() -> bytes:
            data: bytes = self.request[0]
            return data

        return first()


class Alias(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        sock = self.request
        sock.sendall(sock.recv(1)[:1])


class Whatever(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        if isinstance(self.request, tuple):
            self.request[1].sendto(self.request[0], self.client_address)
        else:
            self.request.sendall(b"")


class Overrides(Receives):
    def handle(self) -> None:
        print(self.request[0])

    def not_called(self) -> None:
        self.request.recv(1)


class Extends(Receives):
    def handle(self) -> None:
        super().handle()


class Proxy:
    """A look at it raises, as one at a framework's current request does."""

    @property
    def __wrapped__(self) -> Any:
        raise RuntimeError("outside of a request")


class Proxied(socketserver.BaseRequestHandler):
    current = Proxy()

    def handle(self) -> None:
        print(self.current)
        self.request.sendall(b"")


@pytest.mark.parametrize(
    ("handler", "types"),
    [
        (Inherits, {socket.SOCK_DGRAM}),
        (Property, {socket.SOCK_DGRAM}),
        (Overrides, {socket.SOCK_DGRAM}),
        (Receives, {socket.SOCK_STREAM}),
        (Extends, {socket.SOCK_STREAM}),
        (Alias, {socket.SOCK_STREAM}),
        (Proxied, {socket.SOCK_STREAM}),
        (Whatever, {socket.SOCK_DGRAM, socket.SOCK_STREAM}),
        (Echo, {socket.SOCK_STREAM}),
        (Either, set()),
        (None, set()),
    ],
)
def test_what_is_done_with_the_request_says_the_type_of_socket(handler: type | None, types: set[int]) -> None:
    """Every method that is reached from the four that socketserver calls counts, and no other."""
    assert socket_types(handler) == types


@pytest.mark.parametrize(
    ("handler", "expected"),
    [(Unpacks, True), (Indexes, True), (Gram, True), (Receives, False), (Echo, False), (Either, False), (None, False)],
)
def test_a_pair_in_request_says_datagrams(handler: type | None, expected: bool) -> None:
    """The base class decides, else handle(): a request is taken apart only when it is a pair."""
    assert expects_datagrams(handler) is expected


class Careful(Echo):
    def finish(self) -> None:
        super().finish()


class Choosy(socketserver.ThreadingMixIn, socketserver.TCPServer):
    def verify_request(self, request: Any, client_address: Any) -> bool:
        return True


def test_overrides_are_the_methods_that_are_not_socketservers_own() -> None:
    """Inherited overrides count, the mixins of socketserver do not."""
    assert overrides(Careful, socketserver.ThreadingTCPServer) == ("handle", "finish")
    assert overrides(Careful, Choosy) == ("handle", "finish", "verify_request")


def test_an_override_behind_a_mix_in_counts_where_the_mix_in_calls_it() -> None:
    """The mix-ins' server_close() calls the next one, which is the user's own; their process_request() does not."""
    own = {"server_close": socketserver.TCPServer.server_bind, "process_request": socketserver.TCPServer.server_bind}
    behind = type("Behind", (socketserver.ThreadingMixIn, type("Own", (socketserver.TCPServer,), own)), {})
    assert overrides(Echo, behind) == ("handle", "server_close")
    assert overrides(Echo, socketserver.ForkingTCPServer) == ("handle",)


def test_a_method_assigned_to_a_server_object_is_an_override() -> None:
    """handle_error is often replaced on the object."""
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        server.handle_error = print  # type: ignore[method-assign]
        assert overrides(Echo, server) == ("handle", "handle_error")


def test_an_unknown_handler_may_override_everything() -> None:
    """Nothing is skipped for an opaque callable."""
    assert overrides(None, socketserver.TCPServer) == ("__init__", "setup", "handle", "finish")


def test_names_look_through_partials_and_objects() -> None:
    """The name is that of the class or function that is there."""
    assert qualified_name(functools.partial(bare)) == f"{__name__}:Echo"
    assert qualified_name(Site()) == f"{__name__}:Site"
    assert qualified_name(Site().open) == f"{__name__}:Site.open"
