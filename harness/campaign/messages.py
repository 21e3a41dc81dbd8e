"""What a task in the worker tells the supervisor, and the phases' numbers on the progress page."""

from __future__ import annotations

from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.sighting import Sighting

__all__ = [
    "MISFIT",
    "PHASE_NUMBERS",
    "VARIANTS",
    "finished",
    "paused",
    "phase_of",
    "progress",
    "question",
    "remark",
    "seen",
    "started",
    "summary",
]

PHASE_NUMBERS: Final = {"preflight": 1, "regressions": 2, "sweep": 3, "generate": 4, "shrink": 5, "confirm": 6}

MISFIT: Final = (
    "the handler asks for self.server.{0}, which {1} does not have: such cases are not judged; name the handler's own "
    "server with --server, or a function that makes it with --factory"
)

VARIANTS: Final = 16
"""The numbers that a generated Case and its variants take."""


def phase_of(in_flight: tuple[int, int] | None) -> str:
    """The phase that a mark on the progress page names."""
    number = in_flight[0] if in_flight else 0
    return next((phase for phase, known in PHASE_NUMBERS.items() if known == number), "")


def started(phase: str, expected: int = 0) -> dict[str, Any]:
    """A phase begins."""
    return {"message": "started", "phase": phase, "expected": expected}


def finished(phase: str, cases: int, seconds: float, *, partly: bool = False) -> dict[str, Any]:
    """A phase ends, after *cases* and *seconds* of this worker; or only a *part* of it, before a pause."""
    return {"message": "finished", "phase": phase, "cases": cases, "seconds": seconds, "partly": partly}


def paused(phase: int, index: int) -> dict[str, Any]:
    """There is something new to shrink first; the search goes on from (phase, index)."""
    return {"message": "paused", "resume": [phase, index]}


def summary(situations: dict[str, int], verdicts: Any, stopped: str) -> dict[str, Any]:
    """The counts of this worker so far, and why it stops before the end, if it does."""
    return {"message": "summary", "situations": situations, "verdicts": verdicts, "stopped": stopped}


def progress(phase: str, cases: int, seconds: float, expected: int) -> dict[str, Any]:
    """How far a phase has come."""
    return {"message": "progress", "phase": phase, "cases": cases, "seconds": seconds, "expected": expected}


def seen(sighting: Sighting) -> dict[str, Any]:
    """A violation that this task has not told before."""
    return {"message": "seen", "sighting": codec.encode(sighting)}


def remark(topic: str, text: str) -> dict[str, Any]:
    """Something to read once."""
    return {"message": "remark", "topic": topic, "text": text}


def question(topic: str, text: str) -> dict[str, Any]:
    """Something that only the user can decide."""
    return {"message": "question", "topic": topic, "text": text}
