"""The verbs in which traffic is described, and the two sources that draw it.

A description is a plain function of a Source. Drawn through Hypothesis it shrinks, but costs hundreds of microseconds;
drawn from FastSource it costs a few, and leaves a *tape* of its choices which Hypothesis can replay and shrink. So that
both give the same Case from one tape:

- A verb with a single possible value draws nothing, and nothing is recorded.
- The first possible value (0, False, the first option, no bytes) is the simplest one: shrinking goes towards it.
- Records are drawn as slots, never as lists: only slots shrink to their minimum.
- Large payloads are a short unit and a count: a tape over 8 KiB cannot be replayed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from hypothesis import strategies as st

from handshaker.harness.errors import HarnessBug, UsageError

__all__ = [
    "Choice",
    "FastSource",
    "HypothesisSource",
    "Options",
    "PooledMessage",
    "Source",
    "as_choice",
    "checked_message",
]

Choice = bool | int | float | str | bytes
PooledMessage = tuple[bytes, tuple[Choice, ...]]

T = TypeVar("T")
C = TypeVar("C")

_READABLE = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ \n"
_SIMPLEST_FIRST: Final = _READABLE + bytes(sorted(set(range(256)) - set(_READABLE)))
_TO_CHOICE: Final = bytes(_SIMPLEST_FIRST.index(byte) for byte in range(256))


def as_choice(data: bytes) -> bytes:
    """The bytes to record so that `Source.blob` gives *data*: letters come before control characters when shrinking."""
    return data.translate(_TO_CHOICE)


class Options(NamedTuple, Generic[T]):
    """What can be chosen; the fast source keeps to the indexes in `likely`, so its tape fits all the values."""

    values: tuple[T, ...]
    likely: tuple[int, ...]


class Source(Protocol):
    """What a description may draw. Bounds are inclusive."""

    def integer(self, lo: int, hi: int) -> int:
        """A number, all equally likely."""

    def small(self, lo: int, hi: int) -> int:
        """A number, those near *lo* more likely; the large ones occur at every order of magnitude."""

    def flag(self) -> bool:
        """True or False."""

    def chance(self, n: int, likely: bool = True) -> bool:
        """True about once in *n* times; if not *likely*, the fast source never says so."""

    def pick(self, options: Sequence[T]) -> T:
        """One of *options*; repeat an option to make it likelier."""

    def choose(self, options: Options[T]) -> T:
        """One of the values; the fast source gives a likely one."""

    def blob(self, lo: int, hi: int) -> bytes:
        """Between *lo* and *hi* bytes of any value."""

    def message(self) -> bytes:
        """A message of the user's own strategy."""

    def slots(self, one: Callable[[Source, C], T], n: int, context: C) -> list[T]:
        """Up to *n* records, each drawn by `one(source, context)`, which never gives None."""


