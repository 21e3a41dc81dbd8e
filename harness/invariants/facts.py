"""What rules ask of the events again and again: whose life, which exception, injected by whom, is it over.

Exceptions are told apart by the names in their `lineage`; their message and place are payload ("message @ file:line")
and are only quoted, never judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import STOPS, Settled, by_connection
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Violation

__all__ = [
    "INSTANCE_KINDS",
    "first",
    "is_allowed",
    "is_exception",
    "is_over",
    "lives",
    "peers",
    "settled_of",
    "shown",
    "struck",
    "told",
    "was_cut",
    "with_exception",
]

INSTANCE_KINDS: Final = frozenset(
    f"{hook}.{edge}" for hook in ("init", "setup", "handle", "finish") for edge in ("enter", "leave", "raise")
)


def peers(trace: Trace) -> Iterator[tuple[int, tuple[Event, ...]]]:
    """Each connection with its settled events."""
    yield from by_connection(trace).items()


def lives(trace: Trace) -> Iterator[tuple[Event, ...]]:
    """The events of each handler instance, up to the point where its connection was stopped from outside."""
    for _, events in peers(trace):
        by_instance: dict[int, list[Event]] = {}
        for event in events:
            if event.kind in INSTANCE_KINDS:
                by_instance.setdefault(event["instance"], []).append(event)
        yield from map(tuple, by_instance.values())


def settled_of(trace: Trace, *kinds: str) -> Iterator[Event]:
    """The settled events of these *kinds*, of all connections."""
    for _, events in peers(trace):
        yield from (event for event in events if event.kind in kinds)


def first(events: Iterable[Event], *kinds: str, after: int = -1) -> Event | None:
    """The first event of one of these *kinds* behind the place *after*, or None."""
    if isinstance(events, Settled) and events.by_kind.keys().isdisjoint(kinds):
        return None
    for event in events:
        if event.kind in kinds and event.seq > after:
            return event
    return None


def was_cut(events: Sequence[Event]) -> bool:
    """Whether the handler of these settled events was stopped from outside."""
    return bool(events) and events[-1].kind in STOPS


def is_over(trace: Trace, events: Sequence[Event]) -> bool:
    """Whether nothing more can follow for this connection, so that what is missing is really missing."""
    if was_cut(events) or trace.of("probe.process-gone", "probe.hung"):
        return False
    return any(event.kind == "peer.end" for event in events) or bool(trace.of("server.closed"))


def is_exception(event: Event) -> bool:
    """Whether the exception is an ordinary one, which `except Exception` catches."""
    return "builtins.Exception" in event["lineage"]


def is_allowed(event: Event, contract: Contract) -> bool:
    """Whether the exception, or a base of it, is declared as allowed."""
    return any(name in contract.allowed_exceptions for name in event["lineage"])


def struck(events: Iterable[Event], point: str) -> bool:
    """Whether an injected fault struck at *point* (a hook's both edges count as the hook)."""
    return any(event.kind == "network.fault" and event["point"].partition(".")[0] == point for event in events)


def told(event: Event) -> str:
    """The exception as a person reads it: `ValueError: bad length`."""
    if not event["lineage"]:
        return "no exception"
    name = event["lineage"][0].removeprefix("builtins.")
    message = _message(event)[0].removeprefix(f"{name.rpartition('.')[2]}:").strip()
    return f"{name}: {message}" if message else name


def shown(expected: str, actual: str, *events: Event | None, damage: str) -> Violation:
    """A Violation that these *events* show, about the connection of the first of them; None is left out."""
    seen = [event for event in events if event is not None]
    return Violation(expected, actual, tuple(sorted({event.seq for event in seen})), seen[0].connection, damage)


def with_exception(event: Event, expected: str, actual: str, *, also: tuple[Event | None, ...] = ()) -> Violation:
    """A Violation that blames the exception of a raise-event; *also* are further witnesses."""
    return replace(
        shown(expected, actual, event, *also, damage=""),
        exception=_defect(event["lineage"]),
        frame=event["frame"],
        location=_message(event)[1],
    )


def _defect(lineage: Sequence[str]) -> str:
    """The exception as the fingerprint has it: whether a reset is met as ECONNRESET or as EPIPE is timing only."""
    return _BROKEN if _BROKEN in lineage else lineage[0] if lineage else ""


_BROKEN: Final = "builtins.ConnectionError"
_LOCATED: Final = re.compile(r"(.*) @ (\S.*:\d+)", re.DOTALL)


def _message(event: Event) -> tuple[str, str]:
    """The message and the `file:line` of a raise-event; either may be empty."""
    text = str(event.get("message") or "")
    found = _LOCATED.fullmatch(text)
    return (found[1], found[2]) if found else (text, "")
