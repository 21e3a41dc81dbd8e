"""Writing events down while a Case runs: two list entries an event, nothing materialised.

`RUN` is the run in progress in this process: whose events are being written, which connection is being served, which
hardships are due. One process plays one Case at a time, so there is one RUN; what instruments a handler or a server
looks here instead of threading a recorder through code that is not ours.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from handshaker.harness.case import Fault
from handshaker.harness.trace import Header, Trace, materialise

__all__ = ["RUN", "Emit", "Flat", "Hardships", "InjectedBaseException", "Recorder", "Run", "injected", "qualified"]

Flat = list[Any]
Emit = Callable[[tuple[Any, Any]], None]


class Recorder:
    """The events of one Case as `[what, payload, what, payload, …]`, and the clock's reading at each one.

    The clock is asked only when it has moved, so that events in virtual time cost one list extension. `struck` counts
    the Faults that happened; `stopped_by` is the *what* of the event that ended the handler from outside, if one did.
    """

    __slots__ = ("emit", "flat", "moments", "stopped_by", "struck")

    def __init__(self) -> None:
        self.struck = 0
        self.stopped_by: tuple[Any, ...] = ()
        self.flat: Flat = []
        self.moments: list[tuple[int, float]] = []
        self.emit: Callable[[tuple[Any, Any]], None] = self.flat.extend

    @property
    def shape(self) -> int:
        """The hash of all *whats*: equal for runs that no invariant can tell apart."""
        return hash(tuple(self.flat[::2]))

    def moved(self, now: float) -> None:
        """From here on it is *now* (seconds since the case began)."""
        self.moments.append((len(self.flat) // 2, now))

    def trace(self, header: Header) -> Trace:
        """What was recorded so far, as a Trace."""
        return materialise(self.flat, self._times(), header)

    def _times(self) -> list[float]:
        times = [0.0] * (len(self.flat) // 2)
        ends = [start for start, _ in self.moments[1:]] + [len(times)]
        for (start, now), end in zip(self.moments, ends, strict=False):
            times[start:end] = [now] * (end - start)
        return times


class InjectedBaseException(BaseException):
    """What the effect `BaseException` raises: an exception of the user's own outside Exception."""


_INJECTABLE: dict[str, type[BaseException]] = {
    cls.__name__: cls
    for cls in (
        ValueError, OSError, TimeoutError, ConnectionResetError, BrokenPipeError,
        SystemExit, KeyboardInterrupt, GeneratorExit,
    )
} | {"BaseException": InjectedBaseException}  # fmt: skip


class Hardships:
    """The Faults of one Case, waiting for their points to be reached."""

    __slots__ = ("_due", "_reached")

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._due = {(fault.point, fault.nth): fault for fault in faults}
        self._reached = dict.fromkeys((fault.point for fault in faults), 0)

    def strike(self, point: str) -> str:
        """Say that *point* is reached: raises the due exception, or returns `short`, `false`, or nothing."""
        if point not in self._reached:
            return ""
        self._reached[point] += 1
        fault = self._due.get((point, self._reached[point]))
        if fault is None:
            return ""
        if RUN.recorder is not None:
            RUN.recorder.struck += 1
        RUN.emit((("network.fault", RUN.connection, point, fault.effect, fault.nth), None))
        if fault.effect in _INJECTABLE:
            raise _marked(_INJECTABLE[fault.effect], point)
        return fault.effect


def _marked(cls: type[BaseException], point: str) -> BaseException:
    exception = cls(f"injected by handshaker at {point}")
    exception.__handshaker_injected__ = True  # type: ignore[attr-defined]
    return exception


def injected(exception: BaseException | None) -> bool:
    """Whether *exception* is one of ours, or was raised while one of ours was handled."""
    for _ in range(20):
        if exception is None:
            return False
        if getattr(exception, "__handshaker_injected__", False):
            return True
        exception = exception.__cause__ or exception.__context__
    return False


def qualified(cls: type) -> str:
    """The name of a class with its module: `builtins.ValueError`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _nowhere(_: tuple[Any, Any]) -> None:
    """Between runs nothing is written down."""


def _end_process() -> None:
    """The last resort against a handler that swallows every stop: nothing raised in it could end it."""
    os.write(2, b"handshaker: the handler cannot be stopped (a bare `except:` in a loop? a call that blocks?); ")
    os.write(2, b"ending this process\n")
    os._exit(70)


class Run:
    """The run in progress: where events go, the connection being served, and the hardships that are due.

    `witness` is told every exception that is written down, while it is alive; only preflight asks for that, since a
    kept exception keeps the connection open. `serial` numbers the runs: a socket that a handler kept from an earlier
    run has no say in this one.
    """

    __slots__ = (
        "active", "connection", "emit", "hardships", "home", "instances", "owner", "recorder", "serial", "stopped",
        "swallowed", "unstoppable", "witness",
    )  # fmt: skip

    recorder: Recorder | None
    emit: Callable[[tuple[Any, Any]], None]
    hardships: Hardships | None
    home: tuple[str, ...]

    def __init__(self) -> None:
        self.unstoppable: Callable[[], None] = _end_process
        self.witness: Callable[[BaseException], None] | None = None
        self.serial = 0
        self.clear()

    def begin(self, recorder: Recorder, faults: tuple[Fault, ...], home: tuple[str, ...]) -> None:
        """Start a run that writes to *recorder*; *home* are the path prefixes of the user's code."""
        self.recorder = recorder
        self.emit = recorder.emit
        self.connection = -1
        self.serial += 1
        self.hardships = Hardships(faults) if faults else None
        self.home = home
        self.instances = 0
        self.owner = threading.get_ident()
        self.stopped = False
        self.swallowed = 0
        self.active = True

    def clear(self) -> None:
        """End the run: from here on nothing is written down."""
        self.recorder = None
        self.emit = _nowhere
        self.connection = -1
        self.hardships = None
        self.home = ()
        self.instances = 0
        self.owner = 0
        self.stopped = False
        self.swallowed = 0
        self.active = False


RUN = Run()
