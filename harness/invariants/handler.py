"""What comes out of the handler's code: nothing that a peer's bytes can provoke, and nothing because a peer left.

Both rules look at the same exceptions and share them out: an exception that is not ours and not declared belongs to
`handler/reset-is-expected` when the peer's own reset, close or silence caused it, else to
`handler/no-uncaught-exception`. SystemExit and its like are no errors of the handler: what they do to the server is
judged by `server/next-request-served`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import invariant
from handshaker.harness.invariants.facts import (
    closed_meanwhile,
    first,
    is_allowed,
    is_exception,
    peers,
    told,
    unanswerable,
    unreachable,
    with_exception,
)
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_HOOKS: Final = ("setup.raise", "handle.raise", "finish.raise")
_AROUND: Final = ("init.raise", "finish_request.raise", "process_request.raise")
_OWN: Final = ("socket.shutdown", "socket.close", "socket.detach")
_MISUSE: Final = "EBADF"
_INPUT: Final = ("datagram.request", "socket.recv", "socket.eof", "socket.error", "socket.timeout")


@invariant(
    "handler/no-uncaught-exception",
    "LC-009",
    "no peer can make the handler raise",
    requirement="No byte sequence that a peer can send makes the handler raise: handle_error() stays silent, "
    "except for declared exceptions.",
    source="a quality that every handler wants; Lib/socketserver.py, BaseServer.handle_error prints what gets through",
    reach=Reach.PEER,
    implied_by=(
        "lifecycle/finish-does-not-raise",
        "lifecycle/files-ready-in-handle",
        "lifecycle/attributes-before-setup",
    ),
)
def _no_uncaught_exception(trace: Trace, contract: Contract) -> Iterator[Violation]:
    for events, raised in _escaped(trace, contract):
        if not _left_by_peer(events, raised):
            hook = raised.kind.partition(".")[0]
            name = "the constructor" if hook == "init" else f"{hook}()"
            yield _blame(events, raised, "no exception leaves the handler", f"{name} raised {told(raised)}")


@invariant(
    "handler/reset-is-expected",
    "LC-009r",
    "a peer that leaves or falls silent is no error",
    requirement="A peer that resets, closes or falls silent is ordinary: the handler ends quietly "
    "instead of passing ConnectionError or TimeoutError on to handle_error().",
    source="a quality that many handlers lack; Lib/socketserver.py, BaseServer.handle_error prints each as an error",
    level=Level.SHOULD,
    reach=Reach.TIMING,
    implied_by=(
        "lifecycle/finish-does-not-raise",
        "lifecycle/files-ready-in-handle",
        "lifecycle/attributes-before-setup",
    ),
)
def _reset_is_expected(trace: Trace, contract: Contract) -> Iterator[Violation]:
    for events, raised in _escaped(trace, contract):
        cause = _left_by_peer(events, raised)
        if cause:
            expected = f"the peer {cause}, so the handler ends without an error"
            blamed = _blame(events, raised, expected, f"{raised.kind.partition('.')[0]}() raised {told(raised)}")
            # One handler lets departures through or it does not: where it was when the peer left makes no new finding.
            yield replace(blamed, exception=_departure(raised), frame="")


def _departure(raised: Event) -> str:
    """The class of exceptions that the handler should have expected."""
    kinds = ("builtins.ConnectionError", "builtins.TimeoutError")
    return next((name for name in kinds if name in raised["lineage"]), "builtins.OSError")


def _escaped(trace: Trace, contract: Contract) -> Iterator[tuple[Sequence[Event], Event]]:
    """The ordinary exceptions that the handler's own code let out, each once, where it left the innermost hook."""
    for _, events in peers(trace):
        hooks = [event for event in events if event.kind in _HOOKS]
        around = first(events, *_AROUND)
        for raised in hooks or ([around] if around else []):
            ordinary = is_exception(raised) and not raised["injected"] and not is_allowed(raised, contract)
            excused = (
                unanswerable(events, raised, contract) or closed_meanwhile(trace, raised) or _joins(events, raised)
            )
            if ordinary and not excused and not _swallowed(events, raised):
                yield events, raised


def _joins(events: Sequence[Event], raised: Event) -> bool:
    """Whether server_close() raised it in the handler's own thread: see resources/no-thread-left."""
    closing = first(events, "server_close.raise")
    return closing is not None and closing.seq < raised.seq and closing["lineage"] == raised["lineage"]


def _swallowed(events: Sequence[Event], raised: Event) -> bool:
    """Whether an own constructor or finish_request() dealt with the exception, so that it was no error for anybody."""
    dealt = first(events, "finish_request.leave", after=raised.seq)
    return dealt is not None and first(events, "handle_error.enter", after=raised.seq) is None


def _left_by_peer(events: Sequence[Event], raised: Event) -> str:
    """How the peer's departure explains the exception ("reset the connection"), or nothing when it does not.

    A plain OSError counts once the socket has failed or timed out: that is what reading on after a timeout, or asking
    a reset socket for its peer, gives in CPython. What a handler meets on a socket that it closed itself does not.
    """
    before = [event for event in events if event.seq < raised.seq]
    left = {event.kind for event in before}
    gone = "reset the connection" if "peer.reset" in left else "closed the connection" if "peer.close" in left else ""
    silent = "fell silent" if any(event.kind == "socket.timeout" and not event["injected"] for event in before) else ""
    broken = "broke the connection" if any(map(_is_breakage, before)) and not left.intersection(_OWN) else ""
    lineage = raised["lineage"]
    if unreachable(before) and first(events, "datagram.request") is not None:
        return "has left" if "builtins.OSError" in lineage else ""
    if "builtins.ConnectionError" in lineage:
        return gone or broken
    if "builtins.TimeoutError" in lineage:
        return silent
    if lineage[0] == "builtins.OSError":
        return (gone if broken else "") or silent or broken
    return ""


def _is_breakage(event: Event) -> bool:
    """Whether the socket failed by itself."""
    return event.kind == "socket.error" and not event["injected"] and event["errno"] != _MISUSE


def _blame(events: Sequence[Event], raised: Event, expected: str, actual: str) -> Violation:
    """A Violation that also shows the last thing that the handler read."""
    read = [event for event in events if event.kind in _INPUT and event.seq < raised.seq]
    return with_exception(raised, expected, actual, also=(read[-1] if read else None,))
