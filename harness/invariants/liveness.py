"""A handler ends: after the peer's end, after an error, within its own timeout; and it takes nobody else with it.

Judged by counted operations and by "still in handle() after the peer's end", never by the clock or by CPU percent.
One endless loop is one finding: after the end of the stream it is `ends-after-eof`, after a reset or a broken pipe it
is `ends-after-reset`, anything else that repeats without waiting is `no-spin`. A handler that waits again and again
with a timeout of its own does not spin; only a *declared* timeout makes that wrong.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import STOPS, Answer, Family, NotApplicable, Unknown, invariant, settled
from handshaker.harness.invariants.connection import REQUESTS, Events, before, each_connection, has, of_kind, stopped
from handshaker.harness.invariants.facts import first, is_concurrent
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_KINDS: Final = ("network.stalled", "network.spinning")
_EOF: Final = ("half-closed", "closed")
_OF_DATAGRAMS: Final = ("recvfrom", "sendto")
_VERBS: Final = {"network.stalled": "waits for ever in", "network.spinning": "repeats for ever"}


def _cause(end: Event) -> str:
    """Which rule an endless handler belongs to: eof, reset, silence (it waits for the peer), or spin."""
    after, operation = end["after"], end["operation"]
    if operation in _OF_DATAGRAMS:
        # Datagrams have no end that a handler could see: others may still come.
        return "silence" if end.kind == "network.stalled" else "spin"
    if after == "reset":
        return "reset"
    if operation == "send":
        # A peer that ended only its own sending may still refuse to read.
        return "silence" if end.kind == "network.stalled" else "reset" if after == "closed" else "spin"
    if after in _EOF:
        return "eof"
    return "silence" if end.kind == "network.stalled" else "spin"


def _endless(events: Events, cause: str, expected: str) -> Answer:
    end = first(events, *_KINDS)
    if end is None or _cause(end) != cause:
        return Unknown("a bound was hit") if has(events, "network.limit") else []
    peer = {"reset": "has reset", "open": "is silent"}.get(end["after"], f"has {end['after']} the connection")
    verb = _VERBS[end.kind]
    return [
        Violation(
            expected,
            f"the peer {peer}, and the handler {verb} {end['operation']}",
            (end.seq,),
            end.connection,
            damage=f"{verb} {end['operation']}",
        )
    ]


def _held_up(trace: Trace, events: Events) -> Unknown | None:
    """Whether a handler that waits, but not for its peer, may wait for another one that was served at the same time.

    Nor is it the handler any more that holds a connection when it has returned: how long its thread does is its own.
    """
    end = first(events, "network.stalled")
    if end is None or end["operation"] != "handle":
        return None
    if has(before(events, end), "finish_request.leave"):
        return Unknown("the handler has returned, and a thread of its own keeps the connection")
    if not is_concurrent(trace):
        return None
    others = [other for other in trace.of(*STOPS) if other.connection not in (-1, end.connection)]
    return (
        Unknown("its handler may wait for another one, which hangs: see relation/concurrent-isolation")
        if others
        else None
    )


@invariant(
    "liveness/ends-after-eof",
    "LC-055",
    "the handler ends after the end of the stream",
    requirement="After the peer has ended the stream, by half-closing or closing at any byte, the handler ends.",
    source="io documentation, RawIOBase.read and socket.recv: an empty bytes object is the end of the stream",
    reach=Reach.PEER,
    implied_by=("server/listener-open-while-serving",),
)
def _ends_after_eof(trace: Trace, _contract: Contract) -> Answer:
    ended = ("peer.half-close", "peer.close")
    expected = "the handler ends when reads give b''"
    return each_connection(trace, lambda events: _held_up(trace, events) or _endless(events, "eof", expected), *ended)


@invariant(
    "liveness/ends-after-reset",
    "LC-056",
    "the handler ends after a reset",
    requirement="After a reset or a broken pipe the handler ends; it does not try for ever.",
    source="Linux tcp(7): ECONNRESET is given once, then reads give the end of the stream and writes EPIPE",
    reach=Reach.TIMING,
    implied_by=("liveness/ends-after-eof",),
)
def _ends_after_reset(trace: Trace, _contract: Contract) -> Answer:
    gone, expected = ("peer.reset", "peer.close"), "the handler ends when the connection is broken"
    return each_connection(trace, lambda events: _held_up(trace, events) or _endless(events, "reset", expected), *gone)


@invariant(
    "liveness/no-spin",
    "LC-057",
    "nobody spins",
    requirement="A handler that waits does a bounded number of operations: it does not repeat one that cannot succeed.",
    source="socket documentation, Notes on socket timeouts: a non-blocking operation fails at once, so wait with "
    "select()",
    reach=Reach.PEER,
    implied_by=("liveness/ends-after-eof", "liveness/ends-after-reset"),
)
def _no_spin(trace: Trace, _contract: Contract) -> Answer:
    turning = [event for event in trace.of("server.turned") if not _must_spin(trace, event)]
    return [_loop_spins(event) for event in turning] or each_connection(trace, _no_spin_in, *REQUESTS)


def _must_spin(trace: Trace, turned: Event) -> bool:
    """Whether any loop would have turned like this: its socket was closed, or no descriptor was to be had."""
    closed = any(event.seq < turned.seq for event in trace.of("server_close.enter"))
    return closed or any(event["effect"] == "exhausted" for event in trace.of("network.fault"))


def _loop_spins(event: Event) -> Violation:
    actual = f"the loop turned {event['turns'] * 10} times with nothing to do; {event['allowed'] * 10} would be plenty"
    return Violation("the loop waits for a request", actual, (event.seq,), event.connection, damage="the loop spins")


def _no_spin_in(events: Events) -> Answer:
    end = first(events, "network.spinning")
    if end is not None and _cause(end) == "spin" and _waits_between(events):
        return Unknown("it waits between its attempts, with a timeout of its own")
    return _endless(events, "spin", "a bounded number of attempts, or a wait between them")


def _waits_between(events: Events) -> bool:
    """Whether the attempts before the spin was noticed were waits that timed out (on a socket that does wait)."""
    attempts = of_kind(events, "socket.timeout", "socket.error", "socket.eof", "socket.recv", "socket.send")
    return bool(attempts) and attempts[-1].kind == "socket.timeout"


@invariant(
    "liveness/timeout-respected",
    "LC-058",
    "a silent peer holds the handler no longer than its timeout",
    requirement="Where a timeout is declared, a peer that is silent, slow, or does not read cannot hold the handler "
    "for ever.",
    source="socketserver documentation, Introduction: a server is deaf while it handles a request; "
    "Lib/socketserver.py: 'A timeout to apply to the request socket, if not None'",
    reach=Reach.TIMING,
    implied_by=("io/timeout-applied",),
)
def _timeout_respected(trace: Trace, contract: Contract) -> Answer:
    # What a handler of datagrams declares is set by nobody: there is no socket of the request.
    declared = None if contract.kind == "datagram" else contract.timeout
    return each_connection(
        trace, lambda events: _held_up(trace, events) or _timeout_respected_in(events, declared), *REQUESTS
    )


def _timeout_respected_in(events: Events, declared: float | None) -> Answer:
    end = first(events, *_KINDS)
    settings = [event["seconds"] for event in of_kind(before(events, end) if end else events, "socket.settimeout")]
    if declared is None and not any(settings):
        return NotApplicable("no timeout is declared")
    if end is None:
        return Unknown("the handler was stopped from outside") if stopped(events) else []
    cause, polls = _cause(end), _waits_between(events)
    if cause not in ("spin", "silence") or (cause == "spin" and not polls):
        return []
    if declared is None and (polls or settings[-1] is not None or end["operation"] not in _IN_SOCKET):
        return Unknown("the handler polls with a timeout of its own, and may want to wait for ever")
    if polls:
        return _held(end, "the timeout struck again and again, and the handler waited once more", "timeout ignored")
    if declared is None:
        return Unknown("the handler took its timeout back, and may want to wait for ever")
    if settings and settings[-1] is not None and end["operation"] in _IN_SOCKET:
        return Unknown("the timeout had not passed yet")
    lost = " after the timeout had been taken back" if settings and settings[-1] is None else ""
    return _held(end, f"the peer holds the handler for ever in {end['operation']}{lost}", f"held in {end['operation']}")


_IN_SOCKET: Final = ("recv", "send")
"""Where a wait on the handler's own socket is noticed, to which its timeout applies."""


