"""One request on its way through a server, and whether the server is still there for the next one.

The source is `BaseServer._handle_request_noblock` and what it calls. An exception that our own fault raises in
verify_request(), handle_error() or get_request(), or a SystemExit that it raises anywhere, ends every plain server:
that is well-known behaviour of CPython, and nobody's bug. With ThreadingMixIn or ForkingMixIn only what is raised in
the serving thread of the parent ends the server; a forked parent calls close_request() for its copy and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from handshaker.harness.contract import CONCURRENT_PATH, SERVER_PATH, Contract
from handshaker.harness.invariants.base import STOPS, Answer, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.facts import (
    SERVED_BY,
    chosen_against,
    first,
    is_concurrent,
    is_exception,
    is_over,
    peers,
    settled_of,
    shown,
    struck,
    told,
    with_exception,
)
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Reach, Violation

__all__: list[str] = []

_LOOP: Final = ("_handle_request_noblock", "handle_request", "serve_forever")
_PATH: Final = (
    "get_request",
    "verify_request",
    "process_request",
    "process_request_thread",
    "finish_request",
    "shutdown_request",
    "close_request",
)


@invariant(
    "server/address",
    "LC-016",
    "server_address is the address",
    requirement="server.server_address equals server.socket.getsockname() once the server is bound, "
    "with the real port when port 0 was asked for.",
    source="socketserver documentation, BaseServer.server_address: 'The address on which the server is listening'; "
    "Lib/socketserver.py, TCPServer.server_bind",
    broken_by=("__init__", "server_bind", "server_activate"),
)
def _address(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for event in trace.of("server.address"):
        if not event["agrees"]:
            actual = f"they differ: {event['addresses']!r}"
            expected = "server.server_address is server.socket.getsockname()"
            yield shown(expected, actual, event, damage="another address")


@invariant(
    "server/denied-request-closed",
    "LC-040",
    "a denied request is closed",
    requirement="When verify_request() says no, no handler is built, shutdown_request() is called once, "
    "and the loop goes on.",
    source="socketserver documentation, BaseServer.verify_request: 'if it's False, the request will be denied'; "
    "Lib/socketserver.py, BaseServer._handle_request_noblock",
    reach=Reach.PEER,
    kinds=("shutdown_request.enter",),
    broken_by=(*_LOOP, "verify_request", "shutdown_request"),
)
def _denied_request_closed(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for _, events in peers(trace):
        denied = next((event for event in events if event.kind == "verify_request.leave" and not event["result"]), None)
        if denied is None:
            continue
        served = first(events, "process_request.enter", "finish_request.enter", "setup.enter", after=denied.seq)
        if served is not None:
            actual = f"{served.kind.partition('.')[0]}() was called nevertheless"
            expected = "verify_request() said no, so no handler is built"
            yield shown(expected, actual, denied, served, damage="served")
        shut = [event for event in events if event.kind == "shutdown_request.enter" and event.seq > denied.seq]
        if len(shut) != 1 and is_over(trace, events):
            actual = f"shutdown_request() was called {len(shut)} times" if shut else "it was left open"
            expected = "verify_request() said no, so the request is shut down once"
            yield shown(expected, actual, denied, *shut, damage="several shutdowns" if shut else "left open")


@invariant(
    "server/verify-request-does-not-raise",
    "LC-041",
    "verify_request() does not raise",
    requirement="verify_request() does not raise: an exception there ends serve_forever() and leaves the request open.",
    source="Lib/socketserver.py, BaseServer._handle_request_noblock: the call stands outside the try",
    reach=Reach.PEER,
    broken_by=("verify_request",),
)
def _verify_request_does_not_raise(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for raised in settled_of(trace, "verify_request.raise"):
        if not raised["injected"]:
            actual = f"verify_request() raised {told(raised)}: the server stopped and the request was left open"
            yield with_exception(raised, "verify_request() returns True or False", actual)


@invariant(
    "server/accept-errors-survived",
    "LC-043",
    "a failed accept does not end the server",
    requirement="An OSError from get_request() drops that request silently and the loop goes on; "
    "get_request() raises nothing else.",
    source="Lib/socketserver.py, BaseServer._handle_request_noblock (except OSError: return)",
    reach=Reach.INJECTED,
    broken_by=(*_LOOP, "get_request"),
)
def _accept_errors_survived(trace: Trace, _contract: Contract) -> Answer:
    broken, closed = list(_accepting_failed(trace)), _closed_by_owner(trace)
    if closed is None:
        return broken
    sure = [violation for violation in broken if max(violation.witness) < closed.seq]
    if broken and not sure:
        return Unknown("the owner has closed the server, and a closed listener fails for good")
    return sure


def _accepting_failed(trace: Trace) -> Iterator[Violation]:
    for failed in settled_of(trace, "get_request.raise"):
        if "builtins.OSError" in failed["lineage"]:
            yield from _went_on(trace, failed)
        elif not failed["injected"]:
            actual = f"get_request() raised {told(failed)}, which ends the serving loop"
            yield with_exception(failed, "get_request() returns, or raises OSError", actual)


def _closed_by_owner(trace: Trace) -> Event | None:
    """Where the owner began to close the server by an act of its own, or the server itself, perhaps while it served."""
    for event in trace.of("owner.enter", "server_close.enter"):
        if event["act"] in ("close", "exit") if event.kind == "owner.enter" else event.connection < 0:
            return event
    return None


def _went_on(trace: Trace, failed: Event) -> Iterator[Violation]:
    """Between a failed accept and the server's next turn nothing happens to the request that never was."""
    served = ("verify_request.enter", "process_request.enter", "handle_error.enter", "shutdown_request.enter")
    following = first(trace, "get_request.enter", *served, "server.stopped", after=failed.seq)
    if following is None or following.kind == "get_request.enter":
        return
    stopped = following.kind == "server.stopped"
    actual = "the server stopped" if stopped else f"{following.kind.partition('.')[0]}() was called"
    expected = f"get_request() raised {told(failed)}: the request is dropped and the loop goes on"
    yield shown(expected, actual, failed, following, damage="stopped" if stopped else following.kind)


