"""Threading and forking servers live in a house of their own: real threads, real children, real time."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.recorder import RUN
from handshaker.targets.instrument import hosting_failure, latest_birth
from tests.harness import apart_handlers as handlers
from tests.harness.apart_play import (
    BOTH,
    DATAGRAMS,
    LINE,
    SILENT,
    STREAMS,
    TWO_DATAGRAMS,
    acts,
    houses,
    kinds,
    nobody_left,
    play,
    stage,
)
from tests.harness.wires import CLOSE, HALF_CLOSE, RESET, pause, send

__all__ = ["houses"]

# serving


@BOTH
@STREAMS
def test_streams_are_served(concurrency, transport):
    """Two peers of every kind of stream are answered, each in a thread or child of its own, and end at EOF."""
    trace = play(handlers.Echo, concurrency, LINE, LINE, transport=transport)
    assert trace.replies == (b"AB\nCD\n",) * 2
    assert [event["end"] for event in trace.of("peer.end")] == ["eof", "eof"]
    assert trace.header.server == concurrency
    runs = {event.connection: (event["thread"], event["process"]) for event in trace.of("request.runs")}
    assert runs == ({0: (1, 0), 1: (2, 0)} if concurrency == "threading" else {0: (0, 1), 1: (0, 2)})
    assert not kinds(trace, "network.stalled", "probe.warning", "probe.unraisable", "probe.descriptors", "socket.error")


@BOTH
@DATAGRAMS
def test_datagrams_are_served(concurrency, transport):
    """Two peers send two datagrams each; every one is a request of its own, whose sender gets the answer."""
    trace = play(handlers.EchoesDatagrams, concurrency, TWO_DATAGRAMS, TWO_DATAGRAMS, transport=transport)
    assert trace.replies == (b"ABCD", b"ABCD")
    assert sorted(event["peer"] for event in trace.of("datagram.request")) == [0, 0, 1, 1]
    assert [event.connection for event in trace.of("datagram.request")] == [0, 1, 2, 3]
    assert {event["to"] for event in trace.of("datagram.reply")} == {"sender"}
    assert all(event["whole"] and event["own"] for event in trace.of("datagram.pair"))
    assert not kinds(trace, "network.stalled", "probe.warning", "socket.error")


@pytest.mark.parametrize(
    ("handler", "script", "transport"),
    [(handlers.NeedsTwo, LINE, "tcp"), (handlers.NeedsTwoDatagrams, TWO_DATAGRAMS, "udp")],
)
def test_two_peers_are_really_served_at_once(handler, script, transport):
    """A handler that answers only while another one is inside handle() as well answers both."""
    trace = play(handler, "threading", script, script, transport=transport)
    assert all(trace.replies)
    assert not kinds(trace, "handle.raise", "network.stalled")


def test_segments_are_read_one_by_one():
    """A peer sends its next segment when the last one was taken: what is sent at once is read at once."""
    trace = play(handlers.Echo, "threading", Script((send(b"a"), send(b"b"), send(b"\n"), HALF_CLOSE)))
    assert [event["data"] for event in trace.of("socket.recv")] == [b"a", b"b", b"\n"]


@BOTH
def test_the_same_case_has_the_same_shape(concurrency):
    """Twenty runs of one peer's Case give the same structure, but for a run that the machine held up."""
    with stage(handlers.Echo, concurrency) as prepared:
        case = Case((LINE,), concurrency=concurrency)
        shapes = Counter(prepared.run(case).shape for _ in range(20))
    assert shapes.most_common(1)[0][1] >= 12, shapes


def test_early_steps_come_before_the_connection_is_accepted():
    """What a peer does early the handler finds done: the reset has come before anybody could read."""
    trace = play(handlers.Echo, "threading", Script((send(b"x"), RESET), early=2))
    events = [event.kind for event in trace.of("peer.send", "peer.reset", "socket.accepted")]
    assert events == ["peer.send", "peer.reset", "socket.accepted"]


def test_peers_pause_and_expect_in_real_time():
    """A pause that no handler could tell from a longer one is over soon; an expectation is met by the reply."""
    began = time.monotonic()
    script = Script((send(b"ab\n"), Step("expect", size=3, seconds=30), pause(30), send(b"cd\n"), HALF_CLOSE))
    trace = play(handlers.Echo, "threading", script)
    assert [event["met"] for event in trace.of("peer.expect")] == [True]
    assert trace.replies == (b"AB\nCD\n",)
    assert time.monotonic() - began < 10


