"""Traces of what is read and written: as CPython does it, damaged, and where nobody can tell."""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import (
    TRACES,
    Part,
    Raised,
    changed,
    echo,
    event,
    inserted,
    peer,
    reset,
    silence,
    stall,
    trace,
)

ONE = TRACES["one peer"]
TIMED = Contract(timeout=5.0)
PROMPT = Contract(nagle_disabled=True)
NODELAY = "6/1"


def sends(*sent: tuple[str, bool, bool]):
    """A body in which the handler reads once and sends, by (via, complete, resumes)."""

    def body(number: int) -> Part:
        writes = [
            event("socket.send", number, b"x", via=via, complete=complete, resumes=resumes)
            for via, complete, resumes in sent
        ]
        return [*echo(number)[:3], *writes]

    return body


def reads(*vias: str):
    """A body in which the handler reads several times, then answers."""

    def body(number: int) -> Part:
        taken = [event("socket.recv", number, b"x", via=via) for via in vias]
        return [event("peer.send", number, b"xx"), *taken, *echo(number)[3:]]

    return body


def before_handle(*part: tuple) -> Trace:
    """One peer, whose handler's setup() does *part* first."""
    return inserted(ONE, list(part), after="setup.enter")


def timeout_set(seconds: float | None) -> tuple:
    """The event of settimeout()."""
    return event("socket.settimeout", 0, seconds=seconds)


def file_end(*, pending: bool) -> Part:
    """What is known at the end of the case about a buffered wfile."""
    return [event("socket.file-end", 0, 2 if pending else 0, mode="wb", pending=pending, closed=True)]


def buffered(*, pending: bool, **options) -> Trace:
    """One peer, whose handler writes through a buffered wfile that finish() flushes."""
    flushed = event("socket.send", 0, b"hello\n", via="wfile", complete=True, resumes=False)
    served = trace([*peer(0, body=lambda n: echo(n)[:3], **options), *file_end(pending=pending)])
    return inserted(served, [flushed], after="finish.enter")


def lacking(file: str, cls: str, *lacks: str) -> Trace:
    """One peer, whose handler finds a poor file at handle()'s entry."""
    probe = event("probe.interface", 0, **{"file": file, "class": cls, "lacks": lacks})
    return inserted(ONE, [probe], after="handle.enter")


def cut(served: Trace) -> Trace:
    """The same, but the server closed with input unread and the peer met a reset."""
    return changed(served, "peer.end", end="reset", unread=True)


LATE = event("socket.send", 0, b"late", via="sendall", complete=True, resumes=False)
LATE_FLUSH = event("socket.send", 0, b"late", via="wfile", complete=True, resumes=False)

GOOD = {
    "io/client-address": {"supplied": Asked(ONE)},
    "io/stream-request": {
        "fresh": Asked(ONE),
        "default timeout": Asked(changed(ONE, "socket.accepted", timeout=30.0)),
        "reset before accept": Asked(
            changed(inserted(ONE, [event("peer.reset", 0)], after="peer.connect"), "socket.accepted", peername=False)
        ),
        "own timeout later": Asked(before_handle(timeout_set(0.0))),
    },
    "io/one-reader": {
        "all through rfile": Asked(ONE),
        "sniffed first, then rfile": Asked(trace(peer(0, body=reads("socket", "rfile")))),
        "drained after shutdown": Asked(
            trace(
                peer(
                    0,
                    body=lambda n: [
                        *echo(n),
                        event("socket.shutdown", n, how="wr"),
                        event("socket.recv", n, b"rest", via="socket"),
                    ],
                )
            )
        ),
        "drained by the server": Asked(
            inserted(ONE, [event("socket.recv", 0, b"rest", via="socket")], after="shutdown_request.enter")
        ),
    },
    "io/buffered-interface": {
        "full": Asked(ONE),
        "raw rfile of CPython": Asked(lacking("rfile", "SocketIO", "read1", "readinto1")),
    },
    "io/written-bytes-arrive": {
        "flushed": Asked(buffered(pending=False)),
        "flushed after an error": Asked(buffered(pending=False, handle=Raised())),
    },
    "io/write-all": {
        "sendall": Asked(ONE),
        "send goes on": Asked(trace(peer(0, body=sends(("send", False, False), ("send", True, True))))),
        "the buffered writer goes on by itself": Asked(trace(peer(0, body=sends(("wfile", False, False))))),
    },
    "io/reply-then-eof": {
        "eof": Asked(ONE),
        "input left unread, but a short reply": Asked(changed(ONE, "peer.end", unread=True)),
    },
    "io/nothing-after-finish": {
        "closed": Asked(ONE),
        "the server tells the peer what failed": Asked(
            inserted(TRACES["handle raises"], [LATE], after="handle_error.enter")
        ),
        "the last flush failed (bpo-14574)": Asked(
            changed(
                inserted(
                    ONE,
                    [event("socket.error", 0, operation="send", errno="EPIPE", injected=False)],
                    after="finish.enter",
                ),
                "finish.leave",
                open=("rfile",),
            )
        ),
        "a base handler's own file": Asked(changed(ONE, "finish.leave", open=("rfile",)), Contract(kind="base")),
    },
    "io/timeout-applied": {
        "set": Asked(before_handle(timeout_set(5.0)), TIMED),
        "set, then changed": Asked(before_handle(timeout_set(5.0), timeout_set(1.0)), TIMED),
    },
    "io/nagle": {
        "set": Asked(before_handle(event("socket.setsockopt", 0, "1", option=NODELAY)), PROMPT),
    },
}

