"""The bridge to Hypothesis: replay, shrinking, its limits, and what breaks when Hypothesis changes."""

from __future__ import annotations

import inspect
import itertools
import math
import random
import warnings
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handshaker.harness.errors import UsageError
from handshaker.strategies.hypothesis_bridge import TAPE_BYTES_MAX, minimise, pool, tape_bytes
from tests.strategies.plans import QUERIES

PAIR = st.tuples(st.integers(0, 1000), st.binary(max_size=20))
WHICH = f"Hypothesis {hypothesis.__version__} changed what handshaker.strategies.hypothesis_bridge builds on"


def test_the_registry_of_backends_is_where_it_was() -> None:
    """AVAILABLE_PROVIDERS is a dict of names, and PrimitiveProvider has the five draws with the arguments we take."""
    providers = pytest.importorskip("hypothesis.internal.conjecture.providers", reason=WHICH, exc_type=ImportError)
    assert isinstance(providers.AVAILABLE_PROVIDERS, dict), WHICH
    expected = {
        "draw_boolean": {"p"},
        "draw_integer": {"min_value", "max_value", "weights", "shrink_towards"},
        "draw_float": {"min_value", "max_value", "allow_nan", "smallest_nonzero_magnitude"},
        "draw_string": {"intervals", "min_size", "max_size"},
        "draw_bytes": {"min_size", "max_size"},
    }
    for name, arguments in expected.items():
        found = set(inspect.signature(getattr(providers.PrimitiveProvider, name)).parameters) - {"self"}
        assert found == arguments, f"{WHICH}: {name} takes {sorted(found)}"
    assert providers.PrimitiveProvider.__abstractmethods__ == set(expected), WHICH


def test_the_settings_of_a_run_around_can_be_replaced() -> None:
    """local_settings makes other settings the default for a while."""
    module: Any = hypothesis._settings
    quiet = settings(max_examples=3)
    with module.local_settings(quiet):
        assert settings().max_examples == 3, WHICH
    assert settings().max_examples != 3, WHICH


def test_the_limit_on_choices_is_what_we_say() -> None:
    """A tape just below 8 KiB plays, one above does not, and the reason is told."""
    blob = st.binary(max_size=TAPE_BYTES_MAX + 100)
    fits, over = bytes(range(1, 9)) * 1000, b"\1" * (TAPE_BYTES_MAX + 1)
    assert minimise((fits,), blob, lambda drawn: drawn == fits, max_calls=2).value == fits, WHICH
    lost = minimise((over,), blob, lambda drawn: drawn == over)
    assert lost.value is None, WHICH
    assert "8,196 bytes" in lost.reason
    assert not lost.nondeterministic


@pytest.mark.parametrize("choice", [True, 0, 127, 128, 1 << 40, -(1 << 63), 1.5, "text", "\u20ac", b"bytes"])
def test_tape_bytes_agrees_with_the_engine(choice: Any) -> None:
    """What one choice costs is counted as the engine counts it."""
    module = pytest.importorskip("hypothesis.internal.conjecture.choice", reason=WHICH, exc_type=ImportError)
    assert tape_bytes((choice,)) == module.choice_size(choice), WHICH


def test_a_tape_is_played_and_shrunk_to_the_minimum() -> None:
    """What violates on the tape becomes the smallest value that violates."""
    found = minimise((700, b"abcdef"), PAIR, lambda pair: pair[0] > 123 and b"c" in pair[1])
    assert found.value == (124, b"c")
    assert found.reason == ""
    assert not found.nondeterministic
    assert not found.exhausted
    assert 2 < found.calls < 200


EVERY_KIND = st.tuples(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.integers(0, 3)),
    st.sampled_from("abc"),
)


@pytest.mark.parametrize("size", [0, 1, 4])
def test_damaged_tapes_play_as_something_simple(size: int) -> None:
    """A tape of the wrong types, or too short, gives simple values and no error."""
    tape = (b"", "x", 3, False, 2.5, None, math.nan)[:size]
    seen: list[Any] = []
    minimise(tape, EVERY_KIND, lambda value: bool(seen.append(value)))
    assert seen[1] == seen[0] == (False, 0, 0.0, "", b"", [], "a")


