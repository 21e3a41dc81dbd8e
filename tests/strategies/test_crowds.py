"""Peers at the same time: who is beside whom, and what is left out because it costs too much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.campaign.situations import known, situations
from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.strategies.cases import family
from handshaker.strategies.crowds import alone, beside, concurrent_faults, crowd_cases
from handshaker.strategies.plan import Plan

HELLO = Script((Step("send", b"hello\n"), Step("half-close")))
HOSTILE = Script((Step("send", b"hel"), Step("reset")))
CROWD = Case((HOSTILE, HELLO), concurrency="threading")


def plan(**more):
    """A plan for a threading server."""
    return Plan(example=b"hello\n", concurrency="threading", **more)


def test_every_crowd_has_a_well_behaved_peer_as_its_last():
    """Whatever the others do, there is somebody whose reply can be compared."""
    crowds = crowd_cases(plan(), HELLO)
    assert len(crowds) > 20
    assert all(len(case.scripts) > 1 and case.scripts[-1] == HELLO for case in crowds)
    assert {case.concurrency for case in crowds} == {"threading"}
    assert all(alone(case) == Case((HELLO,), concurrency="threading") for case in crowds)


def test_crowds_hold_every_kind_of_bad_neighbour():
    """One that hangs, one that resets in the middle, one that leaves early, one that floods, one that never reads."""
    beside_it = {script for case in crowd_cases(plan(), HELLO) for script in case.scripts[:-1]}
    assert {Script(), HELLO, Script((Step("send", b"hel"),)), HOSTILE, Script((Step("reset"),), early=1)} <= beside_it
    assert any(step.repeat > 100 for script in beside_it for step in script.steps)
    assert any(step.action == "stop-reading" for script in beside_it for step in script.steps)


def test_no_crowd_is_slow():
    """A silence is real time where threads run, so nobody is silent for long, and nobody sends megabytes."""
    steps = [
        step for case in crowd_cases(plan(timeout=60.0), HELLO) for script in case.scripts for step in script.steps
    ]
    assert max(step.seconds for step in steps) <= 0.2
    assert max(len(step.data) * step.repeat for step in steps) <= 20_000


def test_crowds_of_datagrams_send_datagrams():
    """Where there are no streams nobody half-closes because it hangs."""
    hello = Script((Step("send", b"hello\n"),))
    crowds = crowd_cases(plan(transport="udp"), hello)
    assert {case.transport for case in crowds} == {"udp"}
    assert Case((hello,) * 4, (), "udp", "threading") in crowds
    assert alone(crowds[0]) == Case((hello,), (), "udp", "threading")


@pytest.mark.parametrize(
    "case",
    [
        Case((HELLO,), concurrency="threading"),
        Case((HELLO, HOSTILE), concurrency="threading"),
        replace(CROWD, faults=(Fault("recv", "short"),)),
        replace(CROWD, owner=(Act("serve"),)),
        replace(CROWD, scripts=(HOSTILE, Script((Step("half-close"),)))),
        replace(CROWD, scripts=(HOSTILE, Script(HELLO.steps, early=1))),
        replace(CROWD, scripts=(HOSTILE, Script(HELLO.steps[:1]))),
    ],
    ids=["one peer", "leaves", "a fault", "the owner", "says nothing", "comes early", "stays"],
)
def test_what_cannot_be_compared_is_not(case):
    """A peer alone shows nothing where it matters who was hit, or when it left."""
    assert alone(case) is None


def test_the_last_peer_is_compared_with_itself_alone():
    """Its Case without the others, served in the same way."""
    assert alone(CROWD) == Case((HELLO,), concurrency="threading")
    assert alone(beside(Case((HOSTILE,), concurrency="threading"), HELLO)) == alone(CROWD)


def test_peers_at_the_same_time_have_no_before_and_after():
    """Of the relations of a plain server only the cut of one peer's bytes is left, once."""
    single = Case((HELLO,), concurrency="threading")
    assert [relation for relation, _ in family(single)] == ["segmentation"]
    assert family(CROWD) == []
    assert len(family(replace(single, concurrency="plain"))) > 3


@pytest.mark.parametrize(("concurrency", "own"), [("threading", "thread.start"), ("forking", "fork")])
def test_a_thread_or_a_child_that_cannot_be_had_is_tried_first(concurrency, own):
    """Each concurrency has the fault of its own, and no other one's."""
    points = [point for point, _ in concurrent_faults(concurrency)]
    assert points[0] == own
    assert not {"thread.start", "fork"} & set(points[1:])
    assert all(Fault(point, effect) for point, effect in concurrent_faults(concurrency))


def test_peers_at_the_same_time_are_a_situation():
    """The summary says how often there were several peers at once, where there can be."""
    assert "peers at the same time" in situations(CROWD) & set(known("tcp", "threading"))
    assert "peers at the same time" not in situations(replace(CROWD, concurrency="plain")) | set(known("tcp"))
