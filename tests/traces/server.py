"""Traces of the server's own path: as CPython goes it, and damaged."""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import (
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
    swapped,
    trace,
)

ONE = TRACES["one peer"]
DENIED = trace(peer(0, verify=False))
RAISES = trace(peer(0, handle=Raised(ValueError)))
LEFT = trace(peer(0, handle=Raised(ConnectionResetError)))
EXITS = trace(peer(0, handle=Raised(SystemExit), waiting=1))
ACCEPT_FAILS = TRACES["accept fails"]

REPORT = [
    event("handle_error.enter", 0, "SystemExit", lineage=lineage(SystemExit), injected=False, frame=""),
    event("handle_error.leave", 0),
]
OWN = Contract(overrides=("process_request",))
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
        "a departure that nobody catches": Asked(
            inserted(lacking(LEFT, "handle_error.", "shutdown_"), [STOPPED], after="process_request.raise")
        ),
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
        "left to somebody who never comes": Asked(lacking(ONE, "shutdown_request.", "close_request.", "socket."), OWN),
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
DOUBT = {
    "server/hook-order": {
        "left to a thread that closes it": Asked(lacking(ONE, "shutdown_request.", "close_request."), OWN),
        "by the thread that was started for it": Asked(
            lacking(ONE, "shutdown_request.", "close_request."), Contract(overrides=("process_request_thread",))
        ),
    },
    "server/error-reported-once": {
        "a departure that the server deals with": Asked(lacking(LEFT, "handle_error.")),
        "a declared exception": Asked(
            lacking(RAISES, "handle_error."), Contract(allowed_exceptions=("builtins.ValueError",))
        ),
    },
}
