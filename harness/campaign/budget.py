"""How long a run may take, and how much of that each finding gets to be made small and sure.

`--max-time` bounds the whole run. The search may use all of it while nothing is found; what was found is made small
once half of it is over, and gets what is left then, shared equally among the findings that wait, plus a quarter of the
whole (half a minute at most). So a run is over after `--max-time` and a quarter, and the case in flight. Without
`--max-time` the search is bounded by cases (by a minute in real time), and shrinking by a minute in all, though each
finding gets some seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["BEFORE_SHRINKING", "REAL_TIME_S", "Clock", "share_s", "shrinking_ends_s"]

REAL_TIME_S: Final = 60.0
"""How long a search in real time lasts without `--max-time`."""
BEFORE_SHRINKING: Final = 0.5
"""The part of the time after which what was found is not left waiting any longer."""
_MORE: Final = 0.25
_MORE_MAX_S: Final = 30.0
_SHRINKING_S: Final = 60.0
_EACH_MAX_S: Final = 40.0
_EACH_MIN_S: Final = 5.0


def shrinking_ends_s(max_time_s: float) -> float:
    """When shrinking and confirming end at the latest, in seconds after the start of a run that may take *max_time_s*.

    The case in flight is not cut off.
    """
    return max_time_s + min(_MORE_MAX_S, _MORE * max_time_s)


def share_s(max_time_s: float | None, *, spent_s: float, shrinking_s: float, waiting: int) -> float:
    """The seconds that one of *waiting* findings gets to be shrunk and confirmed; 0.0 when there are none left.

    *spent_s* is how long the run has lasted, *shrinking_s* how much of that went into shrinking and confirming.
    """
    if max_time_s is None:
        return max(_EACH_MIN_S, min(_EACH_MAX_S, (_SHRINKING_S - shrinking_s) / waiting))
    return max(0.0, min(_EACH_MAX_S, (shrinking_ends_s(max_time_s) - spent_s) / waiting))


class Clock:
    """The time that something may take: *seconds* from now (None: as long as it takes), or until *stopped* is true.

    `cut` tells whether it was ever found to be over, so that something was left undone.
    """

    def __init__(
        self, seconds: float | None, stopped: Callable[[], bool] = bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now, self._stopped = now, stopped
        self._kept_s = 0.0
        self._until = math.inf if seconds is None else now() + seconds
        self.cut = False

    @property
    def left_s(self) -> float:
        """The seconds that are left, which may be infinitely many."""
        return max(0.0, self._until - self._now())

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Within, something is done that must be done again at the end: from now on as much time is kept for that."""
        began = self._now()
        yield
        self._kept_s = max(self._kept_s, self._now() - began)

    def moment(self, seconds: float) -> float:
        """The moment after so many *seconds*, for `over`."""
        return self._now() + seconds

    def over(self, until: float = math.inf) -> bool:
        """Whether the time is over, or the moment *until*."""
        over = self._stopped() or self._now() >= min(until, self._until - self._kept_s)
        self.cut = self.cut or over
        return over
