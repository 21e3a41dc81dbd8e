"""The bytes of a connection: both files of a handler, and every byte of its reply until nothing may follow.

What CPython itself does is not held against a handler: an unbuffered rfile is a raw file (`rbufsize = 0`), a buffered
wfile whose last flush fails leaves rfile open, and a reply may be cut when the handler gave up on input that was
still coming.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.connection import (
    ENDED_BY_PEER,
    STOPPED,
    Events,
    before,
    each_connection,
    has,
    no_chance_to_clean_up,
    of_kind,
    outside,
    seqs,
    stopped,
    write_failed,
)
from handshaker.harness.invariants.facts import first, is_concurrent
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_RAW: Final = ("SocketIO", "Stream")
_TEXT: Final = ("TextIOWrapper", "StreamReader", "StreamWriter", "StreamReaderWriter", "StreamRecoder")


@invariant(
    "io/one-reader",
    "LC-018",
    "one request is read through one reader",
    requirement="Once a handler has read through rfile it does not read from the socket itself: rfile reads ahead, "
    "and what it holds never comes out of recv() again.",
    source="Lib/socketserver.py, StreamRequestHandler.rbufsize = -1; io documentation, BufferedReader",
    level=Level.SHOULD,
    reach=Reach.PEER,
)
def _one_reader(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, _one_reader_in, "socket.recv")


def _one_reader_in(events: Events) -> Answer:
    buffers = [event["buffering"] for event in of_kind(events, "socket.makefile") if "w" not in event["mode"]]
    if buffers and not any(buffers):
        return NotApplicable("rfile is not buffered, so it does not read ahead")
    # Whoever has shut the sending direction down drains the input to let the peer finish; nothing is parsed there.
    reads = outside(_until_shutdown(events), "shutdown_request", "close_request", "handle_error")
    ahead = next((event for event in reads if event.kind == "socket.recv" and event["via"] == "rfile"), None)
    if ahead is None:
        return NotApplicable("nothing was read through rfile")
    past = [e for e in reads if e.kind == "socket.recv" and e["via"] == "socket" and e.seq > ahead.seq]
    if not past:
        return []
    return [
        Violation(
            "all input is read through rfile (or all of it from the socket)",
            "recv() was called on the socket after rfile had read ahead: bytes that wait in rfile are skipped",
            seqs((ahead, past[0])),
            ahead.connection,
            damage="two readers",
        )
    ]


def _until_shutdown(events: Events) -> Events:
    ends = [event for event in of_kind(events, "socket.shutdown") if event["how"] != "rd"]
    return before(events, ends[0]) if ends else events


@invariant(
    "io/buffered-interface",
    "LC-019",
    "rfile and wfile are buffered files",
    requirement="rfile supports the readable and wfile the writable interface of io.BufferedIOBase.",
    source="socketserver documentation, StreamRequestHandler.rfile and wfile: 'support the io.BufferedIOBase "
    "interface'",
    broken_by=("setup",),
    implied_by=("lifecycle/files-ready-in-handle",),
)
def _buffered_interface(trace: Trace, contract: Contract) -> Answer:
    if contract.kind == "base":
        return NotApplicable("the handler's base class promises no files")
    return each_connection(trace, _buffered_interface_in, "handle.enter")


def _buffered_interface_in(events: Events) -> Answer:
    poor = [event for event in of_kind(events, "probe.interface") if event["lacks"] and event["class"] not in _RAW]
    if any(event["class"] in _TEXT for event in poor):
        return Unknown("the handler has put a text file in the place of rfile or wfile, which it may want")
    return [
        Violation(
            f"self.{event['file']} has every method of io.BufferedIOBase",
            f"self.{event['file']} is a {event['class']} and lacks {', '.join(event['lacks'])}",
            (event.seq,),
            event.connection,
            damage=f"{event['file']} is a {event['class']}",
        )
        for event in poor
    ]


@invariant(
    "io/written-bytes-arrive",
    "LC-020",
    "what was written is sent when finish() returns",
    requirement="Everything written to wfile is on its way to the peer when finish() returns, for every wbufsize, "
    "also when handle() raised.",
    source="Lib/socketserver.py: 'When the handle() method returns, wfile is flushed properly'",
    orders=(("socket.send", "finish.leave"),),
    implied_by=(
        "lifecycle/finish-always-after-setup",
        "lifecycle/finish-does-not-raise",
        "lifecycle/files-ready-in-handle",
        "lifecycle/order",
    ),
)
def _written_bytes_arrive(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, _written_bytes_arrive_in, "setup.leave")


def _written_bytes_arrive_in(events: Events) -> Answer:
    if has(events, "datagram.request"):
        return NotApplicable("a datagram is sent as a whole: see datagram/one-reply")
    if stopped(events):
        return STOPPED
    if no_chance_to_clean_up(events):
        return NotApplicable("an injected fault kept finish() from its work")
    if has(events, *ENDED_BY_PEER) or write_failed(events):
        return NotApplicable("the peer was gone, or a write failed: bytes may be lost")
    lost = [event for event in of_kind(events, "socket.file-end") if event["pending"]]
    finished = first(events, "finish.leave")
    late = [
        event
        for event in of_kind(events, "socket.send")
        if finished and event.seq > finished.seq and event["via"] == "wfile"
    ]
    if not lost and not late:
        return []
    return [
        Violation(
            "the write buffer is empty when finish() returns",
            "bytes written to wfile never reached the socket" if lost else "bytes left wfile only after finish()",
            seqs((lost or late)[:1]),
            (lost or late)[0].connection,
            damage="bytes not flushed",
        )
    ]


@invariant(
    "io/write-all",
    "LC-021",
    "a write sends all of its bytes or raises",
    requirement="wfile.write(b) sends all of b or raises; a handler that writes to the socket uses sendall(), or goes "
    "on where a short send() stopped.",
    source="What's New in Python 3.6, socketserver: 'write() now always writes all of its data'; socket "
    "documentation, socket.send: 'Applications are responsible for checking that all data has been sent'",
    reach=Reach.TIMING,
)
def _write_all(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, _write_all_in, "socket.send")


def _write_all_in(events: Events) -> Answer:
    sends = of_kind(events, "socket.send", "socket.error", "socket.timeout")
    dropped = [
        send
        for send, following in zip(sends, [*sends[1:], None], strict=True)
        if send.kind == "socket.send" and send["via"] == "send" and not send["complete"] and not _goes_on(following)
    ]
    if not dropped:
        return []
    if dropped[0] is sends[-1]:
        if stopped(events):
            return STOPPED
        if has(events, *ENDED_BY_PEER, "handle.raise", "setup.raise", "finish.raise"):
            return NotApplicable("the handler raised, or the peer was gone, before it could go on")
    return [
        Violation(
            "the rest is sent next, as sendall() does",
            "send() took only a part of the bytes and the rest was never sent",
            (dropped[0].seq,),
            dropped[0].connection,
            damage="short send",
        )
    ]


def _goes_on(following: Event | None) -> bool:
    """Whether the next thing done with the socket sends the rest, or fails, or reads (where no verdict is possible)."""
    if following is None:
        return False
    return bool(following["resumes"]) if following.kind == "socket.send" else True


@invariant(
    "io/reply-then-eof",
    "LC-022",
    "the reply ends in EOF, not in a reset",
    requirement="A peer that keeps reading gets every byte of the reply and then EOF: the handler consumes its input, "
    "or waits for the peer to close. Closing with unread input makes the kernel send a reset, which may cut the "
    "reply.",
    source="RFC 9293, 3.10.4 (CLOSE call) and RFC 1122, 4.2.2.13: data lost by closing causes a reset",
    level=Level.SHOULD,
    reach=Reach.PEER,
    implied_by=("resources/shutdown-before-close", "resources/socket-closed-once"),
)
def _reply_then_eof(trace: Trace, contract: Contract) -> Answer:
    if contract.kind == "datagram":
        return NotApplicable("a datagram has no end")
    # a Unix socket keeps what was sent, whatever end comes after it
    lost = "" if trace.header.transport == "unix" else " and may lose the reply"
    return each_connection(trace, lambda events: _reply_then_eof_in(events, lost), "socket.accepted")


def _reply_then_eof_in(events: Events, lost: str) -> Answer:
    if stopped(events):
        return STOPPED
    if has(events, *ENDED_BY_PEER, "peer.stop-reading"):
        return NotApplicable("the peer did not keep reading")
    if not has(events, "socket.send"):
        return NotApplicable("no reply was sent")
    if has(events, "socket.error", "socket.timeout", "network.fault", "init.raise", "setup.raise", "handle.raise"):
        return NotApplicable("the handler gave up on its input, so the reply may be cut")
    return [
        Violation(
            "the reply, then EOF",
            f"the connection was closed while input waited unread, so the peer met a reset{lost}",
            (end.seq,),
            end.connection,
            damage="reset by unread input",
        )
        for end in of_kind(events, "peer.end")
        if end["end"] == "reset" and end["unread"]
    ]


@invariant(
    "io/nothing-after-finish",
    "LC-023",
    "nobody uses the connection after finish()",
    requirement="When finish() has returned, rfile and wfile are closed, and nobody (thread, callback, stored "
    "handler) reads or writes the connection.",
    source="Lib/socketserver.py, StreamRequestHandler.finish closes both files",
    orders=(("socket.send", "finish.leave"), ("socket.recv", "finish.leave")),
    implied_by=(
        "io/written-bytes-arrive",
        "lifecycle/finish-once",
        "lifecycle/order",
        "lifecycle/one-handler-per-request",
        "lifecycle/finish-does-not-raise",
    ),
)
def _nothing_after_finish(trace: Trace, contract: Contract) -> Answer:
    return each_connection(
        trace, lambda events: _nothing_after_finish_in(trace, events, contract), "finish.leave", "finish.raise"
    )


def _nothing_after_finish_in(trace: Trace, events: Events, contract: Contract) -> Answer:
    if has(events, "datagram.request"):
        return NotApplicable("a datagram has no connection")
    finished = of_kind(events, "finish.leave", "finish.raise")[-1]
    left = _left_open(finished, events) if contract.kind == "stream" else ()
    if left:
        # What the collector then flushes is a consequence, not a second damage.
        return [_after_finish(f"finish() returned with {' and '.join(left)} open", (finished,), "files left open")]
    rest = outside(events, "handle_error", "shutdown_request", "close_request")
    used = [event for event in of_kind(rest, "socket.recv", "socket.send") if event.seq > finished.seq]
    if not used:
        return []
    if finished.kind == "finish.raise" and finished["injected"] and not finished["frame"]:
        return NotApplicable("an injected fault kept finish() from closing its files, so the collector flushes them")
    if is_concurrent(trace) and _handles_another(trace, used[0]):
        return Unknown("another handler may have used the connection, which cannot know that this one has just ended")
    verb = "written to" if used[0].kind == "socket.send" else "read from"
    return [_after_finish(f"the connection was {verb} after finish()", (finished, used[0]), "used after finish")]


def _handles_another(trace: Trace, moment: Event) -> bool:
    """Whether the handler of another connection runs at this *moment*."""
    earlier = [event for event in trace.of("handle.enter", "handle.leave", "handle.raise") if event.seq < moment.seq]
    last = {event.connection: event.kind for event in earlier if event.connection != moment.connection}
    return "handle.enter" in last.values()


def _left_open(finished: Event, events: Events) -> tuple[str, ...]:
    """Which of rfile and wfile finish() has left open, though it could have closed them."""
    left: tuple[str, ...] = finished.get("open", ())
    # A last flush that fails makes wfile.close() raise before rfile is closed: CPython's own doing (bpo-14574).
    return () if left == ("rfile",) and write_failed(events) else left


def _after_finish(actual: str, witness: tuple[Event, ...], damage: str) -> Violation:
    expected = "after finish() rfile and wfile are closed and nobody uses the connection"
    return Violation(expected, actual, seqs(witness), witness[0].connection, damage=damage)
