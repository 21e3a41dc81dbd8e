"""What rules ask of the events again and again: whose life, which exception, injected by whom, is it over.

Exceptions are told apart by the names in their `lineage`; their message and place are payload ("message @ file:line")
and are only quoted, never judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import STOPS, Settled, by_connection
from handshaker.harness.trace import Event, Trace, by_kind
from handshaker.harness.verdict import Violation

__all__ = [
    "INSTANCE_KINDS",
    "SERVED_BY",
    "chosen_against",
    "closed_meanwhile",
    "first",
    "is_allowed",
    "is_concurrent",
    "is_exception",
    "is_over",
    "is_owned",
    "lives",
    "peers",
    "settled_of",
    "shown",
    "struck",
    "told",
    "turned_away",
    "unanswerable",
    "unreachable",
    "was_cut",
    "was_killed",
    "with_exception",
]

INSTANCE_KINDS: Final = frozenset(
    f"{hook}.{edge}" for hook in ("init", "setup", "handle", "finish") for edge in ("enter", "leave", "raise")
)


def peers(trace: Trace) -> Iterator[tuple[int, tuple[Event, ...]]]:
    """Each connection with its settled events."""
    yield from by_connection(trace).items()


def lives(trace: Trace) -> Iterator[tuple[Event, ...]]:
    """The events of each handler instance, up to the point where its connection was stopped from outside."""
    for _, events in peers(trace):
        by_instance: dict[int, list[Event]] = {}
        for event in events:
            if event.kind in INSTANCE_KINDS:
                by_instance.setdefault(event["instance"], []).append(event)
        yield from map(tuple, by_instance.values())


def settled_of(trace: Trace, *kinds: str) -> Iterator[Event]:
    """The settled events of these *kinds*, of all connections."""
    for _, events in peers(trace):
        yield from (event for event in events if event.kind in kinds)


def first(events: Iterable[Event], *kinds: str, after: int = -1) -> Event | None:
    """The first event of one of these *kinds* behind the place *after*, or None."""
    if isinstance(events, Settled | Trace):
        known = events.by_kind if isinstance(events, Settled) else by_kind(events)
        if known.keys().isdisjoint(kinds):
            return None
    for event in events:
        if event.kind in kinds and event.seq > after:
            return event
    return None


def was_cut(events: Sequence[Event]) -> bool:
    """Whether the handler of these settled events was stopped from outside."""
    return bool(events) and events[-1].kind in STOPS


def was_killed(trace: Trace) -> bool:
    """Whether the process of the server has ended before its time, whoever was served then."""
    killed = any(event.connection < 0 for event in trace.of(*STOPS))
    return killed or first(trace, "probe.process-gone", "probe.hung") is not None


def is_over(trace: Trace, events: Sequence[Event]) -> bool:
    """Whether nothing more can follow for this connection, so that what is missing is really missing."""
    if was_cut(events) or was_killed(trace):
        return False
    if is_concurrent(trace):
        return _is_over_beside(trace, events)
    if is_owned(trace):
        return _loop_went_on(trace, events)
    return any(event.kind == "peer.end" for event in events) or bool(trace.of("server.closed"))


def _loop_went_on(trace: Trace, events: Sequence[Event]) -> bool:
    """Whether the thread that served this connection has done something else since.

    An owner may do what it likes with its server, and the Case ends with its last act, whoever is being served then.
    Where an act is blocked, another loop may have gone on.
    """
    if first(trace, "owner.blocked") is not None:
        return False
    taken = [event for event in events if event.kind in ("get_request.leave", "process_request.enter")]
    return bool(taken) and first(trace, *_GOING_ON, after=taken[-1].seq) is not None


SERVED_BY: Final = frozenset({"process_request", "process_request_thread"})
"""A server that overrides one of these may leave its requests to threads of its own, and they close them."""

_GOING_ON: Final = (
    "get_request.enter", "service_actions.enter", "serve_forever.leave", "serve_forever.raise",
    "handle_request.leave", "handle_request.raise",
)  # fmt: skip


def is_owned(trace: Trace) -> bool:
    """Whether the server's owner did what it liked, instead of serving all peers to their end."""
    return first(trace, "owner.enter") is not None


def is_concurrent(trace: Trace) -> bool:
    """Whether requests have threads or processes of their own, by a mix-in or by a way that the server has itself."""
    elsewhere = any(event["thread"] or event["process"] for event in trace.of("request.runs"))
    return trace.header.server in ("threading", "forking") or elsewhere


def _is_over_beside(trace: Trace, events: Sequence[Event]) -> bool:
    """Whether the thread or the child of the request has ended; a peer's end says nothing about either.

    A request that a server hands over in a way of its own is over when it has been closed: nobody knows who has it.
    """
    begun = first(events, "process.fork", "thread.start")
    if begun is not None and begun.get("child", 0) >= 0 and begun.get("outcome") != "failed":
        return first(events, "process.end" if begun.kind == "process.fork" else "thread.end") is not None
    if first(events, "close_request.leave") is not None:
        return True
    entered, failed = first(events, "process_request.enter"), first(events, "process_request.raise")
    return (entered is None or failed is not None) and bool(trace.of("server.closed"))


