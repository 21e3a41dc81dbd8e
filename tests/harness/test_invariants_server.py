"""The rules about the server's own path: what CPython does breaks none of them, and each notices its own damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, depending, mutants, rows, table, verdict
from tests.traces_builder import (
    HEADER,
    TRACES,
    Raised,
    changed,
    doubled,
    event,
    inserted,
    lacking,
    lineage,
    peer,
    refused,
    stall,
    swapped,
    trace,
    without,
)

ONE = TRACES["one peer"]
DENIED = trace(peer(0, verify=False))
RAISES = trace(peer(0, handle=Raised(ValueError)))
EXITS = trace(peer(0, handle=Raised(SystemExit), waiting=1))
ACCEPT_FAILS = TRACES["accept fails"]

REPORT = [
    event("handle_error.enter", 0, "SystemExit", lineage=lineage(SystemExit), injected=False, frame=""),
    event("handle_error.leave", 0),
]
SHUT = [event("shutdown_request.enter", 0), event("shutdown_request.leave", 0)]
STOPPED = event("server.stopped", 0, "boom", lineage=lineage(OSError), injected=True, frame="")


def report_fails(exception: type[BaseException]) -> Trace:
    """An injected error of handle() makes the user's handle_error() raise *exception* while ours is still current."""
    ours = trace(peer(0, handle=Raised(ValueError, injected=True), report=Raised(exception), waiting=1))
    return changed(changed(ours, "handle_error.raise", injected=True), "server.stopped", injected=True)


def unserved() -> Trace:
    """A second peer connects and nobody accepts it."""
    return trace(peer(0), [event("peer.connect", 1, "127.0.0.1:40001")])


GOOD = {
    "server/error-reported-once": {
        "no error": Asked(ONE),
        "handle raises": Asked(RAISES),
        "setup raises": Asked(trace(peer(0, setup=Raised(ValueError)))),
        "constructor raises": Asked(trace(peer(0, init=Raised(TypeError)))),
        "handle exits": Asked(EXITS),
    },
    "server/base-exceptions": {"handle exits": Asked(EXITS), "nobody comes": Asked(TRACES["nobody comes"])},
    "server/address": {"agrees": Asked(ONE)},
    "server/denied-request-closed": {"denied": Asked(DENIED), "accepted": Asked(TRACES["nobody comes"])},
    "server/verify-request-does-not-raise": {
        "decides": Asked(DENIED),
        "raises what we injected": Asked(TRACES["verify breaks"]),
    },
    "server/handle-error-does-not-raise": {
        "returns": Asked(RAISES),
        "raises what we injected": Asked(TRACES["handle_error breaks"]),
    },
    "server/accept-errors-survived": {
        "goes on": Asked(ACCEPT_FAILS),
        "breaks as injected": Asked(TRACES["accept breaks"]),
    },
    "server/hook-order": {
        "served": Asked(ONE),
        "denied": Asked(DENIED),
        "failed": Asked(RAISES),
        "exited": Asked(EXITS),
        "refused": Asked(ACCEPT_FAILS),
    },
    "server/next-request-served": {"two peers": Asked(TRACES["two peers"]), "an error": Asked(TRACES["handle raises"])},
    "server/error-report": {
        "printed": Asked(RAISES),
        "a reset needs no report": Asked(lacking(trace(peer(0, handle=Raised(ConnectionResetError))), "probe.")),
        "a declared exception needs no report": Asked(
            lacking(RAISES, "probe."), Contract(allowed_exceptions=("builtins.ValueError",))
        ),
    },
}
BAD = {
    "server/error-reported-once": {
        "never": Asked(lacking(RAISES, "handle_error.")),
        "never, and the server stops": Asked(
            inserted(lacking(RAISES, "handle_error.", "shutdown_"), [STOPPED], after="process_request.raise")
        ),
        "twice": Asked(doubled(RAISES, "handle_error.enter")),
        "too early": Asked(swapped(RAISES, "finish.enter", "handle_error.enter")),
        "too late": Asked(swapped(RAISES, "handle_error.enter", "shutdown_request.enter")),
        "with nothing to report": Asked(changed(RAISES, "handle_error.enter", lineage=())),
    },
    "server/base-exceptions": {
        "reported": Asked(inserted(EXITS, REPORT, after="process_request.raise")),
        "not shut down": Asked(lacking(EXITS, "shutdown_request.")),
        "survived": Asked(lacking(EXITS, "server.stopped", "server.abandoned")),
    },
    "server/address": {"another port": Asked(changed(ONE, "server.address", agrees=False))},
    "server/denied-request-closed": {
        "left open": Asked(lacking(DENIED, "shutdown_request.", "close_request.", "socket.")),
        "closed twice": Asked(inserted(DENIED, SHUT, after="shutdown_request.leave")),
        "served": Asked(changed(ONE, "verify_request.leave", result=False)),
    },
    "server/verify-request-does-not-raise": {
        "an exception": Asked(trace(peer(0, verify=Raised(TypeError), waiting=1))),
        "an exit": Asked(trace(peer(0, verify=Raised(SystemExit), waiting=1))),
    },
    "server/handle-error-does-not-raise": {
        "an exception": Asked(trace(peer(0, handle=Raised(ValueError), report=Raised(KeyError), waiting=1))),
        "while it reports our error": Asked(report_fails(KeyError)),
    },
    "server/accept-errors-survived": {
        "stopped by an OSError": Asked(inserted(ACCEPT_FAILS, [STOPPED], after="get_request.raise")),
        "reported": Asked(inserted(ACCEPT_FAILS, REPORT, after="get_request.raise")),
        "another exception": Asked(trace(refused(0, Raised(ValueError), waiting=1))),
    },
    "server/hook-order": {
        "the handler is made directly": Asked(lacking(ONE, "finish_request.")),
        "no process_request": Asked(lacking(ONE, "process_request.", "finish_request.")),
        "no close_request": Asked(lacking(ONE, "close_request.")),
        "nothing after an error": Asked(lacking(RAISES, "handle_error.", "shutdown_request.", "close_request.")),
    },
    "server/next-request-served": {
        "an exit": Asked(EXITS),
        "an unserved peer": Asked(unserved()),
        "an injected error that the server does not survive": Asked(
            inserted(lacking(TRACES["handle raises"], "handle_error."), [STOPPED], after="process_request.raise")
        ),
    },
    "server/error-report": {"silent": Asked(lacking(RAISES, "probe."))},
}


