"""Where the search goes on after its worker died or hung: behind the guilty Case, and after some deaths ever farther.

A handler that dies at most inputs must not keep the search at its first hundred Cases for ever. The steps grow with the
number of workers that died early in a phase, so that its whole length is looked at; a worker that had played many Cases
costs little. That depends on the Cases alone: the same seed passes over the same ones.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from handshaker.harness.campaign.messages import PHASE_NUMBERS, VARIANTS

__all__ = ["PASSED_OVER", "Deaths"]

PASSED_OVER: Final = (
    "the worker died again and again: ever more of the cases after a guilty one were passed over, to reach the others"
)
_FREE: Final = {"died": 20, "hung": 3}
"""So many early deaths of a kind in a phase skip nothing: a death costs some milliseconds, a hang its whole limit."""
_EARLY: Final = {"died": 30, "hung": 300}
"""A worker that has played fewer Cases than these died early."""


class Deaths:
    """Counts the early deaths in each phase."""

    def __init__(self) -> None:
        self._early: Counter[int] = Counter()
        self._any = self.passed_over = False

    def __bool__(self) -> bool:
        return self._any

    def behind(self, in_flight: tuple[int, int], status: str, marks: int) -> tuple[int, int]:
        """Where to go on, as (phase, index), after a worker ended with *status* in *in_flight*, its *marks*-th Case."""
        self._any = True
        phase, index = in_flight
        if marks >= _EARLY[status]:
            return phase, index + 1
        self._early[phase] += 1
        step = math.comb(1 + max(0, self._early[phase] - _FREE[status]), 2)
        self.passed_over = self.passed_over or step > 0
        if step and phase == PHASE_NUMBERS["generate"]:
            return phase, (index // VARIANTS + step) * VARIANTS
        return phase, index + 1 + step
