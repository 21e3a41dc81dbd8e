"""Oracles that need no specification of the protocol: the same bytes must give the same reply.

Each rule compares a Case (base), the same once more (repeat) and a variant. What base and repeat do not agree on
cannot be demanded of the variant; `masking` hides it or the answer is Unknown. Replies that may differ legally are not
compared: see `exchange`.

All differences of one relation carry one damage name a place (reply, exception), whatever the bytes were, so that one
defect is one finding.
"""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, Family, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.exchange import Served, doubt, served, those_served
from handshaker.harness.invariants.facts import is_concurrent
from handshaker.harness.invariants.masking import contrast, masked
from handshaker.harness.trace import Event
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_Numbers = tuple[int, int, int]


def _compare(family: Family, connections: _Numbers, promise: str) -> list[Violation] | Unknown | NotApplicable:
    """One peer of base, repeat and variant, by number: the same reply, and the same life of the handler."""
    pairs = list(zip((family.base, family.repeat, family.variant), connections, strict=True))
    for trace, number in pairs:
        if reason := doubt(trace, number):
            return reason
    base, repeat, variant = (served(trace, number) for trace, number in pairs)
    if base is None or repeat is None or variant is None:
        return Unknown("not every peer was served")
    if base.life != repeat.life:
        return Unknown("the same bytes twice did not end alike")
    replies = _comparable(base, repeat, variant)
    if replies is None:
        return Unknown("the same bytes twice gave different replies, and what changes in them cannot be hidden")
    if replies[0] != replies[1]:
        shown, other, where = contrast(*replies)
        return [_differs(variant.end, f"{promise}: {shown}", f"{other}; {where}", "reply differs")]
    if base.life != variant.life:
        expected, actual = (
            f"the handler raises {side.raised.removeprefix('builtins.') or 'nothing'}" for side in (base, variant)
        )
        return [_differs(variant.end, f"{promise}: {expected}", actual, "outcome differs")]
    return []


def _comparable(base: Served, repeat: Served, variant: Served) -> tuple[bytes, bytes] | None:
    """The replies of base and variant without what changes by itself; None when that cannot be told."""
    if base.reply == repeat.reply == variant.reply:
        return b"", b""
    return masked(base.normalised, repeat.normalised, variant.normalised)


def _differs(end: Event, expected: str, actual: str, damage: str) -> Violation:
    return Violation(expected, actual, (end.seq,), end.connection, damage=damage)


@invariant(
    "relation/segmentation",
    "LC-017",
    "the reply does not depend on how the bytes were cut",
    requirement="Stream input is delivered once, in order and complete, independent of segmentation: any cut of the "
    "same bytes into segments gives the same reply and the same life of the handler.",
    source="socket documentation, socket.recv: at most bufsize bytes; CPython gh-111112, gh-112020",
    reach=Reach.PEER,
    relation=True,
)
def _segmentation(family: Family, _contract: Contract) -> Answer:
    """Compares every peer, the canary included."""
    if family.relation != "segmentation":
        return NotApplicable("not a family about segmentation")
    numbers = those_served(family.base)
    if is_concurrent(family.base) and len(numbers) > 1:
        return Unknown("the peers are served at the same time, so they may differ by that")
    if not numbers == those_served(family.repeat) == those_served(family.variant):
        return Unknown("not every peer was served")
    answers = [
        _compare(family, (number, number, number), "the same reply however the bytes are cut") for number in numbers
    ]
    return _together(answers)


def _together(answers: list[list[Violation] | Unknown | NotApplicable]) -> Answer:
    """A violation outweighs a doubt, a doubt outweighs what holds, and that outweighs what does not apply."""
    broken = [violation for answer in answers if isinstance(answer, list) for violation in answer]
    if broken:
        return broken
    doubts = [answer for answer in answers if isinstance(answer, Unknown)]
    if doubts:
        return doubts[0]
    if any(isinstance(answer, list) for answer in answers):
        return []
    return answers[0] if answers else NotApplicable("no peer was served")


@invariant(
    "relation/isolation",
    "LC-052",
    "the reply does not depend on other peers",
    requirement="A reply depends only on its own request: the same request gives the same reply alone and after other "
    "peers (for handlers declared stateless).",
    source="socketserver documentation, BaseRequestHandler: 'A new instance of the subclass is created for each "
    "request'",
    reach=Reach.PEER,
    relation=True,
)
def _isolation(family: Family, contract: Contract) -> Answer:
    """Compares the last peer: alone in base and repeat, after another one in variant."""
    return _last_peer(family, contract, "isolation", "another peer came before")


@invariant(
    "relation/repeatability",
    "LC-052r",
    "the same bytes twice give the same reply",
    requirement="A second peer that sends the same bytes gets the same reply as the first (for handlers declared "
    "stateless).",
    source="socketserver documentation, BaseRequestHandler: 'A new instance of the subclass is created for each "
    "request'",
    level=Level.SHOULD,
    reach=Reach.PEER,
    implied_by=("relation/isolation",),
    relation=True,
)
def _repeatability(family: Family, contract: Contract) -> Answer:
    """Compares the last peer: the only one in base and repeat, the second with the same bytes in variant."""
    return _last_peer(family, contract, "repeatability", "a peer sent the same bytes before")


def _last_peer(family: Family, contract: Contract, relation: str, circumstance: str) -> Answer:
    if family.relation != relation:
        return NotApplicable(f"not a family about {relation}")
    if is_concurrent(family.base):
        return NotApplicable("the peers are served at the same time: see relation/concurrent-isolation")
    traces = (family.base, family.repeat, family.variant)
    if not all(map(those_served, traces)):
        return Unknown("not every peer was served")
    last = [max(those_served(trace)) for trace in traces]
    answer = _compare(family, (last[0], last[1], last[2]), f"the reply of a fresh server, also when {circumstance}")
    if contract.stateless or not isinstance(answer, list) or not answer:
        return answer
    return Unknown(
        f"question: the reply to a peer changes when {circumstance} ({answer[0].actual}). "
        "Declare the handler stateless to have this judged; if it keeps state on purpose, this is as it should be"
    )
