"""Virtual time: a second of silence costs nothing, and the same Case always reads the same clock.

While a run is in progress, the functions of the `time` module read and move this clock in the thread that plays the
Case; everywhere else they are the real ones. A handler that polls the clock without waiting makes it move, faster the
longer it polls: a busy wait ends after a bounded number of turns, as it would in real time. One that sleeps again and
again and looks at something else, such as `datetime.now()` or what a thread of its own does, needs real time.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import isnan
from typing import Any, Final

from handshaker.harness.networks.bounds import LONGEST_S, stop, stopped_again
from handshaker.harness.recorder import RUN

__all__ = ["CLOCK", "EPOCH_S", "VirtualClock", "rebind", "virtual_time"]

EPOCH_S: Final = 1_700_000_000.0
_STEADY_S: Final = 1_000.0
_POLL_S: Final = 1e-6
_IMPATIENT_POLLS: Final = 1_000
_IMPATIENT_POLL_S: Final = 0.01
_SLEEPS_MAX: Final = 1_000
_SLEEP: Final = "network.sleep"


class VirtualClock:
    """Seconds since the case began, moved by waiting, never by the wall; unless a Case must be played in real time."""

    __slots__ = ("now", "polls", "sleeps", "virtual")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A new case begins."""
        self.now = 0.0
        self.polls = 0
        self.sleeps = 0  # one after another, without a look at the time or anything else that is written down
        self.virtual = True

    def move(self, seconds: float) -> None:
        """Let *seconds* go by."""
        if seconds > 0:
            self.now += seconds
            self.polls = 0
            if RUN.recorder is not None:
                RUN.recorder.moved(self.now)

    def read(self) -> float:
        """The time now, as a handler that asks for it sees it."""
        self.polls += 1
        self.sleeps = 0
        self.now += _POLL_S if self.polls < _IMPATIENT_POLLS else _IMPATIENT_POLL_S
        return self.now


CLOCK = VirtualClock()

_TOO_LONG: Final = "timestamp out of range for platform time_t"

_real: dict[str, Callable[..., Any]] = {
    name: getattr(time, name)
    for name in (
        "sleep", "time", "monotonic", "perf_counter", "clock_gettime",
        "time_ns", "monotonic_ns", "perf_counter_ns", "clock_gettime_ns",
    )
}  # fmt: skip
_BASES_S: Final[dict[Any, float]] = {
    getattr(time, f"CLOCK_{name}", None): base
    for name, base in (
        ("REALTIME", EPOCH_S), ("TAI", EPOCH_S),
        ("MONOTONIC", _STEADY_S), ("MONOTONIC_RAW", _STEADY_S), ("BOOTTIME", _STEADY_S),
    )
}  # fmt: skip


def _watched() -> bool:
    return RUN.active and threading.get_ident() == RUN.owner


def _ours() -> bool:
    return CLOCK.virtual and _watched()


def _sleep(seconds: float) -> None:
    if not _watched():
        _real["sleep"](seconds)
        return
    if not 0 <= seconds < LONGEST_S:
        if isnan(seconds):
            raise ValueError("Invalid value NaN (not a number)")
        raise ValueError("sleep length must be non-negative") if seconds < 0 else OverflowError(_TOO_LONG)
    if CLOCK.virtual:
        _count_sleeps()
    RUN.emit(((_SLEEP, RUN.connection, seconds), None))
    if CLOCK.virtual:
        CLOCK.move(seconds)
    else:
        _real["sleep"](seconds)


def _count_sleeps() -> None:
    """End a handler that waits, by sleeping, for what time that is virtual does not bring about."""
    flat = RUN.recorder.flat if RUN.recorder is not None else ()
    CLOCK.sleeps = CLOCK.sleeps + 1 if flat and flat[-2][0] == _SLEEP else 0
    if CLOCK.sleeps >= _SLEEPS_MAX:
        if RUN.stopped:
            stopped_again()
        stop("network.kernel", RUN.connection, "the real clock")


def _gettime(clock: int) -> float:
    base = _BASES_S.get(clock)
    return base + CLOCK.read() if base is not None and _ours() else float(_real["clock_gettime"](clock))


def _gettime_ns(clock: int) -> int:
    return int(_gettime(clock) * 1e9) if clock in _BASES_S and _ours() else int(_real["clock_gettime_ns"](clock))


def _reader(name: str, base: float) -> Callable[[], Any]:
    real = _real[name]

    def seconds() -> float:
        return base + CLOCK.read() if _ours() else real()

    def nanoseconds() -> int:
        return int((base + CLOCK.read()) * 1e9) if _ours() else real()

    return nanoseconds if name.endswith("_ns") else seconds


_virtual: Final[dict[str, Callable[..., Any]]] = {
    **{name: _reader(name, EPOCH_S if name.startswith("time") else _STEADY_S) for name in _real},
    "sleep": _sleep,
    "clock_gettime": _gettime,
    "clock_gettime_ns": _gettime_ns,
}


@contextmanager
def virtual_time(modules: Iterable[str] = ()) -> Iterator[None]:
    """While the block lasts, `time` is virtual for runs; also where the named *modules* imported its functions."""
    undo = [_patch(time, name, function) for name, function in _virtual.items()]
    undo += rebind(modules)
    try:
        yield
    finally:
        for put_back in reversed(undo):
            put_back()


def rebind(modules: Iterable[str]) -> list[Callable[[], None]]:
    """Replace real time functions that *modules* hold under any name; returns what undoes it."""
    by_real = {id(function): _virtual[name] for name, function in _real.items()}
    undo = []
    for module in filter(None, map(sys.modules.get, modules)):
        for name, value in list(vars(module).items()):
            if id(value) in by_real:
                undo.append(_patch(module, name, by_real[id(value)]))
    return undo


def _patch(owner: Any, name: str, value: object) -> Callable[[], None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)
