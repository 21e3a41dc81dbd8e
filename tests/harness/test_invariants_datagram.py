"""What is special about datagrams: no rule blames CPython, and what follows from one defect is one finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.invariants.base import REGISTRY
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
