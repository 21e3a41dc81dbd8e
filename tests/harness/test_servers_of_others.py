"""No false positives: servers that others write in ways of their own, and servers that were killed half-way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Act, Case, Script, Step
from handshaker.harness.judge import Judge
from handshaker.harness.networks.live import LiveSocket
from handshaker.harness.recorder import HANDED_OVER, RUN, Recorder
from handshaker.harness.runner import Stage
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Outcome
from handshaker.harness.vocabulary import KINDS
from handshaker.targets.stdlib import StdlibTarget, load_target
from tests.harness import servers_of_others as others
from tests.harness.wires import HALF_CLOSE, send

LINES = Script((send(b"ab\n"), send(b"cd\n"), HALF_CLOSE))
LEAVES = Script((send(b"ab\n"), Step("close")))
HERE = "tests.harness.servers_of_others"


def target_of(server, concurrency="plain"):
    return StdlibTarget(others.Echo, server=server, concurrency=concurrency)


def violations(trace, target):
    judge = Judge(target.contract(), header=trace.header)
    broken = {said.invariant for said in judge.verdicts(trace) if said.outcome is Outcome.VIOLATED}
    assert not judge.bugs
    return broken


@pytest.mark.parametrize("server", [others.Pool, others.SlowPool])
def test_memory_says_that_a_server_has_threads_of_its_own(server):
    """Whether a request is served here or handed over is known as soon as process_request() returns."""
    with Stage(target_of(server)) as stage:
        assert stage.run(Case((LINES,))).stopped_by == ("network.kernel", 0, HANDED_OVER)


@pytest.mark.parametrize("server", [others.Pool, others.SlowPool])
def test_a_server_with_threads_of_its_own_is_played_in_a_house(server):
    """All its peers come at once, each is served, and nothing is held against it."""
    target = target_of(server)
    with Stage(target, network="loopback") as stage:
        for _ in range(3):
            trace = stage.play(Case((LINES, LEAVES, LINES)))
            assert stage.is_apart(Case())
            assert violations(trace, target) == set()
            assert (trace.replies[0], trace.replies[2]) == (b"ab\ncd\n", b"ab\ncd\n")
            assert all(event["thread"] for event in trace.of("request.runs"))


def test_a_connection_that_a_thread_of_the_handler_keeps_is_followed_in_a_house():
    """A request that is over but open, with a new thread at work, will be closed by that thread."""
    target = StdlibTarget(others.Keeps, server=others.LeavesItToTheHandler, concurrency="plain")
    with Stage(target) as stage:
        assert stage.run(Case((LEAVES,))).stopped_by == ("network.kernel", 0, HANDED_OVER)
    with Stage(target, network="loopback") as stage:
        trace = stage.play(Case((LEAVES,)))
        assert trace.of("socket.close")
        assert not violations(trace, target) & {"resources/socket-closed-once", "server/hook-order"}


def test_a_handler_whose_constructor_nobody_calls_is_known_from_its_first_hook():
    """What a server makes in a way of its own is recorded; one instance for all requests breaks the contract."""
    for server, broken in ((others.WithoutConstructor, set()), (others.OneForAll, {"one-handler-per-request"})):
        target = target_of(server)
        with Stage(target) as stage:
            trace = stage.play(Case((LINES, LINES)))
        assert trace.replies == (b"ab\ncd\n", b"ab\ncd\n")
        assert {slug.partition("/")[2] for slug in violations(trace, target)} - {"handler-released"} == broken


def test_a_socket_of_an_earlier_case_asks_for_nothing():
    """A thread that was left behind gets what a closed socket gives, and the Case in progress goes on."""
    for network in ("memory", "loopback"):
        kept = []
        with Stage(StdlibTarget(keeping(kept), concurrency="plain"), network=network) as stage:
            stage.play(Case((LEAVES,)))
            RUN.begin(Recorder(), (), ())
            with pytest.raises(OSError, match="Bad file descriptor"):
                kept[0].dup()
            assert not RUN.stopped
            RUN.clear()
        del kept[0].close
        kept[0].close()


def keeping(kept):
    """A handler class that keeps its connections, open, in *kept*."""

    class Keeping(others.Echo):
        def handle(self):
            self.request.close = lambda: None
            kept.append(self.request)

    return Keeping


def test_what_a_handler_breaks_under_such_a_server_is_still_found():
    """Where its requests run makes no difference to a handler that raises."""
    target = StdlibTarget(others.Raises, server=others.Pool)
    with Stage(target, network="loopback") as stage:
        assert "handler/no-uncaught-exception" in violations(stage.play(Case((LINES,))), target)


def test_a_request_that_was_handed_over_may_still_be_closed():
    """Nobody knows who has the request: that it is open when the Case ends is no violation."""
    target = target_of(others.NeverCloses)
    with Stage(target, network="loopback", limit_s=1.0) as stage:
        stage.play(Case((LINES,)))
        trace = stage.play(Case((LINES,), owner=(Act("serve"), Act("begin"), Act("shutdown"))))
    assert trace.of("finish_request.leave")
    assert not violations(trace, target) & {"resources/socket-closed-once", "server/hook-order"}


def test_an_override_that_serves_in_the_one_thread_stays_in_memory():
    """Overriding process_request() alone is no reason to leave."""
    with Stage(target_of(others.HandsOverToItself)) as stage:
        recorder = stage.run(Case((LINES, LINES)))
        assert recorder.stopped_by == ()
        assert not stage.is_apart(Case())


@pytest.mark.parametrize("network", ["memory", "loopback"])
@pytest.mark.parametrize("server", [others.ShutsDownWhenClosed, others.ShutsDownBehindOurBack])
def test_an_owner_whose_close_ends_the_loop_does_not_wait_for_it(server, network):
    """server_close() may call shutdown(): the loop has ended, or was never begun, and nobody waits for itself."""
    target = target_of(server)
    with Stage(target, network=network) as stage:
        trace = stage.play(Case((LINES,)))
    assert violations(trace, target) == set()
    assert not trace.of("network.stalled")


@pytest.mark.parametrize("concurrency", ["plain", "threading", "forking"])
@pytest.mark.parametrize("factory", ["plain_server", "threading_server", "forking_server"])
def test_a_factorys_server_is_recorded_whatever_is_made_of_it(factory, concurrency):
    """A mix-in that is put in front of the server's class must not hide its hooks from who records them."""
    target = load_target(f"{HERE}:Echo", factory=f"{HERE}:{factory}", concurrency=concurrency)
    owner = tuple(map(Act, ("serve", "play", "shutdown", "close")))
    with Stage(target, network="loopback") as stage:
        trace = stage.play(Case((LINES,), (), "tcp", concurrency, owner))
    assert len(trace.of("process_request.enter")) == len(trace.of("finish_request.enter")) == 1
    assert violations(trace, target) == set()