class FastSource:
    """Draws from *random* and keeps each choice on `tape`; messages come from *pool*, with the choices behind them."""

    __slots__ = ("_pool", "_random", "_randbytes", "_record", "tape")

    def __init__(self, random: Random, pool: Sequence[PooledMessage] = ()) -> None:
        self.tape: list[Choice] = []
        self._record = self.tape.append
        self._random = random.random
        self._randbytes = random.randbytes
        self._pool = pool

    def restart(self) -> None:
        """Forget the tape: a new Case begins."""
        self.tape.clear()

    def integer(self, lo: int, hi: int) -> int:
        """A number, all equally likely."""
        if lo == hi:
            return lo
        value = lo + int(self._random() * (hi - lo + 1))
        self._record(value)
        return value

    def small(self, lo: int, hi: int) -> int:
        """A number, the logarithm of its distance from *lo* being evenly spread."""
        if lo == hi:
            return lo
        value = lo - 1 + int((hi - lo + 2) ** self._random())
        self._record(value)
        return value

    def flag(self) -> bool:
        """True or False."""
        value = self._random() < 0.5
        self._record(value)
        return value

    def chance(self, n: int, likely: bool = True) -> bool:
        """True about once in *n* times, never if not *likely*."""
        if n == 1:
            return True
        value = int(self._random() * n) if likely else 0
        self._record(value)
        return value == n - 1

    def pick(self, options: Sequence[T]) -> T:
        """One of *options*."""
        n = len(options)
        if n == 1:
            return options[0]
        index = int(self._random() * n)
        self._record(index)
        return options[index]

    def choose(self, options: Options[T]) -> T:
        """One of the likely values."""
        values, likely = options
        if len(values) == 1:
            return values[0]
        index = likely[int(self._random() * len(likely))]
        self._record(index)
        return values[index]

    def blob(self, lo: int, hi: int) -> bytes:
        """Between *lo* and *hi* bytes, short ones more likely."""
        if hi == 0:
            return b""
        value = self._randbytes(lo + int((hi - lo + 1) * self._random() ** 2))
        self._record(value)
        return value.translate(_SIMPLEST_FIRST)

    def message(self) -> bytes:
        """A message of the pool; the choices that made it go on the tape."""
        if not self._pool:
            raise HarnessBug("a description asked for a user's message, but the pool is empty")
        data, choices = self._pool[int(self._random() * len(self._pool))]
        self.tape.extend(choices)
        return data

    def slots(self, one: Callable[[Source, C], T], n: int, context: C) -> list[T]:
        """Up to *n* records, each there half of the time."""
        drawn: list[T] = []
        for _ in range(n):
            present = self._random() < 0.5
            self._record(int(present))
            if present:
                drawn.append(one(self, context))
        return drawn


class HypothesisSource:
    """Draws through Hypothesis strategies with *draw*, and the user's messages from the strategy *messages*."""

    __slots__ = ("_draw", "_messages")

    def __init__(self, draw: st.DrawFn, messages: st.SearchStrategy[bytes] | None = None) -> None:
        self._draw = draw
        self._messages = messages

    def integer(self, lo: int, hi: int) -> int:
        """A number between *lo* and *hi*."""
        return lo if lo == hi else self._draw(_integers(lo, hi))

    small = integer

    def flag(self) -> bool:
        """True or False."""
        return self._draw(_FLAGS)

    def chance(self, n: int, likely: bool = True) -> bool:
        """True about once in *n* times."""
        return self.integer(0, n - 1) == n - 1

    def pick(self, options: Sequence[T]) -> T:
        """One of *options*."""
        return options[self.integer(0, len(options) - 1)]

    def choose(self, options: Options[T]) -> T:
        """One of the values."""
        return self.pick(options.values)

    def blob(self, lo: int, hi: int) -> bytes:
        """Between *lo* and *hi* bytes."""
        return self._draw(_binary(lo, hi)).translate(_SIMPLEST_FIRST) if hi else b""

    def message(self) -> bytes:
        """A message of the user's strategy. Raises UsageError when it is not bytes."""
        if self._messages is None:
            raise HarnessBug("a description asked for a user's message, but there is no strategy for it")
        return checked_message(self._draw(self._messages))

    def slots(self, one: Callable[[Source, C], T], n: int, context: C) -> list[T]:
        """Up to *n* records."""
        slot = st.none() | _record(one, context, self._messages)
        drawn = [self._draw(slot) for _ in range(n)]
        return [record for record in drawn if record is not None]


def checked_message(value: Any) -> bytes:
    """*value*, which a user's strategy has drawn. Raises UsageError when it is not bytes."""
    if isinstance(value, bytes):
        return bytes(value)
    hints = {"str": ".map(str.encode)", "bytearray": ".map(bytes)"}
    hint = hints.get(type(value).__name__, ".map(...) with a function that returns bytes")
    raise UsageError(
        f"messages= drew {value!r:.200}, a {type(value).__name__}; a message must be bytes: add {hint} to the strategy"
    )


_FLAGS: Final = st.booleans()


@functools.lru_cache(maxsize=512)
def _integers(lo: int, hi: int) -> st.SearchStrategy[int]:
    return st.integers(lo, hi)


@functools.lru_cache(maxsize=64)
def _binary(lo: int, hi: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=lo, max_size=hi)


@st.composite
def _record(draw: st.DrawFn, one: Callable[[Source, C], T], context: C, messages: st.SearchStrategy[bytes] | None) -> T:
    return one(HypothesisSource(draw, messages), context)