def test_a_socket_that_waits_for_a_moment_only_is_not_stuck():
    """A read with a timeout of the socket's own ends by itself, and nobody gives the handler up."""
    trace = play(handlers.HasAPatientSocket, "threading", SILENT)
    assert not trace.of("network.stalled")
    assert trace.replies == (b"AB\ntoo late",)


@BOTH
def test_a_read_that_waits_for_all_of_it_is_looked_into(concurrency):
    """What MSG_WAITALL has taken by now is known: a silent peer is given up at once, and the others are served."""
    started = time.monotonic()
    trace = play(handlers.WaitsForAllOfIt, concurrency, SILENT, Script((send(b"ab"), send(b"cdef"), HALF_CLOSE)))
    assert [(event.connection, event["operation"]) for event in trace.of("network.stalled")] == [(0, "recv")]
    assert trace.replies[1] == b"ABCD;EF;"
    assert time.monotonic() - started < 5


def test_a_peer_that_stops_reading_holds_up_its_own_handler_only():
    """While one handler cannot write, the other one is served."""
    deaf = Script((Step("stop-reading"), send(b"x" * 60_000 + b"\n", 20), Step("resume-reading"), HALF_CLOSE))
    trace = play(handlers.Echo, "threading", deaf, LINE)
    assert len(trace.replies[0]) == 60_001 * 20
    assert trace.replies[1] == b"AB\nCD\n"


@BOTH
def test_events_of_handlers_come_from_wherever_they_run(concurrency):
    """What a handler raises, writes to stderr, and how its request ends is told, of threads and of children."""
    trace = play(handlers.Raises, concurrency, LINE)
    assert trace.of("handle.raise")[0]["message"].startswith("ValueError: no @ ")
    assert "ValueError: no" in trace.of("probe.stderr")[0]["text"]
    assert kinds(trace, "shutdown_request.leave", "server.closed") == ["shutdown_request.leave", "server.closed"]
    ended = [event["status"] for event in trace.of("process.end")]
    assert ended == (["exit 1"] if concurrency == "forking" else [])
    assert play(handlers.WritesDown, concurrency, LINE).of("probe.stderr")[0]["text"] == "from the handler\n"


def test_a_users_own_threads_have_the_right_connections():
    """A pool that calls finish_request() itself: each hook is told of the connection whose request it was given."""
    trace = play(handlers.Echo, "plain", LINE, LINE, owner=acts("serve", ("play", 0), ("play", 1), "shutdown", "close"),
                 server=handlers.Pool)  # fmt: skip
    assert trace.replies == (b"AB\nCD\n",) * 2
    for connection in (0, 1):
        events = trace.of("handle.enter", "handle.leave", "shutdown_request.leave", connection=connection)
        assert [event.kind for event in events] == ["handle.enter", "handle.leave", "shutdown_request.leave"]


def test_peers_close_and_reset():
    """A peer that closes leaves an end behind, one that resets an error; both are told."""
    trace = play(handlers.Echo, "threading", Script((send(b"ab\n"), CLOSE)), Script((send(b"x"), RESET)))
    assert kinds(trace, "peer.close", "peer.reset") == ["peer.close", "peer.reset"]
    assert [event["errno"] for event in trace.of("socket.error", connection=1)][:1] == ["ECONNRESET"]


@BOTH
def test_unix_peers_close_and_reset(concurrency):
    """Also after a reply, of which a Unix peer that resets may not have read everything."""
    talks = (send(b"ab\n"), Step("expect", size=3, seconds=5), send(b"cd\n"))
    scripts = Script((*talks, RESET)), Script((*talks, CLOSE)), LINE
    trace = play(handlers.Echo, concurrency, *scripts, transport="unix")
    assert trace.replies[2] == b"AB\nCD\n"
    assert len(kinds(trace, "shutdown_request.leave")) == 3


# hardships


