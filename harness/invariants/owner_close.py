"""The end of a server object: who may close it and when, what is left of it, and the context manager.

The source is BaseServer, TCPServer and ThreadingMixIn of Lib/socketserver.py. Known CPython behaviour is nobody's bug:
an owner who closes a server that serves makes its loop spin; a thread that could not start makes server_close() raise
RuntimeError; a handler that hangs in a thread keeps server_close() waiting; a forked child keeps the listening socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.connection import trace_was_stopped
from handshaker.harness.invariants.facts import first, is_allowed, shown, told, with_exception
from handshaker.harness.invariants.owner_acts import (
    REQUEST_PATH,
    Span,
    acts,
    during,
    is_childs,
    loops,
    running,
    spans,
    unfinished,
)
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Violation

__all__: list[str] = []

_CLOSING: Final = ("close", "exit")


@invariant(
    "server/close-waits-for-threads",
    "LC-034",
    "server_close() waits for the handlers in its threads",
    requirement="With block_on_close, server_close() returns only when all handlers that run in threads which are no "
    "daemons have ended.",
    source="socketserver documentation, ThreadingMixIn: 'server_close() waits until all non-daemon threads complete, "
    "except if block_on_close attribute is False'; bpo-31233, bpo-33540",
    broken_by=("process_request", "process_request_thread", "server_close"),
)
def _close_waits_for_threads(trace: Trace, contract: Contract) -> Answer:
    probes = [event for event in trace.of("probe.handlers-running") if not is_childs(trace, event)]
    if contract.concurrency != "threading" or not contract.block_on_close:
        return NotApplicable("the server does not promise to wait")
    if not probes:
        return NotApplicable("server_close() did not return")
    # A second call beside one that waits has nobody left to wait for.
    calls = spans(trace, "server_close")
    return [_ran_on(trace, probe) for probe in probes if probe["count"] and not running(calls, probe)]


def _ran_on(trace: Trace, probe: Event) -> Violation:
    running_on = unfinished(trace, probe, "finish_request")
    expected = "server_close() returns when all handlers have ended"
    actual = f"it returned while {probe['count']} handler(s) were still at work"
    return shown(expected, actual, probe, *running_on[:3], damage="handlers still running")


@invariant(
    "server/close-is-idempotent",
    "LC-048",
    "server_close() can be called twice, and frees the address",
    requirement="server_close() may be called twice; after it fileno() is -1 and nobody listens at the address.",
    source="socketserver documentation, BaseServer.server_close: 'Clean up the server. May be overridden'; "
    "Lib/socketserver.py, TCPServer.server_close; Lib/socket.py, socket.close",
    broken_by=("server_close", "fileno"),
    implied_by=("resources/failed-bind-closes", "resources/no-thread-left", "server/child-exits"),
)
def _close_is_idempotent(trace: Trace, contract: Contract) -> Answer:
    calls = [span for span in spans(trace, "server_close") if not is_childs(trace, span.begin)]
    if not calls:
        return NotApplicable("server_close() was not called")
    found = [violation for place, call in enumerate(calls) for violation in _closed(trace, contract, call, place)]
    found += [violation for event in trace.of("server.fileno", "server.address-free") for violation in _freed(event)]
    return found or _never_closed(trace)


def _closed(trace: Trace, contract: Contract, call: Span, place: int) -> Iterator[Violation]:
    end = call.end
    if end is None or end.kind != "server_close.raise" or end["injected"]:
        return
    if _is_known(trace, end) or is_allowed(end, contract):
        return
    again = "called again, " if place else ""
    yield with_exception(end, "server_close() returns, as often as it is called", f"{again}it raised {told(end)}")


def _is_known(trace: Trace, end: Event) -> bool:
    """Whether CPython's own server raises this: it joins a thread that could not start, or the one it is called in."""
    return "builtins.RuntimeError" in end["lineage"] and (
        end.connection >= 0 or any(event["outcome"] == "failed" for event in trace.of("thread.start"))
    )


def _freed(event: Event) -> Iterator[Violation]:
    if event.kind == "server.address-free":
        if not event["free"]:
            expected, actual = (
                "nobody listens at the address any more",
                "the server's process still takes requests there",
            )
            yield shown(expected, actual, event, damage="still listening")
    elif event["moment"] == "closed" and event["fileno"] != "closed":
        says = "it raises" if event["fileno"] == "raises" else "it is still open"
        yield shown("after server_close() fileno() says -1", says, event, damage=f"fileno {event['fileno']}")


