"""What a request must give back: its socket, its descriptors, its handler.

CPython's own leaks are not held against a handler: after a failed setup() nobody closes rfile and wfile, and a server
whose verify_request() or handle_error() raises leaves the request to the garbage collector. Nor are those that only
an injected fault at the edge of setup() or finish() can cause, since no code of the handler could have answered it.

`probe.descriptors` and `probe.threads` are differences over one whole Case. What a handler opens once and keeps for
later (a log file, a pool) looks like a leak the first time, so they must be measured in a process that has played the
Case before.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant, settled
from handshaker.harness.invariants.connection import (
    STOPPED,
    Events,
    after_handler,
    each_connection,
    has,
    inside,
    no_chance_to_clean_up,
    of_kind,
    seqs,
    server_was_hit,
    stopped,
    trace_was_stopped,
    write_failed,
)
from handshaker.harness.invariants.facts import first, is_concurrent, is_over, is_owned, told, was_killed
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_NO_CONNECTION: Final = NotApplicable("a datagram has no socket of its own")
_FORKED: Final = NotApplicable("a child gives everything back when it exits, right after its request")
_NOT_OURS: Final = Unknown("an injected fault struck where no code of the handler could clean up")


@invariant(
    "resources/socket-closed-once",
    "LC-029",
    "every accepted socket is closed, once",
    requirement="The server closes every accepted socket exactly once on every path: served, denied, or failed "
    "anywhere.",
    source="Lib/socketserver.py, BaseServer._handle_request_noblock: every branch ends in shutdown_request(); "
    "bpo-26309",
    kinds=("socket.close",),
    implied_by=(
        "server/denied-request-closed",
        "server/verify-request-does-not-raise",
        "server/handle-error-does-not-raise",
        "server/error-reported-once",
        "server/base-exceptions",
    ),
)
def _socket_closed_once(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, lambda events: _socket_closed_once_in(trace, events), "socket.accepted")


def _socket_closed_once_in(trace: Trace, events: Events) -> Answer:
    beside = is_concurrent(trace) or is_owned(trace)
    if stopped(events) or was_killed(trace) or (beside and not is_over(trace, events)):
        return STOPPED
    if has(events, "process.end") and not has(events, "finish_request.leave", "finish_request.raise"):
        return NotApplicable("the child ended while its handler ran, which closes everything")
    if server_was_hit(events):
        return NotApplicable("an injected fault in a hook of the server: CPython leaves the request to the collector")
    if has(events, "socket.detach"):
        return Unknown("the descriptor was taken out of the socket; somebody else closes it")
    accepted = of_kind(events, "socket.accepted")[0]
    closes = of_kind(events, "socket.close")
    if not closes:
        return [_closed("the accepted socket was never closed", (accepted,), "never closed")]
    foreign = [e for e in of_kind(events, "socket.error") if e["operation"] == "close" and e["errno"] == "EBADF"]
    if foreign:
        return [_closed("close() found its descriptor closed behind its back", (foreign[0],), "closed by number")]
    by_server = of_kind(inside(events, "shutdown_request", "close_request"), "socket.close")
    if len(by_server) > 1:
        return [_closed("the server closed the socket twice", (by_server[0], by_server[1]), "closed twice")]
    return []


def _closed(actual: str, witness: tuple[Event, ...], damage: str) -> Violation:
    expected = "the server calls close() once on the socket it accepted"
    return Violation(expected, actual, seqs(witness), witness[0].connection, damage=damage)


@invariant(
    "resources/shutdown-before-close",
    "LC-030",
    "the server shuts down before it closes",
    requirement="shutdown(SHUT_WR) comes before close(), so that the peer sees EOF even while another process or "
    "object holds the connection; ENOTCONN there is no error.",
    source="Lib/socketserver.py, TCPServer.shutdown_request: 'explicitly shutdown'",
    orders=(("socket.shutdown", "socket.close"),),
    broken_by=("process_request", "shutdown_request", "close_request"),
)
def _shutdown_before_close(trace: Trace, contract: Contract) -> Answer:
    if contract.kind == "datagram":
        return _NO_CONNECTION
    return each_connection(trace, _shutdown_before_close_in, "socket.close")


def _shutdown_before_close_in(events: Events) -> Answer:
    if not has(events, "socket.accepted"):
        return _NO_CONNECTION
    if stopped(events):
        return STOPPED
    if has(events, "peer.reset"):
        return NotApplicable("the peer has aborted the connection: there is nobody to tell")
    close = of_kind(events, "socket.close")[0]
    if close not in after_handler(events):
        return NotApplicable("the handler closed the connection itself")
    told_peer = [
        event
        for event in events
        if (event.kind == "socket.shutdown" and event["how"] != "rd")
        or (event.kind == "socket.error" and event["operation"] == "shutdown")
    ]
    if told_peer and told_peer[0].seq < close.seq:
        return []
    return [
        Violation(
            "shutdown(SHUT_WR), then close()",
            "the server called close() without shutdown() before it",
            seqs([close, *told_peer]),
            close.connection,
            damage="no shutdown",
        )
    ]


@invariant(
    "resources/no-fd-leak",
    "LC-031",
    "no descriptor is left behind",
    requirement="When a request has ended, the process has as many open descriptors as before, without help from the "
    "cycle collector: what setup() or handle() opened is closed on every path, also when setup() raises and finish() "
    "never runs.",
    source="Lib/socket.py: close() only drops a reference while a file object lives; socketserver documentation, "
    "BaseRequestHandler.finish: 'If setup() raises an exception, this function will not be called'",
    reach=Reach.PEER,
    implied_by=(
        "resources/socket-closed-once",
        "io/nothing-after-finish",
        "io/written-bytes-arrive",
        "lifecycle/finish-always-after-setup",
        "lifecycle/finish-does-not-raise",
    ),
)
def _no_fd_leak(trace: Trace, _contract: Contract) -> Answer:
    held = each_connection(trace, lambda events: _request_held(trace, events), "socket.close")
    opened = [event for event in trace.of("probe.descriptors") if event["delta"] > _requests_held(trace)]
    if not opened:
        return [] if trace.of("datagram.request") else held
    if trace_was_stopped(trace):
        return STOPPED
    if no_chance_to_clean_up(trace) or server_was_hit(trace):
        return _NOT_OURS
    because, damage, location = _failed_setup(trace, opened[0].connection)
    leak = Violation(
        "as many open descriptors after the case as before it",
        f"a descriptor was left open{because}",
        seqs(opened[:1]),
        opened[0].connection,
        damage=f"descriptor left open{damage}",
        location=location,
    )
    return [leak, *(() if isinstance(held, (Unknown, NotApplicable)) else held)]


def _requests_held(trace: Trace) -> int:
    """How many request sockets are still open: they are judged by themselves, and have no descriptor in memory."""
    accepted, released = (
        {event.connection for event in trace.of(kind)} for kind in ("socket.accepted", "socket.released")
    )
    return 0 if trace.header.network == "memory" else len(accepted - released)


def _failed_setup(trace: Trace, connection: int) -> tuple[str, str, str]:
    """What to say, to name and to point at when setup() failed, so that finish() could not clean up."""
    failed = first((event for event in trace if connection in (-1, event.connection)), "setup.raise")
    if failed is None:
        return "", "", ""
    location = str(failed.get("message")).rpartition(" @ ")[2]
    return f"; setup() raised {told(failed)}, so finish() never ran", " by a failed setup", location


def _request_held(trace: Trace, events: Events) -> Answer:
    """The request socket itself was closed, but something still holds its descriptor at the end of the case."""
    if not has(events, "socket.accepted"):
        return _NO_CONNECTION
    if trace.header.server == "forking":
        return _FORKED
    if stopped(events) or ((is_concurrent(trace) or is_owned(trace)) and not is_over(trace, events)):
        return STOPPED
    if no_chance_to_clean_up(events):
        return NotApplicable("the injected fault struck where no code of the handler could have cleaned up")
    if has(events, "socket.released", "socket.detach"):
        return []
    close = of_kind(events, "socket.close")[-1]
    # After a failed setup() CPython leaves the files to the collector, which frees them with the handler, at once. They
    # are still open only when somebody kept the handler: it entered itself somewhere, and finish() never took it out.
    failed = first(events, "setup.raise")
    because = f": setup() raised {told(failed)}, so finish() never ran" if failed else ""
    return [
        Violation(
            "the descriptor of the request is given back when the request ends",
            f"the request was closed, but a file object or a stored handler still holds its descriptor{because}",
            seqs([*([failed] if failed else []), close]),
            close.connection,
            damage="request still open" + (" by a failed setup" if failed else ""),
            location=str(failed.get("message")).rpartition(" @ ")[2] if failed else "",
        )
    ]


@invariant(
    "resources/closed-explicitly",
    "LC-031s",
    "the request is closed, not collected",
    requirement="The descriptor of the request is given back by close(), not when the garbage collector meets a "
    "forgotten file object: other Pythons, a reference cycle or a stored exception would keep it open.",
    source="Python Development Mode: an unclosed file or socket is a ResourceWarning",
    level=Level.SHOULD,
    reach=Reach.PEER,
    implied_by=(
        "resources/no-fd-leak",
        "resources/socket-closed-once",
        "io/nothing-after-finish",
        "io/written-bytes-arrive",
        "lifecycle/finish-always-after-setup",
        "lifecycle/finish-does-not-raise",
        "server/verify-request-does-not-raise",
        "server/handle-error-does-not-raise",
        "server/denied-request-closed",
    ),
)
def _closed_explicitly(trace: Trace, _contract: Contract) -> Answer:
    if trace.header.server == "forking":
        return _FORKED
    return each_connection(trace, _closed_explicitly_in, "socket.released")


def _closed_explicitly_in(events: Events) -> Answer:
    if not has(events, "socket.accepted"):
        return _NO_CONNECTION
    if stopped(events):
        return STOPPED
    if has(events, "setup.raise") or no_chance_to_clean_up(events):
        return NotApplicable("setup() or finish() failed: CPython closes neither rfile nor wfile then")
    if write_failed(events) or server_was_hit(events):
        return NotApplicable("CPython itself leaves a file or the request open on this path")
    return [
        Violation(
            "the descriptor is given back by close()",
            "the descriptor was given back only when its last file object was collected",
            (event.seq,),
            event.connection,
            damage="left to the collector",
        )
        for event in of_kind(events, "socket.released")
        if event["by"] == "collector"
    ]


@invariant(
    "resources/handler-released",
    "LC-032",
    "the handler dies with its request",
    requirement="The handler instance is freed when its request has ended, without the cycle collector; no list of "
    "the server or the program grows with every request.",
    source="socketserver documentation: 'A new instance of the subclass is created for each request'; bpo-37193",
    level=Level.SHOULD,
    reach=Reach.PEER,
    implied_by=("resources/no-fd-leak", "lifecycle/one-handler-per-request"),
)
def _handler_released(trace: Trace, _contract: Contract) -> Answer:
    if trace.header.server == "forking":
        return _FORKED
    alive = trace.of("probe.handler-alive")
    if not alive:
        return []
    if trace_was_stopped(trace):
        return STOPPED
    if no_chance_to_clean_up(trace):
        return _NOT_OURS
    over = trace.of("server.closed") and all(is_over(trace, settled(trace, event.connection)) for event in alive)
    if is_owned(trace) and not over:
        return Unknown("the Case ended before the loop, or the thread of the request, was sure to have let it go")
    because, damage, location = _failed_setup(trace, alive[0].connection)
    return [
        Violation(
            "no reference to the handler when its request has ended",
            f"the handler outlived its request: a list, a cycle or a kept exception still refers to it{because}",
            seqs(alive[:1]),
            alive[0].connection,
            damage=f"handler still alive{damage}",
            location=location,
        )
    ]


@invariant(
    "resources/clean-run",
    "LC-066",
    "no warning, no stray exception, no thread left",
    requirement="A request leaves no ResourceWarning, no exception that nobody could catch, and no running thread "
    "behind.",
    source="Python documentation, Python Development Mode; sys.unraisablehook",
    level=Level.SHOULD,
    implied_by=(
        "resources/no-fd-leak",
        "resources/closed-explicitly",
        "resources/socket-closed-once",
        "io/nothing-after-finish",
        "io/written-bytes-arrive",
        "lifecycle/finish-always-after-setup",
        "lifecycle/finish-does-not-raise",
        "server/verify-request-does-not-raise",
        "server/handle-error-does-not-raise",
        "server/denied-request-closed",
        "resources/no-thread-left",
        "resources/children-reaped",
        "resources/failed-bind-closes",
        "server/close-is-idempotent",
        "server/context-manager",
    ),
)
def _clean_run(trace: Trace, _contract: Contract) -> Answer:
    left = [violation for event in trace if not _is_ours(trace, event) for violation in _left_behind(event)]
    if not left:
        return []
    if trace_was_stopped(trace):
        return STOPPED
    return _NOT_OURS if server_was_hit(trace) or no_chance_to_clean_up(trace) else left


def _is_ours(trace: Trace, event: Event) -> bool:
    """Whether an exception that nobody caught is our own, which ended the thread of its request."""
    if event.kind != "probe.unraisable" or not is_concurrent(trace):
        return False
    return any(
        raised["injected"] and event["exception"] in raised["lineage"]
        for raised in trace.of("finish_request.raise", "shutdown_request.raise", "close_request.raise")
    )


def _left_behind(event: Event) -> list[Violation]:
    expected = actual = damage = exception = ""
    if event.kind == "probe.warning" and str(event["category"]).rpartition(".")[2] == "ResourceWarning":
        expected, actual, damage = "no ResourceWarning", f"ResourceWarning: {event.get('message')}", "ResourceWarning"
    elif event.kind == "probe.unraisable":
        expected, exception = "no exception that nobody could catch", str(event["exception"])
        actual = f"{exception} was raised where nobody could catch it: {event.get('message')}"
    elif event.kind == "probe.threads" and event["delta"] > 0:
        expected, damage = "as many threads after the case as before it", "thread left running"
        actual = "a thread that the request started is still running"
    else:
        return []
    return [Violation(expected, actual, (event.seq,), event.connection, damage=damage, exception=exception)]
