"""Servers with a thread or a child for each request: who holds the connection, and what is left when all is over.

The source is ForkingMixIn and ThreadingMixIn of Lib/socketserver.py. Everything here is counted by the house that the
server lives in, at moments when the answer cannot change any more; the clock decides nothing. What CPython itself does
is not held against anybody: handle_request() alone never reaps (it waits for handle_timeout()), a server that does not
block on close leaves its children running, and a child of max_children that hangs makes the loop deaf.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.connection import Events, each_connection, has, of_kind
from handshaker.harness.invariants.facts import first, shown, told
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_NO_FORKS: Final = NotApplicable("the server forks no children")
_REAPING: Final = ("collect_children", "service_actions", "process_request", "serve_forever", "server_close")
_CHILDS_WAY: Final = ("process_request", "finish_request", "shutdown_request", "close_request", "handle_error")


def _forked(trace: Trace) -> list[Event]:
    """The forks of the Trace that gave a child."""
    return [event for event in trace.of("process.fork") if event["child"] >= 0]


@invariant(
    "resources/parent-closes-connection",
    "LC-033",
    "the parent closes its copy of the connection",
    requirement="After a fork the parent closes its copy of the connection at once and does not shut it down: the "
    "child serves it, and shuts down and closes its own.",
    source="Lib/socketserver.py, ForkingMixIn.process_request: close_request() in the parent, shutdown_request() in "
    "the child",
    broken_by=("process_request", "close_request", "shutdown_request"),
)
def _parent_closes_connection(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, _parents_copies, "probe.parent-copy")


def _parents_copies(events: Events) -> list[Violation]:
    return [violation for copy in of_kind(events, "probe.parent-copy") for violation in _held_or_shut(copy, events)]


def _held_or_shut(copy: Event, events: Events) -> list[Violation]:
    fork = first(events, "process.fork")
    expected = "after the fork the parent calls close_request(), which closes its copy and leaves the peer alone"
    if copy["shut"]:
        actual = "the parent shut the connection down, so the child serves a peer that has seen the end"
        return [shown(expected, actual, copy, fork, damage="shut down by the parent")]
    if copy["open"]:
        actual = "the parent went on with its copy open: the peer sees no end of the stream when the child has closed"
        return [shown(expected, actual, copy, fork, damage="held by the parent")]
    return []


@invariant(
    "resources/no-thread-left",
    "LC-035",
    "no thread is left after server_close()",
    requirement="When server_close() has returned there are as many threads as before the server: those that handlers "
    "start end with their requests, and no handler thread waits for itself.",
    source="socketserver documentation, ThreadingMixIn: 'server_close() waits until all non-daemon threads complete, "
    "except if block_on_close attribute is False'",
    reach=Reach.PEER,
    implied_by=("io/nothing-after-finish",),
)
def _no_thread_left(trace: Trace, _contract: Contract) -> Answer:
    joined = [_joins_itself(event) for event in trace.of("server_close.raise") if _is_own_join(event)]
    left = [event for event in trace.of("probe.threads-left") if event["count"]]
    if joined or not left:
        closed = trace.header.server == "threading" and trace.of("probe.threads-left", "server.closed")
        return joined if joined or closed else NotApplicable("no server with threads was closed")
    return _threads_left(trace, left[0])


def _threads_left(trace: Trace, left: Event) -> Answer:
    """One thread for each request is a leak; a thread that the first request made may be meant for all of them."""
    served = {event.connection for event in trace.of("handle.enter")}
    if len(served) < 2 or left["count"] < len(served):
        return Unknown("the thread that is left may have been made once, for all requests")
    kind = "daemon thread" if left["daemon"] else "thread"
    actual = f"{left['count']} {kind}(s), started by {len(served)} requests, are still running"
    entered = trace.of("handle.enter")[:3]
    return [
        shown("no thread that a request has started runs on", actual, left, *entered, damage="threads left running")
    ]


def _is_own_join(event: Event) -> bool:
    """Whether server_close() was called by a handler, whose own thread it then waits for."""
    return event.connection >= 0 and "builtins.RuntimeError" in event["lineage"] and not event["injected"]


def _joins_itself(event: Event) -> Violation:
    actual = f"a handler called it in its own thread, which waits for itself: {told(event)}"
    return shown("server_close() is called by the owner of the server", actual, event, damage="waits for itself")


@invariant(
    "resources/children-reaped",
    "LC-036",
    "children are reaped",
    requirement="While serve_forever() runs no dead child stays a zombie for longer than one turn of its loop; after "
    "server_close() there is none, and with block_on_close no child is left at all.",
    source="socketserver documentation, BaseServer.service_actions; Lib/socketserver.py, "
    "ForkingMixIn.collect_children; bpo-11109, bpo-31151",
    broken_by=_REAPING,
    implied_by=("server/child-exits",),
)
def _children_reaped(trace: Trace, contract: Contract) -> Answer:
    if not _forked(trace):
        return _NO_FORKS
    return [
        violation
        for event in trace.of("probe.children")
        if event["moment"] != "timeout"
        for violation in _unreaped(event, waited=event["moment"] == "closed" and contract.block_on_close)
    ]


def _unreaped(event: Event, *, waited: bool) -> list[Violation]:
    when = "after server_close()" if event["moment"] == "closed" else "after a whole turn of the loop"
    if event["zombies"]:
        actual = f"{event['zombies']} child(ren) that had ended before were still zombies {when}"
        return [shown("a child that has ended is waited for", actual, event, damage="not reaped")]
    if waited and event["alive"]:
        expected = "server_close() returns when all children have ended (block_on_close)"
        return [shown(expected, f"{event['alive']} child(ren) still ran {when}", event, damage="not reaped")]
    return []


@invariant(
    "server/child-exits",
    "LC-037",
    "a child serves one request and exits",
    requirement="A forked child serves one request and ends in os._exit(): 0 after success, 1 after any exception; it "
    "never returns into the accepting loop.",
    source="Lib/socketserver.py, ForkingMixIn.process_request: 'This must never return, hence os._exit()!'",
    broken_by=_CHILDS_WAY,
)
def _child_exits(trace: Trace, _contract: Contract) -> Answer:
    if not _forked(trace):
        return _NO_FORKS
    return each_connection(trace, _child_exits_in, "process.fork")


def _child_exits_in(events: Events) -> Answer:
    if has(events, "process_request.raise"):
        return NotApplicable("no child could be forked")
    escaped = first(events, "process.escaped")
    if escaped is not None:
        expected, actual = (
            "the child ends in os._exit()",
            "the child returned from process_request() into the server's loop",
        )
        return [shown(expected, actual, first(events, "process.fork"), escaped, damage="child in the loop")]
    end, outcome = first(events, "process.end"), first(events, "finish_request.leave", "finish_request.raise")
    if end is None or outcome is None:
        return Unknown("the child was ended from outside, or by its handler")
    wanted = "exit 0" if outcome.kind == "finish_request.leave" else "exit 1"
    if end["status"] == wanted:
        return []
    because = "finish_request() returned" if wanted == "exit 0" else f"the handler raised {told(outcome)}"
    return [
        shown(f"{because}: {wanted}", f"the child ended with {end['status']}", outcome, end, damage="another status")
    ]


@invariant(
    "server/max-children",
    "LC-038",
    "at most max_children children run",
    requirement="Under serve_forever() at most max_children children are alive: when so many run, new requests wait.",
    source="socketserver documentation, ForkingMixIn.max_children; Lib/socketserver.py, ForkingMixIn.collect_children",
    level=Level.SHOULD,
    reach=Reach.TIMING,
    broken_by=("collect_children", "service_actions", "process_request", "serve_forever"),
    implied_by=("server/child-exits",),
)
def _max_children(trace: Trace, contract: Contract) -> Answer:
    if not _forked(trace):
        return _NO_FORKS
    turns = [event for event in trace.of("probe.children") if event["moment"] == "turn"]
    most = max(turns, key=lambda event: int(event["alive"]), default=None)
    if most is None:
        return NotApplicable("serve_forever() did not turn: with handle_request() alone CPython does not count")
    if most["alive"] <= contract.max_children:
        return []
    expected = f"at most {contract.max_children} (max_children) are alive"
    return [shown(expected, f"{most['alive']} children were alive at once", most, damage="too many children")]


@invariant(
    "server/handle-timeout-reaps",
    "LC-065",
    "handle_timeout() reaps",
    requirement="handle_timeout() of a forking server waits for the children that have ended: a server that is driven "
    "by handle_request() has no other way to get rid of them.",
    source="socketserver documentation, BaseServer.handle_timeout: 'The default action for forking servers is to "
    "collect the status of any child processes that have exited'",
    broken_by=("handle_timeout", "collect_children", "process_request"),
    implied_by=("resources/children-reaped", "server/child-exits"),
)
def _handle_timeout_reaps(trace: Trace, _contract: Contract) -> Answer:
    if not _forked(trace):
        return _NO_FORKS
    idle = [event for event in trace.of("probe.children") if event["moment"] == "timeout"]
    if not idle:
        return NotApplicable("handle_timeout() was not called")
    expected = "handle_timeout() waits for every child that has ended"
    return [
        shown(expected, f"{event['zombies']} of them were zombies when it had returned", event, damage="zombies")
        for event in idle
        if event["zombies"]
    ]
