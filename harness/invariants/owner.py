"""The life of a server object: how it is made, how its loop is entered and ended, and what its turns must do.

The source is BaseServer of Lib/socketserver.py. What CPython itself does in a corner is known and nobody's bug:
shutdown() before the first serve_forever() waits for ever, a loop whose listening socket was closed spins, and
handle_request() bounds the wait for a request, not the request. A blocked act counts only where nothing that may take
its time was going on; what is not sure is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant
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
from handshaker.harness.verdict import Reach, Violation

__all__: list[str] = []

_BINDING: Final = ("server_bind.raise", "server_activate.raise")


@invariant(
    "resources/failed-bind-closes",
    "LC-039",
    "a constructor that cannot bind leaves no socket",
    requirement="If binding or listening fails in the constructor, the socket is closed and the exception goes up to "
    "who wanted the server.",
    source="Lib/socketserver.py, TCPServer.__init__: server_close() and raise; bpo-22435",
    broken_by=("server_bind", "server_activate", "server_close"),
)
def _failed_bind_closes(trace: Trace, _contract: Contract) -> Answer:
    failed = [(span, cause) for span in spans(trace, "constructor") for cause in during(span, trace, *_BINDING)[:1]]
    if not failed:
        return NotApplicable("no constructor failed to bind")
    found = [_left_behind(trace, span, cause) for span, cause in failed]
    return [violation for violation in found if violation is not None]


def _left_behind(trace: Trace, constructor: Span, cause: Event) -> Violation | None:
    end = constructor.end
    probe = next((event for event in trace.of("server.listener") if event["moment"] == "failed"), None)
    left_open = probe if probe is not None and probe["open"] else None
    too = ", and the socket was left open" if left_open else ""
    expected = (
        f"{cause.kind.partition('.')[0]}() raised {told(cause)}: the constructor closes the socket and raises that"
    )
    if end is not None and end.kind == "constructor.raise" and end["lineage"] != cause["lineage"]:
        return with_exception(end, expected, f"it raised {told(end)}{too}", also=(cause, left_open))
    if end is not None and end.kind == "constructor.leave" and not first(trace, "server_bind.leave", after=cause.seq):
        return shown(expected, "the constructor returned as if all were well", cause, end, damage="swallowed")
    if left_open is not None:
        return shown(expected, "the socket was left open", cause, left_open, damage="left open")
    return None


@invariant(
    "server/handle-request-bounded",
    "LC-045",
    "handle_request() takes one request, or gives up",
    requirement="handle_request() handles at most one request; when none comes within the timeout it calls "
    "handle_timeout() once and returns.",
    source="socketserver documentation, BaseServer.handle_request and BaseServer.timeout",
    reach=Reach.TIMING,
    kinds=("handle_timeout.enter",),
    broken_by=("handle_request", "_handle_request_noblock", "get_request", "handle_timeout"),
    implied_by=("server/child-exits",),
)
def _handle_request_bounded(trace: Trace, _contract: Contract) -> Answer:
    serving = loops(trace)
    calls = [span for span in spans(trace, "handle_request") if not running(serving, span.begin)]
    if not calls:
        return NotApplicable("handle_request() was not called, or a loop took the requests beside it")
    return [violation for call in calls for violation in _one_or_none(trace, call)]


def _one_or_none(trace: Trace, call: Span) -> Iterator[Violation]:
    tried = during(call, trace, "get_request.enter")
    taken = during(call, trace, "get_request.leave")
    given_up = during(call, trace, "handle_timeout.enter")
    if len(taken) > 1:
        yield shown("at most one request", f"it took {len(taken)} requests", *taken[:3], damage="several requests")
    if tried and given_up:
        actual = "it tried to take a request, and called handle_timeout()"
        yield shown("a request, or handle_timeout()", actual, tried[0], given_up[0], damage="both")
    if tried or call.end is None or not call.returned:
        blocked = next((event for event in trace.of("owner.blocked") if event["act"] == "handle"), None)
        if blocked is not None and not (tried or call.end or given_up) and call.begin["timeout"] is not None:
            actual = "nobody came, and it has not returned"
            yield shown("it gives up when its timeout has passed", actual, call.begin, blocked, damage="not bounded")
    elif len(given_up) != 1:
        actual = f"nobody came, and handle_timeout() was called {len(given_up)} times"
        damage = "several timeouts" if given_up else "no timeout"
        yield shown("handle_timeout() is called once when nobody comes", actual, call.begin, call.end, damage=damage)


@invariant(
    "server/shutdown-returns",
    "LC-046",
    "shutdown() returns",
    requirement="shutdown() from another thread ends serve_forever(), within poll_interval and the request that a "
    "plain server is handling; the thread that serves never calls it, since it would wait for itself.",
    source="socketserver documentation, BaseServer.shutdown: 'must be called while serve_forever() is running in a "
    "different thread otherwise it will deadlock'; bpo-39797, bpo-13749",
    implied_by=("server/service-actions", "server/child-exits"),
)
def _shutdown_returns(trace: Trace, contract: Contract) -> Answer:
    itself = [_waits_for_itself(trace, event) for event in trace.of("network.stalled") if _is_own_wait(event)]
    if itself:
        return itself
    serving = loops(trace)
    asked = [span for span in acts(trace, "shutdown") if running(serving, span.begin)]
    usual = [event for event in trace.of("network.stalled", connection=-1) if event["operation"] == "shutdown"]
    if not (asked or usual):
        return NotApplicable("nobody called shutdown() while the loop ran")
    answers = [_ended(trace, contract, span) for span in asked]
    answers += [_not_returned(trace, contract, event) for event in usual]
    found = [answer for answer in answers if isinstance(answer, Violation)]
    doubts = [answer for answer in answers if isinstance(answer, Unknown)]
    return found or (doubts[0] if doubts else [])


def _is_own_wait(event: Event) -> bool:
    return bool(event["operation"] == "shutdown" and event["after"] == "itself")


def _waits_for_itself(trace: Trace, stalled: Event) -> Violation:
    called = next((event for event in trace.of("shutdown.enter") if event.connection == stalled.connection), None)
    child = called is not None and called["caller"] == "child"
    where = "in a forked child, which has no loop that could end" if child else "in the thread that serves"
    damage = "called in a child" if child else "called by the serving thread"
    expected = "shutdown() is called from another thread, so that the loop can come to its end"
    violation = shown(expected, f"it was called {where}: it waits for ever", stalled, called, damage=damage)
    return violation if called is None else replace(violation, location=called.get("place") or "")


def _ended(trace: Trace, contract: Contract, asked: Span) -> Violation | Unknown | None:
    """What is to be said about a shutdown() that was called while the loop ran; None when it did its work."""
    end, expected = asked.end, "the loop ends, and shutdown() returns"
    if end is None:
        return Unknown("the Case was over before shutdown() returned")
    if end.kind == "owner.raise":
        return None if end["injected"] else with_exception(end, expected, f"it raised {told(end)}")
    return None if end.kind == "owner.leave" else _not_returned(trace, contract, end)


def _not_returned(trace: Trace, contract: Contract, end: Event) -> Violation | Unknown:
    """*end* is the event that says so: `owner.blocked`, or `network.stalled` at the end of the usual life."""
    if busy := _busy(trace, contract, end):
        return Unknown(f"shutdown() has not returned, and {busy}")
    return shown("the loop ends, and shutdown() returns", "shutdown() has not returned", end, damage="never returns")


def _busy(trace: Trace, contract: Contract, end: Event) -> str:
    """What may keep the loop from ending, without anybody's fault that could be told from here."""
    if contract.concurrency == "forking" and len(trace.of("process.fork")) >= contract.max_children:
        return "the loop may be waiting for its children"
    path = unfinished(trace, end, *REQUEST_PATH)
    return f"the loop is in {path[0].kind.partition('.')[0]}()" if path else ""


