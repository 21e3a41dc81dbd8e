"""Facts about a run, for reporters. Events are about the subject, Notices about the run.

Every Notice is plain data; a report is a function of the sequence of Notices and of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Finding

__all__ = [
    "NOTICES",
    "CampaignFinished",
    "CampaignStarted",
    "FindingFixed",
    "FindingReady",
    "FindingSeen",
    "Matrix",
    "Notice",
    "PhaseFinished",
    "PhaseStarted",
    "Progress",
    "Question",
    "Remark",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """The base of all Notices; `kind` is the word that stands for it in JSON lines."""

    kind: ClassVar[str] = "notice"


@dataclass(frozen=True, slots=True)
class CampaignStarted(Notice):
    """The first Notice: what is tested, how, and with which seed."""

    kind: ClassVar[str] = "campaign-started"
    target: str
    target_kind: str
    server: str
    network: str
    transport: str
    seed: int
    max_examples: int
    python: str
    handshaker: str
    invariants: int
    concurrency: str = "plain"


@dataclass(frozen=True, slots=True)
class PhaseStarted(Notice):
    """A phase begins: preflight, regressions, sweep, generate, shrink, confirm."""

    kind: ClassVar[str] = "phase-started"
    phase: str
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Progress(Notice):
    """How far the phase has come; at most a few a second."""

    kind: ClassVar[str] = "progress"
    phase: str
    cases: int
    seconds: float
    findings: int = 0
    expected: int = 0


@dataclass(frozen=True, slots=True)
class PhaseFinished(Notice):
    """A phase ends, with how many Cases (lifecycles of whole Cases) it played, and for how long."""

    kind: ClassVar[str] = "phase-finished"
    phase: str
    cases: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FindingSeen(Notice):
    """An invariant was violated for the first time under this fingerprint; the Case is not yet minimal."""

    kind: ClassVar[str] = "finding-seen"
    finding: Finding


@dataclass(frozen=True, slots=True)
class FindingReady(Notice):
    """A finding is minimal, confirmed and saved (`saved` is the path, empty when nothing is written).

    `trace` is what the Case did, `contrast_trace` what the finding's contrast Case did (relation findings).
    """

    kind: ClassVar[str] = "finding-ready"
    finding: Finding
    trace: Trace | None = None
    title: str = ""
    requirement: str = ""
    source: str = ""
    saved: str = ""
    known: bool = False
    contrast_trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class FindingFixed(Notice):
    """A saved finding no longer shows."""

    kind: ClassVar[str] = "finding-fixed"
    finding: Finding


@dataclass(frozen=True, slots=True)
class Question(Notice):
    """Something that only the user can decide, asked once, with what to declare."""

    kind: ClassVar[str] = "question"
    text: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Remark(Notice):
    """One line a person should read once: a change of network, a touched file, a server that an idle peer holds."""

    kind: ClassVar[str] = "remark"
    text: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class CampaignFinished(Notice):
    """The last Notice: counts, situations exercised, verdicts per invariant, and the exit code.

    `situations` are (name, times) pairs; `verdicts` are (slug, holds, violated, unknown, not-applicable) rows.
    `stopped` says why the campaign ended: done, max-time, interrupted.
    """

    kind: ClassVar[str] = "campaign-finished"
    exit_code: int
    stopped: str
    cases: int
    seconds: float
    seed: int
    findings: tuple[str, ...] = ()
    situations: tuple[tuple[str, int], ...] = ()
    verdicts: tuple[tuple[str, int, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Matrix(Notice):
    """After several campaigns against one target: what was judged under which combination of transport and concurrency.

    `columns` are the combinations; `rows` are (group of invariants, one cell for each column); `skipped` are
    (combination, reason) pairs; `exit_code` is the one of the whole run.
    """

    kind: ClassVar[str] = "matrix"
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    skipped: tuple[tuple[str, str], ...] = ()
    exit_code: int = 0


NOTICES: Final[dict[str, type[Notice]]] = {
    cls.kind: cls
    for cls in (
        CampaignStarted, PhaseStarted, Progress, PhaseFinished, FindingSeen, FindingReady, FindingFixed,
        Question, Remark, CampaignFinished, Matrix,
    )
}  # fmt: skip
