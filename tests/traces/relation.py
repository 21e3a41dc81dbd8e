"""Families of traces that agree, that differ, and that cannot be compared."""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Family
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import Raised, changed, event, fault, inserted, peer, reset, silence, stall, trace, without

SPLIT = UnicodeDecodeError
STATELESS = Contract(stateless=True)
FIRST_DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello"
SECOND_DATE = b"Date: Mon, 07 Nov 1994 08:49:38 GMT\r\n\r\nhello"


def replying(*replies: bytes, **options) -> Trace:
    """A Trace in which one peer after another gets these *replies*."""
    served = trace(*(peer(number, **options) for number in range(len(replies))))
    for number, reply in enumerate(replies):
        served = changed(served, "peer.end", number, reply=reply)
    return served


def cut(base: Trace, variant: Trace, repeat: Trace | None = None) -> Family:
    """The same bytes, cut otherwise in *variant*."""
    return Family("segmentation", base, repeat or base, variant)


def alone(base: bytes, *variant: bytes, repeat: bytes | None = None, relation: str = "isolation") -> Family:
    """One peer alone, and after others: it is the last one in *variant*."""
    again = base if repeat is None else repeat
    return Family(relation, replying(base), replying(again), replying(*variant))


def with_event(served: Trace, *part: tuple) -> Trace:
    """The same, with *part* while its first handler runs."""
    return inserted(served, list(part), after="handle.enter")


HELLO = replying(b"hello")
DAMAGED = replying(b"hel")
FAULTED = with_event(DAMAGED, *fault(0, "recv", "short"))
TIMED_OUT = changed(trace(peer(0, body=silence)), "peer.end", reply=b"hel")
RESET = changed(trace(peer(0, body=reset)), "peer.end", reply=b"hel")
CLOSED = with_event(DAMAGED, event("peer.close", 0))
STALLED = changed(trace(peer(0, body=stall)), "peer.end", reply=b"hel")
KILLED = replying(b"hel", handle=Raised(SystemExit))
UNREAD = changed(DAMAGED, "peer.end", end="reset", unread=True)
RAISED = replying(b"hello", handle=Raised(SPLIT))

GOOD = {
    "relation/segmentation": {
        "same": Asked(cut(HELLO, HELLO)),
        "both raise alike": Asked(cut(RAISED, RAISED)),
        "only the date": Asked(cut(replying(FIRST_DATE), replying(SECOND_DATE))),
        "only what a repeat changes too": Asked(
            cut(replying(b"id a1 ok"), replying(b"id b2 ok"), replying(b"id c3 ok"))
        ),
        "only the peer's own port": Asked(
            cut(replying(b"from 40000"), changed(replying(b"from 51234"), "peer.connect", address="127.0.0.1:51234"))
        ),
        "the whole address as a pair": Asked(
            cut(replying(b"from 40000"), changed(replying(b"from 51234"), "peer.connect", address=("::1", 51234, 0, 0)))
        ),
    },
    "relation/isolation": {
        "same": Asked(alone(b"hello", b"other", b"hello"), STATELESS),
        "same, stateful": Asked(alone(b"hello", b"other", b"hello")),
        "the peer before it was silent": Asked(
            Family("isolation", HELLO, HELLO,
                   changed(trace(peer(0, body=silence), peer(1)), "peer.end", 1, reply=b"hello")), STATELESS
        ),
    },
    "relation/repeatability": {
        "same": Asked(alone(b"hello", b"hello", b"hello", relation="repeatability"), STATELESS),
    },
}  # fmt: skip

BAD = {
    "relation/segmentation": {
        "shorter": Asked(cut(HELLO, DAMAGED)),
        "nothing": Asked(cut(HELLO, replying(b""))),
        "something": Asked(cut(replying(b""), HELLO)),
        "other words beside a volatile one": Asked(
            cut(replying(b"id a1 ok"), replying(b"id b2 no"), replying(b"id c3 ok"))
        ),
        "one raises": Asked(cut(HELLO, RAISED)),
        "the second peer": Asked(cut(replying(b"a", b"b"), replying(b"a", b"c"))),
        "in spite of a doubt about another peer": Asked(
            cut(replying(b"a", b"b"), changed(replying(b"x", b"b"), "peer.end", 1, end="reset"))
        ),
    },
    "relation/isolation": {"leak": Asked(alone(b"hello", b"secret", b"secret hello"), STATELESS)},
    "relation/repeatability": {
        "counts": Asked(alone(b"1", b"1", b"2", relation="repeatability"), STATELESS),
    },
}

DOUBT = {
    "relation/segmentation": {
        "stopped": Asked(cut(HELLO, STALLED)),
        "timed out": Asked(cut(HELLO, TIMED_OUT)),
        "a fault that counts calls": Asked(cut(HELLO, FAULTED)),
        "reset by the peer": Asked(cut(RESET, HELLO)),
        "closed by the peer": Asked(cut(HELLO, CLOSED)),
        "cut by unread input": Asked(cut(HELLO, UNREAD)),
        "the server stopped": Asked(cut(HELLO, KILLED)),
        "the repeat raises": Asked(cut(HELLO, DAMAGED, RAISED)),
        "the repeat has more words": Asked(cut(replying(b"a"), replying(b"b"), replying(b"a and b"))),
        "the variant has more words": Asked(cut(replying(b"a"), replying(b"a and b"), replying(b"b"))),
        "too long to align": Asked(cut(*(replying(letter * 30_000) for letter in (b"a", b"b", b"c")))),
        "a peer was not served": Asked(cut(replying(b"a", b"b"), replying(b"a"))),
        "no end": Asked(cut(HELLO, without(HELLO, "peer.end"))),
        "nobody": Asked(cut(trace(), trace())),
        "another relation": Asked(alone(b"a", b"b")),
    },
    "relation/isolation": {
        "state is not declared": Asked(alone(b"hello", b"secret", b"secret hello")),
        "nobody": Asked(Family("isolation", HELLO, HELLO, trace()), STATELESS),
        "the peer before it ended the server": Asked(Family("isolation", HELLO, HELLO, KILLED), STATELESS),
        "the peer before it hung": Asked(
            Family("isolation", HELLO, HELLO, trace(peer(0, body=stall), peer(1))), STATELESS
        ),
        "another relation": Asked(cut(HELLO, DAMAGED), STATELESS),
    },
    "relation/repeatability": {
        "state is not declared": Asked(alone(b"1", b"1", b"2", relation="repeatability")),
        "another relation": Asked(cut(HELLO, DAMAGED), STATELESS),
    },
}