@invariant(
    "server/nothing-after-shutdown",
    "LC-047",
    "nothing is handled after shutdown()",
    requirement="A peer that connects after shutdown() was called is not handled; when shutdown() has returned the "
    "loop is over, and takes no request any more, also not one whose peer is waiting to be accepted.",
    source="Lib/socketserver.py, BaseServer.serve_forever: the flag is looked at before a request is taken; bpo-35017",
    reach=Reach.TIMING,
    orders=(("get_request.enter", "owner.leave"),),
    broken_by=("serve_forever", "shutdown", "_handle_request_noblock", "handle_request"),
    implied_by=("server/child-exits",),
)
def _nothing_after_shutdown(trace: Trace, _contract: Contract) -> Answer:
    serving = loops(trace)
    over = [span.end for span in acts(trace, "shutdown") if span.returned and len(running(serving, span.begin)) == 1]
    asked = [span.end for span in acts(trace, "stop") if span.returned and len(running(serving, span.begin)) == 1]
    if not (over or asked):
        return NotApplicable("shutdown() did not end a loop")
    late = [violation for end in over if end is not None for violation in _taken_after(trace, end)]
    return late + [violation for end in asked if end is not None for violation in _let_in_after(trace, end)]


def _let_in_after(trace: Trace, asked: Event) -> Iterator[Violation]:
    again = next((act.begin for act in acts(trace, "serve", "handle") if act.begin.seq > asked.seq), None)
    for connect in (event for event in trace.of("peer.connect") if event.seq > asked.seq):
        served = trace.of("process_request.enter", connection=connect.connection)
        for event in served[:1]:
            if again is None or event.seq < again.seq:
                expected = "shutdown() was called before this peer connected, so the peer is not handled"
                yield shown(expected, "process_request() was called", asked, connect, event, damage="let in")


