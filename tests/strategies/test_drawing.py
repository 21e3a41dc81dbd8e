"""One description, two drivers: what is promised of the verbs and of the tape."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.errors import HarnessBug, UsageError
from handshaker.strategies.cases import FastDriver, cases
from handshaker.strategies.drawing import FastSource, HypothesisSource, Options, Source, as_choice
from handshaker.strategies.hypothesis_bridge import TAPE_BYTES_MAX, minimise, tape_bytes
from handshaker.strategies.plan import Plan, swarm
from tests.strategies.plans import PLANS, WORDS, driver, played, strategy


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_both_drivers_build_equal_cases_from_one_tape(name: str, seed: int) -> None:
    """The tape of the fast driver makes the engine driver build the very same Case."""
    fast = driver(PLANS[name], seed)
    drawn = fast.next()
    assert played(fast.tape, strategy(PLANS[name]))[1] == drawn


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_swarm_draws_cases_of_the_whole_plan(seed: int) -> None:
    """A tape that was drawn with a swarm plays on the Plan without one."""
    plan = PLANS["faults"]
    fast = driver(swarm(plan, Random(seed)), seed)
    drawn = fast.next()
    assert played(fast.tape, strategy(plan))[1] == drawn


@pytest.mark.parametrize("name", ["plain", "faults", "dictionary", "swarm"])
def test_the_simplest_case_is_one_peer_that_half_closes(name: str) -> None:
    """Zero everywhere means: one peer, nothing sent, half-close, no faults."""
    assert played((), strategy(PLANS[name]))[0] == Case((Script((Step("half-close"),)),))


def test_the_same_seed_draws_the_same_cases() -> None:
    """A seed decides every Case."""
    first, second = driver(PLANS["faults"], 7), driver(PLANS["faults"], 7)
    assert [first.next() for _ in range(200)] == [second.next() for _ in range(200)]


def test_most_cases_are_short() -> None:
    """The median Case has under 200 bytes and one or two peers; still, long payloads occur."""
    fast = driver(PLANS["dictionary"], 1)
    drawn = [fast.next() for _ in range(2000)]
    sizes = sorted(sum(len(script.payload) for script in case.scripts) for case in drawn)
    assert 0 < sizes[1000] < 200
    assert sizes[-1] > 65_536
    assert {len(case.scripts) for case in drawn} == {1, 2, 3}


def test_tapes_stay_below_the_limit_of_hypothesis() -> None:
    """No drawn Case, however long its payload, has more choices than can be played again."""
    fast = driver(PLANS["example"], 2)
    sizes = []
    for _ in range(2000):
        fast.next()
        sizes.append(tape_bytes(fast.tape))
    assert max(sizes) < TAPE_BYTES_MAX // 4


def _single_valued(source: Source, context: object) -> list[object]:
    return [
        source.integer(5, 5),
        source.small(5, 5),
        source.pick((b"x",)),
        source.choose(Options((b"x",), (0,))),
        source.blob(0, 0),
        source.chance(1),
        source.slots(_single_valued, 0, context),
    ]


def test_a_verb_with_a_single_possible_value_records_nothing() -> None:
    """In the fast driver such a verb leaves no trace on the tape."""
    source = FastSource(Random(0))
    assert _single_valued(source, None) == [5, 5, b"x", b"x", b"", True, []]
    assert source.tape == []


def test_a_verb_with_a_single_possible_value_draws_nothing() -> None:
    """In the engine driver such a verb takes no choice: the one after it gets the first of the tape."""

    @st.composite
    def number(draw: st.DrawFn) -> int:
        source = HypothesisSource(draw)
        assert _single_valued(source, None) == [5, 5, b"x", b"x", b"", True, []]
        return source.integer(0, 100)

    assert minimise((77,), number(), lambda drawn: drawn == 77).value == 77


@given(seed=st.integers(0, 2**32), lo=st.integers(-300, 300), width=st.integers(0, 2**40), n=st.integers(1, 9))
def test_fast_verbs_stay_within_their_bounds(seed: int, lo: int, width: int, n: int) -> None:
    """Bounds are inclusive, for every verb that has some."""
    source = FastSource(Random(seed))
    assert lo <= source.integer(lo, lo + width) <= lo + width
    assert lo <= source.small(lo, lo + width) <= lo + width
    assert n <= len(source.blob(n, n + width % 50)) <= n + width % 50
    assert len(source.slots(lambda each, _: each.flag(), n, None)) <= n
    assert source.choose(Options(tuple(range(9)), (n - 1,))) == n - 1


def test_what_is_not_likely_is_never_drawn_fast() -> None:
    """`likely=False` keeps the fast driver from saying yes, and still records a choice."""
    source = FastSource(Random(0))
    assert not any(source.chance(2, likely=False) for _ in range(50))
    assert source.tape == [0] * 50


def test_both_ends_of_a_range_are_reached() -> None:
    """`integer` and `small` reach every number of a short range."""
    source = FastSource(Random(0))
    for verb in (source.integer, source.small):
        assert {verb(3, 6) for _ in range(300)} == {3, 4, 5, 6}


@given(data=st.binary(max_size=40))
def test_as_choice_is_what_blob_reads(data: bytes) -> None:
    """The choice for some bytes draws these bytes."""

    @st.composite
    def blob(draw: st.DrawFn) -> bytes:
        return HypothesisSource(draw).blob(0, 40)

    assert minimise((as_choice(data),), blob(), lambda drawn: drawn == data, max_calls=2).value == data


@pytest.mark.parametrize(
    ("drawn", "advice"), [("text", ".map(str.encode)"), (bytearray(b"x"), ".map(bytes)"), (3, ".map(")]
)
def test_a_message_that_is_not_bytes_is_refused_by_name(drawn: Any, advice: str) -> None:
    """The error shows the value, its type and what to add to the strategy."""
    plan = Plan(messages=True, contents=("message",), endings=("half-close",))
    with pytest.raises(UsageError) as refused:
        minimise((), cases(plan, st.just(drawn)), lambda _: False)
    assert repr(drawn) in str(refused.value)
    assert type(drawn).__name__ in str(refused.value)
    assert advice in str(refused.value)


def test_messages_need_a_strategy_and_a_pool() -> None:
    """A Plan with messages and no source for them is refused before anything is drawn."""
    with pytest.raises(UsageError, match="give both or neither"):
        cases(Plan(messages=True))
    with pytest.raises(UsageError, match="give both or neither"):
        cases(Plan(WORDS), st.binary())
    with pytest.raises(UsageError, match=r"hypothesis_bridge\.pool"):
        FastDriver(Plan(messages=True), Random(0))
    with pytest.raises(HarnessBug):
        FastSource(Random(0)).message()
