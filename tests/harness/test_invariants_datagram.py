"""What is special about datagrams: no rule blames CPython, and what follows from one defect is one finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.campaign.workbench import outcome
from handshaker.harness.invariants.base import REGISTRY, Family
from handshaker.harness.judge import Judge, primary
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, rows, verdict
from tests.traces_builder import FRAME, Part, Raised, event
from tests.traces_datagrams import DATAGRAM_TRACES, DATAGRAMS, asked, reply, trace

RULES = sorted(slug for slug, row in REGISTRY.items() if not row.relation)


@pytest.mark.parametrize("slug", RULES)
def test_no_rule_blames_the_standard_library(slug):
    """Whatever a plain server does with datagrams is no violation, also where nobody can be answered."""
    said = {name: verdict(slug, Asked(served, DATAGRAMS)) for name, served in DATAGRAM_TRACES.items()}
    assert [name for name, each in said.items() if each.outcome is Outcome.VIOLATED] == []


@pytest.mark.parametrize("slug", rows("datagram"))
def test_no_datagram_rule_concerns_a_stream(slug):
    """A server of streams is never told about datagrams."""
    from_streams = Trace(DATAGRAM_TRACES["nobody comes"].header)
    if not REGISTRY[slug].relation:
        assert verdict(slug, Asked(from_streams)).outcome is Outcome.NOT_APPLICABLE


def blamed(served: Trace) -> list[str]:
    """The slugs of what is found in *served*, without what follows from something else."""
    overrides = {method for slug in RULES for method in REGISTRY[slug].broken_by}
    judge = Judge(replace(DATAGRAMS, overrides=tuple(overrides)))
    return sorted(found.verdict.invariant for found in primary(judge.verdicts(served)))


def closed_in_handle() -> Part:
    """The handler closes the shared socket, so finish() cannot reply, and nobody else is served."""
    failed = [event("socket.error", 0, operation="sendto", errno="EBADF", injected=False)]
    request = asked(0, early=failed, finish=Raised(OSError, frame=FRAME + "finish"), listening=False)
    return [*request, event("server.abandoned", count=1)]


@pytest.mark.parametrize(
    ("served", "slug"),
    [
        (trace(closed_in_handle()), "datagram/shared-socket-stays-open"),
        (trace(asked(0, answer=b"HE", handle=Raised())), "handler/no-uncaught-exception"),
        (trace(asked(0, pair=False)), "datagram/request-is-pair"),
        (trace(asked(0, sent=[*reply(0, b"HELLO"), *reply(0, b"HELLO")])), "datagram/one-reply"),
    ],
)
def test_one_defect_is_one_finding(served, slug):
    """A closed socket also makes finish() raise and leaves everybody unserved; an exception also halves the reply."""
    assert blamed(served) == [slug]


def test_a_finish_that_runs_twice_is_told_as_that():
    """Two replies follow from it."""
    twice = [event("finish.enter", 0, instance=0, thread=0), *reply(0, b"HELLO")]
    twice += [event("finish.leave", 0, instance=0, open=())]
    served = trace(asked(0, early=twice))
    assert blamed(served) == ["lifecycle/finish-once"]


def test_an_exception_of_a_handler_shows_the_datagram_that_caused_it():
    """The witness holds the last thing that was read."""
    served = trace(asked(0, packet=b"", handle=Raised()))
    (violation,) = verdict("handler/no-uncaught-exception", Asked(served)).violations
    assert [served.events[seq].kind for seq in violation.witness] == ["datagram.request", "handle.raise"]


# relations


def related(relation: str, variant: Trace, base: Trace | None = None) -> Asked:
    """A stateless handler whose last peer is compared."""
    base = trace(asked(0)) if base is None else base
    return Asked(Family(relation, base, base, variant), replace(DATAGRAMS, stateless=True))


AFTER_ANOTHER = trace(asked(0, 0, b"x", b"X"), asked(1, 1))


@pytest.mark.parametrize("relation", ["isolation", "repeatability"])
def test_replies_are_compared_by_peer(relation):
    """The last peer gets what it gets alone, in the same number of datagrams, whatever others get."""
    slug = f"relation/{relation}"
    assert verdict(slug, related(relation, AFTER_ANOTHER)).outcome is Outcome.HOLDS
    other = trace(asked(0, 0, b"x", b"X"), asked(1, 1, answer=b"x"))
    assert verdict(slug, related(relation, other)).outcome is Outcome.VIOLATED
    split = trace(asked(0), asked(1, 1, answer=b"", sent=[*reply(1, b"HEL"), *reply(1, b"LO")]))
    assert verdict(slug, related(relation, split)).outcome is Outcome.VIOLATED
    fails = trace(asked(0), asked(1, 1, handle=Raised()))
    assert verdict(slug, related(relation, fails)).outcome is Outcome.VIOLATED


@pytest.mark.parametrize(
    "variant",
    [
        trace([event("peer.datagram", -1, b"x", peer=0, fate="lost")], asked(0, 1)),
        trace([event("peer.leave", -1, peer=1)], asked(0), asked(1, 1, answer=b"x")),
        trace(asked(0, listening=False), asked(1, 1, answer=b"x")),
        trace(asked(0), [event("server.abandoned", count=1)], asked(1, 1, answer=b"x")),
        trace(asked(0, early=[event("network.stalled", 0, operation="recvfrom", after="open")]), asked(1, 1)),
    ],
)
def test_what_may_legally_differ_is_not_compared(variant):
    """Lost datagrams, peers that left, and a server that is not there any more."""
    assert verdict("relation/isolation", related("isolation", variant)).outcome in (
        Outcome.UNKNOWN,
        Outcome.NOT_APPLICABLE,
    )


def test_an_outcome_is_what_each_peer_received():
    """In how many datagrams matters, and for a relation only the last peer does."""
    over = [event("peer.over", -1, b"HELLO", peer=number, unplayed=0) for number in (0, 1)]
    flat = [item for pair in over for item in pair]
    one, two = ((("peer.reply", -1, 1, True), data) for data in (b"HEL", b"LO"))
    whole = (("peer.reply", -1, 1, True), b"HELLO")
    assert outcome([*flat, *one, *two]) != outcome([*flat, *whole])
    assert outcome([*flat, *one, *two], last_only=True) == [b"HEL", b"LO"]
    first = (("peer.reply", -1, 0, True), b"HELLO")
    assert outcome([*flat, *first, *whole], last_only=True) == outcome([*flat, *whole], last_only=True)
