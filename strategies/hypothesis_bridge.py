"""The only module that touches what Hypothesis does not promise to keep: its registry of backends.

Hypothesis draws each choice from a *provider*. One of ours plays a recorded tape, so that Hypothesis finds the failure
that the fast driver found, and shrinks it (`minimise`). The other draws at random and records, so that a user's own
strategy feeds the fast driver (`pool`). What is touched, and tests/strategies/test_bridge.py says which broke:

- `hypothesis.internal.conjecture.providers`: AVAILABLE_PROVIDERS (documented, but internal), PrimitiveProvider;
- `hypothesis._settings.local_settings`: inside a running `@given` another is refused unless the *outer* settings agree.

What bites: the engine spends its first example on the simplest input, so a tape needs `max_examples=2`; over 8 KiB of
choices are an overrun, which is no failure and no error; forced choices never reach a provider, in drawing or replay.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any, ClassVar, Final, Generic, TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis._settings import local_settings
from hypothesis.errors import Flaky, HypothesisWarning
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, PrimitiveProvider
from hypothesis.strategies import SearchStrategy

from handshaker.harness.errors import UsageError
from handshaker.strategies.drawing import Choice, PooledMessage, checked_message

__all__ = ["TAPE_BYTES_MAX", "Minimum", "minimise", "pool", "tape_bytes"]

TAPE_BYTES_MAX: Final = 8 * 1024
"""Hypothesis gives up on an input with more bytes of choices than this."""

_POOLED_BYTES_MAX: Final = 1024
_ALL_CHECKS: Final = list(HealthCheck)

T = TypeVar("T")
C = TypeVar("C", bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class Minimum(Generic[T]):
    """The smallest value found that violates, or None when the tape itself did not; and how it was found.

    `calls` counts the calls of the predicate. `nondeterministic` means that it gave different answers for one value;
    `exhausted` that a limit ended the search, so that a smaller value may exist. `reason` says more, for people.
    """

    value: T | None
    calls: int
    nondeterministic: bool = False
    exhausted: bool = False
    reason: str = ""


def minimise(
    tape: Sequence[Choice],
    strategy: SearchStrategy[T],
    violates: Callable[[T], bool],
    *,
    max_seconds: float = 30.0,
    max_calls: int = 2000,
    on_smaller: Callable[[T], None] | None = None,
) -> Minimum[T]:
    """Play *tape* on *strategy*, and shrink to the smallest value for which *violates* is true.

    The first call of *violates* may get the simplest value, the second gets that of the tape. *on_smaller* is told
    each value that violates, so that a search which is killed loses nothing. No call starts after *max_seconds* or
    *max_calls*. What *violates* raises comes out unchanged, and ends the search.
    """
    trial = _Trial(violates, monotonic() + max_seconds, max_calls, on_smaller)
    problem = ""
    with _backend(_replaying(tape)) as backend:
        try:
            _run(backend, strategy, trial, max_examples=2, phases=(Phase.generate, Phase.shrink))
        except (_Violated, _Abort):
            pass
        except Flaky as flaky:
            problem = str(flaky).partition("\n")[0]
    if trial.error is not None:
        raise trial.error
    return trial.minimum(problem, tape)


class _Violated(Exception):
    """Tells the engine that a value is interesting."""


class _Abort(BaseException):
    """Leaves the engine at once: it catches every Exception, but no other BaseException."""


class _Trial(Generic[T]):
    """The predicate with its limits, and the last value that satisfied it."""

    def __init__(
        self, violates: Callable[[T], bool], deadline: float, max_calls: int, on_smaller: Callable[[T], None] | None
    ) -> None:
        self._violates, self._on_smaller = violates, on_smaller
        self._deadline, self._max_calls = deadline, max_calls
        self._best: list[T] = []
        self._calls = 0
        self._exhausted = False
        self.error: BaseException | None = None

    def __call__(self, value: T) -> None:
        if self._calls >= self._max_calls or monotonic() > self._deadline:
            self._exhausted = True
            raise _Abort
        self._calls += 1
        if self._guarded(value):
            raise _Violated

    def _guarded(self, value: T) -> bool:
        try:
            if not self._violates(value):
                return False
            self._best = [value]
            if self._on_smaller is not None:
                self._on_smaller(value)
            return True
        except BaseException as error:
            self.error = error
            raise _Abort from None

    def minimum(self, problem: str, tape: Sequence[Choice]) -> Minimum[T]:
        value = self._best[0] if self._best else None
        if value is None and not self._exhausted and not problem:
            size = tape_bytes(tape)
            problem = "the recorded choices did not violate when they were played again"
            if size > TAPE_BYTES_MAX:
                problem = (
                    f"{size:,} bytes of choices were recorded; more than {TAPE_BYTES_MAX:,} cannot be played again"
                )
                return Minimum(None, self._calls, reason=problem)
            return Minimum(None, self._calls, nondeterministic=True, reason=problem)
        return Minimum(value, self._calls, bool(problem), self._exhausted, problem)


def tape_bytes(tape: Iterable[Choice]) -> int:
    """How much of Hypothesis' 8 KiB the choices of *tape* take up."""
    return sum(map(_choice_bytes, tape))


