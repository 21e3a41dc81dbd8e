"""Traces of handlers that end, that never do, and of which nobody can tell."""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Family
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import TRACES, Part, event, inserted, peer, trace

ONE = TRACES["one peer"]
RESET = TRACES["peer resets"]
TIMED = Contract(timeout=5.0)
LINE = Contract(example=b"hello\n")
TIMEOUT = event("socket.timeout", 0, operation="recv", injected=False)
AGAIN = event("socket.error", 0, operation="recv", errno="EAGAIN", injected=False)
EOF = event("socket.eof", 0, via="socket")
REFUSED = event("socket.error", 0, operation="send", errno="EPIPE", injected=False)


def endless(how: str, operation: str, after: str, *early: tuple) -> Trace:
    """One peer, which ends in the way *after* says; then its handler never ends."""
    ends = {"half-closed": "half-close", "closed": "close", "reset": "reset"}

    def body(number: int) -> Part:
        over = [event(f"peer.{ends[after]}", number)] if after in ends else []
        return [*over, *early, event(f"network.{how}", number, operation=operation, after=after)]

    return trace(peer(0, body=body))


def timeout_set(seconds: float | None) -> tuple:
    """The event of settimeout()."""
    return event("socket.settimeout", 0, seconds=seconds)


def gone(status: str) -> Trace:
    """The process ended while the handler ran."""
    return inserted(ONE, [event("probe.process-gone", 0, status=status)], after="handle.enter")


def hung(where: str) -> Trace:
    """The watchdog struck while the handler ran."""
    return inserted(ONE, [event("probe.hung", 0, "a stack", where=where)], after="handle.enter")


def exchange(*, answered: bytes, half_closed: bool, waits: bool = False, sent: bytes = b"hello\n") -> Trace:
    """The example is sent; *answered* is the reply before the handler waits, or ends."""

    def body(number: int) -> Part:
        part = [event("peer.send", number, sent), event("socket.recv", number, sent, via="rfile")]
        part += [event("peer.half-close", number)] * half_closed
        if answered:
            part.append(event("socket.send", number, answered, via="sendall", complete=True, resumes=False))
        part += [event("network.stalled", number, operation="recv", after="open")] * waits
        return part

    return trace(peer(0, body=body))


def completeness(variant: Trace, base: Trace | None = None) -> Family:
    """The example with a half-close, twice, and *variant*."""
    base = base or exchange(answered=b"hello\n", half_closed=True)
    return Family("completeness", base, base, variant)


WITHOUT_EOF = exchange(answered=b"", half_closed=False, waits=True)

GOOD = {
    "liveness/ends-after-eof": {
        "ends": Asked(ONE),
        "held by a peer that does not read": Asked(endless("stalled", "send", "half-closed")),
    },
    "liveness/ends-after-reset": {"ends": Asked(RESET)},
    "liveness/no-spin": {
        "ends": Asked(ONE),
        "waits for ever instead": Asked(endless("stalled", "recv", "open")),
        "the spin belongs to the end of the stream": Asked(endless("spinning", "recv", "half-closed", EOF)),
    },
    "liveness/timeout-respected": {
        "gives up": Asked(TRACES["peer is silent"], TIMED),
        "its own timeout": Asked(inserted(ONE, [timeout_set(1.0)], after="handle.enter")),
    },
    "liveness/process-survives": {"survives": Asked(ONE)},
    "liveness/no-hang": {"ends": Asked(ONE)},
    "liveness/answers-complete-message": {
        "answers, then waits for more": Asked(
            completeness(exchange(answered=b"hello\n", half_closed=False, waits=True)), LINE
        ),
        "answers and closes": Asked(completeness(exchange(answered=b"hello\n", half_closed=False)), LINE),
    },
}

BAD = {
    "liveness/ends-after-eof": {
        "spins on b''": Asked(endless("spinning", "recv", "half-closed", EOF)),
        "spins after a close": Asked(endless("spinning", "recv", "closed", EOF)),
        "waits for something else": Asked(endless("stalled", "select", "closed")),
    },
    "liveness/ends-after-reset": {
        "spins after a reset": Asked(endless("spinning", "recv", "reset", EOF)),
        "writes to a broken pipe for ever": Asked(endless("spinning", "send", "closed", REFUSED)),
    },
    "liveness/no-spin": {
        "polls a socket that does not wait": Asked(endless("spinning", "recv", "open", AGAIN)),
        "writes after its own shutdown": Asked(endless("spinning", "send", "half-closed", REFUSED)),
    },
    "liveness/timeout-respected": {
        "taken back": Asked(endless("stalled", "recv", "open", timeout_set(5.0), timeout_set(None)), TIMED),
        "never set": Asked(endless("stalled", "recv", "open"), TIMED),
        "ignored": Asked(endless("spinning", "recv", "open", timeout_set(5.0), TIMEOUT), TIMED),
        "held in a write": Asked(endless("stalled", "send", "half-closed"), TIMED),
        "held outside the socket": Asked(endless("stalled", "handle", "open", timeout_set(5.0)), TIMED),
    },
    "liveness/process-survives": {"exit": Asked(gone("exit 0")), "crash": Asked(gone("signal SIGSEGV"))},
    "liveness/no-hang": {"loop": Asked(hung("tests:Handler.handle")), "unknown place": Asked(hung(""))},
    "liveness/answers-complete-message": {"waits for EOF": Asked(completeness(WITHOUT_EOF), LINE)},
}

KEPT = inserted(ONE, [event("network.stalled", 0, operation="handle", after="closed")], after="finish_request.leave")

DOUBT = {
    "liveness/ends-after-eof": {
        "a thread keeps the connection": Asked(KEPT),
        "the stream did not end": Asked(endless("stalled", "recv", "open")),
        "a bound was hit": Asked(inserted(ONE, [event("network.limit", 0, what="reply")], after="peer.half-close")),
    },
    "liveness/ends-after-reset": {"no reset": Asked(ONE)},
    "liveness/no-spin": {
        "waits between": Asked(endless("spinning", "recv", "open", timeout_set(0.5), TIMEOUT)),
        "nobody": Asked(TRACES["nobody comes"]),
    },
    "liveness/timeout-respected": {
        "no timeout": Asked(endless("stalled", "recv", "open")),
        "a timeout of its own, taken back": Asked(
            endless("stalled", "recv", "open", timeout_set(5.0), timeout_set(None))
        ),
        "polls with a timeout of its own": Asked(endless("spinning", "recv", "open", timeout_set(0.5), TIMEOUT)),
        "polls in real time": Asked(endless("stalled", "recv", "open", timeout_set(0.5), TIMEOUT)),
        "polls otherwise in real time": Asked(endless("stalled", "handle", "open", timeout_set(0.5))),
        "the timeout has not passed": Asked(endless("stalled", "recv", "open", timeout_set(5.0)), TIMED),
    },
    "liveness/answers-complete-message": {
        "nothing declared": Asked(completeness(WITHOUT_EOF)),
        "another relation": Asked(Family("segmentation", ONE, ONE, ONE), LINE),
        "no reply at all": Asked(completeness(WITHOUT_EOF, exchange(answered=b"", half_closed=True)), LINE),
        "a part of the reply": Asked(completeness(exchange(answered=b"hel", half_closed=False, waits=True)), LINE),
        "ended without a reply": Asked(completeness(exchange(answered=b"", half_closed=False)), LINE),
        "other bytes": Asked(completeness(exchange(answered=b"", half_closed=False, waits=True, sent=b"x")), LINE),
    },
}
