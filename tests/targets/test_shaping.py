"""Server classes made to fit a transport and a concurrency."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import threading
from typing import Any

import pytest

from handshaker.harness.errors import TargetError
from handshaker.harness.places import Place
from handshaker.harness.transports import CONCURRENCIES, TRANSPORTS
from handshaker.targets.base import LOOPBACK
from handshaker.targets.shaping import concurrency_of, on_transport, plain, shaped, transport_of_server


class Seen(socketserver.BaseRequestHandler):
    """Writes down where it runs."""

    def handle(self) -> None:
        self.server.seen.append((os.getpid(), threading.get_ident()))  # type: ignore[attr-defined]


class Threaded(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:
        self.asked = True
        super().process_request(request, client_address)


class Backwards(socketserver.TCPServer, socketserver.ThreadingMixIn):
    """The mix-in comes too late in the bases: it never has a say."""


class Bound(socketserver.TCPServer):
    def server_bind(self) -> None:
        super().server_bind()
        self.noted = self.server_address


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (socketserver.TCPServer, "plain"),
        (socketserver.ThreadingUDPServer, "threading"),
        (socketserver.ForkingTCPServer, "forking"),
        (http.server.ThreadingHTTPServer, "threading"),
        (Threaded, "threading"),
        (plain(Threaded), "plain"),
        (Backwards, "plain"),
    ],
)
def test_the_concurrency_is_that_of_the_process_request_that_is_called(cls: Any, expected: str) -> None:
    """A mix-in that comes after the server in the bases makes no threads."""
    assert concurrency_of(cls) == expected


@pytest.mark.parametrize("wanted", CONCURRENCIES)
@pytest.mark.parametrize(
    "cls",
    [socketserver.TCPServer, Threaded, socketserver.ForkingTCPServer, socketserver.ThreadingUnixStreamServer],
)
def test_every_class_can_be_given_every_concurrency(cls: Any, wanted: str) -> None:
    """It stays a subclass with the same name; a class that fits already is taken as it is."""
    made = shaped(cls, concurrency=wanted)
    assert concurrency_of(made) == wanted
    assert issubclass(made, cls)
    assert (made.__module__, made.__qualname__) == (cls.__module__, cls.__qualname__)
    assert (made is cls) is (concurrency_of(cls) == wanted)
    assert shaped(cls, concurrency=wanted) is made


def test_a_plain_class_made_threading_serves_in_a_thread() -> None:
    """The mix-in's own methods are in force, and server_close waits for the thread."""
    cls = shaped(socketserver.TCPServer, concurrency="threading")
    with cls(LOOPBACK, Seen) as server, socket.create_connection(server.server_address):
        server.seen = []
        server.handle_request()
        server.server_close()
        assert server.seen[0][1] != threading.get_ident()


def test_a_threading_class_made_forking_serves_in_a_child() -> None:
    """Not in a thread of this process."""
    cls = shaped(Threaded, concurrency="forking")
    with cls(LOOPBACK, Seen) as server, socket.create_connection(server.server_address) as peer:
        server.seen = []
        server.handle_request()
        assert peer.recv(1) == b""
        server.server_close()
        assert server.seen == []
        assert not server.active_children


@pytest.mark.parametrize("wanted", ["threading", "forking"])
def test_a_server_that_hands_its_requests_over_keeps_its_own_way(wanted: str) -> None:
    """A process_request() that goes its own way would be replaced, so that is refused; one that adds to it is not."""

    class Pool(socketserver.TCPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            threading.Thread(target=self.finish_request, args=(request, client_address)).start()

    class Counts(socketserver.TCPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            super().process_request(request, client_address)

    with pytest.raises(TargetError, match=r"a process_request\(\) of its own, which .* would replace"):
        shaped(Pool, "", wanted)
    assert shaped(Pool, "", "plain") is Pool
    assert concurrency_of(shaped(Counts, "", wanted)) == wanted


def test_the_users_own_bases_must_be_in_order() -> None:
    """A class whose mix-in comes too late cannot get it in front as well."""
    with pytest.raises(TargetError, match="write ThreadingMixIn before the server class in its bases"):
        shaped(Backwards, concurrency="threading")


@pytest.mark.parametrize("transport", ["tcp", "tcp6", "unix"])
@pytest.mark.parametrize("cls", [Bound, socketserver.UnixStreamServer, http.server.HTTPServer])
def test_a_stream_server_can_be_moved_to_every_stream_transport(cls: Any, transport: str) -> None:
    """Only its family changes; overrides run, and it can be bound there."""
    made = shaped(cls, transport)
    assert transport_of_server(made) is TRANSPORTS[transport]
    assert (made is cls) is (transport_of_server(cls) is TRANSPORTS[transport])
    with Place(transport) as place, made(place.address, Seen) as server:
        assert server.server_address == server.socket.getsockname()
        assert getattr(server, "noted", server.server_address) == server.server_address
        assert transport != "unix" or server.server_address == place.address


def test_ports_are_not_shared_on_unix_sockets() -> None:
    """allow_reuse_port is meant for TCP; newer kernels refuse it elsewhere."""
    sharing = type("Sharing", (socketserver.TCPServer,), {"allow_reuse_port": True})
    with Place("unix") as place, shaped(sharing, "unix")(place.address, Seen) as server:
        assert server.server_address == place.address


@pytest.mark.parametrize(
    ("cls", "transport", "said"),
    [
        (socketserver.UDPServer, "unix", r"UDPServer serves datagrams .* allowed for it are udp, udp6, unix-dgram"),
        (socketserver.TCPServer, "udp6", r"TCPServer serves streams .* allowed for it are tcp, tcp6, unix$"),
        (socketserver.BaseServer, "tcp", r"BaseServer has no socket of its own; derive it from"),
        (
            type("Raw", (socketserver.TCPServer,), {"socket_type": socket.SOCK_RAW}),
            "tcp",
            r"does not play; allowed are",
        ),
    ],
)
def test_what_cannot_be_moved_is_said(cls: Any, transport: str, said: str) -> None:
    """No address family makes a stream of datagrams."""
    with pytest.raises(TargetError, match=said):
        on_transport(cls, transport)
