"""Traces of what is given back, what is left behind, and leaks that are ours or CPython's."""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Header, Trace
from tests.invariant_checks import Asked
from tests.traces_builder import (
    TRACES,
    Raised,
    changed,
    event,
    inserted,
    moved,
    peer,
    reset,
    stall,
    trace,
    without,
)

ONE = TRACES["one peer"]
FAILED_SETUP = trace(peer(0, setup=Raised()))
CLOSE = event("socket.close", 0)


def leaked(served: Trace, count: int = 1) -> Trace:
    """The same, with *count* more open descriptors after the case."""
    return inserted(served, [event("probe.descriptors", delta=count)], after="server.closed")


def kept(served: Trace) -> Trace:
    """The same, with the handler still alive after its request."""
    return inserted(served, [event("probe.handler-alive", 0, instance=0)], after="server.closed")


def noticed(kind: str, payload: str | None = None, /, *, served: Trace = ONE, **fields) -> Trace:
    """The same, with something that a probe noticed."""
    return inserted(served, [event(kind, -1, payload, **fields)], after="server.closed")


def by_collector(served: Trace) -> Trace:
    """The same, with the request given back only by garbage collection."""
    return changed(served, "socket.released", by="collector")


def changed_state(what: str, served: Trace = ONE) -> Trace:
    """The same, with this part of the process's state changed."""
    return noticed("probe.process-state", "one before, other after", served=served, what=what)


def weighed(*, held: int, again: int, announced: bool = False, served: Trace = ONE) -> Trace:
    """The same, with a long input of which so many times as much was held."""
    told = "4,000,155 bytes were held when 4,000,000 had been taken" + (" @ handler.py:12" if again else "")
    fields = {"held": held, "again": again, "announced": announced, "where": "tests:Handler.handle" if held else ""}
    return inserted(served, [event("probe.memory", 0, told, **fields)], after="server.closed")


def failed_write(served: Trace) -> Trace:
    """The same, with a last flush that failed."""
    failure = event("socket.error", 0, operation="send", errno="EPIPE", injected=False)
    return inserted(served, [failure], after="finish.enter")


CLOSED_BY_HANDLER = inserted(ONE, [CLOSE], after="handle.enter")
HALF_CLOSED_BY_HANDLER = inserted(
    without(ONE, "socket.shutdown"), [event("socket.shutdown", 0, how="wr")], after="handle.enter"
)
NOT_CONNECTED = inserted(
    without(ONE, "socket.shutdown"),
    [event("socket.error", 0, operation="shutdown", errno="ENOTCONN", injected=False)],
    after="shutdown_request.enter",
)
FOREIGN = inserted(
    ONE, [event("socket.error", 0, operation="close", errno="EBADF", injected=False)], after="close_request.enter"
)
STALLED = trace(peer(0, body=stall))
OUR_SETUP = TRACES["setup raises"]
OUR_FINISH = TRACES["finish raises"]
LOOPBACK = Header(target="tests:Handler", network="loopback")

GOOD = {
    "resources/socket-closed-once": {
        "closed": Asked(ONE),
        "denied": Asked(TRACES["denied"]),
        "closed by the handler too": Asked(CLOSED_BY_HANDLER, spare=True),
    },
    "resources/shutdown-before-close": {
        "in order": Asked(ONE),
        "denied": Asked(TRACES["denied"]),
        "shut down by the handler": Asked(HALF_CLOSED_BY_HANDLER, spare=True),
        "not connected any more": Asked(NOT_CONNECTED),
    },
    "resources/no-fd-leak": {
        "as before": Asked(ONE),
        "fewer than before": Asked(leaked(ONE, -1)),
    },
    "resources/closed-explicitly": {"closed": Asked(ONE)},
    "resources/handler-released": {"freed": Asked(ONE)},
    "resources/process-state": {"unchanged": Asked(ONE)},
    "resources/bounded-memory": {
        "little is held": Asked(weighed(held=0, again=0)),
        "a limit was met": Asked(weighed(held=1, again=0)),
    },
    "resources/clean-run": {
        "clean": Asked(ONE),
        "other warnings": Asked(noticed("probe.warning", "old", category="DeprecationWarning")),
        "fewer threads": Asked(noticed("probe.threads", delta=-1)),
    },
}  # fmt: skip

