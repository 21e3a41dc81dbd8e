"""Any Case has a tape that draws exactly it, so any Case shrinks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handshaker.harness.case import ACTIONS, Case, Fault, Script, Step
from handshaker.strategies.cases import boundary_cases, family
from handshaker.strategies.express import express
from handshaker.strategies.faults import ALL_FAULTS
from handshaker.strategies.hypothesis_bridge import minimise
from tests.strategies.plans import PLANS, driver


def _comes_back(case: Case) -> bool:
    tape, strategy = express(case)
    return minimise(tape, strategy, lambda drawn: drawn == case, max_calls=2).value == case


SENDS = st.builds(
    Step, st.just("send"), st.binary(min_size=1, max_size=20), repeat=st.sampled_from([1, 1, 2, 7, 100_000])
)
OTHERS = st.sampled_from(
    [Step(action) for action in ACTIONS if action not in ("send", "expect", "pause", "stop-reading")]
)
WAITS = st.builds(
    Step, st.sampled_from(["expect", "pause", "stop-reading"]), seconds=st.floats(0, 9), size=st.integers(0, 5000)
)
STEPS = st.lists(SENDS | SENDS | OTHERS | WAITS, max_size=8).map(tuple)
SCRIPTS = STEPS.flatmap(lambda steps: st.builds(Script, st.just(steps), st.integers(0, len(steps))))
FAULTS = st.sampled_from(ALL_FAULTS).flatmap(lambda kind: st.builds(Fault, *map(st.just, kind), st.integers(1, 50)))
CASES = st.builds(
    Case,
    st.lists(SCRIPTS, max_size=3).map(tuple),
    st.lists(FAULTS, max_size=3).map(tuple),
    st.sampled_from(["tcp", "unix"]),
)


@settings(max_examples=150)
@given(case=CASES)
def test_any_case_comes_back(case: Case) -> None:
    """What can be written down can be drawn."""
    assert _comes_back(case)


@pytest.mark.parametrize("name", ["example", "faults"])
def test_what_is_drawn_or_derived_comes_back(name: str) -> None:
    """So do the Cases of a campaign: drawn ones, their relatives, and the boundary Cases."""
    fast = driver(PLANS[name], 4)
    drawn = [fast.next() for _ in range(25)]
    derived = [relative for case in drawn[:8] for _, relative in family(case)]
    for case in (*drawn, *derived, *boundary_cases(PLANS[name])[::3]):
        assert _comes_back(case), case


def test_sends_of_nothing_become_plain() -> None:
    """No bytes many times, or some bytes no times, are no bytes once."""
    case = Case((Script((Step("send", b"", 5), Step("send", b"abc", 0), Step("half-close"))),))
    empty = Step("send")
    tape, strategy = express(case)
    plain = Case((Script((empty, empty, Step("half-close"))),))
    assert minimise(tape, strategy, lambda drawn: drawn == plain, max_calls=2).value == plain


def _smallest(case: Case, violates: object) -> Case | None:
    tape, strategy = express(case)
    return minimise(tape, strategy, violates).value  # type: ignore[arg-type]


def test_segments_are_joined_when_borders_do_not_matter() -> None:
    """Byte by byte becomes one segment."""
    case = Case((Script((*(Step("send", b"%c" % byte) for byte in b"PUT"), Step("reset"))),))
    assert _smallest(case, lambda drawn: any(b"PUT" in script.payload for script in drawn.scripts)) == Case(
        (Script((Step("send", b"PUT"), Step("half-close"))),)
    )


def test_a_repeated_unit_becomes_one_byte() -> None:
    """The size is kept while the unit shrinks, and what stands around it is taken in."""
    long = (Step("send", b"x: "), Step("send", b"ab\0", 30_000), Step("send", b"\n"), Step("half-close"))

    def violates(drawn: Case) -> bool:
        return any(len(script.payload) > 65_536 for script in drawn.scripts)

    assert _smallest(Case((Script(long),)), violates) == Case(
        (Script((Step("send", b"a", 65_537), Step("half-close"))),)
    )


def test_an_early_end_shrinks_with_its_script() -> None:
    """What was played before the peer was accepted still is."""
    case = Case((Script((Step("send", b"abc"), Step("send", b"def"), Step("reset")), early=3),))

    def violates(drawn: Case) -> bool:
        return any(script.early and script.steps[script.early - 1] == Step("reset") for script in drawn.scripts)

    assert _smallest(case, violates) == Case((Script((Step("reset"),), early=1),))
