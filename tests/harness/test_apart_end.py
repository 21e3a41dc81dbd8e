"""The end of a house, however it comes about, leaves nobody and nothing; and until then its owner is obeyed."""

from __future__ import annotations

import os
import select
import signal
import socketserver
import tempfile
import threading
from pathlib import Path

import pytest

from handshaker.harness.case import Case, Script
from handshaker.harness.networks import house
from handshaker.harness.networks.crowd import Crowd
from handshaker.harness.probes import open_descriptors
from handshaker.harness.recorder import RUN, Run
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness import apart_handlers as handlers
from tests.harness.apart_play import (
    BOTH,
    LINE,
    SILENT,
    TWO_DATAGRAMS,
    acts,
    alive,
    houses,
    in_session,
    kinds,
    nobody_left,
    play,
    stage,
)
from tests.harness.wires import HALF_CLOSE, pause, send

__all__ = ["houses"]

# the end of it all


@BOTH
def test_a_silent_peer_is_given_up(concurrency):
    """A handler that waits for ever for one peer is told at once; the others, and the server's end, are as usual."""
    trace = play(handlers.Echo, concurrency, SILENT, LINE)
    (stalled,) = trace.of("network.stalled")
    assert (stalled.connection, stalled["operation"], stalled["after"]) == (0, "recv", "open")
    assert trace.replies == (b"AB\n", b"AB\nCD\n")
    assert kinds(trace, "server.closed") == ["server.closed"]


@BOTH
@pytest.mark.parametrize("handler", [handlers.Hangs, handlers.HangsWithFamily])
def test_a_handler_that_hangs_is_killed_with_its_family(concurrency, handler, houses):
    """The hang is written down with the stacks of all threads; then nobody of that house is left, wherever it went."""
    trace = play(handler, concurrency, LINE, limit_s=1.0)
    (stalled,) = trace.of("network.stalled")
    assert (stalled.connection, stalled["operation"], stalled["after"]) == (0, "handle", "half-closed")
    assert "in handle" in stalled["stacks"]
    assert not trace.of("process.end")  # that was our doing
    assert nobody_left(houses)


def test_what_a_handler_does_when_it_was_asked_what_it_does_comes_after_its_stall():
    """A handler that was interrupted by the question has hung before: nothing of what follows is judged."""
    trace = play(handlers.IsWokenBySignals, "forking", LINE, limit_s=0.5)
    order = kinds(trace, "network.stalled", "socket.send")
    assert order[0] == "network.stalled"


@BOTH
def test_a_handler_that_spins_is_told_from_one_that_hangs(concurrency, houses):
    """It used the processor all the time."""
    assert kinds(play(handlers.Spins, concurrency, LINE, limit_s=1.0), "network.stalled", "network.spinning") == [
        "network.spinning"
    ]
    assert nobody_left(houses)


@BOTH
def test_a_handler_that_swallows_every_stop_ends_with_its_process(concurrency, houses):
    """Reading past the end again and again is known by counting, and what cannot be stopped is ended."""
    trace = play(handlers.SwallowsEverything, concurrency, LINE)
    assert kinds(trace, "network.spinning", "probe.process-gone", "process.end") == ["network.spinning"]
    assert nobody_left(houses)


def test_what_a_handler_leaves_behind_is_found_wherever_it_went(houses):
    """A grandchild in a session of its own, whose parent is dead, does not survive the Case."""
    trace = play(handlers.LeavesFamily, "forking", LINE)
    assert kinds(trace, "server.closed") == ["server.closed"]
    assert nobody_left(houses)


def test_what_a_dead_house_leaves_behind_is_found(houses):
    """When the server's process is gone before its children, they are ended all the same."""
    trace = play(handlers.LeavesFamilyAndEnds, "threading", LINE)
    assert [event["status"] for event in trace.of("probe.process-gone")] == ["exit 3"]
    assert nobody_left([*houses, int(trace.replies[0])])


@pytest.mark.parametrize("transport", ["tcp", "unix", "unix-dgram"])
def test_nothing_is_left_open(transport, tmp_path, monkeypatch):
    """Ten Cases, of which some hang: descriptors, threads and files are as before."""
    datagrams = transport.endswith("dgram")
    handler, script = (handlers.EchoesDatagrams, TWO_DATAGRAMS) if datagrams else (handlers.Echo, LINE)
    with stage(handler, "threading", transport) as prepared:
        case = Case((script, script), (), transport, "threading")
        prepared.run(case)
        before = open_descriptors(), threading.active_count()
        for _ in range(8):
            prepared.run(case)
        with stage(handlers.Hangs, "threading", transport, 0.3) as hanging:
            hanging.run(case)
        assert (open_descriptors(), threading.active_count()) == before
    assert type(RUN) is Run
    assert not [path for top in (tempfile.gettempdir(), "/tmp") for path in Path(top).glob(f"hs-{os.getpid()}-*")]


