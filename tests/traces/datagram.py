"""Traces of datagrams: requests, replies, and what becomes of the socket that they share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Family
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import Raised, event, lacking
from tests.traces_datagrams import DATAGRAM_TRACES, DATAGRAMS, asked, refused, reply, taken, trace

BASE = replace(DATAGRAMS, kind="base")
ONE = DATAGRAM_TRACES["one datagram"]
TWO = DATAGRAM_TRACES["two peers"]


def of(*requests: Any, contract: Contract = DATAGRAMS) -> Asked:
    """A question about these requests."""
    return Asked(trace(*requests), contract)


def stall(number: int) -> Any:
    """The handler would wait for ever and is stopped."""
    return [event("network.stalled", number, operation="recvfrom", after="open")]


def astray(number: int, to: str = "peer", held: str = "") -> Any:
    """Something is sent to somebody who has not asked."""
    return reply(number, b"HELLO", to=to, held=held)


def cut(answer: bytes = b"A" * 8191 + b"A", **more: Any) -> Trace:
    """A datagram that was cut, and its reply."""
    return trace(asked(0, packet=b"a" * 9000, answer=answer, cut=True, **more))


def truncation(variant: Trace, base: Trace | None = None) -> Asked:
    """The same cut datagram twice, and one with another last byte."""
    base = cut() if base is None else base
    return Asked(Family("truncation", base, base, variant), DATAGRAMS)


def spin(number: int) -> Any:
    """The handler repeats an operation that cannot succeed."""
    return [event("network.spinning", number, operation="recvfrom", after="open")]


NEVER_TAKEN = [event("peer.datagram", -1, b"you", peer=1, fate="sent"), event("server.abandoned", count=1)]
TOO_LONG_A_REPLY = of(asked(0, early=refused(0, "EMSGSIZE"), finish=Raised(OSError)))
NOBODYS_FAULT = {
    "nobody to answer": Asked(DATAGRAM_TRACES["an unbound peer"], DATAGRAMS, spare=True),
    "the peer has left": Asked(DATAGRAM_TRACES["a peer that has left"], DATAGRAMS, spare=True),
}
DROPPED = lacking(ONE, "finish_request.", "datagram.reply", "datagram.pair", "init.", "setup.", "handle.", "finish.")
TIMED_OUT = [event("socket.timeout", 0, operation="sendto", injected=True)]
OTHER = cut(b"A" * 8191 + b"B")
TOO_LONG = cut(b"too long")
OWN_FILE = asked(0, answer=b"", file="own", sent=[], early=[*reply(0, b"H", held=""), *reply(0, b"I", held="")])
LATE = trace(asked(0), asked(1, listening=False))
CLOSED_BY_OWNER = trace(asked(0), [event("server_close.enter")], asked(1, listening=False))

GOOD = {
    "datagram/request-is-pair": {"as it should be": Asked(ONE, DATAGRAMS), "cut": Asked(cut(), DATAGRAMS)},
    "datagram/truncation-noticed": {"raises": truncation(cut(handle=Raised()), cut(handle=Raised()))},
    "datagram/one-reply": {
        "one each": Asked(TWO, DATAGRAMS),
        "an empty one": Asked(DATAGRAM_TRACES["an empty datagram"], DATAGRAMS, spare=True),
    },
    "datagram/no-half-reply": {
        "nothing written": of(asked(0, answer=b"", handle=Raised())),
        "kept back": of(asked(0, answer=b"", handle=Raised(), sent=[])),
        "an error of its own": of(asked(0, answer=b"", handle=Raised(), sent=[], early=reply(0, b"bad", held=""))),
    },
    "datagram/reply-to-sender": {
        "each to its own": Asked(TWO, DATAGRAMS),
        "to everybody": of(asked(0), asked(1, 1, early=astray(1))),
    },
    "datagram/shared-socket-stays-open": {
        "open": Asked(TWO, DATAGRAMS),
        "closed by its owner": Asked(CLOSED_BY_OWNER, DATAGRAMS),
    },
    "handler/no-uncaught-exception": NOBODYS_FAULT,
    "lifecycle/finish-does-not-raise": NOBODYS_FAULT,
    "handler/reset-is-expected": NOBODYS_FAULT,
    "resources/no-fd-leak": {"one datagram": Asked(ONE, DATAGRAMS)},
}

BAD = {
    "datagram/request-is-pair": {
        "bytes alone": of(asked(0, pair=False)),
        "a socket of its own": of(asked(0, own=False)),
        "to a base handler": of(asked(0, pair=False), contract=BASE),
    },
    "datagram/truncation-noticed": {"follows the last byte": truncation(OTHER)},
    "datagram/one-reply": {
        "two": of(asked(0, sent=[*reply(0, b"HELLO"), *reply(0, b"HELLO")])),
        "none": of(asked(0, sent=[])),
        "a part": of(asked(0, sent=reply(0, b"HELL", held="part"))),
        "one for each write": of(OWN_FILE),
        "too long, and put up with": of(asked(0, sent=refused(0, "EMSGSIZE"))),
    },
    "datagram/no-half-reply": {
        "half": of(asked(0, answer=b"HEL", handle=Raised())),
        "half, and the server stops": of(asked(0, answer=b"HEL", handle=Raised(SystemExit))),
    },
    "datagram/reply-to-sender": {
        "to the last speaker": of(
            asked(0), asked(1, 1, sent=[], early=astray(1)), contract=replace(BASE, stateless=True)
        ),
        "by finish()": of(asked(0, sent=astray(0, held="same"))),
        "to nobody, by finish()": of(asked(0, sent=astray(0, to="nobody", held="same"))),
        "a stateless one": of(asked(0, sent=[], early=astray(0)), contract=replace(BASE, stateless=True)),
        "from elsewhere": of(asked(0, sent=reply(0, b"HELLO", own=False))),
    },
    "datagram/shared-socket-stays-open": {
        "closed": of(asked(0, listening=False)),
        "closed by the second": Asked(LATE, BASE),
    },
    "handler/no-uncaught-exception": {
        "a reply to nobody": of(asked(0, form="none", handle=Raised(TypeError)), contract=BASE),
        "its own finish()": of(asked(0, form="none", finish=Raised(TypeError, frame="tests:Handler.pack"))),
    },
    "handler/reset-is-expected": {
        "the peer has left": of(asked(0, early=refused(0), handle=Raised(ConnectionRefusedError)), contract=BASE),
        "its path has gone": of(asked(0, early=refused(0, "ENOENT"), handle=Raised(FileNotFoundError)), contract=BASE),
    },
    "lifecycle/finish-does-not-raise": {"a reply that no datagram holds": TOO_LONG_A_REPLY},
    "server/next-request-served": {"never taken": of(asked(0), NEVER_TAKEN)},
    "liveness/no-spin": {"polls the shared socket": of(asked(0, early=spin(0)), contract=BASE)},
}

DOUBT = {
    "datagram/request-is-pair": {"unpacked": of(asked(0, whole=False))},
    "lifecycle/one-handler-per-request": {"dropped": Asked(DROPPED, Contract(overrides=("process_request",)))},
    "datagram/truncation-noticed": {
        "another relation": Asked(Family("isolation", ONE, ONE, ONE), DATAGRAMS),
        "not cut": truncation(ONE, ONE),
        "too long": truncation(TOO_LONG, TOO_LONG),
        "no reply": truncation(cut(b""), cut(b"")),
        "stopped": truncation(OTHER, cut(early=stall(0))),
        "changes by itself": Asked(Family("truncation", TOO_LONG, cut(b"long"), OTHER), DATAGRAMS),
        "left": truncation(trace([event("peer.leave", -1, peer=0)], asked(0, cut=True))),
    },
    "datagram/one-reply": {
        "a base handler": of(asked(0, sent=[]), contract=BASE),
        "keeps an empty one back": of(asked(0, answer=b"", sent=[])),
        "a file of its own": of(asked(0, answer=b"", file="own")[:-3], contract=BASE),
        "silent, with a file of its own": of(asked(0, answer=b"", file="own", sent=[])),
        "another reply": of(asked(0, sent=reply(0, b"\0\5HELLO", held="other"))),
        "finish() fails": of(asked(0, finish=Raised())),
        "the peer has left, and finish() puts up with it": of(asked(0, sent=refused(0))),
        "sending times out, and finish() puts up with it": of(asked(0, sent=TIMED_OUT)),
        "nobody to answer, and finish() puts up with it": of(asked(0, form="none", sent=[])),
        "stopped": of(asked(0, early=stall(0))),
    },
    "datagram/no-half-reply": {
        "a base handler": of(asked(0, handle=Raised()), contract=BASE),
        "nothing raised": Asked(ONE, DATAGRAMS),
        "by our fault": Asked(DATAGRAM_TRACES["handle raises"], DATAGRAMS),
    },
    "datagram/reply-to-sender": {
        "a relay that acknowledges": of(asked(0), asked(1, 1, sent=[], early=astray(1))),
        "a relay": of(asked(0, sent=[]), asked(1, 1, sent=[], early=astray(1)), contract=BASE),
        "to somebody outside": of(asked(0), asked(1, 1, sent=[], early=astray(1, to="nobody")), contract=BASE),
        "to one whose datagram it took itself": of(
            asked(0), asked(1, 1, sent=[], early=[taken(1, 2, via="handler")[2], *astray(1)])
        ),
        "from a socket of its own": of(asked(0, sent=[], early=reply(0, b"HELLO", own=False, held=""))),
        "no reply at all": of(asked(0, sent=[]), contract=BASE),
    },
    "datagram/shared-socket-stays-open": {"no datagrams": Asked(DATAGRAM_TRACES["nobody comes"])},
}
