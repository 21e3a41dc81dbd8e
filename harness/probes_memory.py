"""How much memory a handler holds while it takes an endless input: weighed, not guessed from the process's size.

A Case in which one peer sends a million bytes or more is played again with every allocation of Python traced. Each time
the handler has taken some of them, what is allocated now is compared with what was allocated at the first such read;
replies count for the network, which keeps them, and what is sent was there before. A handler that takes, answers and
forgets holds next to nothing; one that collects holds what it took. Whether it would stop at some limit, more bytes
tell: so the weighing is repeated with a multiple of them.

Weighed is what happens on our sockets, in the thread that plays the Case. What is slow is not weighed at all: it would
look like a handler that hangs.
"""

from __future__ import annotations

import os
import re
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from handshaker.harness.case import Case, Step
from handshaker.harness.recorder import Recorder

__all__ = ["LARGE_BYTES", "Weighed", "Weigher", "announced", "enlarged", "large_peer", "sends_much", "weigh"]

LARGE_BYTES: Final = 1_000_000
"""The least that a peer must send before its handler is weighed."""

_SLOW_S: Final = 0.1
_MULTIPLE: Final = 4
_MULTIPLE_IF_SLOW: Final = 2
_QUICK_S: Final = 0.03
_OUR_FILES: Final = str(Path(__file__).parent) + os.sep
_ALL_OF_IT: Final = 0.75
_NUMBER: Final = re.compile(rb"(?<![0-9A-Za-z])(?:([0-9]{6,20})|([0-9A-Fa-f]{5,16}))(?![0-9A-Za-z])")

_Perform = Callable[[Case, Recorder], object]


class Weigher(Recorder):
    """Keeps no events, but weighs at each read of connection *number*, once *size* bytes were sent in one go.

    *owns* says which files are the user's code.
    """

    __slots__ = ("_base", "_number", "_owns", "_sent", "_size", "held", "location", "taken", "where")

    def __init__(self, number: int, size: int, owns: Callable[[str], bool]) -> None:
        super().__init__()
        self._number, self._size, self._owns = number, size, owns
        self._base = self._sent = 0
        self.taken = self.held = 0
        self.where = self.location = ""
        self.emit = self._weigh

    def _weigh(self, told: tuple[Any, Any]) -> None:
        (kind, connection, *_), data = told
        if connection != self._number:
            return
        if kind == "socket.send":
            self._sent += len(data)
        elif kind == "peer.send" and len(data) == self._size:
            self._base = 0
        elif kind == "socket.recv":
            self.taken += len(data)
            self._compare(tracemalloc.get_traced_memory()[0])

    def _compare(self, now: int) -> None:
        if not self._base:
            self._base, self._sent = now, 0
        held = now - self._base - self._sent
        if held > self.held:
            self.held = held
            self._look()

    @property
    def share(self) -> int:
        """How many times as much was held as was sent in one go; what was not taken to its end was not held."""
        return int(self.held / self._size + 1 - _ALL_OF_IT) if self.taken >= self._size else 0

    def _look(self) -> None:
        """Where the handler is reading: the innermost frame in the user's code."""
        frame: Any = sys._getframe(3)
        while frame is not None:
            code = frame.f_code
            if self._owns(code.co_filename) and not code.co_filename.startswith(_OUR_FILES):
                self.where = f"{frame.f_globals.get('__name__', '')}:{code.co_qualname}"
                self.location = f"{code.co_filename}:{frame.f_lineno}"
                return
            frame = frame.f_back


@dataclass(frozen=True, slots=True)
class Weighed:
    """What one weighing has shown: how many times as many bytes were held as one peer sent, and the same for more."""

    connection: int
    held: int
    again: int
    announced: bool
    where: str
    detail: str


def sends_much(case: Case) -> bool:
    """Whether a peer sends *LARGE_BYTES* or more in one go: asked of every Case, so asked quickly."""
    for script in case.scripts:
        for step in script.steps:
            if len(step.data) * step.repeat >= LARGE_BYTES:
                return True
    return False


def large_peer(case: Case) -> tuple[int, int] | None:
    """The number of the peer, and of its Step, that sends the most in one go, if that is *LARGE_BYTES* or more."""
    found, most = None, LARGE_BYTES - 1
    for number, script in enumerate(case.scripts):
        for place, step in enumerate(script.steps):
            if len(step.data) * step.repeat > most:
                found, most = (number, place), len(step.data) * step.repeat
    return found


def enlarged(case: Case, place: tuple[int, int], times: int) -> Case:
    """The same Case with *times* as many bytes in that Step, in one piece, so that playing it allocates none."""
    number, at = place
    script = case.scripts[number]
    step = script.steps[at]
    larger = replace(script, steps=(*script.steps[:at], Step("send", step.payload * times), *script.steps[at + 1 :]))
    return replace(case, scripts=(*case.scripts[:number], larger, *case.scripts[number + 1 :]))


def announced(case: Case, place: tuple[int, int]) -> bool:
    """Whether the peer names a number that is as large as what it sends, so that the handler may wait for so much."""
    number, at = place
    steps = case.scripts[number].steps
    size = len(steps[at].data) * steps[at].repeat
    said = b" ".join(step.data for step in steps if step.repeat == 1)
    return any(int(decimal or b"0") >= size or int(digits or b"0", 16) >= size for decimal, digits in _numbers(said))


def _numbers(data: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = _NUMBER.findall(data)
    return found


def weigh(case: Case, perform: _Perform, owns: Callable[[str], bool], *, took_s: float) -> Weighed | None:
    """Play *case* once more, or twice, and weigh what its handler holds; None when it takes too long for that.

    *took_s* is the processor time of the first playing.
    """
    place = large_peer(case)
    if place is None or took_s > _SLOW_S:
        return None
    first, spent_s = _weighing(case, place, 1, perform, owns)
    again, last = 0, first
    if first.share:
        times = _MULTIPLE if spent_s < _QUICK_S else _MULTIPLE_IF_SLOW
        last, _ = _weighing(case, place, times, perform, owns)
        again = last.share
    detail = f"{last.held:,} bytes were held when {last.taken:,} had been taken"
    if last.share and last.location:
        detail += f" @ {last.location}"
    return Weighed(place[0], first.share, again, announced(case, place), first.where if first.share else "", detail)


def _weighing(
    case: Case, place: tuple[int, int], times: int, perform: _Perform, owns: Callable[[str], bool]
) -> tuple[Weigher, float]:
    played = enlarged(case, place, times)
    weigher = Weigher(place[0], len(played.scripts[place[0]].steps[place[1]].data), owns)
    began, ours = time.process_time(), not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    try:
        perform(played, weigher)
    finally:
        if ours:
            tracemalloc.stop()
    return weigher, time.process_time() - began
