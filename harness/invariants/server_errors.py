"""What a server does with an exception: whose turn it is, once, in which order, and who hears of it.

The source is `BaseServer._handle_request_noblock`: `except Exception` reports and closes, a bare `except` closes and
raises on. ThreadingMixIn and ForkingMixIn do the same in the thread or child of the request, which then ends alone.
All of it is judged whoever raised the exception, an injected fault included: that it was raised at all is judged
elsewhere (`handler/…`). An exception that our own fault raises inside handle_error() is nobody's bug.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, Unknown, invariant
from handshaker.harness.invariants.facts import (
    SERVED_BY,
    first,
    is_allowed,
    is_concurrent,
    is_exception,
    is_over,
    peers,
    shown,
    struck,
    told,
    with_exception,
)
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_PATH: Final = (
    "_handle_request_noblock",
    "handle_request",
    "serve_forever",
    "process_request",
    "process_request_thread",
    "finish_request",
    "shutdown_request",
    "close_request",
)


@invariant(
    "server/error-reported-once",
    "LC-008",
    "an error reaches handle_error() once",
    requirement="An Exception from the constructor, setup(), handle() or finish() reaches handle_error() exactly once, "
    "after finish() and before shutdown_request(), with sys.exc_info() set.",
    source="socketserver documentation, BaseServer.handle_error: 'This function is called if the handle() method of a "
    "RequestHandlerClass instance raises an exception'; Lib/socketserver.py, BaseServer._handle_request_noblock",
    reach=Reach.PEER,
    kinds=("handle_error.enter",),
    orders=(("handle_error.enter", "shutdown_request.enter"), ("finish.enter", "handle_error.enter")),
    broken_by=_PATH,
)
def _error_reported_once(trace: Trace, contract: Contract) -> Answer:
    found: list[Violation] = []
    doubts: list[Unknown] = []
    for _, events in peers(trace):
        error = first(events, "init.raise", "finish_request.raise", "process_request.raise")
        if error is None or not is_exception(error):
            continue
        reports = [event for event in events if event.kind == "handle_error.enter" and event.seq > error.seq]
        if _dealt_with(trace, error, reports, contract):
            doubts.append(Unknown("the server deals by itself with a peer that has left, which it may want"))
        else:
            found += _reported(trace, events, error, reports)
    return found or (doubts[0] if doubts else [])


def _dealt_with(trace: Trace, error: Event, reports: Sequence[Event], contract: Contract) -> bool:
    """Whether a server that calls handle_error() for nothing has caught *error*, which is one that a socket gives.

    `except OSError` around finish_request() is how a server says that it expects its peers to leave. An exception that
    has ended the loop, or a thread, was caught by nobody.
    """
    expected = "builtins.OSError" in error["lineage"] or is_allowed(error, contract)
    uncaught = ("server.stopped", "handle_request.raise", "probe.unraisable")
    return expected and not reports and first(trace, *uncaught, after=error.seq) is None


def _reported(trace: Trace, events: Sequence[Event], error: Event, reports: Sequence[Event]) -> Iterator[Violation]:
    """What is wrong with the reports of *error*, if anything is."""
    wrong, damage = "", ""
    if not reports and is_over(trace, events):
        wrong, damage = "handle_error() was never called after it", "never reported"
    elif reports and len(reports) > 1 + _further_errors(events, reports[-1]):
        wrong, damage = f"handle_error() was called {len(reports)} times", "reported again"
    elif reports:
        wrong = damage = _misplaced(error, reports[0], events)
    if wrong:
        expected = f"the handler raised {told(error)}: handle_error() is called once, before shutdown_request()"
        shut = first(events, "shutdown_request.enter", after=error.seq)
        yield shown(expected, wrong, error, *reports, shut, damage=damage)


def _further_errors(events: Sequence[Event], last: Event) -> int:
    """A shutdown_request() or a handle_error() that raises is an error of its own, which may be reported too."""
    raising = ("shutdown_request.raise", "handle_error.raise")
    return sum(event.kind in raising and event.seq < last.seq for event in events)


def _misplaced(error: Event, report: Event, events: Sequence[Event]) -> str:
    """What is wrong with the moment of the only report, if anything is."""
    shut = first(events, "shutdown_request.enter", after=error.seq)
    if first(events, "finish.enter", after=report.seq) is not None:
        return "handle_error() was called before finish()"
    if shut is not None and shut.seq < report.seq:
        return "handle_error() was called after shutdown_request()"
    return "" if report["lineage"] else "handle_error() was called with no exception current"


@invariant(
    "server/base-exceptions",
    "LC-010",
    "SystemExit and its like are not errors to report",
    requirement="An exception outside Exception (SystemExit, KeyboardInterrupt, GeneratorExit) never reaches "
    "handle_error(); the request is shut down, then the exception ends a plain server's loop, only the thread of a "
    "threading server, and with status 1 the child of a forking one.",
    source="socketserver documentation, BaseServer.handle_error: 'Now only called for exceptions derived from the "
    "Exception class' (3.6); Lib/socketserver.py, BaseServer._handle_request_noblock",
    reach=Reach.PEER,
    kinds=("shutdown_request.enter", "server.stopped"),
    orders=(("shutdown_request.enter", "server.stopped"),),
    broken_by=(*_PATH, "handle_error"),
    implied_by=("server/child-exits",),
)
def _base_exceptions(trace: Trace, contract: Contract) -> Iterator[Violation]:
    own = is_concurrent(trace) and not SERVED_BY.isdisjoint(contract.overrides)
    for _, events in peers(trace):
        if own and first(events, "socket.close") is not None and first(events, "shutdown_request.enter") is None:
            continue  # where requests are served in a way of the server's own, somebody else may close them
        error = first(events, "finish_request.raise", "process_request.raise")
        if error is None or is_exception(error):
            continue
        came = f"{told(error)} came out of the handler"
        report = first(events, "handle_error.enter", after=error.seq)
        if report is not None:
            expected, actual = f"{came}: it does not reach handle_error()", f"handle_error() got {told(report)}"
            yield shown(expected, actual, error, report, damage="reported")
        elif is_over(trace, events):
            yield from _ended(trace, error, came, events)


def _ended(trace: Trace, error: Event, came: str, events: Sequence[Event]) -> Iterator[Violation]:
    """After *error* the request is shut down once, and then a plain server stops once."""
    ends = [event for event in trace.of("server.stopped", "handle_request.raise") if event.seq > error.seq]
    if any(event.kind == "server.stopped" for event in ends):  # a loop of one's own may have called handle_request()
        ends = [event for event in ends if event.kind == "server.stopped"]
    alone = is_concurrent(trace) and first(events, "process_request.raise") is None
    until = ends[0].seq if ends and not alone else len(trace)
    shut = [event for event in events if event.kind == "shutdown_request.enter" and error.seq < event.seq]
    if not shut or shut[0].seq > until:
        expected = f"{came}: the request is shut down, then the server stops"
        yield shown(expected, "the request was not shut down before", error, *shut, *ends, damage="not shut down")
    elif len(shut) > 1:
        expected = f"{came}: the request is shut down once"
        yield shown(expected, f"it was shut down {len(shut)} times", error, *shut, damage="shut down again")
    if alone:
        yield from _ended_alone(error, came, events, ends)
    elif not is_concurrent(trace) and len(ends) != 1:
        expected = f"{came}: it leaves the serving loop, once"
        actual = f"it left {len(ends)} times" if ends else "the serving loop went on"
        yield shown(expected, actual, error, *ends, damage="stopped again" if ends else "survived")


def _ended_alone(error: Event, came: str, events: Sequence[Event], stops: Sequence[Event]) -> Iterator[Violation]:
    """After *error* only the thread or the child of its request ends, the child with status 1."""
    same = [event for event in stops if event.connection == error.connection and event["lineage"] == error["lineage"]]
    if same:
        expected = f"{came}: only the thread or child of its request ends"
        yield shown(expected, "it left the serving loop too", error, *same, damage="stopped the server")
    child = first(events, "process.end")
    if child is not None and child["status"] != "exit 1":
        actual = f"the child ended with {child['status']}"
        yield shown(f"{came}: the child exits with 1", actual, error, child, damage="another status")


@invariant(
    "server/handle-error-does-not-raise",
    "LC-042",
    "handle_error() does not raise",
    requirement="handle_error() does not raise: in a plain server that ends serve_forever() and skips "
    "shutdown_request(), so the peer hangs; in a thread or child of its own the report is lost.",
    source="socketserver documentation, BaseServer.handle_error: 'The default action is to print the traceback to "
    "standard error and continue handling further requests'; Lib/socketserver.py, BaseServer._handle_request_noblock",
    reach=Reach.PEER,
)
def _handle_error_does_not_raise(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for _, events in peers(trace):
        raised = first(events, "handle_error.raise")
        if raised is None or struck(events, "handle_error"):
            continue
        report = first(events, "handle_error.enter")
        alone = is_concurrent(trace) and first(events, "process_request.raise") is None
        fate = "its thread or child died of it" if alone else "the server stopped and the request was left open"
        if report is not None and _same(report, raised):
            actual = f"handle_error() raised {told(raised)} again: {fate}"
            yield shown("handle_error() returns", actual, report, raised, damage="raised again")
        else:
            about = f" while it reported {told(report)}" if report else ""
            actual = f"handle_error() raised {told(raised)}{about}: {fate}"
            yield with_exception(raised, "handle_error() returns", actual, also=(report,))


def _same(report: Event, raised: Event) -> bool:
    """Whether an exception is the one that was to be reported, from wherever it came at first."""
    return bool((report["lineage"], report["frame"]) == (raised["lineage"], raised["frame"]))


@invariant(
    "server/error-report",
    "LC-063",
    "an error leaves a report",
    requirement="handle_error() reports the error: its default prints the client address and the traceback to stderr. "
    "An override that stays silent hides every error of the handler.",
    source="socketserver documentation, BaseServer.handle_error: 'The default action is to print the traceback to "
    "standard error'; Lib/socketserver.py, BaseServer.handle_error",
    level=Level.SHOULD,
    broken_by=("handle_error",),
)
def _error_report(trace: Trace, contract: Contract) -> Answer:
    silent = []
    for connection, events in peers(trace):
        report, done = first(events, "handle_error.enter"), first(events, "handle_error.leave")
        if report is None or done is None or _is_expected(report, contract) or _printed(trace, connection):
            continue
        if trace.of("probe.side-effect", connection=connection):
            return Unknown("handle_error() may have reported the error to a file or to another process")
        actual = "handle_error() returned and nothing was written to stderr or to a log"
        silent.append(shown(f"{told(report)} is reported", actual, report, done, damage="silent"))
    return silent


def _printed(trace: Trace, connection: int) -> bool:
    """Whether anything was said about this connection."""
    said = trace.of("probe.stderr", "probe.warning")
    return any(event.connection in (connection, -1) for event in said)


def _is_expected(report: Event, contract: Contract) -> bool:
    """Errors that the peer's own disconnect explains are often, and rightly, left out of reports."""
    quiet = ("builtins.ConnectionError", "builtins.TimeoutError")
    return is_allowed(report, contract) or any(name in report["lineage"] for name in quiet)
