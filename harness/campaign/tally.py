"""What a campaign has counted, over workers of which some died before they could tell.

How many Cases were played is known exactly whatever happens, from the marks on the progress page: the same seed gives
the same number. Situations and verdicts of the last moments before a death are lost with the worker.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any

from handshaker.harness.campaign import situations
from handshaker.harness.case import Case

__all__ = ["Tally"]


class Tally:
    """Cases, situations and verdicts, summed over all workers."""

    def __init__(self) -> None:
        self.phases: Counter[str] = Counter()
        self._situations: Counter[str] = Counter()
        self._verdicts: dict[str, tuple[int, ...]] = {}
        self._latest: dict[str, Any] = {}
        self._finished = 0

    @property
    def cases(self) -> int:
        """How many Cases were played to look for violations."""
        return self.phases.total()

    @property
    def judged(self) -> bool:
        """Whether any invariant was ever found to hold or not to."""
        return any(held or broken for held, broken, *_ in self._verdicts.values())

    def hear(self, summary: dict[str, Any]) -> None:
        """The counts of the present worker so far."""
        self._latest = summary

    def finish_phase(self, phase: str, cases: int) -> int:
        """The present worker ended *phase* after *cases* of its own; gives the number over all workers."""
        self._finished += cases
        self.phases[phase] += cases
        return self.phases[phase]

    def end_worker(self, marks: int, phase: str) -> None:
        """The present worker has ended after *marks* Cases, in *phase* if it did not finish all it began."""
        if phase and marks > self._finished:
            self.phases[phase] += marks - self._finished
        latest, self._latest, self._finished = self._latest, {}, 0
        self._situations.update(latest.get("situations", {}))
        for slug, *counts in latest.get("verdicts", ()):
            self._add(slug, counts)

    def add_lost(self, case: Case | None, invariants: Iterable[str]) -> None:
        """A Case (None: no matter which) that no search could count, as its process ended or it is played again."""
        if case is not None:
            situations.count(case, self._situations)
        for slug in invariants:
            self._add(slug, [0, 1, 0, 0])

    def _add(self, slug: str, counts: list[int]) -> None:
        before = self._verdicts.get(slug, (0, 0, 0, 0))
        self._verdicts[slug] = tuple(map(operator.add, before, counts))

    def situations(self) -> tuple[tuple[str, int], ...]:
        """(name, times) of every situation."""
        return tuple(sorted(self._situations.items()))

    def verdicts(self) -> tuple[tuple[str, int, int, int, int], ...]:
        """(slug, holds, violated, unknown, not applicable) of every invariant."""
        rows = sorted(self._verdicts.items())
        return tuple((slug, held, broken, unknown, beside) for slug, (held, broken, unknown, beside) in rows)