def _choice_bytes(choice: Choice) -> int:
    if isinstance(choice, bool):
        return 1
    if isinstance(choice, int):
        size = 1 + choice.bit_length() // 8
    elif isinstance(choice, float):
        size = 8
    else:
        size = len(choice if isinstance(choice, bytes) else choice.encode("utf-8", "surrogatepass"))
    return 1 + size if size < 31 else 1 - (-size.bit_length() // 7) + size


def pool(strategy: SearchStrategy[Any], size: int = 200, seed: int = 0) -> tuple[PooledMessage, ...]:
    """At most *size* different messages of a user's *strategy* of bytes, each with the choices that make it.

    The same seed gives the same messages. Messages of more than 1 KiB of choices are left out, since several must fit
    on one tape. Raises UsageError when the strategy gives something else than bytes, gives nothing, or fails.
    """
    found: dict[bytes, tuple[Choice, ...]] = {}
    first: list[bytes] = []
    provider = _drawing(Random(seed))

    def keep(value: object) -> bool:
        message, choices = checked_message(value), provider.take()
        first.append(message)
        if choices is not None and tape_bytes(choices) <= _POOLED_BYTES_MAX:
            found.setdefault(message, choices)
        return False

    trial: _Trial[object] = _Trial(keep, math.inf, 4 * size + 1, None)
    with _backend(provider) as backend:
        try:
            _run(backend, strategy, trial, max_examples=size + 1, phases=(Phase.generate,))
        except _Abort:
            pass
        except Exception as error:
            raise UsageError(
                f"messages={strategy!r} cannot be drawn: {type(error).__name__}: {error}; "
                "it must be a Hypothesis strategy of bytes, for example st.binary(max_size=40)"
            ) from error
    if trial.error is not None:
        raise trial.error
    if first and not provider.used:
        return ((first[0], ()),)
    if not found:
        raise UsageError(
            f"messages={strategy!r} gave no message of less than {_POOLED_BYTES_MAX:,} bytes of choices; "
            "draw long payloads as a short unit times a count"
        )
    return tuple(itertools.islice(found.items(), size))


def _run(
    backend: str,
    strategy: SearchStrategy[Any],
    trial: Callable[[Any], None],
    max_examples: int,
    phases: Sequence[Phase],
) -> None:
    """One quiet run of the engine, that neither depends on the user's profile nor on a run around it."""
    chosen = settings(
        backend=backend, max_examples=max_examples, phases=phases, database=None, deadline=None, derandomize=False,
        verbosity=Verbosity.quiet, print_blob=False, report_multiple_bugs=False, suppress_health_check=_ALL_CHECKS,
    )  # fmt: skip
    with warnings.catch_warnings(), local_settings(chosen):
        warnings.simplefilter("ignore", HypothesisWarning)

        @seed(0)
        @chosen
        @given(strategy)
        def handshaker_trial(value: Any) -> None:
            trial(value)

        handshaker_trial()


_numbers: Final = itertools.count()


@contextmanager
def _backend(provider: type[PrimitiveProvider]) -> Iterator[str]:
    """Register *provider* under a name of its own, so that runs inside one another do not meet."""
    name = f"handshaker-{next(_numbers)}"
    AVAILABLE_PROVIDERS[name] = provider
    try:
        yield name
    finally:
        del AVAILABLE_PROVIDERS[name]


def _replaying(tape: Sequence[Choice]) -> type[PrimitiveProvider]:
    return type("Replay", (_Replay,), {"tape": tuple(tape)})


def _drawing(random: Random) -> type[_Drawing]:
    return type("Drawing", (_Drawing,), {"random": random})


class _Replay(PrimitiveProvider):
    """Plays a tape; a choice of the wrong type or out of range, or past the end, becomes the simplest one."""

    lifetime = "test_case"
    tape: ClassVar[tuple[Choice, ...]] = ()

    def __init__(self, conjecturedata: Any, /) -> None:
        super().__init__(conjecturedata)
        self._rest = iter(type(self).tape)

    def _next(self, kind: type[T], fits: Callable[[T], bool], simplest: T) -> T:
        choice: Any = next(self._rest, None)
        return choice if type(choice) is kind and fits(choice) else simplest

    def draw_boolean(self, p: float = 0.5) -> bool:
        return self._next(bool, lambda choice: p > 0 if choice else p < 1, p >= 1)

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: dict[int, float] | None = None,
        shrink_towards: int = 0,
    ) -> int:
        return self._next(
            int,
            lambda choice: _clamp(choice, min_value, max_value) == choice,
            _clamp(shrink_towards, min_value, max_value),
        )

    def draw_float(
        self,
        *,
        min_value: float = -math.inf,
        max_value: float = math.inf,
        allow_nan: bool = True,
        smallest_nonzero_magnitude: float,
    ) -> float:
        fits = _float_fits(min_value, max_value, allow_nan, smallest_nonzero_magnitude)
        return self._next(float, fits, min(max(0.0, min_value), max_value))

    def draw_string(self, intervals: Any, *, min_size: int = 0, max_size: int = 10**10) -> str:
        def fits(choice: str) -> bool:
            return min_size <= len(choice) <= max_size and all(ord(char) in intervals for char in choice)

        return self._next(str, fits, intervals.char_in_shrink_order(0) * min_size if min_size else "")

    def draw_bytes(self, min_size: int = 0, max_size: int = 10**10) -> bytes:
        return self._next(bytes, lambda choice: min_size <= len(choice) <= max_size, b"\0" * min_size)


