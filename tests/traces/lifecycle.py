"""Traces of one handler's life: as CPython leads it, and damaged."""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import (
    TRACES,
    Part,
    Raised,
    changed,
    doubled,
    echo,
    event,
    inserted,
    lacking,
    peer,
    trace,
)

ONE = TRACES["one peer"]
EXITS = TRACES["handle exits"]
RAISES = trace(peer(0, handle=Raised(ValueError)))
SETUP_FAILS = trace(peer(0, setup=Raised(ValueError)))

HOOKS = ("setup.", "handle.", "finish.")
FINISH = [event("finish.enter", 0, instance=0, thread=0), event("finish.leave", 0, instance=0, open=())]


def entered(instance: int) -> Part:
    """handle() is entered on this instance."""
    return [event("handle.enter", 0, instance=instance, thread=0, missing=())]


def finishes_early(connection: int) -> Part:
    """A handle() that calls self.finish() when it has answered."""
    return [*echo(connection), *FINISH]


def defaults(**does: str) -> Trace:
    """A life on a base class that is not the standard library's, whose default hooks do this."""
    told = [event("probe.defaults", 0, "it asks for recv", hook=hook, does=word) for hook, word in does.items()]
    return inserted(ONE, told, after="init.enter")


def turned_away(connection: int) -> Part:
    """process_request() shuts the request down, and makes no handler."""
    past = ("finish_request.", "init.", *HOOKS, "socket.makefile", "socket.recv", "socket.eof", "socket.send")
    return [pair for pair in peer(connection) if not pair[0][0].startswith(past)]


SECOND_SETUP = inserted(ONE, [event("setup.enter", 0, instance=1, thread=0, attributes=())], after="handle.enter")
NO_FILES = changed(ONE, "handle.enter", missing=("wfile", "rfile"))
OWN_ENDS = Contract(overrides=("setup", "finish"))
NO_HANDLER = lacking(ONE, "init.", *HOOKS)
EARLY_FINISH = trace(peer(0, body=finishes_early))

GOOD = {
    "lifecycle/one-handler-per-request": {
        "one peer": Asked(ONE),
        "two peers": Asked(TRACES["two peers"]),
        "an error before setup": Asked(trace(peer(0, init=Raised(TypeError)))),
    },
    "lifecycle/order": {"stream": Asked(ONE), "base": Asked(TRACES["base handler"])},
    "lifecycle/finish-only-after-setup": {
        "setup raises": Asked(SETUP_FAILS),
        "setup exits": Asked(TRACES["setup exits"]),
        "setup returns": Asked(ONE),
    },
    "lifecycle/finish-always-after-setup": {
        "handle returns": Asked(ONE),
        "handle raises": Asked(RAISES),
        "handle exits": Asked(EXITS),
    },
    "lifecycle/finish-once": {"once": Asked(ONE), "twice, in two lives": Asked(TRACES["two peers"])},
    "lifecycle/files-ready-in-handle": {"all there": Asked(ONE)},
    "lifecycle/attributes-before-setup": {"all there": Asked(ONE)},
    "lifecycle/defaults-do-nothing": {"nothing": Asked(defaults(setup="nothing", finish="nothing"))},
    "lifecycle/finish-does-not-raise": {
        "returns": Asked(ONE),
        "raises what we injected": Asked(TRACES["finish raises"]),
        "raises what was declared": Asked(
            trace(peer(0, finish=Raised(BrokenPipeError))), Contract(allowed_exceptions=("builtins.OSError",))
        ),
    },
}
BAD = {
    "lifecycle/one-handler-per-request": {
        "a constructor without super": Asked(lacking(ONE, *HOOKS)),
        "no handler at all": Asked(NO_HANDLER),
        "no handler, and nobody spoke with the peer": Asked(
            lacking(NO_HANDLER, "socket.recv", "socket.eof", "socket.send"), Contract(overrides=("finish_request",))
        ),
        "everybody is turned away": Asked(trace(turned_away(0))),
        "two handlers": Asked(SECOND_SETUP),
        "the handler of an earlier request": Asked(changed(TRACES["two peers"], "setup.enter", instance=1)),
    },
    "lifecycle/order": {
        "handle calls itself": Asked(inserted(ONE, entered(0), after="handle.enter")),
        "another object": Asked(inserted(ONE, entered(7), after="setup.leave")),
        "no handle": Asked(lacking(ONE, "handle.")),
        "no handle and no finish": Asked(lacking(ONE, "handle.", "finish.")),
        "another thread": Asked(changed(ONE, "finish.enter", thread=7)),
    },
    "lifecycle/finish-only-after-setup": {
        "finish after setup": Asked(inserted(SETUP_FAILS, FINISH, after="setup.raise")),
        "finish inside setup": Asked(inserted(SETUP_FAILS, FINISH, after="setup.enter")),
        "handle after setup": Asked(inserted(SETUP_FAILS, entered(0), after="setup.raise")),
    },
    "lifecycle/finish-always-after-setup": {
        "handle returned": Asked(lacking(ONE, "finish.")),
        "handle raised": Asked(lacking(RAISES, "finish.")),
        "handle exited": Asked(lacking(EXITS, "finish.")),
    },
    "lifecycle/finish-once": {
        "after finish": Asked(doubled(ONE, "finish.enter")),
        "inside handle": Asked(EARLY_FINISH),
    },
    "lifecycle/files-ready-in-handle": {
        "no files": Asked(NO_FILES),
        "files that are missed": Asked(
            changed(trace(peer(0, handle=Raised(AttributeError))), "handle.enter", missing=("wfile", "rfile")), OWN_ENDS
        ),
        "no connection": Asked(changed(ONE, "handle.enter", missing=("connection",)), OWN_ENDS),
    },
    "lifecycle/attributes-before-setup": {
        "only the request": Asked(changed(ONE, "setup.enter", attributes=("request",))),
    },
    "lifecycle/defaults-do-nothing": {
        "touches": Asked(defaults(setup="touches", finish="nothing")),
        "returns": Asked(defaults(handle="returns")),
        "raises": Asked(defaults(finish="raises")),
        "is missing": Asked(defaults(finish="missing")),
    },
    "lifecycle/finish-does-not-raise": {
        "an exception": Asked(trace(peer(0, finish=Raised(BrokenPipeError)))),
        "an exit": Asked(trace(peer(0, finish=Raised(SystemExit)))),
    },
}
DOUBT = {
    "lifecycle/one-handler-per-request": {
        "a peer is turned away": Asked(trace(peer(0), turned_away(1))),
        "finish_request() answers by itself": Asked(NO_HANDLER, Contract(overrides=("finish_request",))),
    },
    "lifecycle/files-ready-in-handle": {"nobody misses them": Asked(NO_FILES, OWN_ENDS)},
    "server/hook-order": {"a peer is turned away": Asked(trace(peer(0), turned_away(1)))},
}