BAD = {
    "resources/socket-closed-once": {
        "never": Asked(without(ONE, "socket.close")),
        "denied and never": Asked(without(TRACES["denied"], "socket.close")),
        "twice": Asked(inserted(ONE, [CLOSE], after="socket.close")),
        "by number": Asked(FOREIGN),
        "verify_request() raised": Asked(trace(peer(0, verify=Raised()))),
    },
    "resources/shutdown-before-close": {
        "no shutdown": Asked(without(ONE, "socket.shutdown")),
        "only reading was shut down": Asked(changed(ONE, "socket.shutdown", how="rd")),
        "too late": Asked(moved(ONE, "socket.close", before="socket.shutdown")),
    },
    "resources/no-fd-leak": {
        "left by handle()": Asked(leaked(ONE)),
        "left by a failed setup()": Asked(leaked(FAILED_SETUP)),
        "a setup() that our failing read broke": Asked(
            leaked(changed(FAILED_SETUP, "setup.raise", injected=True, frame="tests:Handler.setup"))
        ),
        "the request is still held": Asked(without(ONE, "socket.released")),
        "the request of a failed setup() is still held": Asked(without(FAILED_SETUP, "socket.released")),
        "the same, on loopback": Asked(
            leaked(
                trace(
                    peer(0),
                    [pair for pair in peer(1, setup=Raised()) if pair[0][0] != "socket.released"],
                    header=LOOPBACK,
                )
            )
        ),
    },
    "resources/closed-explicitly": {"collected": Asked(by_collector(ONE))},
    "resources/handler-released": {
        "kept": Asked(kept(ONE)),
        "registered by a failed setup()": Asked(kept(FAILED_SETUP)),
    },
    "resources/process-state": {
        "one part": Asked(changed_state("umask")),
        "two parts": Asked(changed_state("sys.stdout", served=changed_state("environment"))),
    },
    "resources/bounded-memory": {
        "all of it, and all of more": Asked(weighed(held=1, again=1)),
        "several times": Asked(weighed(held=3, again=3)),
        "held by a handler that waits for more": Asked(weighed(held=1, again=1, served=STALLED)),
    },
    "resources/clean-run": {
        "ResourceWarning": Asked(noticed("probe.warning", "unclosed", category="ResourceWarning")),
        "qualified": Asked(noticed("probe.warning", "unclosed", category="builtins.ResourceWarning")),
        "unraisable": Asked(noticed("probe.unraisable", "in __del__", exception="builtins.ValueError")),
        "thread": Asked(noticed("probe.threads", delta=1)),
    },
}

DOUBT = {
    "resources/socket-closed-once": {
        "stopped": Asked(STALLED),
        "our fault in verify_request()": Asked(TRACES["verify breaks"]),
        "our fault in handle_error()": Asked(TRACES["handle_error breaks"]),
        "detached": Asked(inserted(without(ONE, "socket.close"), [event("socket.detach", 0)], after="handle.enter")),
        "nobody": Asked(TRACES["nobody comes"]),
    },
    "resources/shutdown-before-close": {
        "closed by the handler": Asked(inserted(without(ONE, "socket.shutdown"), [CLOSE], after="handle.enter")),
        "reset": Asked(without(trace(peer(0, body=reset)), "socket.shutdown")),
        "datagram": Asked(ONE, Contract(kind="datagram")),
    },
    "resources/no-fd-leak": {
        "stopped": Asked(leaked(STALLED)),
        "our fault at the edge of setup()": Asked(leaked(OUR_SETUP)),
        "our fault at the edge of finish()": Asked(leaked(OUR_FINISH)),
        "our fault in verify_request()": Asked(leaked(TRACES["verify breaks"])),
    },
    "resources/closed-explicitly": {
        "setup() failed": Asked(by_collector(FAILED_SETUP)),
        "our fault at the edge of finish()": Asked(by_collector(trace(peer(0, finish=Raised(injected=True))))),
        "the last flush failed (bpo-14574)": Asked(by_collector(failed_write(ONE))),
    },
    "resources/handler-released": {
        "stopped": Asked(kept(STALLED)),
        "our fault at the edge of setup()": Asked(kept(OUR_SETUP)),
    },
    "resources/process-state": {
        "stopped": Asked(changed_state("umask", served=STALLED)),
        "our fault at the edge of setup()": Asked(changed_state("umask", served=OUR_SETUP)),
        "our fault in the server": Asked(changed_state("umask", served=TRACES["verify breaks"])),
    },
    "resources/bounded-memory": {
        "not weighed": Asked(ONE),
        "announced": Asked(weighed(held=1, again=1, announced=True)),
        "datagram": Asked(weighed(held=1, again=1), Contract(kind="datagram")),
    },
    "resources/clean-run": {
        "stopped": Asked(noticed("probe.threads", served=STALLED, delta=1)),
        "our fault": Asked(noticed("probe.warning", "unclosed", served=OUR_FINISH, category="ResourceWarning")),
        "our fault in the server": Asked(
            noticed("probe.warning", "unclosed", served=TRACES["verify breaks"], category="ResourceWarning")
        ),
    },
}
