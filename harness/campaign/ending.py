"""The end of a campaign: its exit code, and never a run that tested nothing without a word about the cause."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from handshaker.harness.errors import TargetError
from handshaker.harness.processes.results import TaskResult
from handshaker.harness.processes.stacks import users_frame
from handshaker.harness.settings import Settings
from handshaker.harness.verdict import Finding

__all__ = ["INTERRUPTED", "NOTHING_TESTED", "cut_short", "exit_code", "never_began", "why_nothing"]

NOTHING_TESTED: Final = 2
INTERRUPTED: Final = 130


def exit_code(settings: Settings, findings: Iterable[Finding], stopped: str, *, judged: bool) -> int:
    """0 held, 1 violated, 2 nothing was *judged*, 130 interrupted, as *stopped* then says."""
    if stopped == "interrupted":
        return INTERRUPTED
    if any(settings.fails(found.level) and not found.nondeterministic for found in findings):
        return 1
    return 0 if judged else NOTHING_TESTED


def why_nothing(settings: Settings, stopped: str, cases: int) -> str:
    """Why nothing was judged at the end of a campaign that played so many *cases*, and what to do."""
    if stopped == "max-time":
        return f"nothing was judged within --max-time ({settings.max_time_s:g} s); give it more"
    try_by_hand = f"see what one does with: handshaker play {settings.target}"
    if not cases:
        return f"no case was played at all; {try_by_hand}"
    return f"not one of {cases} cases could be judged by the invariants that were chosen; {try_by_hand}"


def never_began(result: TaskResult, settings: Settings, *, judged: bool) -> str:
    """What to say of a worker that died or hung although no Case was in flight, and what to do.

    Raises TargetError with it when nothing was *judged* before.
    """
    frame = users_frame(result.stack)
    place = f", at {frame.file}:{frame.line} in {frame.function}" if frame else ""
    how = result.ending if result.status == "died" else "did not come to an end"
    text = (
        f"{settings.target}: while its server was made or collected, before any peer came, the process {how}{place}; "
        "name a factory whose server and its owner can be made, closed and dropped without having served (a __del__ "
        "that waits is what mostly hangs here)"
    )
    if not judged:
        raise TargetError(text)
    return text


def cut_short(settings: Settings, slugs: Iterable[str]) -> str:
    """That some findings were not shrunk or confirmed as usual, and what to do for more."""
    limit = "--max-time was over" if settings.max_time_s is not None else "it took too long"
    return (
        f"shrinking and confirming stopped early, as {limit}: a smaller case may show {', '.join(sorted(set(slugs)))}; "
        "what was not played again is said not to be confirmed"
    )