class _Drawing(PrimitiveProvider):
    """Draws from `random` and keeps the choices of the input that is being made.

    It is never `used` for a strategy with a single value, which draws nothing.
    """

    lifetime = "test_case"
    random: ClassVar[Random]
    drawn: ClassVar[list[Choice] | None] = None
    used: ClassVar[bool] = False

    def __init__(self, conjecturedata: Any, /) -> None:
        super().__init__(conjecturedata)
        self._drawn: list[Choice] = []
        type(self).drawn = self._drawn
        type(self).used = True

    @classmethod
    def take(cls) -> tuple[Choice, ...] | None:
        """The choices behind the last input; None when they were not ours (the engine's first input is not)."""
        drawn, cls.drawn = cls.drawn, None
        return None if drawn is None else tuple(drawn)

    def _keep(self, choice: C) -> C:
        self._drawn.append(choice)
        return choice

    def draw_boolean(self, p: float = 0.5) -> bool:
        return self._keep(self.random.random() < p)

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: dict[int, float] | None = None,
        shrink_towards: int = 0,
    ) -> int:
        return self._keep(_any_integer(self.random, min_value, max_value, shrink_towards))

    def draw_float(
        self,
        *,
        min_value: float = -math.inf,
        max_value: float = math.inf,
        allow_nan: bool = True,
        smallest_nonzero_magnitude: float,
    ) -> float:
        fits = _float_fits(min_value, max_value, allow_nan, smallest_nonzero_magnitude)
        special = (0.0, 1.0, -1.0, 0.5, 1e300, -1e300, math.nan, min_value, max_value)
        allowed = [value for value in special if fits(value)]
        lo, hi = max(min_value, -1e9), min(max_value, 1e9)
        drawn = self.random.uniform(lo, hi) if lo <= hi else min_value
        return self._keep(drawn if fits(drawn) and self.random.random() < 0.8 else self.random.choice(allowed))

    def draw_string(self, intervals: Any, *, min_size: int = 0, max_size: int = 10**10) -> str:
        if not len(intervals):
            return self._keep("")
        near = min(len(intervals), 128)
        size = self._size(min_size, max_size)
        ranks = (self.random.randrange(near if self.random.random() < 0.8 else len(intervals)) for _ in range(size))
        return self._keep("".join(intervals.char_in_shrink_order(rank) for rank in ranks))

    def draw_bytes(self, min_size: int = 0, max_size: int = 10**10) -> bytes:
        return self._keep(self.random.randbytes(self._size(min_size, max_size)))

    def _size(self, min_size: int, max_size: int) -> int:
        return min(max_size, min_size + int(self.random.expovariate(1 / 8)))


def _float_fits(lo: float, hi: float, allow_nan: bool, least: float) -> Callable[[float], bool]:
    def fits(value: float) -> bool:
        return allow_nan if math.isnan(value) else lo <= value <= hi and (value == 0 or abs(value) >= least)

    return fits


def _clamp(value: int, lo: int | None, hi: int | None) -> int:
    value = value if lo is None else max(value, lo)
    return value if hi is None else min(value, hi)


def _any_integer(random: Random, lo: int | None, hi: int | None, near: int) -> int:
    """Evenly spread in a bounded range; in an open one every order of magnitude is as likely. Bounds are likelier."""
    if lo is not None and hi is not None:
        if hi - lo > 8 and random.random() < 0.1:
            return random.choice((lo, hi, _clamp(near, lo, hi)))
        return random.randint(lo, hi)
    start = _clamp(near, lo, hi)
    away = random.getrandbits(random.choice((1, 4, 8, 16, 32, 64)))
    return start + away if hi is None and (lo is not None or random.random() < 0.5) else start - away
