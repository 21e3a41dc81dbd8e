"""Traces of exceptions that leave a handler: the handler's own, and those that a leaving peer causes."""

from __future__ import annotations

from tests.invariant_checks import Asked
from tests.traces_builder import (
    TRACES,
    Part,
    Raised,
    echo,
    event,
    lacking,
    peer,
    reset,
    silence,
    trace,
)

UNCAUGHT = "handler/no-uncaught-exception"
LEFT = "handler/reset-is-expected"


def peer_closed(connection: int) -> Part:
    return [event("peer.close", connection), event("socket.eof", connection, via="rfile")]


def shut_by_handler(connection: int) -> Part:
    own = [event("socket.close", connection)]
    return [*echo(connection), *own, event("socket.error", connection, operation="send", errno="EPIPE", injected=False)]


def closed_by_handler(connection: int) -> Part:
    error = event("socket.error", connection, operation="send", errno="EBADF", injected=False)
    return [*reset(connection)[:3], event("socket.close", connection), error]


def fails_with(exception: type[BaseException], body=echo):
    return trace(peer(0, handle=Raised(exception), body=body), peer(1))


GOOD = {
    UNCAUGHT: {
        "returns": Asked(TRACES["one peer"]),
        "raises what we injected": Asked(TRACES["handle raises"]),
        "raises because the peer left": Asked(fails_with(ConnectionResetError, reset)),
    },
    LEFT: {
        "takes a reset": Asked(TRACES["peer resets"]),
        "takes a silence": Asked(TRACES["peer is silent"]),
        "raises for another reason": Asked(fails_with(ValueError)),
    },
}
BAD = {
    UNCAUGHT: {
        "handle raises": Asked(fails_with(ValueError)),
        "setup raises": Asked(trace(peer(0, setup=Raised(UnicodeDecodeError)))),
        "finish raises": Asked(trace(peer(0, finish=Raised(KeyError)))),
        "constructor raises": Asked(trace(peer(0, init=Raised(TypeError)))),
        "an unrecorded handler raises": Asked(lacking(fails_with(ValueError), "init.", "setup.", "handle.", "finish.")),
    },
    LEFT: {
        "a reset": Asked(fails_with(ConnectionResetError, reset)),
        "a close": Asked(fails_with(BrokenPipeError, peer_closed)),
        "a silence": Asked(fails_with(TimeoutError, silence)),
        "a silence, read on": Asked(fails_with(OSError, silence)),
        "a reset, asked for its peer": Asked(fails_with(OSError, reset)),
    },
}
