"""The bounds of one Case, the same on both networks, and how a handler that meets one is ended.

A handler that would block or spin for ever is known by counting, not by waiting. The fact is written down first; then
the handler is ended by an exception that `except Exception` does not catch, and what comes after it is not judged.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from handshaker.harness.recorder import RUN

__all__ = [
    "EVENTS_MAX",
    "IDLE_READS_MAX",
    "LONGEST_S",
    "REPLY_BYTES_MAX",
    "SWALLOWED_STOPS_MAX",
    "Stopped",
    "check_events",
    "note_stop",
    "stop",
    "stopped_again",
]

REPLY_BYTES_MAX: Final = 4 * 1024 * 1024
EVENTS_MAX: Final = 50_000
IDLE_READS_MAX: Final = 200
SWALLOWED_STOPS_MAX: Final = 1_000
LONGEST_S: Final = 2**63 / 1e9
"""What Python can wait for is shorter: it counts in nanoseconds."""


class Stopped(BaseException):
    """Ends a handler that would block or spin for ever; what happens after it is not judged."""


def note_stop(kind: str, number: int, *fields: Any, payload: str = "") -> None:
    """Write down why the handler of connection *number* is ended from outside, unless one was ended before."""
    if RUN.stopped:
        return
    RUN.stopped = True
    what = (kind, number, *fields)
    if RUN.recorder is not None:
        RUN.recorder.stopped_by = what
    RUN.emit((what, payload))


def stop(kind: str, number: int, *fields: Any) -> NoReturn:
    """Write the fact down first, then end the handler."""
    note_stop(kind, number, *fields)
    raise Stopped(kind)


def stopped_again() -> NoReturn:
    """Stop a handler that was stopped and goes on; one that swallows every stop can only be ended with its process."""
    RUN.swallowed += 1
    if RUN.swallowed > SWALLOWED_STOPS_MAX:
        RUN.unstoppable()
    raise Stopped("stopped before")


def _stuck(operation: str) -> NoReturn:
    """End a handler that waits for what only it could bring about, such as the end of the loop that it runs in."""
    stop("network.stalled", RUN.connection, operation, "itself")


RUN.stuck = _stuck


def check_events(number: int) -> None:
    """End a handler that has made more events than a Case may have."""
    if len(RUN.recorder.flat if RUN.recorder else ()) > 2 * EVENTS_MAX:
        stop("network.limit", number, "events")
