"""One page of shared memory that says which case is in flight; it survives the death of the process that wrote it.

A mark costs about 0.15 us, so every case can be marked. Words: marks, phase, index, ticks, stop flag, pulses.
"""

from __future__ import annotations

import mmap
import os
from typing import Protocol

__all__ = ["ESCAPED", "PAGE_BYTES", "ProgressPage"]

ESCAPED = 98
"""The exit status of a copy that a handler forked and that came back into our loop."""

PAGE_BYTES = 64
_MARKS, _PHASE, _INDEX, _TICKS, _STOP, _PULSES = range(6)


class _Words(Protocol):
    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class _NotOurs:
    """Stands in for the page in a process that must not write it: touching it ends the process."""

    def __getitem__(self, index: int) -> int:
        os._exit(ESCAPED)

    def __setitem__(self, index: int, value: int) -> None:
        os._exit(ESCAPED)


class ProgressPage:
    """The page, seen from either side."""

    __slots__ = ("_page", "_words")

    def __init__(self, fd: int) -> None:
        self._page: _Words = memoryview(mmap.mmap(fd, PAGE_BYTES)).cast("q")
        self._words: _Words = self._page

    def mark(self, phase: int, index: int) -> None:
        """Case *index* of *phase* is in flight from now on."""
        words = self._words
        words[1] = phase
        words[2] = index
        words[0] += 1

    def tick(self) -> None:
        """A sign of life that changes nothing else."""
        self._words[_TICKS] += 1

    def pulse(self) -> None:
        """A sign of life from within a case: who plays it waits for something, and not for longer than it means to."""
        self._words[_PULSES] += 1

    def reset(self) -> None:
        """Forget the last task."""
        for word in range(PAGE_BYTES // 8):
            self._words[word] = 0

    @property
    def marks(self) -> int:
        """How many cases were marked."""
        return self._words[_MARKS]

    @property
    def life(self) -> int:
        """A number that changes with every mark, pulse and tick."""
        return self.progress + self._words[_TICKS]

    @property
    def progress(self) -> int:
        """The same without ticks: those are of a process that minds another one."""
        return self._words[_MARKS] + self._words[_PULSES]

    @property
    def in_flight(self) -> tuple[int, int] | None:
        """Phase and index of the last mark; None before the first."""
        return (self._words[_PHASE], self._words[_INDEX]) if self.marks else None

    @property
    def stop_requested(self) -> bool:
        """Whether the task is asked to stop at the next good place."""
        return self._words[_STOP] != 0

    def request_stop(self) -> None:
        """Ask the task to stop at the next good place."""
        self._words[_STOP] = 1

    def disown(self) -> None:
        """From now on this process ends when it touches the page: it is a copy that a handler made."""
        self._words = _NotOurs()

    def adopt(self) -> None:
        """This process is a copy that we made."""
        self._words = self._page
