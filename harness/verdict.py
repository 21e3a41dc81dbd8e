"""What an invariant says about a Trace (Verdict), and what a campaign says about a target (Finding)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from handshaker.harness.case import Case

__all__ = ["Confirmation", "Finding", "Level", "Outcome", "Reach", "Verdict", "Violation"]


class Level(StrEnum):
    """How binding a requirement is: documented (or vital for any handler) is MUST; robustness beyond that is SHOULD."""

    MUST = "must"
    SHOULD = "should"


class Reach(StrEnum):
    """Who can make it happen, in the order in which findings are shown."""

    PEER = "peer"
    TIMING = "timing"
    INJECTED = "injected"
    MISUSE = "misuse"


class Outcome(StrEnum):
    """The four things an invariant can say."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Violation:
    """One break of an invariant in one Trace.

    `witness` are the `seq` of the events that show it; `frame` is the qualified name of the innermost function of
    the user's code (`module:Class.method`), `location` its `file:line`, `exception` the qualified name of the
    exception's type; `damage` names the kind of harm when there is no exception. `frame`, `exception` and `damage`
    make the fingerprint, so they hold no numbers that change from run to run.
    """

    expected: str
    actual: str
    witness: tuple[int, ...] = ()
    connection: int = -1
    damage: str = ""
    exception: str = ""
    frame: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one invariant says about one Trace (or one family of Traces)."""

    invariant: str
    outcome: Outcome
    violations: tuple[Violation, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How often a finding came back when its Case was played again: `seen` of `played` in fresh processes."""

    network: str
    seen: int
    played: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One violated invariant over a campaign, with the smallest Case that shows it.

    `history` are the Cases that must run before `case` in the same process. `folded` are the slugs of the
    invariants that this one implies. `nondeterministic` findings never fail a run by themselves. `contrast` is the Case
    that a relation compares with. `settings` are the declarations needed to play it again (server, factory, …).
    """

    target: str
    invariant: str
    level: Level
    reach: Reach
    violation: Violation
    case: Case
    history: tuple[Case, ...] = ()
    folded: tuple[str, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    nondeterministic: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    phase: str = ""
    seed: int = 0
    contrast: Case | None = None
    replayable: bool = True
    replay: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for the same defect across runs, edits of other code, and versions of Python."""
        seen = self.violation
        return "|".join((self.target, self.invariant, seen.exception, seen.frame, seen.damage))

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the fingerprint: the name of the saved finding."""
        return hashlib.sha256(self.fingerprint.encode(errors="backslashreplace")).hexdigest()[:12]

    def with_confirmation(self, confirmation: Confirmation) -> Finding:
        """This finding with one more confirmation."""
        return replace(self, confirmations=(*self.confirmations, confirmation))