def test_hardships_strike_in_the_house_and_in_its_children():
    """Each Fault strikes once, where its point is reached, and is counted."""
    with stage(handlers.Echo, "forking") as prepared:
        recorder = prepared.run(Case((LINE, LINE), (Fault("handle.enter", "ValueError"),), concurrency="forking"))
        assert recorder.struck == 2  # the first handle() of each child
    with stage(handlers.Echo, "threading") as prepared:
        recorder = prepared.run(Case((LINE, LINE), (Fault("handle.enter", "ValueError", 2),), concurrency="threading"))
        assert recorder.struck == 1


@pytest.mark.parametrize(
    ("concurrency", "fault", "told"),
    [
        ("threading", Fault("thread.start", "RuntimeError"), ("thread.start", "outcome", "failed")),
        ("forking", Fault("fork", "OSError"), ("process.fork", "child", -1)),
    ],
)
def test_threads_and_forks_fail_when_they_are_to(concurrency, fault, told):
    """The first request is reported as an error and closed; the second one is served."""
    trace = play(handlers.Echo, concurrency, LINE, LINE, faults=(fault,))
    kind, field, value = told
    assert [event[field] for event in trace.of(kind, connection=0)] == [value]
    assert trace.of("handle_error.enter")[0]["injected"]
    assert trace.replies == (b"", b"AB\nCD\n")


def test_a_server_that_dies_abandons_its_peers():
    """After an exception out of the loop nobody is accepted, and that is told."""
    trace = play(handlers.Echo, "threading", LINE, LINE, faults=(Fault("verify_request", "ValueError"),))
    assert [event["injected"] for event in trace.of("server.stopped")] == [True]
    assert [event["count"] for event in trace.of("server.abandoned")] == [1]


def test_a_server_that_cannot_be_made_is_an_error_of_hosting():
    """What the constructor raises in the house is raised here."""

    class Refuses(handlers.Threaded):
        def server_activate(self):
            if os.getpid() != outside:
                raise ValueError("not here")
            super().server_activate()

    outside = os.getpid()
    with pytest.raises(ValueError, match=r"not here at .*test_apart\.py:"):
        play(handlers.Echo, "threading", LINE, server=Refuses)


@BOTH
def test_a_long_reason_is_told_as_well(concurrency):
    """What the constructor raises may have any length: the house tells the beginning of it."""

    class Refuses(handlers.Threaded):
        def __init__(self, *_):
            raise OSError("why", "x" * 1_000_000)

    with pytest.raises(OSError, match="xxx"):
        play(handlers.Echo, concurrency, LINE, server=Refuses)


# threads and children


def test_threads_are_watched_from_their_start_to_their_end():
    """A thread for the request starts and ends; what handlers leave running is counted after server_close()."""
    trace = play(handlers.Echo, "threading", LINE)
    assert [(event["outcome"], event["daemon"]) for event in trace.of("thread.start")] == [("started", False)]
    assert kinds(trace, "thread.end", "server.closed") == ["thread.end", "server.closed"]
    left = play(handlers.LeavesThreads, "threading", LINE, LINE).of("probe.threads-left")
    assert [(event["count"], event["daemon"]) for event in left] == [(2, True)]


def test_children_are_watched_from_the_fork_to_their_end():
    """The parent closes its copy, the child serves and exits with 0, and no child is left at the close."""
    trace = play(handlers.Echo, "forking", LINE)
    told = [(event.kind, tuple(event.data.values())) for event in trace.of(
        "process.fork", "parent.hook", "probe.parent-copy", "process.end", "probe.children")]  # fmt: skip
    assert told == [
        ("process.fork", (1,)),
        ("parent.hook", ("close_request",)),
        ("probe.parent-copy", (False, False)),
        ("process.end", (1, "exit 0")),
        ("probe.children", ("closed", 0, 0)),
    ]
    assert kinds(trace, "socket.released") == ["socket.released"]


def test_a_child_that_comes_back_is_ended(houses):
    """A child that returns from process_request() is written down, and does not go on serving."""
    trace = play(handlers.Echo, "forking", LINE, LINE, server=handlers.ComesBack)
    assert sorted(event["child"] for event in trace.of("process.escaped")) == [1, 2]
    assert trace.replies == (b"AB\nCD\n",) * 2
    assert nobody_left(houses)