def _held(end: Event, actual: str, damage: str) -> Answer:
    expected = "the handler gives the peer up when its timeout has passed"
    return [Violation(expected, actual, (end.seq,), end.connection, damage=damage)]


@invariant(
    "liveness/process-survives",
    "HS-001",
    "no traffic ends the process",
    requirement="No peer can end the process that the handler runs in: neither by an exit nor by a crash. A child that "
    "was forked for the request ends by itself when the request is over.",
    source="socketserver documentation, BaseServer.handle_error: after an error the server goes on to handle requests",
    reach=Reach.PEER,
)
def _process_survives(trace: Trace, _contract: Contract) -> Answer:
    gone = [(event, "the process goes on to serve the next peer") for event in trace.of("probe.process-gone")]
    gone += [(event, "the child goes on until its request is over") for event in _ended_in_handler(trace)]
    return [
        Violation(
            expected,
            f"the process ended with {event['status']}",
            (event.seq,),
            event.connection,
            damage=f"process ended: {event['status']}",
        )
        for event, expected in gone
    ]


def _ended_in_handler(trace: Trace) -> list[Event]:
    """The ends of forked children that came while the handler ran."""
    return [
        end
        for end in trace.of("process.end")
        for events in (settled(trace, end.connection),)
        if has(events, "init.enter", "setup.enter")
        and not has(events, "finish_request.leave", "finish_request.raise", "init.leave", "init.raise")
        and not stopped(events)
    ]