@BOTH
def test_the_file_of_a_server_at_a_path_of_its_own_is_removed(concurrency):
    """A Unix server that its factory binds to a path of its own leaves no file there when its house has ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/own"

        def factory():
            return socketserver.UnixStreamServer(path, handlers.Echo)

        with Stage(StdlibTarget(factory, concurrency=concurrency), network="loopback") as prepared:
            trace = prepared.play(Case((LINE,)))
        assert (trace.replies[0], os.listdir(folder)) == (b"AB\nCD\n", [])


@BOTH
def test_ctrl_c_leaves_nothing_behind(concurrency, houses, monkeypatch):
    """KeyboardInterrupt while a handler hangs is raised, after the house was torn down."""
    turn, turns = Crowd.turn, []

    def interrupted(self, deadline):
        turns.append(1)
        if len(turns) == 12:
            raise KeyboardInterrupt
        return turn(self, deadline)

    monkeypatch.setattr(Crowd, "turn", interrupted)
    before = open_descriptors()
    with pytest.raises(KeyboardInterrupt):
        play(handlers.Hangs, concurrency, LINE)
    assert houses
    assert nobody_left(houses)
    assert open_descriptors() == before


def test_ctrl_c_while_the_house_is_forked_makes_no_second_player(monkeypatch):
    """A signal that comes as soon as there are two processes ends the house, and goes no further there."""
    fork, us = os.fork, os.getpid()
    reading, writing = os.pipe()

    def interrupted():
        pid = fork()
        signal.raise_signal(signal.SIGINT)
        return pid

    monkeypatch.setattr(os, "fork", interrupted)
    before = open_descriptors()
    try:
        with pytest.raises(KeyboardInterrupt):
            play(handlers.Echo, "threading", LINE)
    finally:
        os.write(writing, b".")
        if os.getpid() != us:
            os._exit(0)
    assert open_descriptors() == before
    os.close(writing)
    with os.fdopen(reading, "rb") as players:
        assert players.read() == b"."


@BOTH
def test_a_house_does_not_outlive_who_plays_the_case(concurrency):
    """When the playing process is killed, the kernel kills the house and its children."""
    reading, writing = os.pipe()
    player = os.fork()
    if player == 0:
        signal.alarm(30)

        class Tells(handlers.Hangs):
            def handle(self):
                os.write(writing, f"{os.getpid()} {os.getsid(0)}\n".encode())
                super().handle()

        play(Tells, concurrency, LINE)
        os._exit(0)
    os.close(writing)
    assert select.select([reading], [], [], 30)[0]
    pids = [int(pid) for pid in os.read(reading, 100).split()]
    os.kill(player, signal.SIGKILL)
    os.waitpid(player, 0)
    os.close(reading)
    assert pids[1] in in_session(pids[1]) or not alive(pids[1])
    assert nobody_left(pids)


def test_the_house_holds_no_descriptor_that_is_kept_out():
    """What was named with keep_out_of_houses is closed there, and stays open here."""
    reading, writing = os.pipe()
    house.keep_out_of_houses(writing)

    class Looks(handlers.Echo):
        def handle(self):
            open_here = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
            self.wfile.write(b"open" if the_pipe in open_here else b"closed")

    the_pipe = str(Path(f"/proc/self/fd/{writing}").readlink())
    os.close(reading)
    try:
        assert play(Looks, "threading", LINE).replies == (b"closed",)
        os.fstat(writing)
    finally:
        house.let_into_houses(writing)
        os.close(writing)


# what an owner does


def test_an_owner_is_obeyed():
    """Serve, play, shut down, close: each act begins and ends in order, also for a plain server."""
    trace = play(handlers.Echo, "plain", LINE, LINE, owner=acts("serve", ("play", 1), "shutdown", ("play", 0), "close"))
    assert [event["nth"] for event in trace.of("owner.enter")] == [0, 1, 2, 3, 4]
    assert [event["nth"] for event in trace.of("owner.leave")] == [1, 2, 0, 4] or [
        event["nth"] for event in trace.of("owner.leave")
    ] == [1, 0, 2, 4]
    assert [event["act"] for event in trace.of("owner.blocked")] == ["play"]


def test_an_owner_handles_single_requests():
    """handle_request() takes one peer that waits, or returns after its timeout."""
    owner = acts(("begin", 0), ("handle", 0, 5.0), ("handle", 0, 0.1), "close")
    trace = play(handlers.Echo, "plain", LINE, owner=owner)
    assert trace.replies == (b"AB\nCD\n",)
    assert [event["seconds"] for event in trace.of("owner.leave") if event["act"] == "handle"] == [0.0, 0.1]


def test_an_act_that_never_returns_is_written_down(houses):
    """shutdown() before any loop runs waits for ever; the owner goes on, and nothing survives."""
    trace = play(handlers.Echo, "plain", LINE, owner=acts("shutdown", "close"))
    assert [(event["act"], event["nth"]) for event in trace.of("owner.blocked")] == [("shutdown", 0)]
    assert "in shutdown" in trace.of("owner.blocked")[0]["stacks"]
    assert [event["act"] for event in trace.of("owner.leave")] == ["close"]
    assert nobody_left(houses)


def test_an_act_that_raises_is_written_down():
    """serve_forever() after server_close() is a ValueError."""
    trace = play(handlers.Echo, "threading", LINE, owner=acts("close", "serve"))
    (raised,) = trace.of("owner.raise")
    assert (raised["act"], raised["lineage"][0]) == ("serve", "builtins.ValueError")


def test_requests_go_on_while_the_owner_closes():
    """server_close() waits for a handler whose peer is still talking, and the peer goes on meanwhile."""
    talker = Script((send(b"ab\n"), pause(0.2), send(b"cd\n"), HALF_CLOSE))
    trace = play(handlers.Echo, "threading", talker, owner=acts("serve", ("begin", 0), "shutdown", "close"))
    assert trace.replies == (b"AB\nCD\n",)
    order = [(event.kind, event.get("act")) for event in trace.of("handle.leave", "owner.leave")]
    assert order.index(("handle.leave", None)) < order.index(("owner.leave", "close"))
