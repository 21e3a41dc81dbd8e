"""What the supervisor is told about a task, and a task about a call that it forked; plain data."""

from __future__ import annotations

import signal
import traceback
from dataclasses import dataclass
from typing import Any

from handshaker.harness import errors

__all__ = ["Failure", "Outcome", "TaskResult", "ending", "signal_name", "words"]

_OURS = {cls.__name__: cls for cls in (errors.UsageError, errors.CaseFileError, errors.TargetError, errors.HarnessBug)}


def signal_name(exit_status: int | None) -> str:
    """The signal that ended a process: "SIGKILL" for -9; "" when it ended otherwise."""
    if exit_status is None or exit_status >= 0:
        return ""
    try:
        return signal.Signals(-exit_status).name
    except ValueError:
        return f"signal {-exit_status}"


def ending(exit_status: int | None) -> str:
    """How a process ended, to complete the sentence "the process …"."""
    if exit_status is None:
        return "vanished"
    if exit_status < 0:
        return f"was killed by {signal_name(exit_status)}"
    return f"exited with status {exit_status}"


def words(error: BaseException) -> str:
    """What *error* says; an exception class of somebody's own may be unable to."""
    try:
        return str(error)
    except Exception as other:
        return f"(its str() raises {type(other).__name__})"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that crossed a process border, as text."""

    kind: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe *error*."""
        return cls(type(error).__name__, words(error), "".join(traceback.format_exception(error)))

    def to_json(self) -> dict[str, str]:
        """The JSON value that `Failure(**value)` takes back."""
        return {"kind": self.kind, "message": self.message, "traceback": self.traceback}

    def error(self) -> errors.HandshakerError:
        """An exception to raise on this side: one of ours keeps its type, any other is a HarnessBug."""
        if self.kind in _OURS:
            return _OURS[self.kind](self.message)
        return errors.HarnessBug(f"a task of handshaker failed: {self.kind}: {self.message}\n\n{self.traceback}")


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended.

    `status` is done (the task returned), interrupted (it was asked to stop; `ended` says whether it returned in time),
    died (its process ended under it, whatever the exit status), hung (killed without progress; `reason` says by which
    limit: cpu or silent), or failed (the task raised; `error`). `in_flight` is the (phase, index) of the last mark.
    `asked` is true when Ctrl-C or `stop` came while it ran, however it ended. `stderr` and `stdout` are the last few
    KiB written there.
    """

    status: str
    reason: str = ""
    ended: bool = False
    exit_status: int | None = None
    stack: str = ""
    in_flight: tuple[int, int] | None = None
    marks: int = 0
    messages: int = 0
    stderr: str = ""
    stdout: str = ""
    error: Failure | None = None
    asked: bool = False

    @property
    def ending(self) -> str:
        """How the process ended, to complete the sentence "the process …"."""
        return ending(self.exit_status)

    @property
    def signal(self) -> str:
        """The name of the signal that ended the process; "" when none did."""
        return signal_name(self.exit_status)

    def raise_if_failed(self) -> None:
        """Raise what the task raised; HarnessBug unless it is one of our own errors."""
        if self.error is not None:
            raise self.error.error()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a forked call ended: done (`value`), failed (`error`), died (`exit_status`), or hung (`reason`, `stack`)."""

    status: str
    value: Any = None
    reason: str = ""
    exit_status: int | None = None
    stack: str = ""
    error: Failure | None = None

    @property
    def ending(self) -> str:
        """How the process ended, to complete the sentence "the process …"."""
        return ending(self.exit_status)

    @property
    def signal(self) -> str:
        """The name of the signal that ended the process; "" when none did."""
        return signal_name(self.exit_status)
