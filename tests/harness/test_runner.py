"""A Stage plays Cases on its network, and says what they do to the process."""

from __future__ import annotations

import gc
import os
import socketserver
import threading
import time

import pytest

from handshaker.harness.case import Case, Script
from handshaker.harness.recorder import RUN
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.datagram_handlers import Echo as DatagramEcho
from tests.harness.parity_handlers import LineEcho
from tests.harness.wires import HALF_CLOSE, send

CASE = Case((Script((send(b"ab\n"), HALF_CLOSE)),))
NETWORKS = pytest.mark.parametrize("network", ["memory", "loopback"])


class KeepsAFile(socketserver.StreamRequestHandler):
    kept: tuple = ()

    def handle(self):
        line = self.rfile.readline(9)
        if line:
            KeepsAFile.kept += (os.open(os.devnull, os.O_RDONLY),)


class KeepsOneFile(socketserver.StreamRequestHandler):
    kept = -1

    def handle(self):
        if self.kept < 0:
            KeepsOneFile.kept = os.open(os.devnull, os.O_RDONLY)


class LeavesAThread(socketserver.BaseRequestHandler):
    leave = threading.Event()
    left: list = []  # noqa: RUF012

    def handle(self):
        self.left.append(threading.Thread(target=self.leave.wait))
        self.left[-1].start()