@invariant(
    "server/hook-order",
    "LC-044",
    "the server's hooks run in their order",
    requirement="For each request the server calls get_request, verify_request, process_request, finish_request, "
    "handle_error if there was an error, shutdown_request and close_request, in this order.",
    source="socketserver documentation, BaseServer.handle_request: 'This function calls the following methods in "
    "order: get_request(), verify_request(), and process_request()'; Lib/socketserver.py, BaseServer",
    kinds=(
        "get_request.leave",
        "verify_request.leave",
        "process_request.enter",
        "finish_request.enter",
        "shutdown_request.enter",
        "close_request.enter",
    ),
    orders=(
        ("process_request.enter", "finish_request.enter"),
        ("finish_request.enter", "shutdown_request.enter"),
        ("shutdown_request.enter", "close_request.enter"),
    ),
    broken_by=(*_LOOP, *_PATH),
    implied_by=(
        "server/error-reported-once",
        "server/base-exceptions",
        "server/denied-request-closed",
        "server/accept-errors-survived",
        "resources/socket-closed-once",
        "resources/shutdown-before-close",
        "resources/parent-closes-connection",
        "server/child-exits",
    ),
)
def _hook_order(trace: Trace, contract: Contract) -> Answer:
    requests = [events for _, events in peers(trace)]
    own = not SERVED_BY.isdisjoint(contract.overrides)
    kept = [events for events in requests if own and _is_kept(events)]
    judged = [events for events in requests if events not in kept]
    found = [_off_the_path(trace, events) or _parent_goes_on(events) for events in judged]
    broken = [violation for violation in found if violation is not None]
    if kept and not broken:
        return Unknown("process_request() leaves a connection to somebody who closes it without the server's hooks")
    if not broken and any(chosen_against(trace, events) for events in requests):
        return Unknown("process_request() turned the peer away, which may be meant")
    return broken


def _is_kept(events: Sequence[Event]) -> bool:
    """Whether the server is done with a request that somebody closes later."""
    hooks = first(events, "shutdown_request.enter", "close_request.enter", "handle_error.enter")
    return (
        hooks is None
        and first(events, "finish_request.leave") is not None
        and first(events, "socket.close") is not None
    )


_STEPS: Final = frozenset(kind for steps in SERVER_PATH.values() for kind in steps)
_PASSING: Final = ("process_request.raise", "shutdown_request.raise")


def _parent_goes_on(events: Sequence[Event]) -> Violation | None:
    """The hooks that the parent of a fork enters for the request: close_request() once, and no other."""
    entered = [event for event in events if event.kind == "parent.hook"]
    wrong = next((event for event in entered if event["hook"] != "close_request"), None)
    if wrong is None:
        wrong = entered[1] if len(entered) > 1 else None
    if wrong is None:
        return None
    fork = first(events, "process.fork")
    expected = "after a fork the parent calls close_request() once; all other hooks run in the child"
    return shown(expected, f"the parent called {wrong['hook']}()", fork, wrong, damage=f"{wrong['hook']} in the parent")


def _off_the_path(trace: Trace, events: Sequence[Event]) -> Violation | None:
    """The first illegal step through the server's path.

    An exception may pass through a hook that it did not arise in.
    """
    path = CONCURRENT_PATH if is_concurrent(trace) else SERVER_PATH
    if chosen_against(trace, events):
        path = {**path, "processing": {**path["processing"], "shutdown_request.enter": "shutting down"}}
    state, last = "idle", None
    for event in events:
        if event.kind == "handle_error.raise":
            # Where handle_error() is called from another hook too, the loop may still clean up; no order is promised.
            return None
        allowed = _allowed(path, state, last)
        if event.kind in allowed:
            state, last = path[state][event.kind], event
        elif event.kind in _STEPS and event.kind not in _PASSING:
            return _illegal(allowed, state, last, event)
    settled = state in ("idle", "stopped") or first(trace, "server.stopped", "process.escaped") is not None
    if settled or not is_over(trace, events) or _ended_by_handler(events):
        return None
    return _illegal(_allowed(path, state, last), state, last, None)