def test_such_a_server_can_be_described():
    """A target is described by making its server and closing it, which has never run a loop."""
    told = load_target(f"{HERE}:Echo", server=f"{HERE}:ShutsDownBehindOurBack").describe()
    assert told.server == f"{HERE}:ShutsDownBehindOurBack"


# killed anywhere

LIVES = {
    "threading": ("threading", "socketserver:TCPServer", ()),
    "forking": ("forking", "socketserver:TCPServer", ()),
    "pool": ("plain", f"{HERE}:Pool", ()),
    "owner": ("plain", "socketserver:TCPServer", ("serve", "play", "shutdown", "close")),
    "owner of threads": ("threading", "socketserver:TCPServer", ("serve", "begin", "shutdown", "close")),
}


def event_of(kind, **data):
    return Event(0, 0.0, KINDS[kind].source, kind, -1, data)


ENDS = {
    "killed": event_of("network.stalled", operation="handle", after="open", stacks=""),
    "gone": event_of("probe.process-gone", status="exit 0"),
    "blocked": event_of("owner.blocked", act="handle", nth=0, stacks=""),
}


def cut(trace, at, end):
    """What is known of the same life when the house has not got any further; its peers have seen the end of it."""
    known = [*trace.events[:at], end, *(event for event in trace.events[at:] if event.kind == "peer.end")]
    return Trace(trace.header, tuple(replace(event, seq=seq) for seq, event in enumerate(known)))


@pytest.mark.parametrize("name", LIVES)
def test_what_a_server_did_not_come_to_is_not_held_against_it(name):
    """Wherever a house is killed, dies or is blocked: no rule says that finish(), close() or a reply is missing."""
    concurrency, server, acts = LIVES[name]
    target = load_target(f"{HERE}:Echo", server=server, concurrency=concurrency)
    with Stage(target, network="loopback") as stage:
        case = Case((LINES, LEAVES), (), "tcp", concurrency, tuple(map(Act, acts)))
        stage.play(case)
        trace = stage.play(case)
    assert len(trace) > 40
    judge = Judge(target.contract(), header=trace.header)
    judge.verdicts(trace)
    for how, end in ENDS.items():
        if how == "blocked" and not acts:
            continue
        for at in range(len(trace)):
            said = judge.verdicts(cut(trace, at, end))
            broken = {each.invariant for each in said if each.outcome is Outcome.VIOLATED}
            assert broken - {"liveness/process-survives"} == set(), (how, at, trace.events[at])


# signs of life


def test_who_waits_for_a_house_shows_that_it_is_alive(monkeypatch):
    """A Case in real time may take longer than a supervisor waits for a sign: it gives some."""
    signs = []
    monkeypatch.setattr(RUN, "alive", lambda: signs.append(1))
    with Stage(StdlibTarget(others.Echo, concurrency="threading"), network="loopback") as stage:
        stage.play(Case((LINES,), (), "tcp", "threading"))
    assert signs


def test_a_bench_shows_to_its_supervisor_that_it_is_alive():
    """Signs of life go where the bench is told to, while it is entered, and nowhere afterwards."""
    signs = []
    before = RUN.alive
    bench = Workbench(StdlibTarget(others.Echo, concurrency="threading"), Settings("t", save=False), "loopback")
    bench.alive = lambda: signs.append(1)
    with bench:
        bench.play(Case((LINES,), (), "tcp", "threading"))
    assert signs
    assert RUN.alive is before


class SaysLate:
    """A peer that has ended the stream, and says so a little later."""

    shut_rd = False

    def __init__(self):
        self.asked = 0

    @property
    def player(self):
        return self

    @property
    def state(self):
        self.asked += 1
        return "half-closed" if self.asked > 3 else "open"


def test_who_is_told_the_end_waits_until_the_peer_says_how():
    """The end of a stream is seen by its reader before its writer can say that it has come."""
    peer = SaysLate()
    reader = LiveSocket.__new__(LiveSocket)
    reader._peer = peer
    reader._await_the_end()
    assert peer.state == "half-closed"
    assert peer.asked == 5