BAD = {
    "io/client-address": {
        "another": Asked(changed(ONE, "setup.enter", attributes=("request", "server"))),
    },
    "io/stream-request": {
        "non-blocking": Asked(
            inserted(ONE, [timeout_set(0.0)], after="socket.accepted"), Contract(overrides=("get_request",))
        ),
        "non-blocking listener": Asked(changed(ONE, "socket.accepted", timeout=0.0)),
        "inheritable": Asked(changed(ONE, "socket.accepted", inheritable=True)),
        "not a stream": Asked(changed(ONE, "socket.accepted", type="SOCK_DGRAM")),
    },
    "io/one-reader": {"header through rfile, body by recv()": Asked(trace(peer(0, body=reads("rfile", "socket"))))},
    "io/buffered-interface": {"own wfile": Asked(lacking("wfile", "Socket", "flush", "writelines"))},
    "io/written-bytes-arrive": {
        "never flushed": Asked(buffered(pending=True)),
        "never flushed after an error": Asked(buffered(pending=True, handle=Raised())),
        "flushed by the collector": Asked(inserted(ONE, [LATE_FLUSH], after="finish.leave")),
    },
    "io/write-all": {
        "the rest is dropped": Asked(trace(peer(0, body=sends(("send", False, False))))),
        "the next message instead of the rest": Asked(
            trace(peer(0, body=sends(("send", False, False), ("send", True, False))))
        ),
    },
    "io/reply-then-eof": {"reset": Asked(cut(ONE))},
    "io/nothing-after-finish": {
        "written to": Asked(inserted(ONE, [LATE], after="finish.leave")),
        "read from": Asked(inserted(ONE, [event("socket.recv", 0, b"x", via="rfile")], after="finish_request.leave")),
        "left open": Asked(changed(ONE, "finish.leave", open=("rfile", "wfile"))),
    },
    "io/timeout-applied": {
        "never set": Asked(ONE, TIMED),
        "taken back": Asked(before_handle(timeout_set(None)), TIMED),
    },
    "io/nagle": {
        "never set": Asked(ONE, PROMPT),
        "another option": Asked(before_handle(event("socket.setsockopt", 0, "1", option="1/9")), PROMPT),
    },
}

DOUBT = {
    "io/client-address": {
        "nothing is as supplied": Asked(changed(ONE, "setup.enter", attributes=())),
        "no handler": Asked(trace(peer(0, verify=False))),
    },
    "io/stream-request": {
        "PROXY protocol": Asked(changed(ONE, "socket.accepted", peername=False)),
        "own select loop": Asked(changed(ONE, "socket.accepted", timeout=0.0), Contract(kind="base")),
        "datagram": Asked(ONE, Contract(kind="datagram")),
    },
    "io/one-reader": {
        "rfile does not read ahead": Asked(
            changed(trace(peer(0, body=reads("rfile", "socket"))), "socket.makefile", buffering=0)
        ),
        "no rfile": Asked(trace(peer(0, body=reads("socket", "socket"), stream=False))),
    },
    "io/buffered-interface": {
        "text on purpose": Asked(lacking("rfile", "TextIOWrapper", "read1", "readinto")),
        "no files promised": Asked(ONE, Contract(kind="base")),
    },
    "io/written-bytes-arrive": {
        "stopped": Asked(trace([*peer(0, body=stall), *file_end(pending=True)])),
        "reset": Asked(trace([*peer(0, body=reset), *file_end(pending=True)])),
        "setup() failed": Asked(trace([*peer(0, setup=Raised()), *file_end(pending=True)])),
        "our fault kept finish() from its work": Asked(buffered(pending=True, finish=Raised(injected=True))),
    },
    "io/write-all": {
        "raised before it could go on": Asked(trace(peer(0, body=sends(("send", False, False)), handle=Raised()))),
        "stopped": Asked(trace(peer(0, body=lambda n: [*sends(("send", False, False))(n), stall(n)[-1]]))),
    },
    "io/reply-then-eof": {
        "the handler gave up": Asked(cut(trace(peer(0, handle=Raised())))),
        "a timeout struck": Asked(cut(trace(peer(0, body=lambda n: [*silence(n), LATE])))),
        "no reply": Asked(cut(trace(peer(0, body=lambda n: echo(n)[:3])))),
        "the peer stopped reading": Asked(cut(inserted(ONE, [event("peer.stop-reading", 0)], after="handle.enter"))),
        "stopped": Asked(trace(peer(0, body=stall))),
    },
    "io/nothing-after-finish": {"finish() never ran": Asked(trace(peer(0, setup=Raised())))},
    "io/timeout-applied": {
        "another timeout": Asked(before_handle(timeout_set(1.0)), TIMED),
        "none declared": Asked(ONE),
        "a base handler's attribute": Asked(ONE, Contract(kind="base", timeout=5.0)),
    },
    "io/nagle": {
        "not declared": Asked(ONE),
        "setup() failed": Asked(trace(peer(0, setup=Raised())), PROMPT),
    },
}