def _never_closed(trace: Trace) -> Answer:
    """What is to be said about a server_close() that the owner still waits for."""
    usual = [event for event in trace.of("network.stalled", connection=-1) if event["operation"] == "close"]
    for blocked in (*(event for event in trace.of("owner.blocked") if event["act"] in _CLOSING), *usual):
        inside = unfinished(trace, blocked, "server_close")
        if not inside:
            continue
        if unfinished(trace, blocked, "finish_request", "process_request") or trace.of("process.fork", "thread.start"):
            return Unknown("server_close() waits for handlers that have not ended")
        return [shown("server_close() returns", "it has not returned", inside[0], blocked, damage="never returns")]
    return []


@invariant(
    "server/listener-open-while-serving",
    "LC-049",
    "nobody closes the server while it serves",
    requirement="The listening socket stays open while serve_forever() runs: server_close() is called by the owner of "
    "the server, after shutdown().",
    source="socketserver documentation, Introduction: 'call server_close() to close the socket' after the loop; "
    "Lib/socketserver.py, BaseServer.serve_forever, which polls the closed descriptor for ever",
    implied_by=("resources/failed-bind-closes", "resources/no-thread-left", "server/nothing-after-shutdown"),
)
def _listener_open_while_serving(trace: Trace, contract: Contract) -> Answer:
    known = [*spans(trace, "constructor"), *acts(trace, *_CLOSING)]
    told, serving = trace.of("serve_forever.enter", "handle_request.enter"), loops(trace)
    found = []
    for event in trace.of("server_close.enter"):
        lasting = bool(running(serving, event)) if told else event.connection >= 0
        if lasting and not (running(known, event) or is_childs(trace, event)):
            inside = unfinished(trace, event, "service_actions", "handle_timeout", *REQUEST_PATH)
            if not inside and not {"serve_forever", "shutdown"}.isdisjoint(contract.overrides):
                return Unknown("a serve_forever() or shutdown() of the server's own may close it when the loop is over")
            # In the usual life nothing is told of the owner, who closes it too.
            if inside or event.connection >= 0 or trace.of("owner.enter"):
                found.append(_closed_while_serving(event))
    return found


def _closed_while_serving(event: Event) -> Violation:
    who = "a handler" if event.connection >= 0 else "the server itself, or a thread of a handler,"
    actual = f"{who} called server_close() while the loop ran: from then on it spins, and nobody is accepted"
    damage = "closed by a handler" if event.connection >= 0 else "closed while serving"
    return shown("server_close() is called when the loop is over", actual, event, damage=damage)


@invariant(
    "server/context-manager",
    "LC-064",
    "the context manager closes the server",
    requirement="Entering the context manager gives the server; leaving it does what server_close() does, and no more: "
    "it does not wait for a loop.",
    source="socketserver documentation, 'Support for the context manager protocol was added' (3.6): 'Exiting the "
    "context manager is equivalent to calling server_close()'",
    broken_by=("__enter__", "__exit__", "server_close"),
    implied_by=("server/close-is-idempotent",),
)
def _context_manager(trace: Trace, _contract: Contract) -> Answer:
    used = acts(trace, "enter", "exit")
    if not used:
        return NotApplicable("the context manager was not used")
    found = [
        shown("entering gives the server itself", "it gave something else", event, damage="another object")
        for event in trace.of("server.entered")
        if not event["itself"]
    ]
    found += [violation for act in used for violation in _left(trace, act)]
    if not found and any(act.end and act.end.kind == "owner.blocked" and _is_odd(trace, act) for act in used):
        return Unknown("the server was left unentered, or in two loops at once, so __exit__() may wait for what is not")
    return found


def _is_odd(trace: Trace, act: Span) -> bool:
    """Whether a server is left that was never entered, or whose owner has begun a second loop beside another.

    An own __enter__() may begin the loop that its __exit__() ends; neither can do its work then.
    """
    entered = any(each.begin.seq <= act.begin.seq for each in acts(trace, "enter"))
    return not entered or any(running(loops(trace), loop.begin) for loop in loops(trace))


def _left(trace: Trace, act: Span) -> Iterator[Violation]:
    end, closing = act.end, spans(trace, "server_close")
    if end is None or trace_was_stopped(trace):
        return
    inside = [span for span in closing if act.has(span.begin)]
    if end.kind == "owner.raise":
        if not end["injected"] and not any(span.end and span.end.kind.endswith(".raise") for span in inside):
            yield with_exception(end, f"{act.begin['act']} returns", f"it raised {told(end)}")
    elif end.kind == "owner.blocked":
        if not _is_odd(trace, act) and not unfinished(trace, end, "server_close"):
            yield shown("it returns", "it waits for ever", act.begin, end, damage="never returns")
    elif act.begin["act"] == "exit":
        listening = first(trace, "server.listener", after=act.begin.seq)
        states = [event for event in during(act, trace, "server.listener") if event["moment"] == "exited"]
        if listening is not None and states and states[-1]["open"]:
            yield shown(
                "leaving closes the server", "its socket is still open", act.begin, states[-1], damage="left open"
            )
