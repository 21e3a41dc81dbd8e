"""The rules about the server's own path: what CPython does breaks none of them, and each notices its own damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, rows, verdict
from tests.traces.server import ACCEPT_FAILS, EXITS, ONE, RAISES, REPORT, SHUT
from tests.traces_builder import (
    HEADER,
    TRACES,
    Raised,
    event,
    inserted,
    lacking,
    lineage,
    peer,
    stall,
    trace,
    without,
)


def only_violation(slug, subject):
    """The one violation that the rule sees."""
    (violation,) = verdict(slug, Asked(subject)).violations
    return violation


@pytest.mark.parametrize("slug", rows("server"))
def test_a_handler_that_was_stopped_proves_nothing(slug):
    """What the server does, or fails to do, after a handler was stopped from outside is not judged."""
    stopped = event(
        "server.stopped", 0, "stopped", lineage=("x.Stopped", "builtins.BaseException"), injected=False, frame=""
    )
    stalled = inserted(lacking(trace(peer(0, body=stall)), "shutdown_request."), [stopped], after="handle.leave")
    assert verdict(slug, Asked(stalled)).outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE)


def test_a_dead_server_names_the_exception():
    """A handler that exits is blamed for the dead server by exception, frame and line, with the peers it cost."""
    violation = only_violation("server/next-request-served", EXITS)
    assert (
        violation.actual
        == "SystemExit: boom left the serving loop: the server is dead; 1 more peer(s) were never served"
    )
    assert (violation.exception, violation.frame) == ("builtins.SystemExit", "tests:Handler.handle")
    assert violation.location == "handler.py:12"


@pytest.mark.parametrize("name", ["handle exits", "verify breaks", "handle_error breaks", "accept breaks"])
def test_a_server_that_our_fault_ends_is_nobody_s_bug(name):
    """An injected SystemExit, or an injected error in a hook that CPython does not guard, ends every plain server."""
    assert verdict("server/next-request-served", Asked(TRACES[name])).outcome is Outcome.NOT_APPLICABLE


def test_an_exit_that_was_reported_is_one_violation():
    """A server that treats SystemExit as an error also survives it; that is one cause, and told once."""
    swallowed = lacking(inserted(EXITS, REPORT, after="process_request.raise"), "server.stopped", "server.abandoned")
    assert only_violation("server/base-exceptions", swallowed).damage == "reported"


def test_a_handle_error_that_raises_again_is_one_finding():
    """handle_error() that lets every error out is the same finding for each of them."""
    found = []
    for exception in (ValueError, KeyError):
        again = trace(peer(0, handle=Raised(exception), report=Raised(exception, frame="tests:Handler.handle")))
        found.append(only_violation("server/handle-error-does-not-raise", again))
    assert [(each.exception, each.frame, each.damage) for each in found] == [("", "", "raised again")] * 2


def test_a_stop_of_one_handler_does_not_excuse_another():
    """A peer that stalled is no excuse for a later peer's handler that ends the server."""
    later = trace(peer(0, body=stall), peer(1, handle=Raised(SystemExit), waiting=1))
    assert only_violation("server/next-request-served", later).connection == 1


def test_a_failed_accept_is_followed_by_the_same_peer():
    """The peer whose accept failed is served at the next turn, which is no violation."""
    assert [each.kind for each in ACCEPT_FAILS.of("get_request.raise", "get_request.leave", connection=0)] == [
        "get_request.raise",
        "get_request.leave",
    ]
    assert verdict("server/accept-errors-survived", Asked(ACCEPT_FAILS)).outcome is Outcome.HOLDS


@pytest.mark.parametrize(
    ("after", "outcome"), [("server.address", Outcome.UNKNOWN), ("server.stopped", Outcome.VIOLATED)]
)
def test_a_listener_that_its_owner_closed_fails_for_good(after, outcome):
    """What a failed accept does to the loop is not judged from where the owner has begun to close the server."""
    stopped = event("server.stopped", -1, "OSError", lineage=lineage(OSError), injected=False, frame="")
    broken = inserted(ACCEPT_FAILS, [stopped], after="get_request.raise")
    closed = inserted(broken, [event("owner.enter", act="close", nth=0)], after=after)
    assert verdict("server/accept-errors-survived", Asked(closed)).outcome is outcome


def test_a_loop_that_its_owner_closed_is_nobody_s_finding():
    """A loop that ends by an exception after the owner has closed the server is no handler's doing."""
    assert verdict("server/next-request-served", Asked(EXITS)).outcome is Outcome.VIOLATED
    for begun in (event("owner.enter", act="close", nth=0), event("server_close.enter")):
        closed = inserted(EXITS, [begun], after="server.address")
        assert verdict("server/next-request-served", Asked(closed)).outcome is Outcome.UNKNOWN
    by_handler = inserted(EXITS, [event("server_close.enter", 0)], after="handle.enter")
    assert verdict("server/next-request-served", Asked(by_handler)).outcome is Outcome.VIOLATED


def test_a_server_that_closes_badly_reports_that_too():
    """When shutdown_request() itself raises, CPython reports it and shuts down again; neither is too much."""
    fields = {"lineage": lineage(OSError), "injected": False, "frame": ""}
    failed = [
        event("shutdown_request.raise", 0, "EBADF", **fields),
        event("process_request.raise", 0, "EBADF", **fields),
    ]
    again = [*failed, event("handle_error.enter", 0, "EBADF", **fields), event("handle_error.leave", 0), *SHUT]
    bad = inserted(without(ONE, "shutdown_request.leave"), again, after="close_request.leave")
    assert verdict("server/error-reported-once", Asked(bad)).outcome is Outcome.HOLDS


def test_a_threading_server_outlives_an_exit():
    """Only a plain server must stop when a handler exits."""
    survived = lacking(EXITS, "server.stopped", "server.abandoned")
    threading = Trace(replace(HEADER, server="threading"), survived.events)
    assert verdict("server/base-exceptions", Asked(threading)).outcome is Outcome.HOLDS


def test_an_error_may_be_reported_elsewhere():
    """A silent handle_error() that touched the world may have written a log there."""
    probe = event("probe.side-effect", 0, "log.txt", action="open")
    logged = inserted(lacking(RAISES, "probe."), [probe], after="handle_error.enter")
    assert verdict("server/error-report", Asked(logged)).outcome is Outcome.UNKNOWN


def test_steps_off_the_path_are_named():
    """The hook order says what should have come and what came."""
    violation = only_violation("server/hook-order", lacking(ONE, "finish_request."))
    assert violation.expected == "after process_request.enter comes finish_request.enter or process_request.raise"
    assert violation.actual == "shutdown_request.enter came next"
