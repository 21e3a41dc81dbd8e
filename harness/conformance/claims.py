"""What the Case of a sub-check shows beside its rule: demands on one probe under one Case, not on everybody.

A rule is asked about anybody's handlers and servers, and says nothing where they may have wanted it otherwise. A probe
wants nothing special, so a claim about it can demand all that is documented. Like rules, claims are pure functions over
the finished Trace; each of them here is made from what it expects.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from handshaker.harness.invariants.facts import first, shown
from handshaker.harness.invariants.owner_acts import acts, during, running, spans
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Violation

__all__ = [
    "Claim",
    "acts_return",
    "binding_is_left_to_the_owner",
    "error_reaches_the_server",
    "files_are_buffered",
    "first_reply_begins",
    "loop_is_waited_for",
    "nagle_is_left_on",
    "no_timeout_is_set",
    "replies_are",
    "report_says",
    "server_stops",
    "threads_are_daemons",
    "written_at_once",
    "written_at_the_end",
]

Claim = Callable[[Trace], Iterator[Violation]]

_NODELAY: Final = f"{int(socket.IPPROTO_TCP)}/{int(socket.TCP_NODELAY)}"


def replies_are(*wanted: bytes) -> Claim:
    """Each peer has received exactly these bytes."""

    def claim(trace: Trace) -> Iterator[Violation]:
        if trace.replies != wanted:
            ends = trace.of("peer.end", "peer.over") or trace.events[-1:]
            yield shown(f"the peers receive {wanted!r:.80}", f"they got {trace.replies!r:.80}", *ends, damage="reply")

    return claim


def first_reply_begins(wanted: bytes) -> Claim:
    """What the first peer receives begins with these bytes."""

    def claim(trace: Trace) -> Iterator[Violation]:
        end = first(trace, "peer.end", "peer.over") or trace.events[-1]
        if not end.get("reply", b"").startswith(wanted):
            told = end.get("reply", b"")
            yield shown(f"the reply begins with {wanted!r:.80}", f"it was {told!r:.80}", end, damage="reply")

    return claim


def acts_return(*names: str) -> Claim:
    """These acts of the owner come to their end."""

    def claim(trace: Trace) -> Iterator[Violation]:
        # One that was blocked may have ended after all, when the peers had left.
        blocked = {event["nth"]: event for event in trace.of("owner.blocked")}
        for act in acts(trace, *names):
            end = blocked.get(act.begin["nth"], act.end)
            if end is None or end.kind != "owner.leave":
                what = "raised" if end is not None and end.kind == "owner.raise" else "has not returned"
                expected = "what the owner does comes to its end"
                yield shown(expected, f"{act.begin['act']} {what}", act.begin, end, damage="act")

    return claim


def threads_are_daemons(wanted: bool) -> Claim:
    """The threads of requests are daemons, or are none, as `daemon_threads` says."""

    def claim(trace: Trace) -> Iterator[Violation]:
        for event in trace.of("thread.start"):
            if event["daemon"] is not wanted:
                expected = f"daemon_threads is {wanted}, and so is the daemon of the thread of a request"
                yield shown(expected, f"its daemon was {event['daemon']}", event, damage="daemon")

    return claim


def report_says(*words: str) -> Claim:
    """What is said about the error has these words in it."""

    def claim(trace: Trace) -> Iterator[Violation]:
        report = first(trace, "handle_error.enter")
        said = "".join(event["text"] for event in trace.of("probe.stderr"))
        if report is not None and (missing := [word for word in words if word not in said]):
            yield shown(f"the report says {', '.join(missing)}", f"it was {said!r:.200}", report, damage="report")

    return claim


def error_reaches_the_server(trace: Trace) -> Iterator[Violation]:
    """What a hook of a handler raises goes through process_request(), or the thread or child that it has made."""
    for raised in trace.of("setup.raise", "handle.raise", "finish.raise"):
        if not trace.of("finish_request.raise", "process_request.raise", connection=raised.connection):
            expected = "what a hook of the handler raises goes up to the server"
            yield shown(expected, f"{raised.kind}, and the server knew nothing", raised, damage="swallowed")


def loop_is_waited_for(trace: Trace) -> Iterator[Violation]:
    """When shutdown() has returned no turn of the loop is going on, and none begins before it is entered again."""
    closing = spans(trace, "server_close")  # which may do the work of a last turn itself
    turns = [turn for turn in spans(trace, "service_actions") if not running(closing, turn.begin)]
    for act in acts(trace, "shutdown"):
        if act.end is None or not act.returned:
            continue
        again = first(trace, "serve_forever.enter", after=act.end.seq)
        until = len(trace) if again is None else again.seq
        for turn in turns:
            if turn.begin.seq < until and (turn.end is None or turn.end.seq > act.end.seq):
                expected = "shutdown() returns when the loop has come to its end"
                actual = "it returned before a turn of the loop was over"
                yield shown(expected, actual, turn.begin, act.end, damage="not waited for")


def binding_is_left_to_the_owner(trace: Trace) -> Iterator[Violation]:
    """A constructor that is called with bind_and_activate=False does neither."""
    for made in spans(trace, "constructor"):
        for event in during(made, trace, "server_bind.enter", "server_activate.enter"):
            expected = "with bind_and_activate=False the constructor calls neither server_bind() nor server_activate()"
            yield shown(expected, f"it called {event.kind.partition('.')[0]}()", made.begin, event, damage="bound")


def server_stops(trace: Trace) -> Iterator[Violation]:
    """The loop was ended by an exception."""
    if not trace.of("server.stopped"):
        expected = "the exception goes up to who runs the loop"
        yield shown(expected, "the loop went on", *trace.of("get_request.raise"), damage="swallowed")


def no_timeout_is_set(trace: Trace) -> Iterator[Violation]:
    """Where nobody asks for a timeout, the request has none when handle() begins."""
    handling = {event.connection: event.seq for event in reversed(trace.of("handle.enter"))}
    for event in trace.of("socket.accepted", "socket.settimeout"):
        seconds = event["timeout" if event.kind == "socket.accepted" else "seconds"]
        if seconds is not None and event.seq < handling.get(event.connection, len(trace)):
            expected = "nobody asks for a timeout, so the request waits as long as it takes"
            yield shown(expected, f"it had a timeout of {seconds:g} s", event, damage="timeout")


def nagle_is_left_on(trace: Trace) -> Iterator[Violation]:
    """Where nobody asks for TCP_NODELAY, it is not set."""
    for event in trace.of("socket.setsockopt"):
        if event["option"] == _NODELAY:
            expected = "disable_nagle_algorithm is False, so nobody touches TCP_NODELAY"
            yield shown(expected, "it was set", event, damage="TCP_NODELAY")


def files_are_buffered(trace: Trace) -> Iterator[Violation]:
    """With the buffer sizes of the base class, rfile and wfile lack nothing of io.BufferedIOBase."""
    for event in trace.of("probe.interface"):
        if event["lacks"]:
            actual = f"self.{event['file']} is a {event['class']} and lacks {', '.join(event['lacks'])}"
            yield shown("rfile and wfile support io.BufferedIOBase", actual, event, damage="raw")


def written_at_once(trace: Trace) -> Iterator[Violation]:
    """What handle() writes is sent while it runs: nothing waits for finish()."""
    for end in _first_ends(trace):
        if not _sent_before(trace, end.seq, end.connection):
            yield shown("wbufsize is small, so bytes are sent as they are written", "none were", end, damage="held")


def written_at_the_end(trace: Trace) -> Iterator[Violation]:
    """What handle() writes, which is less than a buffer holds, is sent by finish()."""
    for end in _first_ends(trace):
        if _sent_before(trace, end.seq, end.connection):
            yield shown("wbufsize is large, so bytes wait for finish()", "they did not", end, damage="not held")


def _first_ends(trace: Trace) -> Iterable[Event]:
    """Where finish() begins, for each connection."""
    return {event.connection: event for event in reversed(trace.of("finish.enter"))}.values()


def _sent_before(trace: Trace, moment: int, connection: int) -> bool:
    return any(event.seq < moment for event in trace.of("socket.send", connection=connection))
