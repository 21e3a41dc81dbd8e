"""Every invariant has an exhibit that it flags, and beside it a repaired twin that nothing flags."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import pytest

from handshaker.harness.campaign.reduce import measure, reduce_case
from handshaker.harness.campaign.traffic import plain_exchange
from handshaker.harness.campaign.workbench import COMPLETENESS, Sighting, Workbench, left_open
from handshaker.harness.case import Case, Fault, Script
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.settings import Settings
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.boundary import boundary_cases
from handshaker.strategies.dictionary import mine
from handshaker.strategies.family import family
from handshaker.strategies.faults import ALL_FAULTS
from handshaker.strategies.plan import Plan
from handshaker.targets.exhibits.table import EXHIBITS, Exhibit
from handshaker.targets.stdlib import load_target
from tests.leftovers import descriptors

# Loaded once, by nobody's test, so that no test forgets them again.
for _home in {exhibit.bad.partition(":")[0] for exhibit in EXHIBITS.values()}:
    importlib.import_module(_home)

# Longer ones take long, and are left to campaigns.
LONG_BYTES = 100_000
# Those that need a house of their own are played in test_exhibits_apart.
HERE = {
    slug: exhibit
    for slug, exhibit in EXHIBITS.items()
    if exhibit.minimum.concurrency == "plain" and not exhibit.minimum.owner
}
HARMLESS = {slug: exhibit for slug, exhibit in HERE.items() if not exhibit.fatal}
any_exhibit = pytest.mark.parametrize("exhibit", EXHIBITS.values(), ids=EXHIBITS)
every_exhibit = pytest.mark.parametrize("exhibit", HERE.values(), ids=HERE)
every_harmless_exhibit = pytest.mark.parametrize("exhibit", HARMLESS.values(), ids=HARMLESS)


@pytest.fixture(autouse=True)
def _given_back():
    """What an exhibit leaves open on purpose is closed after the test, so that it does not add up."""
    before = descriptors()
    yield
    for number in [number for number, what in descriptors().items() if number not in before and what == os.devnull]:
        os.close(number)


def bench_of(exhibit: Exhibit, target: str) -> Workbench:
    """A workbench for the bad handler or its twin, with what is declared about both."""
    declared = {"stateless": exhibit.stateless, "allowed_exceptions": exhibit.allowed, "example": exhibit.example}
    return Workbench(load_target(target, **exhibit.hosting), Settings(target, save=False, **declared), "memory")


def plain_peer(exhibit: Exhibit) -> Script:
    """The well-behaved peer."""
    return plain_exchange(exhibit.example or b"hello\n", datagram=is_datagram(exhibit))


def is_datagram(exhibit: Exhibit) -> bool:
    """Whether it is served datagrams."""
    return TRANSPORTS[exhibit.minimum.transport].datagram


def sightings(bench: Workbench, exhibit: Exhibit, case: Case) -> Iterator[Sighting]:
    """What *case* violates, by itself and beside its relatives."""
    yield from bench.sightings(case)
    for relation, relative in family(case):
        yield from bench.related(relation, case, relative) if relation else bench.sightings(relative)
    if exhibit.example and case == exhibit.minimum and not is_datagram(exhibit):
        yield from bench.related(COMPLETENESS, case, left_open(case))


def primary_here(bench: Workbench, exhibit: Exhibit, case: Case) -> set[str]:
    """The slugs that *case* itself violates; for a relation, together with the relatives that it compares."""
    if not REGISTRY[exhibit.slug].relation:
        return {sighting.invariant for sighting in bench.sightings(case)}
    return {seen.invariant for seen in sightings(bench, exhibit, case) if not seen.relation or seen.contrast == case}


def test_every_invariant_has_an_exhibit():
    """Whoever adds an invariant also shows a handler that breaks it, and one that does not."""
    assert set(EXHIBITS) == set(REGISTRY)


@any_exhibit
def test_an_exhibit_says_what_is_wrong_and_its_twin_what_was_repaired(exhibit):
    """An exhibit can be read by itself: one sentence on each side says the difference."""
    for target, word in ((exhibit.bad, "Wrong: "), (exhibit.repaired, "Repaired: ")):
        module, _, name = target.partition(":")
        told = getattr(importlib.import_module(module), name).__doc__
        assert told.startswith(word)
        assert "\n" not in told


@every_harmless_exhibit
def test_an_exhibit_is_flagged_by_its_own_invariant_and_by_no_other(exhibit):
    """The smallest Case shows the one defect; whatever else it breaks is folded under it."""
    with bench_of(exhibit, exhibit.bad) as bench:
        assert primary_here(bench, exhibit, exhibit.minimum) == {exhibit.slug}
        assert bench.judge.bugs == {}


@every_harmless_exhibit
def test_the_minimum_of_an_exhibit_is_one(exhibit):
    """Nothing simpler shows the same defect, so a finding can be measured against it."""
    with bench_of(exhibit, exhibit.bad) as bench:
        smallest, _ = reduce_case(
            exhibit.minimum, lambda case: exhibit.slug in primary_here(bench, exhibit, case), tries_max=300
        )
    assert measure(smallest) == measure(exhibit.minimum), smallest


@every_exhibit
def test_nothing_flags_a_repaired_twin(exhibit):
    """Neither the smallest Cases of its area nor those at the borders of what a peer can do show anything wrong."""
    with bench_of(exhibit, exhibit.repaired) as bench:
        plan = Plan(
            mine(bench.target.subjects()), exhibit.example, bench.contract.timeout, transport=exhibit.minimum.transport
        )
        minima = [
            other.minimum for other in HERE.values() if (other.area, other.hosting) == (exhibit.area, exhibit.hosting)
        ]
        for case in minima:
            assert list(sightings(bench, exhibit, case)) == []
        for case in boundary_cases(plan):
            if sum(len(script.payload) for script in case.scripts) < LONG_BYTES:
                assert bench.sightings(case) == []
        assert bench.judge.bugs == {}


@every_exhibit
def test_no_hardship_makes_a_repaired_twin_look_wrong(exhibit):
    """Neither one injected fault nor one that strikes while another is dealt with is held against a twin."""
    pairs = [
        ((f"{hook}.enter", "ValueError"), ("handle_error", effect))
        for hook in ("setup", "handle", "finish")
        for effect in ("ValueError", "GeneratorExit")
    ]
    with bench_of(exhibit, exhibit.repaired) as bench:
        for kinds in (*((kind,) for kind in ALL_FAULTS), *pairs):
            faults = tuple(Fault(point, effect) for point, effect in kinds)
            assert bench.sightings(Case((plain_peer(exhibit),) * 2, faults, exhibit.minimum.transport)) == []


@every_exhibit
def test_a_repaired_twin_serves(exhibit):
    """A twin is no handler that does nothing: it lives its whole life in a plain exchange, and answers or reads on."""
    with bench_of(exhibit, exhibit.repaired) as bench:
        trace = bench.play(Case((plain_peer(exhibit),), transport=exhibit.minimum.transport))
    assert [event.kind for event in trace if event.kind in ("setup.leave", "handle.leave", "finish.leave")] == [
        "setup.leave",
        "handle.leave",
        "finish.leave",
    ]
    assert trace.of("socket.send", "socket.eof", "datagram.reply")
