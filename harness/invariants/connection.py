"""What the rules about one connection ask again and again: was its handler stopped, who left, did our fault do it.

A rule about connections judges each of them by its own events. `each_connection` puts the answers together: one
violation is a violation, else one doubt is a doubt, and a Trace in which nothing concerns the rule is not applicable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from handshaker.harness.invariants.base import STOPS, Answer, NotApplicable, Settled, Unknown, by_connection
from handshaker.harness.invariants.facts import first
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Violation

__all__ = [
    "ENDED_BY_PEER",
    "REQUESTS",
    "STOPPED",
    "Events",
    "after_handler",
    "before",
    "each_connection",
    "has",
    "inside",
    "no_chance_to_clean_up",
    "of_kind",
    "outside",
    "seqs",
    "server_was_hit",
    "stopped",
    "trace_was_stopped",
    "write_failed",
]

Events = tuple[Event, ...]

REQUESTS: Final = ("socket.accepted", "datagram.request")
"""How a request begins: a connection is accepted, or a datagram is taken."""

_SERVER_RAISED: Final = ("verify_request.raise", "handle_error.raise", "shutdown_request.raise", "close_request.raise")
ENDED_BY_PEER: Final = ("peer.close", "peer.reset")
STOPPED: Final = Unknown("the handler was stopped from outside; what it would have done next is not known")


def of_kind(events: Iterable[Event], *kinds: str) -> list[Event]:
    """The events of these *kinds*."""
    if isinstance(events, Settled):
        if len(kinds) == 1:
            return list(events.by_kind.get(kinds[0], ()))
        if events.by_kind.keys().isdisjoint(kinds):
            return []
    return [event for event in events if event.kind in kinds]


def before(events: Events, end: Event) -> Events:
    """The events that come before *end*."""
    return tuple(event for event in events if event.seq < end.seq)


def has(events: Iterable[Event], *kinds: str) -> bool:
    """Whether there is an event of these *kinds*."""
    return first(events, *kinds) is not None


def seqs(events: Iterable[Event]) -> tuple[int, ...]:
    """The places of the first few events, as a witness."""
    return tuple(event.seq for event in events)[:4]


def stopped(events: Events) -> bool:
    """Whether the handler of this connection was stopped from outside."""
    return has(events, *STOPS)


def trace_was_stopped(trace: Trace) -> bool:
    """Whether any handler of the Trace was stopped from outside, or the process is gone."""
    return has(trace, *STOPS, "probe.process-gone", "probe.hung")


def write_failed(events: Events) -> bool:
    """Whether a write failed or timed out: from then on bytes may be lost without anybody's fault."""
    return any(event["operation"] == "send" for event in of_kind(events, "socket.error", "socket.timeout"))


def no_chance_to_clean_up(events: Iterable[Event]) -> bool:
    """Whether our fault struck at the edge of setup() or finish(), where no code of the handler could answer it."""
    return any(event["injected"] and not event["frame"] for event in of_kind(events, "setup.raise", "finish.raise"))


def server_was_hit(events: Iterable[Event]) -> bool:
    """Whether an injected fault made a hook of the server raise."""
    return any(event["injected"] for event in of_kind(events, *_SERVER_RAISED))


def after_handler(events: Events) -> Events:
    """The events after the last one of the handler: what the server does when the handler has ended."""
    ends = [place for place, event in enumerate(events) if event.source.startswith("handler")]
    return events[ends[-1] + 1 :] if ends else events


def inside(events: Iterable[Event], *hooks: str) -> list[Event]:
    """The events that happen while one of these server hooks runs."""
    return [event for event, runs in _while_running(events, hooks) if runs]


def outside(events: Iterable[Event], *hooks: str) -> list[Event]:
    """The events that happen while none of these server hooks runs."""
    return [event for event, runs in _while_running(events, hooks) if not runs]


def _while_running(events: Iterable[Event], hooks: tuple[str, ...]) -> Iterator[tuple[Event, bool]]:
    entering = {f"{hook}.enter" for hook in hooks}
    leaving = {f"{hook}.{edge}" for hook in hooks for edge in ("leave", "raise")}
    depth = 0
    for event in events:
        kind = event.kind
        if kind in entering:
            depth += 1
        elif kind in leaving:
            depth = max(0, depth - 1)
        else:
            yield event, depth > 0


def each_connection(trace: Trace, judge: Callable[[Events], Answer], *kinds: str) -> Answer:
    """Judge each connection that has an event of *kinds* (any connection when none is named) by its settled events."""
    broken: list[Violation] = []
    doubts: list[Unknown] = []
    reason, judged = "no such connection", False
    for events in by_connection(trace).values():
        if kinds and not has(events, *kinds):
            continue
        answer = judge(events)
        if isinstance(answer, Unknown):
            doubts.append(answer)
        elif isinstance(answer, NotApplicable):
            reason = answer.reason
        else:
            judged = True
            broken.extend(answer)
    if broken or (judged and not doubts):
        return broken
    return doubts[0] if doubts else NotApplicable(reason)