def is_exception(event: Event) -> bool:
    """Whether the exception is an ordinary one, which `except Exception` catches."""
    return "builtins.Exception" in event["lineage"]


def is_allowed(event: Event, contract: Contract) -> bool:
    """Whether the exception, or a base of it, is declared as allowed."""
    return any(name in contract.allowed_exceptions for name in event["lineage"])


def unanswerable(events: Iterable[Event], raised: Event, contract: Contract) -> bool:
    """Whether finish() of a datagram handler failed because nobody can be answered: CPython's own doing.

    An unbound Unix peer has no address (TypeError), and one that has left has no socket any more. Where an override of
    finish() is on the way, nobody can tell its TypeError from that of the finish() it calls.
    """
    if contract.kind != "datagram" or raised.kind != "finish.raise":
        return False
    if "builtins.TypeError" in raised["lineage"]:
        unbound = any(event.kind == "datagram.request" and event["form"] == "none" for event in events)
        return unbound and (not raised["frame"] or raised["frame"].endswith(".finish"))
    return "builtins.OSError" in raised["lineage"] and unreachable(events)


def closed_meanwhile(trace: Trace, raised: Event) -> bool:
    """Whether the owner has closed the server, and with it the socket of all datagrams, before this was raised."""
    if "builtins.OSError" not in raised["lineage"] or not trace.of("datagram.request", connection=raised.connection):
        return False
    closing = trace.of("server_close.enter")
    return any(event.seq < raised.seq and event.connection != raised.connection for event in closing)


def unreachable(events: Iterable[Event]) -> bool:
    """Whether a datagram could not be sent because the peer that it was for has left."""
    failed = (event for event in events if event.kind == "socket.error" and event["operation"] == "sendto")
    return any(event["errno"] in _GONE and not event["injected"] for event in failed)


_GONE: Final = ("ECONNREFUSED", "ENOENT", "ENOTCONN", "ECONNRESET")


def turned_away(events: Iterable[Event]) -> bool:
    """Whether the server shut a request down on purpose, and had no handler made for it."""
    kinds = events.by_kind.keys() if isinstance(events, Settled) else {event.kind for event in events}
    return "shutdown_request.enter" in kinds and _SERVED.isdisjoint(kinds)


_SERVED: Final = frozenset({
    "finish_request.enter", "init.enter", "setup.enter", "thread.start", "process.fork", "process_request.raise",
    "handle_error.enter",
})  # fmt: skip


def chosen_against(trace: Trace, events: Iterable[Event]) -> bool:
    """Whether process_request() turned a verified request away while others were served.

    verify_request() is there for this, but a server that bounds how many it serves at once may well do it later.
    """
    served = first(trace, "setup.enter") is not None
    return served and first(events, "process_request.enter") is not None and turned_away(events)


def struck(events: Iterable[Event], point: str) -> bool:
    """Whether an injected fault struck at *point* (a hook's both edges count as the hook)."""
    return any(event.kind == "network.fault" and event["point"].partition(".")[0] == point for event in events)


def told(event: Event) -> str:
    """The exception as a person reads it: `ValueError: bad length`."""
    if not event["lineage"]:
        return "no exception"
    name = event["lineage"][0].removeprefix("builtins.")
    message = _message(event)[0].removeprefix(f"{name.rpartition('.')[2]}:").strip()
    return f"{name}: {message}" if message else name


def shown(expected: str, actual: str, *events: Event | None, damage: str) -> Violation:
    """A Violation that these *events* show, about the connection of the first of them; None is left out."""
    seen = [event for event in events if event is not None]
    return Violation(expected, actual, tuple(sorted({event.seq for event in seen})), seen[0].connection, damage)


def with_exception(event: Event, expected: str, actual: str, *, also: tuple[Event | None, ...] = ()) -> Violation:
    """A Violation that blames the exception of a raise-event; *also* are further witnesses."""
    return replace(
        shown(expected, actual, event, *also, damage=""),
        exception=_defect(event["lineage"]),
        frame=event["frame"],
        location=_message(event)[1],
    )


def _defect(lineage: Sequence[str]) -> str:
    """The exception as the fingerprint has it: whether a reset is met as ECONNRESET or as EPIPE is timing only."""
    return _BROKEN if _BROKEN in lineage else lineage[0] if lineage else ""


_BROKEN: Final = "builtins.ConnectionError"
_LOCATED: Final = re.compile(r"(.*) @ (\S.*:\d+)", re.DOTALL)


def _message(event: Event) -> tuple[str, str]:
    """The message and the `file:line` of a raise-event; either may be empty."""
    text = str(event.get("message") or "")
    found = _LOCATED.fullmatch(text)
    return (found[1], found[2]) if found else (text, "")
