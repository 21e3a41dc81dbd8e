"""A sighting: one violation in one Case, before it is shrunk, confirmed and told.

Sightings are data: they travel from the worker to the supervisor as JSON. The supervisor's side needs no more than
this, so it starts without the engine and without Hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.verdict import Violation

__all__ = ["COMPLETENESS", "CONCURRENT", "TRUNCATION", "Sighting"]

COMPLETENESS: Final = "completeness"
CONCURRENT: Final = "concurrent"
TRUNCATION: Final = "truncation"
"""Relations that are not called as their invariant is."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One violation in one Case. `contrast` is what a relation compared with.

    `history` ran before it in the process.
    """

    invariant: str
    violation: Violation
    case: Case
    folded: tuple[str, ...] = ()
    contrast: Case | None = None
    relation: str = ""
    history: tuple[Case, ...] = ()
    tape: tuple[Any, ...] = ()
    phase: str = ""

    @property
    def subject(self) -> Case:
        """The Case that is made smaller: for a relation the one that is compared with, of which the other one is made.

        Peers at the same time are the other way round: each of them alone says nothing.
        """
        if self.contrast is None or not self.relation or self.relation == CONCURRENT:
            return self.case
        return self.contrast

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two sightings the same finding."""
        seen = self.violation
        return (self.invariant, seen.exception, seen.frame, seen.damage)
