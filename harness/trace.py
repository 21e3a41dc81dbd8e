"""A Trace is what happened: an append-only sequence of Events, with a header that says where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from handshaker.harness.case import show_bytes
from handshaker.harness.vocabulary import KINDS

__all__ = ["Event", "Header", "Trace", "by_kind", "materialise"]


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One fact: its place in the sequence, its time in seconds since the case began, who, what, and the details."""

    seq: int
    time: float
    source: str
    kind: str
    connection: int = -1
    data: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The detail called *name*, or *default*."""
        return self.data.get(name, default)

    def __repr__(self) -> str:
        details = ", ".join(f"{name}={_show(value)}" for name, value in self.data.items())
        return f"#{self.seq} {self.time:.3f} {self.source} {self.kind}({details})"


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return show_bytes(value)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(frozen=True, slots=True)
class Header:
    """Where a Trace was made: the target, the network, the transport, the kind of server, and the versions."""

    target: str = ""
    network: str = "memory"
    transport: str = "tcp"
    server: str = "plain"
    python: str = ""
    handshaker: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """The finished sequence of Events of one Case."""

    header: Header
    events: tuple[Event, ...] = ()

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def of(self, *kinds: str, connection: int | None = None) -> tuple[Event, ...]:
        """The events of these *kinds* (all kinds when none is named), of one *connection* or of all."""
        events: Sequence[Event] = self.events
        if len(kinds) == 1:
            events = by_kind(self).get(kinds[0], ())
        elif kinds:
            none = by_kind(self).keys().isdisjoint(kinds)
            events = () if none else [event for event in events if event.kind in kinds]
        return tuple(events if connection is None else [event for event in events if event.connection == connection])

    @property
    def connections(self) -> tuple[int, ...]:
        """The numbers of the connections that occur, in order of appearance."""
        return tuple(dict.fromkeys(event.connection for event in self.events if event.connection >= 0))

    @property
    def replies(self) -> tuple[bytes, ...]:
        """What each peer received, in the order of the peers."""
        return tuple(event["reply"] for event in self.events if event.kind in ("peer.end", "peer.over"))

    @property
    def datagrams(self) -> tuple[tuple[bytes, ...], ...]:
        """The datagrams that each peer received, in the order of the peers; empty where requests are no datagrams."""
        taken: dict[int, list[bytes]] = {event["peer"]: [] for event in self.events if event.kind == "peer.over"}
        for event in self.of("peer.reply"):
            taken.setdefault(event["peer"], []).append(event["data"])
        return tuple(tuple(taken[peer]) for peer in sorted(taken))

    def __repr__(self) -> str:
        return f"Trace({self.header.target or 'target'} on {self.header.network}, {len(self.events)} events)"


class _Latest:
    """The events of one Trace, by kind."""

    def __init__(self) -> None:
        self.trace: Trace | None = None
        self.by_kind: dict[str, list[Event]] = {}


_LATEST: Final = _Latest()


def by_kind(trace: Trace) -> Mapping[str, Sequence[Event]]:
    """The events of *trace* by their kind, each kind in order."""
    # All rules ask this of one Trace, one after another: the answer for the last Trace is kept.
    if _LATEST.trace is not trace:
        found: dict[str, list[Event]] = {}
        for event in trace.events:
            found.setdefault(event.kind, []).append(event)
        _LATEST.trace, _LATEST.by_kind = trace, found
    return _LATEST.by_kind


def materialise(flat: list[Any], times: list[float] | None, header: Header) -> Trace:
    """A Trace from a recorder's flat list `[what, payload, what, payload, …]` and, if kept, the time of each event."""
    events = []
    for seq, (what, payload) in enumerate(zip(flat[::2], flat[1::2], strict=True)):
        kind, connection = what[:2]
        spec = KINDS[kind]
        data = dict(zip(spec.fields, what[2:], strict=True)) if spec.fields else {}
        if spec.payload:
            data[spec.payload] = payload
        source = spec.source if connection < 0 else f"{spec.source}#{connection}"
        events.append(Event(seq, times[seq] if times else 0.0, source, kind, connection, data))
    return Trace(header, tuple(events))
