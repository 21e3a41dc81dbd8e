"""Findings without a Trace: the Case in flight ended the process of the handler, or never came to an end.

The first time a Case must run into the whole limit. Once the finding is known, shorter limits say the same sooner: a
mistake there could only leave out a Case or make a minimum larger, for confirming asks for more again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.case import Case
from handshaker.harness.processes.limits import Limits
from handshaker.harness.processes.stacks import users_frame
from handshaker.harness.verdict import Violation

__all__ = ["DIED", "FATAL", "HUNG", "fatal", "limits", "quick_limits", "sure_limits"]

DIED: Final = "liveness/process-survives"
HUNG: Final = "liveness/no-hang"
FATAL: Final = (DIED, HUNG)


def limits(case_limit_s: float) -> Limits:
    """When a Case that was not seen to hang before counts as hung."""
    return Limits(cpu_seconds=case_limit_s, silent_seconds=max(10.0, 5 * case_limit_s))


def sure_limits(case_limit_s: float) -> Limits:
    """When a Case that is known to hang is confirmed to."""
    return Limits(cpu_seconds=min(case_limit_s, max(0.3, case_limit_s / 3)), silent_seconds=max(3.0, 2 * case_limit_s))


def quick_limits(case_limit_s: float) -> Limits:
    """When a Case that looks like one that hung is passed over."""
    return Limits(cpu_seconds=min(case_limit_s, max(0.1, case_limit_s / 8)), silent_seconds=max(2.0, case_limit_s))


def fatal(result: Any, case: Case) -> Sighting:
    """The sighting that a process is which died or hung while it played *case*, from how it ended."""
    seen = _died(result) if result.status == "died" else _hung(result)
    frame = users_frame(result.stack) if result.stack else None
    location = f"{frame.file}:{frame.line}" if frame else ""
    return Sighting(DIED if result.status == "died" else HUNG, replace(seen, location=location), case)


def _died(result: Any) -> Violation:
    return Violation("the process goes on to serve the next peer", f"the process {result.ending}", damage=result.ending)


def _hung(result: Any) -> Violation:
    how = "used all the processor time it may" if result.reason == "cpu" else "waited longer than it may"
    return Violation("the request ends in bounded time", f"the handler {how}, without any progress", damage="hung")