class NeedsADescriptor(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.fileno()


class Looks(socketserver.BaseRequestHandler):
    seen: list = []  # noqa: RUF012

    def handle(self):
        self.seen.append((time.time(), id(type(self.server)) and self.server.server_address[0]))


@NETWORKS
def test_the_same_case_gives_the_same_events(network):
    """On both networks, run after run; in memory down to the last payload."""
    with Stage(StdlibTarget(LineEcho), network=network) as stage:
        first, second = stage.run(CASE), stage.run(CASE)
        assert first.flat[::2] == second.flat[::2]
        assert (first.flat == second.flat) is (network == "memory")
        assert stage.play(CASE).header.network == network
        assert stage.play(CASE).replies == (b"AB\n",)


@NETWORKS
def test_the_last_event_is_the_end_of_the_last_peer(network):
    """Relations read the last reply there, whatever the probes had to say."""
    with Stage(StdlibTarget(KeepsAFile), network=network) as stage:
        flat = stage.run(CASE).flat
    _close_kept(KeepsAFile)
    assert flat[-2][0] == "peer.end"


@pytest.mark.parametrize(("concurrency", "real"), [("plain", False), ("threading", True), ("forking", True)])
def test_threads_and_forks_are_played_in_real_time(concurrency, real):
    """Whoever budgets time knows before the first Case whether silence will last as long as it says."""
    assert Stage(StdlibTarget(LineEcho, concurrency=concurrency), network="loopback").in_real_time is real


def test_a_stage_plays_only_while_it_is_entered():
    """Without its probes and its clock a Case would be another Case."""
    stage = Stage(StdlibTarget(LineEcho))
    with pytest.raises(RuntimeError, match="with Stage"):
        stage.run(CASE)


@NETWORKS
def test_a_descriptor_that_every_case_leaves_is_told(network):
    """Growth that repeats is the handler's; the Stage knows how many it carries by now."""
    with Stage(StdlibTarget(KeepsAFile), network=network) as stage:
        assert stage.play(CASE).of("probe.descriptors")[0]["delta"] == 1
        assert stage.burden == 2
        assert not stage.play(Case((Script((HALF_CLOSE,)),))).of("probe.descriptors")
        assert stage.play(CASE).of("probe.descriptors")[0]["delta"] == 1
    _close_kept(KeepsAFile)


@NETWORKS
def test_a_descriptor_that_is_opened_once_is_no_leak(network):
    """A cache that is filled by the first Case does not grow with the second."""
    with Stage(StdlibTarget(KeepsOneFile), network=network) as stage:
        assert not stage.play(CASE).of("probe.descriptors")
    os.close(KeepsOneFile.kept)
    KeepsOneFile.kept = -1


@NETWORKS
def test_a_thread_that_a_case_leaves_is_told(network):
    """Threads that go on after the server was closed are counted, once."""
    LeavesAThread.leave.clear()
    try:
        with Stage(StdlibTarget(LeavesAThread), network=network) as stage:
            assert stage.play(CASE).of("probe.threads")[0]["delta"] == 1
            assert stage.play(Case(())).of("probe.threads") == ()
    finally:
        LeavesAThread.leave.set()
        for thread in LeavesAThread.left:
            thread.join()


def test_in_memory_the_need_of_a_descriptor_is_told():
    """The campaign then goes on on loopback, which serves such a handler."""
    with Stage(StdlibTarget(NeedsADescriptor)) as stage:
        assert stage.run(CASE).stopped_by == ("network.kernel", 0, "fileno")
    with Stage(StdlibTarget(NeedsADescriptor), network="loopback") as stage:
        assert stage.run(CASE).stopped_by == ()
        assert stage.in_real_time


@NETWORKS
def test_the_handler_sees_virtual_time_and_its_servers_own_address(network):
    """Time stands still between Cases, and the address is one of 127.0.0.1."""
    Looks.seen.clear()
    with Stage(StdlibTarget(Looks), network=network) as stage:
        stage.run(CASE)
        trace = stage.play(CASE)
    assert Looks.seen[0] == Looks.seen[1]
    assert trace.of("server.address")[0]["agrees"]
    assert Looks.seen[0][1] == "127.0.0.1"


class ClosesWithAnError(socketserver.TCPServer):
    def server_close(self):
        super().server_close()
        raise ValueError("not now")


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_server_whose_close_raises_was_hosted_all_the_same(network):
    """The peers' stories are told, and so is what server_close() has raised."""
    target = StdlibTarget(LineEcho, server=ClosesWithAnError)
    with Stage(target, network=network) as stage:
        trace = stage.play(Case((Script((send(b"a\n"), HALF_CLOSE)),)))
    assert [event["lineage"][0] for event in trace.of("server_close.raise")] == ["builtins.ValueError"]
    assert not trace.of("server.closed")
    assert trace.replies == (b"A\n",)


@pytest.mark.parametrize("concurrency", ["plain", "threading"])
def test_a_network_that_cannot_be_had_ends_the_run(concurrency, monkeypatch):
    """Where the machine gives no socket or no folder, no run is left in progress."""

    def refused(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("handshaker.harness.runner.ApartNetwork", refused)
    with Stage(StdlibTarget(LineEcho, concurrency=concurrency), network="loopback") as stage:
        monkeypatch.setattr(stage, "_network", refused)
        with pytest.raises(OSError, match="no room"):
            stage.play(Case((Script((HALF_CLOSE,)),)))
        assert not RUN.active


@NETWORKS
def test_a_failing_construction_ends_the_run(network):
    """Nothing is recorded any more after hosting has failed."""

    class Broken(socketserver.TCPServer):
        def server_bind(self):
            raise OSError("no address")

    with Stage(StdlibTarget(LineEcho, server=Broken), network=network) as stage:
        with pytest.raises(OSError, match="no address"):
            stage.run(CASE)
        assert not RUN.active


@NETWORKS
@pytest.mark.parametrize(
    ("transport", "handler", "steps"),
    [
        *((transport, LineEcho, (send(b"a"), send(b"b\n"), HALF_CLOSE)) for transport in ("tcp", "unix")),
        *((transport, DatagramEcho, (send(b"a"), send(b"b"))) for transport in ("udp", "unix-dgram")),
    ],
)
def test_a_case_leaves_nothing_for_the_garbage_collector(network, transport, handler, steps):
    """Nothing of it refers to itself, so what is found by a collection does not depend on when one happens."""
    case = Case((Script(steps), Script(steps)), transport=transport)
    with Stage(StdlibTarget(handler, transport=transport), network=network) as stage:
        stage.run(case)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                stage.run(case)
            assert gc.collect() == 0
        finally:
            gc.enable()


def test_many_descriptors_that_are_left_one_by_one_are_all_seen():
    """The probe looks at descriptors that are free now, not at those that were free in the beginning."""
    with Stage(StdlibTarget(KeepsAFile), network="memory") as stage:
        try:
            assert all(stage.play(CASE).of("probe.descriptors") for _ in range(20))
        finally:
            _close_kept(KeepsAFile)


def _close_kept(handler: type) -> None:
    for descriptor in handler.kept:
        os.close(descriptor)
    handler.kept = ()
