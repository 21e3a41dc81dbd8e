"""From a sighting to a Finding: its level, who can make it happen, and how it is played again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.case import Case
from handshaker.harness.invariants.base import by_slug
from handshaker.harness.notices import FindingReady
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.transports import TRANSPORTS
from handshaker.harness.verdict import Finding, Reach

__all__ = ["finding_of", "reach_of", "ready", "says_nothing_new"]

_TIMING = frozenset({"reset", "close", "pause", "stop-reading", "expect"})
_TIMING_OF_DATAGRAMS = frozenset({"close", "stop-reading"})  # who pauses only lets the others come first


def reach_of(case: Case, usual: Reach, exception: str = "") -> Reach:
    """Who can make this Case happen: its hardships decide, unless the code breaks the API whatever the peer does.

    Where no peer comes at all, it is the code's own doing: what the owner does with the server makes it happen.
    """
    if usual is Reach.MISUSE:
        return usual
    if any(fault.point != "deliver" for fault in case.faults):
        return Reach.INJECTED
    if not case.scripts:
        return Reach.MISUSE
    actions = _TIMING_OF_DATAGRAMS if TRANSPORTS[case.transport].datagram else _TIMING
    early = any(script.early for script in case.scripts)
    timed = (
        early
        or bool(case.faults)  # on its way a datagram is lost, doubled or late: any network does that
        or exception == "builtins.TimeoutError"
        or any(step.action in actions for script in case.scripts for step in script.steps)
    )
    return Reach.TIMING if timed else Reach.PEER


def _from_root(location: str, root: str) -> str:
    """A location as the person who started the run would write it."""
    here = f"{Path(root).resolve()}{os.sep}"
    return location.removeprefix(here)


def finding_of(sighting: Sighting, settings: Settings, *, replay: str = "", where: str = "") -> Finding:
    """The finding that *sighting* is for a campaign with *settings*.

    *replay* says how it is played again; *where* is the place in the handler's code to look at when nothing more exact
    is known.
    """
    row = by_slug(sighting.invariant)
    violation = replace(sighting.violation, location=_from_root(sighting.violation.location or where, settings.root))
    finding = Finding(
        settings.target,
        sighting.invariant,
        row.level,
        reach_of(sighting.case, row.reach, sighting.violation.exception),
        violation,
        sighting.case,
        sighting.history,
        sighting.folded,
        phase=sighting.phase,
        seed=settings.seed,
        contrast=sighting.contrast,
        settings=settings.declarations(),
        replayable=not settings.replay,
    )
    return replace(finding, replay=replay or settings.replay)


def says_nothing_new(finding: Finding, others: Iterable[Finding]) -> bool:
    """Whether it came out equal to one of *others*, or needs a fault to show what another one shows without."""
    return any(
        other.fingerprint == finding.fingerprint
        or (finding.reach is Reach.INJECTED and finding.invariant in other.folded)
        for other in others
    )


def ready(finding: Finding, trace: Trace | None, contrast: Trace | None, *, saved: str, known: bool) -> FindingReady:
    """The Notice that tells a finding, with the words of its row."""
    row = by_slug(finding.invariant)
    return FindingReady(
        finding, trace, row.title, row.requirement, row.source, saved=saved, known=known, contrast_trace=contrast
    )
