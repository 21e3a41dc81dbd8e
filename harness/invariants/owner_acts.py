"""What the rules about server objects ask again and again: what lasted from when to when, and what was going on.

A server's own methods and its owner's acts are told by the event that begins them and the one that ends them; what has
no end lasted to the end of the Trace. Events of one process are in the order in which they happened; between processes
they are ordered by the clock. So a rule compares only what one process has told, or what can be told apart by hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from handshaker.harness.invariants.facts import first
from handshaker.harness.trace import Event, Trace

__all__ = ["REQUEST_PATH", "Span", "acts", "during", "is_childs", "loops", "running", "spans", "unfinished"]

REQUEST_PATH: Final = ("get_request", "verify_request", "process_request", "finish_request", "shutdown_request")


@dataclass(frozen=True, slots=True)
class Span:
    """What began with one event and ended with another one, or not yet (None)."""

    begin: Event
    end: Event | None

    def has(self, event: Event) -> bool:
        """Whether *event* happened while this lasted."""
        return self.begin.seq < event.seq and (self.end is None or event.seq < self.end.seq)

    @property
    def returned(self) -> bool:
        """Whether it ended without an exception."""
        return self.end is not None and self.end.kind.endswith(".leave")


def spans(trace: Trace, method: str) -> list[Span]:
    """Each call of a method of the server (`serve_forever`), in order."""
    found: list[Span] = []
    lasting: dict[int, list[int]] = {}
    for event in trace.of(f"{method}.enter", f"{method}.leave", f"{method}.raise"):
        # Which request it is going to be is not known before get_request() has returned.
        mine = lasting.setdefault(-1 if method == "get_request" else event.connection, [])
        if event.kind.endswith(".enter"):
            mine.append(len(found))
            found.append(Span(event, None))
        elif mine:
            place = mine.pop()
            found[place] = Span(found[place].begin, event)
    return found


def acts(trace: Trace, *names: str) -> list[Span]:
    """Each act of the owner with one of these *names*, in order.

    One that is blocked ends with `owner.blocked`, unless it comes to its end later: then it was only slow.
    """
    ends = {event["nth"]: event for event in trace.of("owner.leave", "owner.raise", "owner.blocked")}
    begun = [event for event in trace.of("owner.enter") if event["act"] in names]
    return [Span(event, ends.get(event["nth"])) for event in begun]


def during(span: Span, events: Iterable[Event], *kinds: str) -> list[Event]:
    """Those of *events* that happened while *span* lasted, of these *kinds*."""
    return [event for event in events if event.kind in kinds and span.has(event)]


def loops(trace: Trace) -> list[Span]:
    """Each run of serve_forever()."""
    return spans(trace, "serve_forever")


def running(lasting: Iterable[Span], event: Event) -> list[Span]:
    """Those spans that were going on when *event* happened."""
    return [span for span in lasting if span.has(event)]


def unfinished(trace: Trace, end: Event, *methods: str) -> list[Event]:
    """The calls of these *methods* that had begun before *end* and had not ended by then, outside forked children."""
    begun = [span for method in methods for span in spans(trace, method) if span.begin.seq < end.seq]
    lasting = [span.begin for span in begun if span.end is None or span.end.seq > end.seq]
    return [event for event in lasting if not is_childs(trace, event)]


def is_childs(trace: Trace, event: Event) -> bool:
    """Whether a forked child has told this: it did so about the request that it was made for."""
    ran = next((each for each in trace.of("request.runs") if each.connection == event.connection >= 0), None)
    fork = first(trace, "process.fork")
    return ran is not None and fork is not None and ran["process"] != 0