def test_bounds_are_kept_when_a_tape_does_not_fit() -> None:
    """Values out of range are replaced by the simplest one in range."""
    bounded = st.tuples(
        st.integers(5, 9), st.integers(max_value=-3), st.floats(2.5, 3.5), st.text("xy", min_size=2, max_size=3),
        st.binary(min_size=2, max_size=3),
    )  # fmt: skip
    seen: list[Any] = []
    minimise((99, 4, 9.9, "abcd", b"z" * 9), bounded, lambda value: bool(seen.append(value)))
    assert seen[1] == (5, -3, 2.5, "xx", b"\0\0")


def test_what_does_not_come_back_is_nondeterministic() -> None:
    """A tape that does not violate when played again gives no value, and the label."""
    found = minimise((700, b"abc"), PAIR, lambda _: False)
    assert (found.value, found.nondeterministic, found.calls) == (None, True, 2)
    assert "played again" in found.reason


@pytest.mark.parametrize("true_until", [2, 3, 4, 6])
def test_a_predicate_that_changes_its_mind_is_nondeterministic(true_until: int) -> None:
    """Whether the engine notices in replay, while shrinking or at the end: it is a label, not a crash."""
    calls = itertools.count(1)
    found = minimise((700, b"abc"), PAIR, lambda _: 1 < next(calls) <= true_until)
    assert found.nondeterministic
    assert found.value is not None
    assert found.reason


def test_a_random_predicate_never_crashes() -> None:
    """Any answers at all are borne."""
    for number in range(15):
        answers = random.Random(number)
        minimise((700, b"abc"), PAIR, lambda _, answers=answers: answers.random() < 0.6)  # type: ignore[misc]


def test_an_unstable_strategy_is_labelled() -> None:
    """A strategy that draws otherwise each time ends in a label."""
    turns = itertools.count()

    @st.composite
    def unstable(draw: st.DrawFn) -> int:
        return draw(st.integers(0, 10)) if next(turns) % 2 else len(draw(st.binary(max_size=4)))

    found = minimise((7,), unstable(), lambda drawn: drawn > 2)
    assert found.nondeterministic


def test_the_number_of_calls_is_limited() -> None:
    """After `max_calls` the best value so far comes back, marked as exhausted."""
    found = minimise((1000, b"abcdef"), PAIR, lambda pair: pair[0] > 5, max_calls=4)
    assert found.calls == 4
    assert found.exhausted
    assert found.value is not None
    assert found.value[0] > 5


def test_no_call_starts_after_the_deadline() -> None:
    """A deadline that has passed lets nothing start."""
    found = minimise((1000, b"abcdef"), PAIR, lambda pair: pair[0] > 5, max_seconds=-1.0)
    assert (found.value, found.calls, found.exhausted, found.nondeterministic) == (None, 0, True, False)


def test_each_smaller_value_is_told() -> None:
    """`on_smaller` hears of the drawn value first and of the minimum last."""
    told: list[Any] = []
    minimise((700, b"abc"), PAIR, lambda pair: pair[0] > 123, on_smaller=told.append)
    assert told[0] == (700, b"abc")
    assert told[-1] == (124, b"")


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_the_predicate_raises_comes_out_unchanged(error: BaseException) -> None:
    """Neither a harness bug nor a watchdog is taken for a finding."""

    def violates(pair: object) -> bool:
        raise error

    with pytest.raises(type(error)) as raised:
        minimise((700, b"abc"), PAIR, violates)
    assert raised.value is error


def test_it_works_inside_a_run_of_hypothesis() -> None:
    """An outer `@given` test may shrink something of its own, and so may that."""
    inner: list[Any] = []

    @settings(max_examples=3, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(200, 300))
    def outer(bound: int) -> None:
        def violates(pair: tuple[int, bytes]) -> bool:
            assert minimise((9,), st.integers(0, 9), lambda drawn: drawn > 3).value == 4
            return pair[0] > bound

        assert minimise((900, b"abc"), PAIR, violates, max_calls=40).value == (bound + 1, b"")
        inner.append(bound)

    outer()
    assert len(inner) == 3


