"""The socket of a server of datagrams, which all its handlers share, and the servers that are hosted with it."""

from __future__ import annotations

import _socket
import contextlib
import socket
import socketserver
from pathlib import Path

import pytest

from handshaker.harness.case import Case, Script
from handshaker.harness.networks.datagram_memory import MemoryDatagramSocket
from handshaker.harness.probes import open_descriptors
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.datagram_handlers import (
    BaseEcho,
    ClosesTheServer,
    Echo,
    Exits,
    Silent,
)
from tests.harness.datagram_wires import DEAF, played, stop_of, told
from tests.harness.wires import CLOSE, send


@pytest.fixture(params=["memory", "loopback"])
def network(request) -> str:
    return request.param


def test_a_handler_that_closes_the_shared_socket_closes_the_server(network):
    """The server turns for nothing, and what is still to come is abandoned."""
    trace = played(network, ClosesTheServer, (send(b"a"), send(b"quit"), send(b"b"), send(b"c")))
    assert told(trace, "probe.listener", "open") == [True, False]
    assert [event.connection for event in trace.of("socket.close", "socket.released")] == [1, 1]
    assert set(told(trace, "socket.error", "operation", "errno")) == {("recvfrom", "EBADF")}
    assert told(trace, "server.abandoned", "count") == [2]


def test_an_exit_ends_the_server(network):
    """What is still to come is abandoned."""
    trace = played(network, Exits, (send(b"a"), send(b"quit")), (send(b"b"), send(b"c")))
    assert len(trace.of("server.stopped")) == 1
    assert told(trace, "server.abandoned", "count") == [1]
    assert told(trace, "probe.listener", "open") == [True] * 3


class ReplacesTheSocket(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.socket = socket.socket()


def test_a_server_that_is_given_another_socket_needs_the_kernel():
    """That one would wait in the kernel."""
    assert stop_of(played("memory", ReplacesTheSocket, (send(b"a"), send(b"b")))) == [
        ("network.kernel", "server.socket")
    ]


class NeedsADescriptor(socketserver.BaseRequestHandler):
    def handle(self):
        getattr(self.request[1], self.request[0].decode())()


@pytest.mark.parametrize("method", ["fileno", "dup", "detach"])
def test_who_needs_a_descriptor_is_told_so_in_memory(method):
    """The Case must be played with the kernel's sockets."""
    assert stop_of(played("memory", NeedsADescriptor, (send(method.encode()),))) == [("network.kernel", method)]


class Keeps(socketserver.BaseRequestHandler):
    kept: socket.socket | None = None
    error: OSError | None = None

    def handle(self):
        if Keeps.kept is not None:
            try:
                Keeps.kept.sendto(b"x", self.client_address)
            except OSError as error:
                Keeps.error = error
        Keeps.kept = self.request[1]


def test_a_socket_kept_from_an_earlier_case_is_closed(network):
    """It has no say in the next one."""
    Keeps.kept = Keeps.error = None
    played(network, Keeps, (send(b"a"),))
    trace = played(network, Keeps, (send(b"a"),))
    assert isinstance(Keeps.error, OSError)
    assert not trace.of("datagram.reply", "peer.reply")


class Asks(socketserver.BaseRequestHandler):
    answers: dict = {}  # noqa: RUF012

    def handle(self):
        sock = self.request[1]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        Asks.answers = {
            "name": sock.getsockname() == self.server.server_address,
            "family": sock.family,
            "type": sock.type,
            "timeout": sock.gettimeout(),
            "blocking": sock.getblocking(),
            "SO_TYPE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
            "SO_BROADCAST": sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST),
            "bytes": len(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE, 4)),
            "inheritable": sock.get_inheritable(),
        }