@pytest.mark.parametrize("slug", rows("server"))
def test_every_rule_has_a_good_and_a_bad_trace(slug):
    """A rule cannot be added without traces that show both."""
    assert GOOD[slug]
    assert BAD[slug]


@pytest.mark.parametrize(("slug", "asked"), table(GOOD))
def test_it_holds_for_a_correct_server(slug, asked):
    """A rule holds on the traces that were written for it, or says that they do not concern it."""
    assert verdict(slug, asked).outcome is Outcome.HOLDS


@pytest.mark.parametrize(("slug", "asked"), table(BAD))
def test_it_is_violated_by_its_own_damage(slug, asked):
    """A rule notices what it is about, shows it by events, and gives it a name."""
    said = verdict(slug, asked)
    assert said.outcome is Outcome.VIOLATED
    for violation in said.violations:
        assert all(0 <= seq < len(asked.subject) for seq in violation.witness)
        assert violation.witness
        assert violation.expected != violation.actual
        assert violation.exception or violation.damage


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("slug", rows("server"))
def test_no_rule_blames_the_standard_library(slug, name):
    """What CPython's plain server does, with or without injected faults, is neither violation nor doubt."""
    assert verdict(slug, Asked(TRACES[name])).outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE)


@pytest.mark.parametrize("slug", depending(rows("server")))
def test_mutants_of_good_traces_are_noticed(slug):
    """Dropping, doubling or swapping what a rule depends on breaks it."""
    found = [(name, mutant) for asked in GOOD[slug].values() for name, mutant in mutants(slug, asked.subject)]
    assert found
    for name, mutant in found:
        assert verdict(slug, Asked(mutant)).outcome is Outcome.VIOLATED, name


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


def test_a_forking_server_has_another_path():
    """The table of hooks describes plain servers."""
    forking = Trace(replace(HEADER, server="forking"), ONE.events)
    assert verdict("server/hook-order", Asked(forking)).outcome is Outcome.NOT_APPLICABLE


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
