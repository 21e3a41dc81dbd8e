"""A hostile peer beside a well-behaved one: who behaves gets what it gets alone.

The well-behaved peer is the last one; it plays alone in base and repeat, and with the others in variant. That it gets
nothing, or less, or never sees the end, is a violation whatever the handler remembers: state may change what is said,
not whether it is said. That it gets something else is a violation for handlers declared stateless, else a question.

What may differ by itself is not compared: time ran out, a fault struck, the server stopped or never accepted the peer,
UDP may have lost something, or the handler left input unread, which may cut a reply (`io/reply-then-eof` judges that).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, Family, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.exchange import served, those_served
from handshaker.harness.invariants.facts import turned_away
from handshaker.harness.invariants.masking import contrast, masked
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Reach, Violation

__all__: list[str] = []

_PROMISE: Final = "the reply that this peer gets alone, also when others are served at the same time"
_GONE: Final = {
    "server.stopped": "the server stopped, which is judged by itself",
    "probe.process-gone": "the process ended, which is judged by itself",
    "network.fault": "an injected fault struck somebody, and nobody knows whom",
    "owner.enter": "the owner of the server decides who is served",
}
_DISTURBED: Final = {
    "socket.timeout": "time ran out, which depends on more than the bytes",
    "peer.close": "the peer itself left: how much of the reply it gets is a matter of timing",
    "peer.reset": "the peer itself left: how much of the reply it gets is a matter of timing",
    "peer.leave": "the peer itself left: how much of the reply it gets is a matter of timing",
    "network.limit": "a bound was hit",
    "network.kernel": "the handler was stopped from outside",
}
_STUCK: Final = ("network.stalled", "network.spinning", "probe.hung")
_TAKEN: Final = ("get_request.leave", "datagram.request")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What happened to the last peer of a Trace: what it said and was told, and how its stream ended.

    `words` are the reply without what is known to change from run to run.
    """

    events: tuple[Event, ...]
    said: bytes
    reply: bytes
    words: bytes
    end: str

    @property
    def stuck(self) -> bool:
        """Whether its handler never came to an end by itself."""
        return any(event.kind in _STUCK for event in self.events)

    @property
    def unread(self) -> bool:
        """Whether the handler left bytes of this peer unread."""
        return len(_joined(self.events, "socket.recv")) < len(self.said)


@invariant(
    "relation/concurrent-isolation",
    "LC-051",
    "a hostile peer does not disturb its neighbours",
    requirement="A failing, hanging or disconnecting request does not change what concurrent requests see: who behaves "
    "well gets the reply that it gets alone, to its end.",
    source="socketserver documentation, Introduction: 'create a separate process or thread to handle each request'",
    reach=Reach.PEER,
    relation=True,
)
def _concurrent_isolation(family: Family, contract: Contract) -> Answer:
    if family.relation != "concurrent":
        return NotApplicable("not a family about peers at the same time")
    traces = (family.base, family.repeat, family.variant)
    seen = base, repeat, variant = tuple(map(_last_peer, traces))
    for trace, peer in zip(traces, seen, strict=True):
        if doubt := _doubt(trace, peer):
            return Unknown(doubt)
    if base.stuck or repeat.stuck or base.end != repeat.end or base.end == "reset":
        return Unknown("alone the peer did not come to the same good end twice")
    if bool(base.reply) != bool(repeat.reply):
        return Unknown("alone the peer was not answered alike twice")
    if not variant.said == base.said == repeat.said:
        return Unknown("the peer could not say what it says alone")
    return _compare(family, base, repeat, variant, contract)


def _doubt(trace: Trace, peer: _Seen) -> str:
    """Why nothing can be said about this peer, if so."""
    for event in trace:
        if event.kind in _GONE:
            return _GONE[event.kind]
    for event in peer.events:
        if event.kind in _DISTURBED:
            return _DISTURBED[event.kind]
    if not any(event.kind in _TAKEN for event in peer.events):
        return "the server did not accept the peer, which is judged by itself"
    if turned_away(peer.events):
        return "the server turned the peer away, as one does that bounds how many it serves"
    return ""


def _last_peer(trace: Trace) -> _Seen:
    number = max(those_served(trace), default=0)
    told = served(trace, number)
    reply, words = (told.reply, told.normalised) if told is not None else (b"", b"")
    if trace.of("peer.datagram"):
        requests = {event.connection for event in trace.of("datagram.request") if event["peer"] == number}
        own = [event for event in trace if event.get("peer") == number]
        events = tuple(event for event in trace if event in own or event.connection in requests)
        return _Seen(events, _joined(own, "peer.datagram"), reply, words, "eof")
    events = trace.of(connection=number)
    end = next((str(event["end"]) for event in events if event.kind == "peer.end"), "open")
    return _Seen(events, _joined(events, "peer.send"), reply, words, end)


def _joined(events: Iterable[Event], kind: str) -> bytes:
    return b"".join(event["data"] for event in events if event.kind == kind)


def _compare(family: Family, base: _Seen, repeat: _Seen, variant: _Seen, contract: Contract) -> Answer:
    loss = _lost(base, repeat, variant)
    if loss:
        if family.variant.header.transport.startswith("udp"):
            return Unknown("a reply is missing, which UDP may have lost")
        if variant.end == "reset" and variant.unread:
            return Unknown("the handler left input unread, so the reply may have been cut by that")
        return [_differs(variant, *loss)]
    replies = masked(base.words, repeat.words, variant.words)
    if replies is None:
        return Unknown("the same bytes twice gave different replies, and what changes in them cannot be hidden")
    if replies[0] == replies[1]:
        return []
    shown, other, where = contrast(*replies)
    if contract.stateless:
        return [_differs(variant, f"{other} instead of {shown}; {where}", "reply differs")]
    return Unknown(
        f"question: the reply to a peer changes when others are served at the same time ({other}; {where}). "
        "Declare the handler stateless to have this judged; if it keeps state on purpose, this is as it should be"
    )


def _lost(base: _Seen, repeat: _Seen, variant: _Seen) -> tuple[str, str] | None:
    """What the peer has missed because of the others, and the name of that damage."""
    if base.reply and not variant.reply:
        stuck = "; its handler never came to an end" if variant.stuck else ""
        return f"no reply at all{stuck}", "no reply"
    shorter = len(variant.words) < min(len(base.words), len(repeat.words))
    if shorter and base.words.startswith(variant.words) and repeat.words.startswith(variant.words):
        return f"only the first {len(variant.reply):,} bytes of {len(base.reply):,}", "reply cut"
    if base.end == "eof" and (variant.end == "open" or variant.stuck):
        return "the reply, but never the end of the stream", "never ended"
    return None


def _differs(variant: _Seen, actual: str, damage: str) -> Violation:
    events = [event for event in variant.events if event.kind in ("peer.end", "peer.over", *_STUCK)]
    witness = tuple(event.seq for event in events) or (variant.events[0].seq,)
    return Violation(_PROMISE, actual, witness[:4], variant.events[0].connection, damage=damage)