@invariant(
    "liveness/no-hang",
    "HS-002",
    "one request takes bounded time",
    requirement="Handling one request ends in bounded time, also where no socket is involved: no endless loop, no "
    "deadlock.",
    source="socketserver documentation, Introduction: requests are processed one after another unless a mix-in is used",
    reach=Reach.PEER,
    implied_by=(
        "liveness/ends-after-eof",
        "liveness/ends-after-reset",
        "liveness/no-spin",
        "liveness/timeout-respected",
        "server/shutdown-returns",
    ),
)
def _no_hang(trace: Trace, _contract: Contract) -> Answer:
    return [
        Violation(
            "the request ends in bounded time",
            f"the request had not ended when the watchdog struck{f', in {where}' if where else ''}",
            (event.seq,),
            event.connection,
            damage="hung",
            frame=str(where),
        )
        for event in trace.of("probe.hung")
        for where in (event["where"],)
    ]


@invariant(
    "liveness/answers-complete-message",
    "LC-054",
    "a complete message is answered without waiting for EOF",
    requirement="When a complete message is in, the handler answers; it does not wait for the peer to end the stream.",
    source="socketserver documentation, StreamRequestHandler: a message ends where the protocol says, not where the "
    "stream does",
    level=Level.SHOULD,
    reach=Reach.PEER,
    implied_by=("relation/segmentation", "io/one-reader"),
    relation=True,
)
def _answers_complete_message(family: Family, contract: Contract) -> Answer:
    """Compares the declared example with a half-close after it (base, repeat) and without one (variant)."""
    if family.relation != "completeness":
        return NotApplicable("not a family about completeness")
    if not contract.example:
        return Unknown("no example exchange is declared, so nobody knows when a message is complete")
    ended = [_reply_before_waiting(trace, contract.example) for trace in (family.base, family.repeat)]
    sizes = [size for size, end in ended if size and end is not None and end.kind == "peer.end"]
    size, waiting = _reply_before_waiting(family.variant, contract.example)
    if len(sizes) < len(ended) or waiting is None:
        return Unknown("the example exchange was not played to its end, or has no reply")
    if size >= min(sizes):
        return []
    if size or waiting.kind == "peer.end":
        return Unknown("the reply came in part, or the handler ended without one")
    return [
        Violation(
            "the reply to the complete message, while the stream is still open",
            "no byte of reply before the handler waited for more; with a half-close after the message it answers",
            (waiting.seq,),
            waiting.connection,
            damage="waits for the end of the stream",
        )
    ]


def _reply_before_waiting(trace: Trace, example: bytes) -> tuple[int, Event | None]:
    """Bytes of reply to *example* until the handler waited in vain (or the connection ended), and that event."""
    for number in trace.connections:
        events = settled(trace, number)
        if b"".join(event["data"] for event in of_kind(events, "peer.send")) == example:
            end = first(events, "network.stalled", "socket.timeout", "peer.end")
            sent = of_kind(before(events, end), "socket.send") if end else []
            return sum(len(event["data"]) for event in sent), end
    return 0, None
