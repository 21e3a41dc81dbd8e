"""Handlers that use the server's socket past us are played in real time, with datagrams too; every wait is bounded."""

from __future__ import annotations

import select
import socket
import socketserver
import threading

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.probes import open_descriptors
from handshaker.harness.runner import Stage
from handshaker.harness.trace import Trace
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.wires import CLOSE, pause, send

DEAF = Step("stop-reading")
EXPECT = Step("expect", size=1, seconds=1)


class Selects(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        assert select.select([], [sock], [], 1)[1]
        sock.sendto(data.upper(), self.client_address)


class HasAThread(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        thread = threading.Thread(target=sock.sendto, args=(data.upper(), self.client_address))
        thread.start()
        thread.join()


class Duplicates(socketserver.BaseRequestHandler):
    def handle(self):
        with self.request[1].dup() as own:
            own.sendto(self.request[0].upper(), self.client_address)


class WaitsForMore(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        if select.select([sock], [], [], 20)[0]:
            sock.sendto(data + sock.recvfrom(9)[0], self.client_address)


class BlocksForEver(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].fileno()
        self.request[1].recvfrom(9)


class Floods(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].fileno()
        # More than any machine's queue or send buffer holds.
        for _ in range(2_000):
            self.request[1].sendto(bytes(1_000), self.client_address)


class SpinsForEver(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].fileno()
        while True:
            pass


class ClosesTheServer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].fileno()
        self.request[1].close()


class Exits(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].fileno()
        raise SystemExit


def played(handler, *peers, transport="udp") -> Trace:
    """The Trace of a Case in real time, after which nothing is left: no thread, no descriptor."""
    case = Case(tuple(map(Script, peers)), (), transport)
    with Stage(StdlibTarget(handler, transport=transport), network="loopback", limit_s=1.0) as stage:
        before = open_descriptors(), threading.active_count()
        trace = stage.play(case)
        assert stage.in_real_time
        assert (open_descriptors(), threading.active_count()) == before
    return trace


@pytest.mark.parametrize("transport", ["udp", "unix-dgram"])
@pytest.mark.parametrize("handler", [Selects, HasAThread, Duplicates])
def test_handlers_are_served_with_the_descriptor_that_they_need(handler, transport):
    """Every peer gets its replies, in turns as ever."""
    trace = played(handler, (send(b"a"), EXPECT, send(b"b")), (pause(0.05), send(b"c")), transport=transport)
    assert trace.datagrams == ((b"A", b"B"), (b"C",))
    assert [event["met"] for event in trace.of("peer.awaited")] == [True]
    assert [event["open"] for event in trace.of("probe.listener")] == [True] * 3
    assert not trace.of("network.stalled", "network.spinning", "server.stopped", "server.abandoned")


def test_a_handler_that_waits_for_the_next_datagram_gets_it():
    """The next one comes when nothing has moved for a while."""
    trace = played(WaitsForMore, (send(b"a"), send(b"b")))
    assert trace.datagrams == ((b"ab",),)
    assert [event["via"] for event in trace.of("datagram.request")] == ["server", "handler"]


@pytest.mark.parametrize(
    ("handler", "transport", "stop"),
    [
        (BlocksForEver, "udp", ("network.stalled", "recvfrom")),
        (BlocksForEver, "unix-dgram", ("network.stalled", "recvfrom")),
        (Floods, "unix-dgram", ("network.stalled", "sendto")),
    ],
)
def test_a_handler_that_waits_for_ever_is_stalled_and_ended(handler, transport, stop):
    """The fact is written down first, with the stacks; then it is woken up to end."""
    trace = played(handler, (DEAF, send(b"a")), transport=transport)
    (found,) = trace.of("network.stalled", "network.spinning")
    assert (found.kind, found["operation"]) == stop
    assert handler.__name__ == "Floods" or "handle" in found["stacks"]


def test_a_handler_that_spins_is_ended_by_force():
    """It uses the processor until the bound; an exception ends it."""
    trace = played(SpinsForEver, (send(b"a"),))
    (found,) = trace.of("network.stalled", "network.spinning")  # which of them is up to what else the machine does
    assert found["operation"] == "handle"


def test_a_handler_that_closes_the_shared_socket_closes_the_server():
    """What is still to come is abandoned."""
    trace = played(ClosesTheServer, (send(b"a"), send(b"b")))
    assert [event["open"] for event in trace.of("probe.listener")] == [False]
    assert trace.of("server.abandoned")[0]["count"] == 1


def test_an_exit_ends_the_server():
    """It is dead, and says why."""
    trace = played(Exits, (send(b"a"), pause(0.1), send(b"b")), (CLOSE,))
    assert len(trace.of("server.stopped")) == 1
    assert trace.of("server.abandoned")[0]["count"] == 1
    assert not trace.of("network.stalled", "network.spinning")


def test_a_kernel_socket_is_what_the_handler_has():
    """Its timeout is real, and known to the kernel."""
    seen = []

    class Times(socketserver.BaseRequestHandler):
        def handle(self):
            sock = self.request[1]
            sock.settimeout(0.01)
            seen.append((sock.fileno() >= 0, sock.gettimeout(), isinstance(sock, socket.socket)))
            try:
                sock.recvfrom(9)
            except TimeoutError:
                sock.sendto(b"nobody", self.client_address)
            sock.settimeout(None)

    trace = played(Times, (send(b"a"),))
    assert seen == [(True, 0.01, True)]
    assert trace.datagrams == ((b"nobody",),)
    assert [event["operation"] for event in trace.of("socket.timeout")] == ["recvfrom"]
