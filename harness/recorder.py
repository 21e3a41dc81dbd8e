"""Writing events down while a Case runs: two list entries an event, nothing materialised.

`RUN` is the run in progress in this process: whose events are being written, which connection is being served, which
hardships are due. One process plays one Case at a time, so there is one RUN; what instruments a handler or a server
looks here instead of threading a recorder through code that is not ours.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final, NoReturn

from handshaker.harness.case import Fault
from handshaker.harness.trace import Header, Trace, materialise

__all__ = [
    "HANDED_OVER",
    "HERE",
    "RUN",
    "ConcurrentRun",
    "Emit",
    "Flat",
    "Hardships",
    "InjectedBaseException",
    "Recorder",
    "Run",
    "injected",
    "qualified",
]

HANDED_OVER: Final = "process_request"
"""What `network.kernel` tells of a server that has its requests served in threads of its own."""

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

    def append_text(self, what: tuple[Any, ...], text: str, most: int) -> None:
        """Write *text* down: one event for what is said in one go, however many pieces it comes in; *most* is kept."""
        flat = self.flat
        if flat and flat[-2] == what:
            if len(flat[-1]) < most:
                flat[-1] += text[:most]
        else:
            RUN.emit((what, text[:most]))

    def mark(self) -> object:
        """A value that changes when something is written down."""
        return len(self.flat), self.flat[-1:]

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
        SystemExit, KeyboardInterrupt, GeneratorExit, RuntimeError,
    )
} | {"BaseException": InjectedBaseException}  # fmt: skip


class Hardships:
    """The Faults of one Case, waiting for their points to be reached."""

    __slots__ = ("_due", "_reached")

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._due = {(fault.point, fault.nth): fault for fault in faults}
        # next() cannot be interrupted by another thread, and needs no lock that a fork could copy while it is held.
        self._reached = {fault.point: itertools.count(1) for fault in faults}

    def strike(self, point: str) -> str:
        """Say that *point* is reached: raises the due exception, or returns `short`, `false`, or nothing."""
        if point not in self._reached:
            return ""
        fault = self._due.get((point, next(self._reached[point])))
        if fault is None:
            return ""
        if RUN.recorder is not None:
            RUN.recorder.struck += 1
        RUN.emit((("network.fault", RUN.connection, point, fault.effect, fault.nth), None))
        if fault.effect in _INJECTABLE:
            raise _marked(_INJECTABLE[fault.effect](f"injected by handshaker at {point}"))
        if fault.effect == "exhausted":
            RUN.exhaust()
        return fault.effect


def _marked(exception: BaseException) -> BaseException:
    exception.__handshaker_injected__ = True  # type: ignore[attr-defined]
    return exception


def _nobody_asks() -> None:
    """No supervisor waits for signs of life."""


def _pretend_exhaustion() -> NoReturn:
    """What the kernel says when the process has no descriptor to give."""
    raise _marked(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))


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


def _nobody_stops(_operation: str) -> None:
    """Without a network there is nobody who ends a handler."""


def _end_process() -> None:
    """The last resort against a handler that swallows every stop: nothing raised in it could end it."""
    os.write(2, b"handshaker: the handler cannot be stopped (a bare `except:` in a loop? a call that blocks?); ")
    os.write(2, b"ending this process\n")
    os._exit(70)


class Run:
    """The run in progress: where events go, the connection being served, and the hardships that are due.

    `witness` is told every exception that is written down, while it is alive; only preflight asks for that, since a
    kept exception keeps the connection open. `serial` numbers the runs: a socket that a handler kept from an earlier
    run has no say in this one. `served`: the thread that plays has served the latest request itself. `threads` is how
    many there were as it began. `stuck` ends a handler that calls what can never return, before it does; `exhaust` is
    what happens when no descriptor is to be had.
    """

    __slots__ = (
        "active", "alive", "connection", "emit", "exhaust", "hardships", "home", "instances", "owner", "recorder",
        "serial", "served", "stopped", "stuck", "swallowed", "threads", "unstoppable", "witness",
    )  # fmt: skip

    recorder: Recorder | None
    emit: Callable[[tuple[Any, Any]], None]
    hardships: Hardships | None
    home: tuple[str, ...]

    def __init__(self) -> None:
        self.unstoppable: Callable[[], None] = _end_process
        self.alive: Callable[[], object] = _nobody_asks
        self.stuck: Callable[[str], object] = _nobody_stops
        self.exhaust: Callable[[], object] = _pretend_exhaustion
        self.witness: Callable[[BaseException], None] | None = None
        self.serial = 0
        self.served = False
        self.threads = 0
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
        self.owner = get_ident()
        self.threads = threading.active_count()
        self.stopped = False
        self.swallowed = 0
        self.active = True

    def thread(self) -> int:
        """0 in the thread that plays the Case, the thread's own number in any other."""
        ident = get_ident()
        return 0 if ident == self.owner else ident

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


class _Here(threading.local):
    """What belongs to one thread of a server that serves several requests at once."""

    connection = -1
    stopped = False
    swallowed = 0
    number = -1  # of the thread: not asked for yet


HERE: Final = _Here()
_PER_CONNECTION: Final = 1_000


class ConcurrentRun(Run):
    """A Run whose connection, and whose being stopped, belong to the thread that asks.

    `RUN.__class__` is set to it in a process of its own, which plays one Case and ends; so nothing else pays for it.
    Threads and handler instances are numbered after the connection they are first seen with: the same Case gives the
    same numbers, whichever thread was faster. Thread 0 is the serving one.
    """

    __slots__ = ()

    @property
    def connection(self) -> int:
        """The connection that this thread serves; -1: none."""
        return HERE.connection

    @connection.setter
    def connection(self, number: int) -> None:
        HERE.connection = number

    @property
    def stopped(self) -> bool:
        """Whether the handler of this thread was stopped from outside."""
        return HERE.stopped

    @stopped.setter
    def stopped(self, value: bool) -> None:
        HERE.stopped = value

    @property
    def swallowed(self) -> int:
        """How many stops the handler of this thread has swallowed."""
        return HERE.swallowed

    @swallowed.setter
    def swallowed(self, count: int) -> None:
        HERE.swallowed = count

    @property
    def owner(self) -> int:
        """The thread itself, if it serves a connection: here every serving thread plays the Case."""
        return get_ident() if HERE.connection >= 0 else 0

    @owner.setter
    def owner(self, _: int) -> None:
        """Taken; every thread has its own answer."""

    @property
    def instances(self) -> int:
        """A number for the next handler instance."""
        connection = max(HERE.connection, 0)
        return connection + _PER_CONNECTION * int(next(_INSTANCES.setdefault(connection, itertools.count())))

    @instances.setter
    def instances(self, _: int) -> None:
        """Taken; the numbers count themselves."""

    def thread(self) -> int:
        """The number of this thread: one more than that of the connection it was first seen with."""
        if HERE.number < 0:
            first = max(HERE.connection, 0)
            HERE.number = first + 1 + _PER_CONNECTION * next(_THREADS.setdefault(first, itertools.count()))
        return HERE.number


_INSTANCES: Final[dict[int, Any]] = {}
_THREADS: Final[dict[int, Any]] = {}

RUN = Run()
