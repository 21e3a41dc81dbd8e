"""Crowds against real servers with threads and children: what the standard library does is never a finding."""

from __future__ import annotations

from socketserver import BaseRequestHandler

import pytest

from handshaker.harness.campaign.saved import sighting_of
from handshaker.harness.campaign.sighting import CONCURRENT, Sighting
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.settings import Settings
from handshaker.harness.verdict import Finding, Level, Reach, Violation
from handshaker.targets.exhibits.common import Lines
from handshaker.targets.stdlib import StdlibTarget, load_target

LINES = f"{Lines.__module__}:{Lines.__name__}"
SERVERS = (
    "ThreadingTCPServer", "ForkingTCPServer", "ThreadingUnixStreamServer", "ThreadingUDPServer", "ForkingUDPServer",
    "ThreadingUnixDatagramServer",
)  # fmt: skip
HELLO = Script((Step("send", b"hello\n"), Step("half-close")))
DATAGRAM = Script((Step("send", b"hello\n"),))
STREAMS = (
    (HELLO,) * 3,
    (Script((Step("send", b"hel"),)), HELLO),
    (Script((Step("send", b"hel"), Step("reset"))), HELLO),
    (Script((Step("close"),), early=1), HELLO),
    (Script((Step("stop-reading"), Step("send", b"hello\n", 300), Step("reset"))), HELLO),
)
DATAGRAMS = ((DATAGRAM,) * 3, (Script((Step("send"), Step("send", b"\xff", 9_000))), DATAGRAM))
TRIES = 20
LOST = Violation("a reply", "no reply at all", (0,), 1, damage="no reply")
FAULTS = (
    ("thread.start", "RuntimeError"),
    ("fork", "OSError"),
    ("handle.enter", "ValueError"),
    ("handle.leave", "SystemExit"),
    ("handle_error", "ValueError"),
)


class Echo(BaseRequestHandler):
    """Answers one datagram; the peer may be gone."""

    def handle(self) -> None:
        data, sock = self.request
        if self.client_address:
            sock.sendto(data.upper(), self.client_address)


class Greedy(Lines):
    """Has everybody wait for its peer, who may be silent."""

    def handle(self) -> None:
        seats = vars(self.server).setdefault("seats", [1])
        try:
            seats.pop()
        except IndexError:
            return
        super().handle()
        seats.append(1)


def bench(target: StdlibTarget, **declared) -> Workbench:
    """A workbench for *target*, around a house."""
    return Workbench(target, Settings(target.text, save=False, **declared), "loopback")


def cases_for(target: StdlibTarget) -> list[Case]:
    """Crowds with bad neighbours, and one of our faults each, as the target is served."""
    told = target.describe()
    hosting = {"transport": told.transport, "concurrency": told.concurrency}
    datagram = told.transport in ("udp", "udp6", "unix-dgram")
    plain = DATAGRAM if datagram else HELLO
    crowds = [Case(scripts, **hosting) for scripts in (DATAGRAMS if datagram else STREAMS)]
    return crowds + [Case((plain, plain), (Fault(*kind),), **hosting) for kind in FAULTS]


@pytest.mark.parametrize("server", SERVERS)
def test_the_servers_of_the_standard_library_are_blamed_for_nothing(server):
    """Hung, rude and well-behaved peers at the same time, failing threads and forks: no rule finds anything to say."""
    handler = "tests.harness.test_crowds:Echo" if "UDP" in server or "Datagram" in server else LINES
    target = load_target(
        handler, server=f"socketserver:{server}", concurrency=server[: server.index("ing") + 3].lower()
    )
    with bench(target) as made:
        for case in cases_for(target):
            assert [*made.sightings(case), *made.neighbours(case)] == [], case
        assert made.judge.bugs == {}


def test_who_behaves_well_is_compared_with_itself_alone():
    """A silent peer that keeps others from being served is found by what the last peer misses."""
    target = StdlibTarget(Greedy, concurrency="threading")
    with bench(target) as made:
        crowd = Case((Script(()), HELLO), concurrency="threading")
        # Which of the two threads takes the seat is up to the kernel: nearly always the first.
        seen = next(found for _ in range(TRIES) for found in made.neighbours(crowd))
        assert made.neighbours(Case((HELLO,), concurrency="threading")) == []
        assert any(made.shows(seen, crowd) is not None for _ in range(TRIES))
    assert (seen.invariant, seen.violation.damage) == ("relation/concurrent-isolation", "no reply")
    assert seen.contrast == Case((HELLO,), concurrency="threading")


def test_of_peers_at_the_same_time_the_crowd_is_made_smaller():
    """Other relations shrink the Case that they compare with; a crowd would have nobody left."""
    crowd, alone = Case((HELLO, HELLO)), Case((HELLO,))
    seen = Sighting("relation/concurrent-isolation", LOST, crowd, contrast=alone, relation=CONCURRENT)
    assert seen.subject == crowd
    assert Sighting("relation/isolation", LOST, crowd, contrast=alone, relation="isolation").subject == alone


def test_a_saved_crowd_is_played_as_a_crowd_again():
    """The name of its relation is found again from its invariant."""
    crowd, alone = Case((HELLO, HELLO)), Case((HELLO,))
    finding = Finding("t:H", "relation/concurrent-isolation", Level.MUST, Reach.PEER, LOST, crowd, contrast=alone)
    assert sighting_of(finding).relation == CONCURRENT
    assert sighting_of(finding).subject == crowd