def _allowed(path: dict[str, dict[str, str]], state: str, last: Event | None) -> tuple[str, ...]:
    """The steps that the table allows, and of the two after verify_request() the one that it decided for."""
    if state == "verified" and last is not None:
        return ("process_request.enter",) if last["result"] else ("shutdown_request.enter",)
    return tuple(path[state])


def _ended_by_handler(events: Sequence[Event]) -> bool:
    """Whether a child ended while its handler ran: what follows is missing, and liveness/process-survives says why."""
    outcome = first(events, "finish_request.leave", "finish_request.raise")
    return first(events, "process.end") is not None and outcome is None


def _illegal(steps: Sequence[str], state: str, last: Event | None, event: Event | None) -> Violation:
    allowed = " or ".join(steps) or "nothing"
    return shown(
        f"{f'after {last.kind}' if last else 'first'} comes {allowed}",
        f"{event.kind} came next" if event else "nothing came next",
        last,
        event,
        damage=f"{event.kind if event else 'nothing'} while {state}",
    )


@invariant(
    "server/next-request-served",
    "LC-050",
    "the next request is served",
    requirement="After any client behaviour the server still answers the next well-formed request.",
    source="socketserver documentation, BaseServer.handle_error: 'continue handling further requests'",
    reach=Reach.PEER,
    implied_by=(
        "server/error-reported-once",
        "server/base-exceptions",
        "server/verify-request-does-not-raise",
        "server/handle-error-does-not-raise",
        "server/accept-errors-survived",
        "datagram/shared-socket-stays-open",
        "server/listener-open-while-serving",
        "server/service-actions",
        "server/shutdown-returns",
    ),
)
def _next_request_served(trace: Trace, _contract: Contract) -> Answer:
    stopped, halted = first(trace, "server.stopped"), first(trace, *STOPS, "probe.process-gone", "probe.hung")
    if stopped is None:
        if first(trace, "owner.enter") is not None:
            return Unknown("whether a peer is served is decided by the owner of the server")
        if halted is not None:
            return NotApplicable("a handler was stopped from outside, so the server's fate tells nothing")
        if _ended_by_a_handler(trace):
            return Unknown("a handler has called shutdown(): who comes after that is not served, which may be meant")
        return [_never_accepted(event) for event in _unserved(trace)]
    if _closed_by_owner(trace) is not None:
        return Unknown("the owner has closed the server, and what the loop makes of that is not a peer's doing")
    if halted is not None and halted.seq < stopped.seq and stopped.connection in (halted.connection, -1):
        return NotApplicable("the handler was stopped from outside, and the server with it")
    if _is_ours(trace, stopped):
        return NotApplicable("the injected fault ends every plain server")
    return [_stopped(trace, stopped, _unserved(trace))]


def _ended_by_a_handler(trace: Trace) -> bool:
    return any(event.connection >= 0 for event in trace.of("shutdown.enter", "server_close.enter"))


def _is_ours(trace: Trace, stopped: Event) -> bool:
    """Whether our own fault stopped the server, as it would stop any."""
    if not stopped["injected"]:
        return False
    hooks = ("verify_request", "handle_error", "get_request", "service_actions")
    return not is_exception(stopped) or any(struck(trace, hook) for hook in hooks)


def _unserved(trace: Trace) -> list[Event]:
    """The connects of peers that the server never tried to accept; for datagrams, that they were never taken."""
    if trace.of("peer.datagram"):
        return list(trace.of("server.abandoned"))
    tried = {event.connection for event in trace.of("get_request.leave", "get_request.raise")}
    return [event for event in trace.of("peer.connect") if event.connection not in tried]


def _stopped(trace: Trace, stopped: Event, unserved: Sequence[Event]) -> Violation:
    abandoned = first(trace, "server.abandoned")
    count = abandoned["count"] if abandoned is not None else len(unserved)
    waiting = f"; {count} more peer(s) were never served" if count else ""
    expected = "whatever this peer does, the server goes on to the next one"
    actual = f"{told(stopped)} left the serving loop: the server is dead{waiting}"
    return with_exception(stopped, expected, actual, also=(abandoned, *unserved))


def _never_accepted(connect: Event) -> Violation:
    if connect.kind == "server.abandoned":
        actual = f"{connect['count']} datagram(s) were never taken, although the server had time enough"
        return shown("every datagram that arrived is taken and handled", actual, connect, damage="never taken")
    actual = "the peer connected and was never accepted"
    return shown("the peer is accepted and served", actual, connect, damage="never accepted")
