"""What a handler holds of an endless input is weighed: who collects it is told from who deals with it as it comes."""

from __future__ import annotations

import tracemalloc
from socketserver import BaseRequestHandler, StreamRequestHandler

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.judge import Judge
from handshaker.harness.probes_memory import LARGE_BYTES, announced, enlarged, large_peer, weigh
from handshaker.harness.runner import Stage
from handshaker.harness.verdict import Level, Outcome
from handshaker.targets.stdlib import load_target
from tests.harness.command_line import Conducted, handler

HERE = __name__
HALF_CLOSE = Step("half-close")


def endless(*before: bytes, unit: bytes = b"a", size: int = LARGE_BYTES) -> Case:
    """A peer that sends what comes *before*, then *size* bytes without an end."""
    first = [Step("send", each) for each in before]
    return Case((Script((*first, Step("send", unit, size // len(unit)), HALF_CLOSE)),))


class Lines(StreamRequestHandler):
    """Reads lines however long they are."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(b"%d\n" % len(line))


class Whole(StreamRequestHandler):
    """Reads to the end, then answers."""

    def handle(self):
        self.wfile.write(b"%d\n" % len(self.rfile.read()))


class Joins(BaseRequestHandler):
    """Collects what each recv() brings."""

    def handle(self):
        data = b""
        while segment := self.request.recv(65_536):
            data += segment
        self.request.sendall(b"%d\n" % len(data))


class Keeps(BaseRequestHandler):
    """Keeps the segments, and waits for a line that never ends."""

    def handle(self):
        kept = []
        while segment := self.request.recv(4_096):
            kept.append(segment)
            if segment.endswith(b"\n"):
                break


class Collects(BaseRequestHandler):
    """Collects, and answers with all of it."""

    def handle(self):
        data = bytearray()
        while segment := self.request.recv(65_536):
            data += segment
        self.request.sendall(data)


class Echoes(BaseRequestHandler):
    """Sends back what it takes, as it comes."""

    def handle(self):
        while segment := self.request.recv(4_096):
            self.request.sendall(segment)


class Counts(StreamRequestHandler):
    """Takes everything and keeps nothing."""

    def handle(self):
        count = 0
        while piece := self.rfile.read(8_192):
            count += len(piece)
        self.wfile.write(b"%d\n" % count)


class Limited(StreamRequestHandler):
    """Refuses a line that is too long, as http.server does."""

    def handle(self):
        if len(self.rfile.readline(65_537)) > 65_536:
            self.wfile.write(b"414\n")


class Generous(BaseRequestHandler):
    """Has a limit that is larger than what was sent at first."""

    def handle(self):
        data = b""
        while len(data) < 3_000_000 and (segment := self.request.recv(65_536)):
            data += segment


class Announced(StreamRequestHandler):
    """Is told how much will come."""

    def handle(self):
        size, body = int(self.rfile.readline(20) or b"0"), b""
        while len(body) < size and (piece := self.rfile.read1(65_536)):
            body += piece


UNLIMITED = ("Lines", "Whole", "Joins", "Keeps", "Collects")
LIMITED = ("Echoes", "Counts", "Limited", "Generous")


def judged(name: str, case: Case, network: str) -> Outcome:
    """What the rule says about a handler of this module."""
    with Stage(load_target(f"{HERE}:{name}"), network=network) as stage:
        trace = stage.play(case)
    contract = load_target(f"{HERE}:{name}").contract()
    [said] = Judge(contract, ["resources/bounded-memory"]).verdicts(trace)
    return said.outcome


@pytest.mark.parametrize("network", ["memory", "loopback"])
@pytest.mark.parametrize("name", UNLIMITED)
def test_who_collects_an_endless_input_is_found(name, network):
    """However it collects: by a line, by a read to the end, by segments that it joins or keeps."""
    assert judged(name, endless(), network) is Outcome.VIOLATED


@pytest.mark.parametrize("network", ["memory", "loopback"])
@pytest.mark.parametrize("name", LIMITED)
def test_who_deals_with_it_as_it_comes_is_not(name, network):
    """Neither is who refuses it, or who stops at a limit of some megabytes."""
    assert judged(name, endless(), network) is Outcome.HOLDS


@pytest.mark.parametrize("network", ["memory", "loopback"])
@pytest.mark.parametrize("name", ["Lines", "Whole", "Joins", "Keeps"])
def test_what_is_held_does_not_depend_on_how_the_input_begins(name, network):
    """A line of its own in front of the endless one changes nothing."""
    assert judged(name, endless(b"hello", unit=b"ab"), network) is Outcome.VIOLATED


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_body_that_was_announced_may_be_held(network):
    """When more comes than was announced it is not taken; and where a number was named nobody can tell."""
    assert judged("Announced", endless(b"1000000\n"), network) is Outcome.HOLDS
    assert judged("Joins", endless(b"1000000\n"), network) is Outcome.UNKNOWN


def test_a_short_input_is_not_weighed():
    """A Case like any other is played once, and says nothing about memory."""
    assert judged("Lines", endless(size=LARGE_BYTES // 2), "memory") is Outcome.NOT_APPLICABLE


def test_the_place_is_where_the_handler_reads():
    """The event names the function, and the line that waits for more."""
    with Stage(load_target(f"{HERE}:Joins")) as stage:
        [event] = stage.play(endless()).of("probe.memory")
    assert (event["held"], event["again"], event["announced"]) == (1, 1, False)
    assert event["where"] == f"{HERE}:Joins.handle"
    assert "test_probes_memory.py:" in event["detail"]


def test_the_peer_with_the_most_is_weighed():
    """Of all that is sent in one go the longest, if it is long enough."""
    short, long = Script((Step("send", b"x"),)), Script((Step("send", b"x"), Step("send", b"ab", LARGE_BYTES)))
    assert large_peer(Case((short, long))) == (1, 1)
    assert large_peer(Case((short, short))) is None
    assert enlarged(Case((short, long)), (1, 1), 2).scripts[1].payload == b"x" + b"ab" * LARGE_BYTES * 2


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"1000000\n", True),
        (b"Content-Length: 1000000\r\n\r\n", True),
        (b"f4240\r\n", True),
        (b"99999999999 ", True),
        (b"999999\n", False),
        (b"word ", False),
        (b"", False),
    ],
)
def test_a_number_in_front_of_a_body_announces_it(said, expected):
    """Decimal or hexadecimal, if it is as large as the body or larger."""
    assert announced(endless(said), (0, 1)) is expected


def test_what_is_slow_is_not_weighed():
    """It would take several times as long again, and look like a hang."""
    assert weigh(endless(), lambda *_: pytest.fail("played"), lambda _: True, took_s=1.0) is None


def test_tracing_that_was_on_stays_on():
    """Who traces allocations for a reason of his own goes on doing so."""
    tracemalloc.start()
    try:
        assert judged("Joins", endless(), "memory") is Outcome.VIOLATED
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert judged("Joins", endless(), "memory") is Outcome.VIOLATED
    assert not tracemalloc.is_tracing()


def test_a_campaign_finds_it_with_the_smallest_input(tmp_path):
    """The finding is minimal, is shown again on loopback, and is a SHOULD."""
    (tmp_path / "subject.py").write_text(handler("self.wfile.write(line + self.rfile.readline())"), encoding="utf-8")
    campaign = Conducted(tmp_path, "subject.py:Subject", max_examples=5, phases=("sweep", "shrink", "confirm"))
    finding = campaign.ready("resources/bounded-memory").finding
    assert LARGE_BYTES <= sum(len(script.payload) for script in finding.case.scripts) < LARGE_BYTES + 1_100
    assert {one.network: one.seen for one in finding.confirmations} == {"memory": 3, "loopback": 3}
    assert REGISTRY["resources/bounded-memory"].level is Level.SHOULD
