"""What one peer saw of an exchange, and what its handlers went through: the two sides that a relation compares.

A peer of a stream is its connection. A peer of datagrams has a request for each datagram that the server took, and its
reply is the datagrams that came back, in order. What may legally differ is not compared: the peer went away, a fault
struck, time ran out, a handler was stopped from outside, a datagram was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from handshaker.harness.invariants.base import STOPS, NotApplicable, Unknown
from handshaker.harness.invariants.connection import ENDED_BY_PEER
from handshaker.harness.invariants.facts import first
from handshaker.harness.invariants.masking import normalised
from handshaker.harness.trace import Event, Trace

__all__ = ["Served", "doubt", "served", "those_served"]

_ENDED_EARLY: Final = {
    **dict.fromkeys(STOPS, "a handler was stopped from outside"),
    "server.stopped": "the server stopped, so not every peer was served",
    "probe.process-gone": "the process ended",
    "probe.hung": "the handler hung",
}
_DISTURBED: Final = {
    "network.fault": "an injected fault struck, which counts calls",
    "socket.timeout": "time ran out, which depends on more than the bytes",
}
_BETWEEN: Final = b" | "


@dataclass(frozen=True, slots=True)
class Served:
    """What one peer saw and what its handlers went through; `end` is the event that says it last."""

    end: Event
    reply: bytes
    port: str
    life: tuple[str, ...]
    raised: str

    @property
    def normalised(self) -> bytes:
        """The reply without what is known to change from run to run."""
        return normalised(self.reply, self.port)


def those_served(trace: Trace) -> tuple[int, ...]:
    """The numbers of the peers whose exchanges can be compared."""
    peers = trace.of("peer.datagram")
    return tuple(dict.fromkeys(event["peer"] for event in peers)) if peers else trace.connections


def served(trace: Trace, peer: int) -> Served | None:
    """What *peer* saw; None when it was not served to the end."""
    return _served_datagrams(trace, peer) if trace.of("peer.datagram") else _served_stream(trace, peer)


def _served_stream(trace: Trace, connection: int) -> Served | None:
    events = trace.of(connection=connection)
    end = first(events, "peer.end")
    if end is None:
        return None
    connect = first(events, "peer.connect")
    return Served(end, bytes(end["reply"]), _port(connect["address"] if connect else ""), *_life(events))


def _served_datagrams(trace: Trace, peer: int) -> Served | None:
    requests = [event for event in trace.of("datagram.request") if event["peer"] == peer and event["via"] == "server"]
    if not requests:
        return None
    numbers = {request.connection for request in requests}
    mine = [event for event in trace if event.connection in numbers]
    replies = [event for event in trace.of("peer.reply") if event["peer"] == peer]
    life, raised = _life(mine)
    accepted = first(mine, "get_request.leave")
    text = _BETWEEN.join(bytes(reply["data"]) for reply in replies)
    journey = (*life, f"{len(replies)} replies")
    return Served([*requests, *replies][-1], text, _port(accepted["address"] if accepted else ""), journey, raised)


def _life(events: Iterable[Event]) -> tuple[tuple[str, ...], str]:
    """The hooks that were entered and left, with the exceptions, and the last exception."""
    life = [event for event in events if event.source.startswith("handler") and event.kind != "datagram.held"]
    raised = [event["lineage"][0] for event in life if event.kind.endswith(".raise") and event["lineage"]]
    return (*(event.kind for event in life), *raised), raised[-1] if raised else ""


def _port(address: object) -> str:
    """The port that the peer connected from; its address is (host, port), the text of that, or `host:port`."""
    if isinstance(address, tuple):
        last = str(address[1]) if len(address) > 1 else ""
    else:
        text = str(address)
        last = text.strip("()").split(", ")[1] if text.startswith("(") and ", " in text else text.rpartition(":")[2]
    return last if last.isdigit() else ""


def doubt(trace: Trace, peer: int) -> Unknown | NotApplicable | None:
    """Why the exchange of *peer* cannot be compared, if so."""
    return _doubt_datagrams(trace, peer) if trace.of("peer.datagram") else _doubt_stream(trace, peer)


def _doubt_stream(trace: Trace, connection: int) -> Unknown | NotApplicable | None:
    for event in trace:
        if event.kind in _ENDED_EARLY and event.connection <= connection:
            return Unknown(_ENDED_EARLY[event.kind])
        if event.connection != connection:
            continue
        if event.kind in _DISTURBED:
            return Unknown(_DISTURBED[event.kind])
        if event.kind in ENDED_BY_PEER:
            return NotApplicable("the peer closed or reset: how much of the reply it gets is a matter of timing")
        if event.kind == "peer.end" and event["end"] == "reset":
            return Unknown("the reply may have been cut, since input was left unread")
    return None


def _doubt_datagrams(trace: Trace, peer: int) -> Unknown | NotApplicable | None:
    for event in trace:
        if reason := _ENDED_EARLY.get(event.kind) or _DISTURBED.get(event.kind):
            return Unknown(reason)
        if event.kind == "server.abandoned" or (event.kind == "probe.listener" and not event["open"]):
            return Unknown("the shared socket was closed, or the server stopped taking datagrams")
        if event.kind == "peer.datagram" and event["fate"] != "sent":
            return Unknown("a datagram did not arrive once and in its turn")
        if event.kind in ("peer.leave", "peer.deaf") and event["peer"] == peer:
            return NotApplicable("the peer left or took no replies: how many it gets is a matter of timing")
        if event.kind == "datagram.request" and event["via"] == "handler":
            return Unknown("a handler took a datagram by itself, so others had no request")
    return None
