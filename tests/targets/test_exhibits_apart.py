"""The exhibits whose servers live in a house of their own: threads, children, and what the owner of a server does."""

from __future__ import annotations

import pytest

from handshaker.harness.campaign.reduce import measure, reduce_case
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.settings import Settings
from handshaker.strategies.crowds import concurrent_faults
from handshaker.targets.exhibits.table import EXHIBITS, Exhibit
from handshaker.targets.stdlib import load_target

APART = {
    slug: exhibit
    for slug, exhibit in EXHIBITS.items()
    if exhibit.minimum.concurrency != "plain" or exhibit.minimum.owner
}
CROWDS = {slug: exhibit for slug, exhibit in APART.items() if exhibit.minimum.concurrency != "plain"}
every_one_apart = pytest.mark.parametrize("exhibit", APART.values(), ids=APART)
every_crowd = pytest.mark.parametrize("exhibit", CROWDS.values(), ids=CROWDS)

HELLO = Script((Step("send", b"hello\n"), Step("half-close")))
BAD = (
    Script((Step("send", b"hel"),)),
    Script((Step("send", b"hel"), Step("reset"))),
    Script((Step("half-close"),)),
)


def bench_of(exhibit: Exhibit, target: str) -> Workbench:
    """A workbench for the bad handler or its twin, with what is declared about both."""
    declared = {"stateless": exhibit.stateless, "allowed_exceptions": exhibit.allowed, "example": exhibit.example}
    return Workbench(load_target(target, **exhibit.hosting), Settings(target, save=False, **declared), "loopback")


def found_in(bench: Workbench, case: Case) -> set[str]:
    """The primary violations of *case*, by itself and compared with its last peer alone."""
    return {seen.invariant for seen in (*bench.sightings(case), *bench.neighbours(case))}


def is_alike(one: Exhibit, other: Exhibit) -> bool:
    """Whether they are served in the same way, by servers with the same kind of life."""
    return one.hosting == other.hosting and bool(one.minimum.owner) == bool(other.minimum.owner)


@every_one_apart
def test_an_exhibit_is_flagged_by_its_own_invariant_and_by_no_other(exhibit):
    """The smallest Case shows the one defect; whatever else it breaks is folded under it."""
    with bench_of(exhibit, exhibit.bad) as bench:
        assert found_in(bench, exhibit.minimum) == {exhibit.slug}
        assert bench.judge.bugs == {}


@every_one_apart
def test_the_minimum_of_an_exhibit_is_one(exhibit):
    """Nothing simpler shows the same defect, so a finding can be measured against it."""
    with bench_of(exhibit, exhibit.bad) as bench:
        smallest, _ = reduce_case(exhibit.minimum, lambda case: exhibit.slug in found_in(bench, case), tries_max=40)
    assert measure(smallest) == measure(exhibit.minimum), smallest


@every_one_apart
def test_nothing_flags_a_repaired_twin(exhibit):
    """Its twin shows nothing in the smallest Cases of all that are served in the same way, nor in a plain exchange."""
    with bench_of(exhibit, exhibit.repaired) as bench:
        minima = [other.minimum for other in APART.values() if is_alike(other, exhibit)]
        for case in (*minima, Case((HELLO, HELLO), **exhibit.hosting)):
            assert found_in(bench, case) == set(), case
        assert bench.judge.bugs == {}


@every_crowd
def test_no_bad_neighbour_makes_a_repaired_twin_look_wrong(exhibit):
    """A peer that hangs, leaves in the middle or says nothing, beside one that behaves well, shows nothing either."""
    with bench_of(exhibit, exhibit.repaired) as bench:
        for script in BAD:
            case = Case((script, HELLO), **exhibit.hosting)
            assert found_in(bench, case) == set(), case


@every_crowd
def test_no_hardship_makes_a_repaired_twin_look_wrong(exhibit):
    """What fails by our doing, a thread or a fork included, is held against nobody."""
    with bench_of(exhibit, exhibit.repaired) as bench:
        for point, effect in concurrent_faults(exhibit.minimum.concurrency):
            case = Case((HELLO, HELLO), (Fault(point, effect),), **exhibit.hosting)
            assert found_in(bench, case) == set(), case


@every_crowd
def test_a_repaired_twin_serves(exhibit):
    """A twin is no server that does nothing: each of its peers is answered, in a thread or child of its own."""
    with bench_of(exhibit, exhibit.repaired) as bench:
        trace = bench.play(Case((HELLO, HELLO), **exhibit.hosting))
    assert trace.replies == (b"HELLO\n", b"HELLO\n")
    started = trace.of("thread.start", "process.fork")
    assert [event.connection for event in started] == [0, 1]
    assert len(trace.of("thread.end", "process.end")) == 2


def test_relations_are_compared_alone_and_beside():
    """The exhibit of a relation is one whose well-behaved peer is the last."""
    slugs = [slug for slug in APART if REGISTRY[slug].relation]
    assert slugs == ["relation/concurrent-isolation"]
    assert all(APART[slug].minimum.scripts[-1].payload for slug in slugs)