def _taken_after(trace: Trace, end: Event) -> Iterator[Violation]:
    # A loop of one's own may well call handle_request(): what counts is what the owner wants next.
    again = next((act.begin for act in acts(trace, "serve", "handle") if act.begin.seq > end.seq), None)
    later = [event for event in trace.of("get_request.enter", "process_request.enter") if event.seq > end.seq]
    for event in later[:1]:
        if (again is None or event.seq < again.seq) and not is_childs(trace, event):
            expected = "after shutdown() has returned no request is taken"
            yield shown(expected, f"{event.kind.partition('.')[0]}() was called", end, event, damage="went on")


@invariant(
    "server/service-actions",
    "LC-062",
    "service_actions() runs once in each turn",
    requirement="serve_forever() calls service_actions() once in each turn of its loop, also in one that took a "
    "request; an exception from it ends the loop, so it raises none and does not wait.",
    source="socketserver documentation, BaseServer.service_actions: 'called in the serve_forever() loop'; "
    "Lib/socketserver.py, BaseServer.serve_forever",
    kinds=("service_actions.enter",),
    broken_by=("service_actions",),
    implied_by=("server/child-exits", "server/base-exceptions"),
)
def _service_actions(trace: Trace, contract: Contract) -> Answer:
    serving = loops(trace)
    if not (serving or trace.of("service_actions.raise")):
        return NotApplicable("serve_forever() did not run")
    raised = [event for event in trace.of("service_actions.raise") if not is_allowed(event, contract)]
    found = [violation for event in raised for violation in _raised(trace, event)]
    if "serve_forever" in contract.overrides:  # CPython's own loop keeps its turns, however many requests one may take
        found += [violation for loop in serving for violation in _turns(trace, loop)]
    return found or list(_waiting(trace))


def _raised(trace: Trace, event: Event) -> Iterator[Violation]:
    if not event["injected"]:
        actual = f"it raised {told(event)}, which ends the loop"
        yield with_exception(event, "service_actions() does its work and returns", actual)
        return
    after = first(trace, "serve_forever.raise", "serve_forever.leave", "get_request.enter", after=event.seq)
    if after is not None and after.kind != "serve_forever.raise":
        expected = f"service_actions() raised {told(event)}, which leaves serve_forever()"
        yield shown(expected, f"{after.kind} came next", event, after, damage="survived")


def _turns(trace: Trace, loop: Span) -> Iterator[Violation]:
    """A turn that took a request, and called service_actions() not at all, or twice at once."""
    steps = during(loop, trace, "get_request.enter", *_ACTIONS)
    if loop.end is not None and loop.end.kind == "serve_forever.leave":
        steps.append(loop.end)
    for here, then in pairwise(steps):
        told_of = then.kind in ("service_actions.enter", "service_actions.raise")
        if here.kind == "get_request.enter" and not told_of and not _raised_between(trace, here, then):
            expected = "after the turn that took a request, service_actions() is called"
            yield shown(expected, f"{then.kind} came next", here, then, damage="not called")
            return
        if here.kind == then.kind == "service_actions.enter":
            yield shown("once in each turn", "it was called again before it had returned", here, then, damage="twice")
            return


_ACTIONS: Final = ("service_actions.enter", "service_actions.leave", "service_actions.raise")


def _raised_between(trace: Trace, here: Event, then: Event) -> bool:
    """Whether an exception may have cut the turn short; some loops end quietly with one."""
    return any(event.kind.endswith(".raise") for event in trace.events[here.seq : then.seq])


def _waiting(trace: Trace) -> Iterator[Violation]:
    """A service_actions() that keeps the loop from seeing that it is to end."""
    for blocked in trace.of("owner.blocked"):
        inside = unfinished(trace, blocked, "service_actions") if blocked["act"] == "shutdown" else []
        if inside and first(trace, "service_actions.leave", "service_actions.raise", after=blocked.seq) is None:
            actual = "it has not returned, so the loop turns no more and shutdown() waits for ever"
            yield shown("service_actions() does its work and returns", actual, *inside[:1], blocked, damage="waits")