@pytest.mark.parametrize("transport", ["udp", "unix-dgram"])
def test_the_server_s_socket_tells_about_itself(network, transport):
    """What a handler may ask, both networks answer alike."""
    trace = played(network, Asks, (send(b"a"),), transport=transport)
    family = socket.AF_INET if transport == "udp" else socket.AF_UNIX
    assert Asks.answers == {
        "name": True, "family": family, "type": socket.SOCK_DGRAM, "timeout": None, "blocking": True,
        "SO_TYPE": socket.SOCK_DGRAM, "SO_BROADCAST": 1, "bytes": 4, "inheritable": False,
    }  # fmt: skip
    assert len(trace.of("socket.setsockopt")) == 1
    assert told(trace, "server.address", "agrees") == [True]


def test_no_method_reaches_a_descriptor_that_does_not_exist():
    """Every method and attribute of the C class is overridden, or rests on one that is."""
    resting = {"close"}  # socket.close ends in _real_close
    for name in vars(_socket.socket):
        if name.startswith("__") or name in resting:
            continue
        owner = next(base for base in MemoryDatagramSocket.__mro__ if name in vars(base))
        assert owner.__module__.startswith("handshaker."), f"{name} comes from {owner}"


# servers


class Picky(socketserver.UDPServer):
    """Reads twice when the first datagram says nothing, and takes three bytes at most."""

    max_packet_size = 3

    def get_request(self):
        request, address = super().get_request()
        return (request, address) if request[0] else super().get_request()

    def verify_request(self, request, client_address):
        return request[0] != b"no!"


def test_the_user_s_own_server_class_is_hosted(network):
    """Its get_request(), its limits and its verify_request() hold; what the server reads itself is no handler's."""
    with Stage(StdlibTarget(BaseEcho, server=Picky), network=network) as stage:
        trace = stage.play(Case((Script((send(b""), send(b"abcd"), send(b"no!"), send(b"ok"))),), (), "udp"))
    assert told(trace, "datagram.request", "via") == ["server"] * 4
    assert told(trace, "verify_request.leave", "result") == [True, False, True]
    assert trace.datagrams == ((b"ABC", b"OK"),)


class Rewrites(socketserver.UDPServer):
    def get_request(self):
        (data, sock), address = super().get_request()
        return (data.strip(), sock), address


class Repacks(socketserver.UDPServer):
    def get_request(self):
        (data, _), address = super().get_request()
        return [data], address


@pytest.mark.parametrize(
    ("server", "given"),
    [(socketserver.UDPServer, (True, True, True)), (Rewrites, (True, False, True)), (Repacks, (False, False, False))],
)
def test_what_the_handler_is_given_is_written_down(network, server, given):
    """Whether it is a pair, whether the bytes are what was taken, whether the socket is the server's own."""
    with Stage(StdlibTarget(Silent, server=server), network=network) as stage:
        trace = stage.play(Case((Script((send(b" a "),)),), (), "udp"))
    assert told(trace, "datagram.pair", "pair", "whole", "own") == [given]


@pytest.mark.parametrize("transport", ["udp", "unix-dgram"])
def test_nothing_is_left_behind(transport):
    """No descriptor and no socket file outlives its Case, also when the handler was stopped in the middle."""
    seen: list[str] = []

    class Notes(socketserver.BaseRequestHandler):
        def handle(self):
            seen.append(str(self.server.server_address))
            with contextlib.suppress(TimeoutError):
                self.request[1].recvfrom(10)

    with Stage(StdlibTarget(Notes, transport=transport), network="loopback") as stage:
        before = open_descriptors()
        for _ in range(3):
            stage.run(Case((Script((send(b"a"), DEAF)),) * 2, (), transport))
            stage.run(Case((Script((send(b"a"), CLOSE)),), (), transport))
        assert open_descriptors() == before
    assert seen
    if transport == "unix-dgram":
        assert not any(Path(path).parent.exists() for path in seen)


class LooksForItself(socketserver.UDPServer):
    def __init__(self, *arguments):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
            except OSError as error:
                self.reason = error.errno
        super().__init__(*arguments)


def test_a_server_that_looks_for_its_own_address_finds_no_network(network):
    """While it is constructed, a socket that wants to go elsewhere cannot: an error that such servers expect."""
    assert played(network, Echo, (send(b"a"),), server=LooksForItself).datagrams == ((b"A",),)