def test_a_copy_that_the_parent_keeps_is_seen():
    """The parent of KeepsItsCopy neither closes its copy nor leaves it alone."""
    trace = play(handlers.Echo, "forking", LINE, server=handlers.KeepsItsCopy)
    assert [(event["open"], event["shut"]) for event in trace.of("probe.parent-copy")] == [(True, True)]


def test_zombies_are_counted():
    """A child that nobody waits for is a zombie at the next turn and at the close."""
    trace = play(handlers.Echo, "forking", LINE, server=handlers.NeverReaps)
    assert [event["zombies"] for event in trace.of("probe.children") if event["moment"] == "closed"] == [1]


def test_children_that_are_reaped_in_another_way_are_none_any_more():
    """Nobody is blamed for children that were waited for by a function that is not watched."""
    trace = play(handlers.Echo, "forking", LINE, LINE, server=handlers.ReapsInItsOwnWay)
    assert [
        (event["alive"], event["zombies"]) for event in trace.of("probe.children") if event["moment"] == "closed"
    ] == [(0, 0)]


def test_the_forking_process_has_one_thread(recwarn):
    """So that forking warns of nothing: the loop runs in the main thread when no owner acts."""
    assert not kinds(play(handlers.Echo, "forking", LINE, LINE), "probe.warning", "shutdown.enter")
    assert not recwarn.list


@BOTH
def test_a_handler_that_ends_its_process(concurrency):
    """Of a thread, that is the end of the server's process; of a child, only its own."""
    trace = play(handlers.EndsTheProcess, concurrency, LINE)
    gone = [event["status"] for event in trace.of("probe.process-gone")]
    ended = [event["status"] for event in trace.of("process.end")]
    assert (gone, ended) == ((["exit 3"], []) if concurrency == "threading" else ([], ["exit 3"]))


# what the playing process is told beside events


class AsksItsServer(handlers.Echo):
    def handle(self):
        self.wfile.write(self.server.prefix)


class WantsMore(handlers.Echo):
    def __init__(self, request, client_address, server, more):
        super().__init__(request, client_address, server)


@BOTH
@pytest.mark.parametrize(("handler", "kind"), [(AsksItsServer, AttributeError), (WantsMore, TypeError)])
def test_why_hosting_fails_is_told_here(concurrency, handler, kind):
    """A witness hears of an exception like the one that was raised in the house, and keeps nothing alive there."""
    heard = []
    with stage(handler, concurrency) as prepared:
        RUN.witness = heard.append
        try:
            trace = prepared.play(Case((LINE,), concurrency=concurrency))
        finally:
            RUN.witness = None
    assert {type(error) for error in heard} == {kind}
    assert all(hosting_failure(error) for error in heard)
    assert getattr(heard[0], "name", None) == ("prefix" if kind is AttributeError else None)
    assert not trace.of("probe.handler-alive")


def makes_an_echo(*arguments):
    return handlers.Echo(*arguments)


@BOTH
def test_the_class_that_a_callable_makes_is_told_here(concurrency):
    """An opaque callable does not say what it makes: the first handler that is born in the house does."""
    with stage(makes_an_echo, concurrency, server=handlers.Threaded) as prepared:
        trace = prepared.play(Case((LINE,), concurrency=concurrency))
    assert trace.of("init.enter")[0]["class"] == "tests.harness.apart_handlers:Echo"
    assert latest_birth() is handlers.Echo


def test_a_callable_may_take_its_time():
    """A handler that is made when another one, made beside it, has ended already is recorded all the same."""
    seen = []

    def makes_an_echo_late(request, client_address, server):
        seen.append(request)
        if len(seen) > 1:
            time.sleep(0.3)
        return handlers.Raises(request, client_address, server)

    with stage(makes_an_echo_late, server=handlers.Threaded) as prepared:
        trace = prepared.play(Case((LINE, LINE), concurrency="threading"))
    assert sorted(event.connection for event in trace.of("setup.enter")) == [0, 1]


def test_the_handler_outlives_its_request_only_if_somebody_keeps_it():
    """One in a list of its class is told; the others are not."""

    class Kept(handlers.Echo):
        kept: list = []  # noqa: RUF012

        def finish(self):
            super().finish()
            if not self.kept:
                self.kept.append(self)

    told = play(Kept, "threading", LINE, LINE).of("probe.handler-alive")
    assert len(told) == 1