def test_the_users_profile_does_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a profile that talks nor one with other phases changes the result, and nothing is printed."""
    talkative = settings(verbosity=hypothesis.Verbosity.debug, phases=[hypothesis.Phase.explicit], max_examples=1)
    with hypothesis._settings.local_settings(talkative), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert minimise((700, b"abc"), PAIR, lambda pair: pair[0] > 123).value == (124, b"")
    assert capsys.readouterr() == ("", "")


def test_large_values_do_not_warn() -> None:
    """A value whose repr is huge is fine under `filterwarnings = error`."""
    big = st.integers(1, 2_500_000).map(lambda count: b"a" * count)
    found = minimise((2_000_000,), big, lambda data: len(data) > 1_000_000)
    assert found.value is not None
    assert len(found.value) == 1_000_001


def test_no_backend_stays_behind() -> None:
    """The registry is as it was, whatever happened."""
    module = pytest.importorskip("hypothesis.internal.conjecture.providers", reason=WHICH, exc_type=ImportError)
    before = dict(module.AVAILABLE_PROVIDERS)
    minimise((700, b"abc"), PAIR, lambda _: True)
    pool(QUERIES, 3)
    with pytest.raises(UsageError):
        pool(st.integers())
    assert before == module.AVAILABLE_PROVIDERS


def test_a_pool_is_the_same_for_the_same_seed() -> None:
    """The seed decides; other seeds give other messages."""
    blobs = st.binary(max_size=20)
    assert pool(blobs, 30, 5) == pool(blobs, 30, 5)
    assert pool(blobs, 30, 5) != pool(blobs, 30, 6)
    messages = [message for message, _ in pool(blobs, 30, 5)]
    assert 20 < len(messages) == len(set(messages))


MESSAGES: dict[str, st.SearchStrategy[bytes]] = {
    "words": QUERIES,
    "text": st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace")),
    "numbers": st.one_of(st.integers(), st.floats()).map(lambda number: repr(number).encode()),
    "bounded": st.tuples(st.integers(-5, 5), st.floats(0.5, 2.5)).map(lambda pair: repr(pair).encode()),
    "filtered": st.integers(0, 99).filter(lambda number: number % 3 == 0).map(lambda number: b"%d" % number),
    "recursive": st.recursive(st.just(b"x"), lambda inner: st.lists(inner, max_size=3).map(b"".join), max_leaves=5),
    "unique": st.lists(st.integers(0, 9), unique=True, min_size=2, max_size=5).map(bytes),
    "regex": st.from_regex(rb"[A-Z]{2,4} [0-9]+\r\n", fullmatch=True),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_choices_of_a_pooled_message_make_it_again(name: str) -> None:
    """Every message of the pool comes back when its choices are played on the user's strategy."""
    messages = pool(MESSAGES[name], 12, 1)
    assert len(messages) > 2
    for message, choices in messages:
        found = minimise(choices, MESSAGES[name], lambda drawn, message=message: drawn == message, max_calls=3)  # type: ignore[misc]
        assert found.value == message


def test_a_strategy_with_a_single_message_has_a_pool_of_one() -> None:
    """It draws nothing, so nothing is recorded."""
    assert pool(st.just(b"PING\n")) == ((b"PING\n", ()),)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (st.text(), "drew '', a str"),
        (st.integers(5, 2), "Cannot have max_value=2 < min_value=5"),
        (st.nothing(), "nothing()"),
        (st.binary().filter(lambda _: False), "cannot be drawn"),
        (st.binary(min_size=2000, max_size=3000), "1,024 bytes of choices"),
        (st.integers(1, 9).map(lambda number: b"x" * (1 // (number - 1))), "ZeroDivisionError"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_refused(strategy: Any, said: str) -> None:
    """The error names the value or the reason, and what to write instead."""
    with pytest.raises(UsageError) as refused:
        pool(strategy)
    assert said in str(refused.value)
