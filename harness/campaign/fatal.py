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

__all__ = [
    "BYTES_PER_LIMIT",
    "DIED",
    "FATAL",
    "HUNG",
    "LARGE_BYTES",
    "SLOW",
    "fatal",
    "limits",
    "quick_limits",
    "sent_bytes",
    "sure_limits",
]

DIED: Final = "liveness/process-survives"
HUNG: Final = "liveness/no-hang"
FATAL: Final = (DIED, HUNG)
LARGE_BYTES: Final = 20_000
"""A Case that sends more is asked again, with more time, before it is said to hang."""
SLOW: Final = (
    "a case in which the peers send {0:,} bytes took longer than --case-limit, and came to an end: slow is not hung"
)
BYTES_PER_LIMIT: Final = 200_000
"""For every so many bytes a handler is given the limit once more, before it is said to hang."""


def limits(case_limit_s: float) -> Limits:
    """When a Case that was not seen to hang before counts as hung."""
    return Limits(cpu_seconds=case_limit_s, silent_seconds=max(10.0, 5 * case_limit_s))


def sure_limits(case_limit_s: float, *cases: Case) -> Limits:
    """When Cases that seem to hang are confirmed to: who is sent much may take long, byte for byte."""
    allowed_s = case_limit_s * (1 + sum(map(sent_bytes, cases)) / BYTES_PER_LIMIT)
    return Limits(cpu_seconds=allowed_s, silent_seconds=max(3.0, 2 * allowed_s))


def sent_bytes(case: Case) -> int:
    """How many bytes the peers of *case* send, all in all."""
    return sum(len(step.data) * step.repeat for script in case.scripts for step in script.steps)


def quick_limits(case_limit_s: float) -> Limits:
    """When a Case that looks like one that hung is passed over."""
    return Limits(cpu_seconds=min(case_limit_s, max(0.02, case_limit_s / 20)), silent_seconds=max(2.0, case_limit_s))


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
