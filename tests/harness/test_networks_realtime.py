"""Handlers that read past our socket are played in real time: serve_forever in a thread, and every wait bounded."""

from __future__ import annotations

import os
import select
import socket
import socketserver
import sys
import threading
import time

import pytest

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.probes import open_descriptors
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.wires import CLOSE, HALF_CLOSE, RESET, pause, send


class Selects(socketserver.BaseRequestHandler):
    def handle(self):
        while select.select([self.request], [], [], 30)[0] and (data := self.request.recv(100)):
            self.request.sendall(data.upper())


class ReadsTheDescriptor(socketserver.BaseRequestHandler):
    def handle(self):
        while data := os.read(self.request.fileno(), 100):
            os.write(self.request.fileno(), data.upper())


class Detaches(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.socket(fileno=self.request.detach()) as own:
            while data := own.recv(100):
                own.sendall(data.upper())


class Duplicates(socketserver.BaseRequestHandler):
    def handle(self):
        with self.request.dup() as own:
            while data := own.recv(100):
                own.sendall(data.upper())


class HasAThread(socketserver.BaseRequestHandler):
    def handle(self):
        thread = threading.Thread(target=self.work)
        thread.start()
        thread.join()

    def work(self):
        while data := self.request.recv(100):
            self.request.sendall(data.upper())


class BlocksForEver(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.fileno()
        self.request.recv(100)
        self.request.recv(100)


class BlocksBehindOurBack(socketserver.BaseRequestHandler):
    def handle(self):
        os.read(self.request.fileno(), 100)
        os.read(self.request.fileno(), 100)


class Loops(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.fileno()
        while True:
            pass


class SpinsOnEof(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.fileno()
        while True:
            self.request.recv(100)


class Exits(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.fileno()
        sys.exit("enough")


class Sleeps(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.fileno()
        time.sleep(0.05)
        self.request.sendall(b"awake")


TALK = Script((send(b"ab"), send(b"c\nd"), HALF_CLOSE))


def stage(handler: type, limit_s: float = 5.0) -> Stage:
    return Stage(StdlibTarget(handler), network="loopback", limit_s=limit_s)


@pytest.mark.parametrize("handler", [Selects, ReadsTheDescriptor, Detaches, Duplicates, HasAThread])
def test_handlers_that_bypass_our_socket_are_served(handler):
    """Their replies arrive, peer after peer, and nothing is left behind."""
    with stage(handler) as playing:
        assert not playing.in_real_time
        before = open_descriptors(), threading.active_count()
        trace = playing.play(Case((TALK, Script((send(b"x\n"), Step("expect", size=2, seconds=1), CLOSE)), TALK)))
        assert playing.in_real_time
        assert trace.replies == (b"ABC\nD", b"X\n", b"ABC\nD")
        assert {event["end"] for event in trace.of("peer.end")} == {"eof"}
        assert (open_descriptors(), threading.active_count()) == before


def test_the_serving_thread_is_the_one_that_plays_the_handler():
    """Hooks run in thread 0; events carry real time and stay in order."""
    with stage(Selects) as playing:
        trace = playing.play(Case((Script((pause(0.05), send(b"ab"), HALF_CLOSE)),)))
    assert {event["thread"] for event in trace.of("init.enter", "setup.enter", "handle.enter", "finish.enter")} == {0}
    times = [event.time for event in trace]
    assert times == sorted(times)
    assert trace.of("socket.recv")[0].time >= 0.05


def test_segments_keep_their_borders_in_real_time():
    """A peer sends its next segment when the last one was taken."""
    with stage(Selects) as playing:
        trace = playing.play(Case((Script((send(b"a"), send(b"b"), send(b"c"), HALF_CLOSE)),)))
    assert [event["data"] for event in trace.of("socket.recv")] == [b"a", b"b", b"c"]


def test_long_pauses_are_shortened_and_say_so():
    """A pause in real time lasts at most a second; the event tells how long it was."""
    with stage(Selects) as playing:
        trace = playing.play(Case((Script((pause(60), HALF_CLOSE)),)))
    assert [event["seconds"] for event in trace.of("peer.pause")] == [1.0]


def test_a_handler_that_waits_for_ever_in_our_socket_is_known_soon():
    """It is not waited for until the limit: nothing can come any more."""
    with stage(BlocksForEver, limit_s=60) as playing:
        trace = playing.play(Case((Script((send(b"ab"),)), TALK)))
    (stalled,) = trace.of("network.stalled")
    assert (stalled.connection, stalled["operation"], stalled["after"]) == (0, "recv", "open")
    assert stalled.time < 30


@pytest.mark.parametrize(("handler", "kind"), [(BlocksBehindOurBack, "network.stalled"), (Loops, "network.spinning")])
def test_the_watchdog_ends_a_handler_and_shows_its_stack(handler, kind):
    """Whatever it does instead, the handler ends at the limit, and its stack is written down first."""
    with stage(handler, limit_s=0.4) as playing:
        before = threading.active_count()
        trace = playing.play(Case((Script((send(b"ab"),)),)))
        assert threading.active_count() == before
    (stopped,) = trace.of("network.stalled", "network.spinning")
    assert stopped.kind == kind
    assert "in handle" in stopped["stacks"]
    assert __file__.rpartition("/")[2] in stopped["stacks"]


def test_spinning_on_eof_is_counted_not_waited_for():
    """A handler that goes on after EOF is stopped after a bounded number of reads."""
    with stage(SpinsOnEof, limit_s=60) as playing:
        trace = playing.play(Case((Script((HALF_CLOSE,)),)))
    assert trace.of("network.spinning")[0]["operation"] == "recv"


def test_a_server_that_dies_abandons_its_peers():
    """An exception that leaves serve_forever is told, and peers that it did not accept are counted."""
    with stage(Exits) as playing:
        trace = playing.play(Case((TALK, TALK)))
    assert trace.of("server.stopped")[0]["lineage"][0] == "builtins.SystemExit"
    assert trace.of("server.abandoned")[0]["count"] == 1
    assert len(trace.replies) == 1


def test_a_handlers_sleep_is_real_and_written_down():
    """In real time nothing is virtual."""
    with stage(Sleeps) as playing:
        trace = playing.play(Case((Script((send(b"ab"),)),)))
    assert trace.replies == (b"awake",)
    assert trace.of("network.sleep")[0]["seconds"] == 0.05
    assert trace.of("socket.send")[0].time >= 0.05


def test_resets_early_steps_and_faults_work_in_real_time():
    """A peer that has reset before it is accepted is served as Linux serves it; injected errors strike."""
    with stage(Selects) as playing:
        trace = playing.play(Case((Script((RESET,), early=1), TALK), (Fault("recv", "ConnectionResetError", 2),)))
    assert [event["peername"] for event in trace.of("socket.accepted")] == [False, True]
    assert [
        (event["errno"], event["injected"]) for event in trace.of("socket.error") if event["operation"] == "recv"
    ] == [
        ("ECONNRESET", False),
        ("ConnectionResetError", True),
    ]


class EndsQuietly(socketserver.TCPServer):
    """Takes KeyboardInterrupt for the wish to end, as development servers do."""

    def serve_forever(self, poll_interval=0.5):
        try:
            super().serve_forever(poll_interval)
        except KeyboardInterrupt:
            pass
        finally:
            self.server_close()


def test_a_loop_that_swallows_what_ended_it_was_stopped_all_the_same():
    """Otherwise the peers behind would look forgotten by a server that goes on."""
    case = Case((Script((HALF_CLOSE,)), Script((HALF_CLOSE,))), (Fault("setup.enter", "KeyboardInterrupt", 1),))
    with Stage(StdlibTarget(Selects, server=EndsQuietly), network="loopback") as stage:
        stage.run(Case((Script((HALF_CLOSE,)),)))
        trace = stage.play(case)
    assert stage.in_real_time
    (stopped,) = trace.of("server.stopped")
    assert (stopped.connection, stopped["lineage"][0]) == (0, "builtins.KeyboardInterrupt")
