"""Damage done to a Trace on purpose: an event dropped, told twice, or moved, so that a rule can show that it looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from handshaker.harness.trace import Event, Trace

__all__ = ["doubled", "in_order", "place_of", "renumbered", "swapped", "without"]


def renumbered(trace: Trace, events: Iterable[Event]) -> Trace:
    """A Trace like *trace* with other *events*, numbered from 0."""
    return Trace(trace.header, tuple(replace(each, seq=seq) for seq, each in enumerate(events)))


def place_of(trace: Trace, kind: str, nth: int = 0) -> int:
    """Where the *nth* event of this *kind* stands (0 is the first)."""
    places = [index for index, each in enumerate(trace.events) if each.kind == kind]
    assert len(places) > nth, f"only {len(places)} {kind} in the trace"
    return places[nth]


def in_order(trace: Trace, first: str, second: str) -> bool:
    """Whether an event *second* comes somewhere after the first event *first*, so that they can be swapped."""
    kinds = [each.kind for each in trace.events]
    return first in kinds and second in kinds[kinds.index(first) :]


def without(trace: Trace, kind: str, nth: int = 0) -> Trace:
    """*trace* without its *nth* event of this *kind* (0 is the first)."""
    place = place_of(trace, kind, nth)
    return renumbered(trace, (*trace.events[:place], *trace.events[place + 1 :]))


def doubled(trace: Trace, kind: str, nth: int = 0) -> Trace:
    """*trace* with its *nth* event of this *kind* twice."""
    place = place_of(trace, kind, nth)
    return renumbered(trace, (*trace.events[: place + 1], *trace.events[place:]))


def swapped(trace: Trace, first: str, second: str, nth: int = 0) -> Trace:
    """*trace* with its *nth* event *first* and the next event *second* after it in each other's place."""
    events = list(trace.events)
    one = place_of(trace, first, nth)
    two = next(index for index in range(one + 1, len(events)) if events[index].kind == second)
    events[one], events[two] = events[two], events[one]
    return renumbered(trace, events)
