"""Traces of servers with a thread or a child for each request: as the mix-ins of `socketserver` go, and damaged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Family
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import (
    CLOSING,
    HEADER,
    Part,
    Raised,
    changed,
    doubled,
    echo,
    event,
    inserted,
    lacking,
    lineage,
    moved,
    peer,
    stall,
    swapped,
    trace,
    without,
)
from tests.traces_concurrent import FORKING, THREADING, forked, mingled, threaded, trace_of, unstarted

THREAD = trace_of("threading", threaded(0))
THREADS = trace_of("threading", mingled(threaded(0), threaded(1)))
CHILD = trace_of("forking", forked(0))
CHILDREN = trace_of("forking", mingled(forked(0), forked(1)))
FAILED_CHILD = trace_of("forking", forked(0, handle=Raised(ValueError)))
UNFORKED = trace_of("forking", unstarted(0, "fork"), forked(1))
ERROR = {"lineage": lineage(RuntimeError), "injected": False, "frame": ""}
EXIT = {"lineage": lineage(SystemExit), "injected": False, "frame": "tests:Handler.handle"}


def thread_raises(exception: type[BaseException]) -> Trace:
    """The handler raises, in a thread of its own."""
    return trace_of("threading", threaded(0, handle=Raised(exception)))


def child_raises(exception: type[BaseException], status: str = "") -> Trace:
    """The handler raises, in a child of its own."""
    return trace_of("forking", forked(0, handle=Raised(exception), status=status))


def left(count: int, *, daemon: bool = False, peers: int = 2) -> Trace:
    """So many threads are alive after server_close(), and so many peers were served."""
    parts = [threaded(number) for number in range(peers)]
    return trace(*parts, header=THREADING, closing=[*CLOSING, event("probe.threads-left", count=count, daemon=daemon)])


def census(moment: str, alive: int = 0, zombies: int = 0, *, closing: bool = True) -> Trace:
    """A forking server whose children are counted at this moment."""
    counted = event("probe.children", moment=moment, alive=alive, zombies=zombies)
    return trace(
        forked(0), forked(1), *([] if closing else [[counted]]),
        header=FORKING, closing=[*CLOSING, counted] if closing else CLOSING,
    )  # fmt: skip


def died(connection: int, status: str) -> Part:
    """A child that ends while its handler runs."""
    part = forked(connection, status=status)
    entered = next(at for at, (what, _) in enumerate(part) if what[0] == "handle.enter") + 1
    return [*part[:entered], *part[-2:]]


def held(connection: int) -> Part:
    """The peer says all that it has to say, and the handler waits for something else."""
    said = [pair for pair in echo(connection) if pair[0][0] != "socket.send"]
    return [*said, event("probe.hung", connection, where="tests:Handler.handle")]


def family(variant: Trace, base: Trace = THREAD) -> Asked:
    """The last peer alone, twice, and beside others."""
    return Asked(Family("concurrent", base, base, variant))


def stateless(variant: Trace, base: Trace = THREAD) -> Asked:
    """The same about a handler that remembers nothing."""
    return Asked(family(variant, base).subject, Contract(stateless=True, concurrency="threading"))


def denied(connection: int) -> Part:
    """The peer says all that it has to say, and the server has shut its request down before any handler was made."""
    mine = (
        "thread.",
        "request.",
        "finish_request.",
        "init.",
        "setup.",
        "handle.",
        "finish.",
        "socket.recv",
        "socket.send",
    )
    return [pair for pair in threaded(connection) if not pair[0][0].startswith(mine)]


def last_gets(reply: bytes, end: str = "eof", **changes: Any) -> Trace:
    """Two peers at once, the last of which gets this reply."""
    return changed(THREADS, "peer.end", 1, reply=reply, end=end, **changes)


def written_late(*, beside: bool) -> Trace:
    """A thread whose connection is written to once more when its handler has finished, others being handled or not."""
    first, second = threaded(0), threaded(1)
    entered = [what[0] for what, _ in second].index("handle.enter") + 1 if beside else 0
    whole = trace_of("threading", [*second[:entered], *first, *second[entered:]])
    return inserted(
        whole, [event("socket.send", 0, b"late", via="socket", complete=True, resumes=False)], after="finish.leave"
    )


def killed(whole: Trace) -> Trace:
    """The same, of a house that did not come to its end."""
    end = event("network.stalled", operation="handle", after="open")
    return inserted(without(whole, "server.closed"), [end], after="peer.end")


# A plain server that has its requests served in threads of its own.
POOLED = replace(lacking(THREAD, "thread."), header=HEADER)
UNTAKEN = trace(threaded(0), [event("peer.connect", 1, "127.0.0.1:40001")], header=THREADING)

GOOD = {
    "resources/parent-closes-connection": {"children": Asked(CHILDREN)},
    "resources/no-thread-left": {"threads": Asked(THREADS), "nobody comes": Asked(trace_of("threading"))},
    "resources/children-reaped": {
        "none left": Asked(CHILDREN),
        "some run": Asked(census("turn", alive=2, closing=False)),
        "nobody waits": Asked(census("closed", alive=2), Contract(block_on_close=False)),
    },
    "server/child-exits": {
        "served": Asked(CHILDREN),
        "raises": Asked(FAILED_CHILD),
        "exits": Asked(child_raises(SystemExit)),
    },
    "server/max-children": {
        "as many as allowed": Asked(census("turn", alive=2, closing=False), Contract(max_children=2))
    },
    "server/handle-timeout-reaps": {"all": Asked(census("timeout", alive=1, closing=False))},
    "relation/concurrent-isolation": {
        "the same": family(THREADS),
        "a neighbour fails": family(
            trace_of("threading", mingled(threaded(0, handle=Raised(ValueError)), threaded(1)))
        ),
        "a neighbour hangs": family(trace_of("threading", mingled(threaded(0, body=stall), threaded(1)))),
    },
    "server/hook-order": {
        "in a thread": Asked(THREAD),
        "in a child": Asked(CHILD),
        "several at once": Asked(THREADS, spare=True),
        "returned late": Asked(moved(THREAD, "process_request.leave", "peer.end"), spare=True),
        "no thread": Asked(trace_of("threading", unstarted(0)), spare=True),
    },
    "server/error-reported-once": {
        "in a thread": Asked(thread_raises(ValueError)),
        "in a child": Asked(child_raises(ValueError)),
    },
    "server/base-exceptions": {
        "in a thread": Asked(thread_raises(SystemExit), spare=True),
        "in a child": Asked(child_raises(KeyboardInterrupt), spare=True),
        "in a child that the server forks by itself": Asked(
            trace(forked(0, handle=Raised(SystemExit)), header=replace(HEADER, network="loopback")), spare=True
        ),
    },
    "server/next-request-served": {"a thread exits": Asked(thread_raises(SystemExit))},
    "lifecycle/order": {"in a thread": Asked(THREAD), "in a child": Asked(CHILD)},
    "resources/socket-closed-once": {"in a thread": Asked(THREAD), "in a child": Asked(CHILD)},
    "liveness/process-survives": {"children end": Asked(CHILDREN), "a child fails": Asked(FAILED_CHILD)},
    "resources/clean-run": {
        "a thread that we ended": Asked(
            inserted(
                trace_of("threading", threaded(0, handle=Raised(KeyboardInterrupt, injected=True))),
                [event("probe.unraisable", 0, "KeyboardInterrupt: ours", exception="builtins.KeyboardInterrupt")],
                after="thread.end",
            )
        )
    },
}

BAD = {
    "resources/parent-closes-connection": {
        "held": Asked(changed(CHILDREN, "probe.parent-copy", open=True)),
        "shut": Asked(changed(CHILDREN, "probe.parent-copy", shut=True)),
    },
    "resources/no-thread-left": {
        "a thread each": Asked(left(2)),
        "more": Asked(left(4)),
        "daemons": Asked(left(3, daemon=True, peers=3)),
        "joins itself": Asked(
            inserted(THREAD, [event("server_close.raise", 0, "join", **ERROR)], after="handle.enter")
        ),
    },
    "resources/children-reaped": {
        "while serving": Asked(census("turn", zombies=1, closing=False)),
        "after the close": Asked(census("closed", zombies=2)),
        "not waited for": Asked(census("closed", alive=1)),
        "never reaped": Asked(census("closed", zombies=1), Contract(block_on_close=False)),
    },
    "server/child-exits": {
        "in the loop": Asked(inserted(CHILD, [event("process.escaped", 0, child=0)], after="close_request.leave")),
        "0 after an error": Asked(child_raises(ValueError, status="exit 0")),
        "1 after success": Asked(changed(CHILD, "process.end", status="exit 1")),
        "killed": Asked(changed(CHILD, "process.end", status="signal SIGTERM")),
    },
    "server/max-children": {"one more": Asked(census("turn", alive=3, closing=False), Contract(max_children=2))},
    "server/handle-timeout-reaps": {"zombies": Asked(census("timeout", zombies=1, closing=False))},
    "relation/concurrent-isolation": {
        "no reply": family(last_gets(b"")),
        "no reply, held": family(trace_of("threading", threaded(0), threaded(1, body=held))),
        "cut": family(last_gets(b"hel")),
        "no end": family(last_gets(b"hello\n", end="open")),
        "another reply": stateless(last_gets(b"HELLO\n")),
    },
    "server/hook-order": {
        "never shut down": Asked(without(THREAD, "shutdown_request.enter")),
        "the parent shuts down": Asked(changed(CHILD, "parent.hook", hook="shutdown_request")),
        "the parent closes twice": Asked(doubled(CHILD, "parent.hook")),
        "the handler is left out": Asked(lacking(THREAD, "finish_request.")),
        "nothing at all": Asked(lacking(THREAD, "finish_request.", "shutdown_request.", "close_request.")),
    },
    "server/error-reported-once": {
        "not in the thread": Asked(lacking(thread_raises(ValueError), "handle_error.")),
        "too late": Asked(swapped(child_raises(ValueError), "handle_error.enter", "shutdown_request.enter")),
    },
    "server/base-exceptions": {
        "the thread takes the server along": Asked(
            inserted(thread_raises(SystemExit), [event("server.stopped", 0, "boom", **EXIT)], after="thread.end")
        ),
        "the child exits with 0": Asked(child_raises(SystemExit, status="exit 0")),
        "left open": Asked(lacking(thread_raises(SystemExit), "shutdown_request.", "close_request.", "socket.")),
    },
    "lifecycle/order": {"finished elsewhere": Asked(changed(THREAD, "finish.enter", thread=8))},
    "resources/socket-closed-once": {
        "never": Asked(without(THREAD, "socket.close")),
        "never, by a pool": Asked(without(POOLED, "socket.close")),
    },
    "liveness/process-survives": {
        "a crash": Asked(trace_of("forking", mingled(died(0, "signal SIGSEGV"), forked(1)))),
        "os._exit": Asked(trace_of("forking", mingled(died(0, "exit 3"), forked(1)))),
    },
    "server/next-request-served": {"never accepted": Asked(UNTAKEN)},
    "io/nothing-after-finish": {"nobody else is handled": Asked(written_late(beside=False))},
}

DOUBT = {
    "resources/no-thread-left": {
        "made once": Asked(left(1)),
        "one request": Asked(left(1, peers=1)),
        "never closed": Asked(trace(threaded(0), header=THREADING, closing=[])),
    },
    "resources/children-reaped": {"no fork": Asked(THREADS)},
    "server/child-exits": {
        "still running": Asked(without(CHILD, "process.end")),
        "ended by its handler": Asked(trace_of("forking", died(0, "exit 3"))),
        "no child": Asked(trace_of("forking", unstarted(0, "fork"))),
    },
    "server/max-children": {"no turn": Asked(CHILDREN), "no fork": Asked(THREADS)},
    "server/handle-timeout-reaps": {"not called": Asked(CHILDREN), "no fork": Asked(THREADS)},
    "relation/concurrent-isolation": {
        "another relation": Asked(Family("isolation", THREAD, THREAD, THREADS)),
        "another reply of one that remembers": family(last_gets(b"HELLO\n")),
        "not accepted": family(UNTAKEN),
        "denied": family(changed(trace_of("threading", mingled(threaded(0), denied(1))), "peer.end", reply=b"")),
        "time ran out": family(
            inserted(
                last_gets(b""), [event("socket.timeout", 1, operation="recv", injected=False)], after="finish.enter"
            )
        ),
        "unread input": family(last_gets(b"hel", end="reset"), base=THREAD).__class__(
            Family("concurrent", THREAD, THREAD, without(last_gets(b"hel", end="reset"), "socket.recv", 1))
        ),
        "never the same": Asked(Family("concurrent", THREAD, changed(THREAD, "peer.end", reply=b""), THREADS)),
        "another message": family(changed(THREADS, "peer.send", 1, data=b"other\n")),
        "the server stopped": family(
            inserted(last_gets(b""), [event("server.stopped", 0, "boom", **EXIT)], after="finish.enter")
        ),
    },
    "relation/segmentation": {"at once": Asked(Family("segmentation", THREADS, THREADS, last_gets(b"")))},
    "relation/isolation": {"at once": Asked(Family("isolation", THREAD, THREAD, THREADS), Contract(stateless=True))},
    "server/next-request-served": {
        "the owner decides": Asked(
            inserted(UNTAKEN, [event("owner.enter", act="shutdown", nth=0)], after="process_request.enter")
        ),
        "a handler ends the server": Asked(
            inserted(UNTAKEN, [event("shutdown.enter", 0, caller="other")], after="handle.enter")
        ),
    },
    "io/nothing-after-finish": {"another handler may have written": Asked(written_late(beside=True))},
    "resources/socket-closed-once": {
        "a thread that goes on": Asked(lacking(THREAD, "socket.close", "thread.end")),
        "a killed house": Asked(killed(without(trace(peer(0)), "socket.close"))),
        "ended by its handler": Asked(trace_of("forking", died(0, "exit 3"))),
    },
    "resources/no-fd-leak": {"a child gives all back": Asked(lacking(CHILD, "socket.released"))},
    "resources/closed-explicitly": {"a child": Asked(changed(CHILD, "socket.released", by="collector"))},
    "resources/handler-released": {
        "a child": Asked(inserted(CHILD, [event("probe.handler-alive", 0, instance=0)], after="finish.leave"))
    },
}
