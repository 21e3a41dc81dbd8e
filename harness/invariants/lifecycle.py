"""The life of one handler instance: one per request, setup, handle, finish, in that order and once each.

The source is `BaseRequestHandler.__init__`: setup() stands before the `try`, handle() inside it, finish() in its
`finally`. All these rules read the hook events only, so they cost nothing to trust: no byte of traffic matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from handshaker.harness.contract import LIFECYCLE, Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant, settled
from handshaker.harness.invariants.connection import has, inside
from handshaker.harness.invariants.facts import (
    chosen_against,
    closed_meanwhile,
    first,
    is_allowed,
    is_concurrent,
    is_exception,
    is_over,
    lives,
    peers,
    settled_of,
    shown,
    told,
    unanswerable,
    with_exception,
)
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_ATTRIBUTES: Final = ("request", "client_address", "server")
_CONSTRUCTING: Final = ("__init__", "finish_request", "process_request")


@invariant(
    "lifecycle/one-handler-per-request",
    "LC-001",
    "one request, one handler",
    requirement="Every accepted and verified request is given to exactly one new handler instance, "
    "whose setup() is entered exactly once.",
    source="socketserver documentation, BaseRequestHandler: 'A new instance of the subclass is created for each "
    "request'; "
    "Lib/socketserver.py, BaseServer.finish_request",
    kinds=("setup.enter",),
    implied_by=("server/hook-order",),
)
def _one_handler_per_request(trace: Trace, contract: Contract) -> Answer:
    requests = [events for _, events in peers(trace)]
    other = [
        events for events in requests if chosen_against(trace, events) or _served_otherwise(events, contract.overrides)
    ]
    found = [violation for events in requests if events not in other for violation in _one_handler(trace, events)]
    found += _used_again(trace)
    if other and not found:
        return Unknown("the server's own hook turned the peer away, or served it without this handler, as it may want")
    return found


def _served_otherwise(events: Sequence[Event], overrides: Sequence[str]) -> bool:
    """Whether an own finish_request() has spoken with the peer and made no handler of this class.

    One that looks at the first bytes may answer by itself, or choose among several classes of handlers. A datagram may
    also be dropped, in process_request() too: it has been read, and there is nothing to close.
    """
    if has(events, "init.enter", "setup.enter"):
        return False
    if has(events, "datagram.request"):
        return not {"process_request", "finish_request"}.isdisjoint(overrides)
    return "finish_request" in overrides and has(inside(events, "finish_request"), *_SPOKEN)


_SPOKEN: Final = ("socket.recv", "socket.eof", "socket.send", "socket.error", "socket.timeout", "datagram.reply")


def _one_handler(trace: Trace, events: Sequence[Event]) -> Iterator[Violation]:
    entered = [event for event in events if event.kind == "setup.enter"]
    if len(entered) > 1:
        instances = len({event["instance"] for event in entered})
        yield shown(
            "setup() is entered once, on one handler instance",
            f"setup() was entered {len(entered)} times, on {instances} handler instance(s)",
            *entered,
            damage="several setups",
        )
    elif not entered:
        yield from _never_set_up(events, () if is_concurrent(trace) else ("process_request.leave",))


def _used_again(trace: Trace) -> Iterator[Violation]:
    """A handler instance that was set up for an earlier request."""
    earlier: dict[int, Event] = {}
    for entered in settled_of(trace, "setup.enter"):
        first_use = earlier.setdefault(entered["instance"], entered)
        if first_use.connection != entered.connection:
            actual = "the handler instance of an earlier request was set up again"
            yield shown("each request has a new handler instance", actual, first_use, entered, damage="instance reused")
            return


def _never_set_up(events: Sequence[Event], over: tuple[str, ...]) -> Iterator[Violation]:
    """A request that was finished without a setup() and without an exception that would explain it.

    It is finished when finish_request() returns; *over* are what says so, too, where one thread does everything.
    """
    served = first(events, "finish_request.leave") or first(events, *over)
    if served is None:
        return
    made = first(events, "init.leave")
    actual = "a handler was constructed, but its setup() was never entered (does __init__ call super().__init__()?)"
    yield shown(
        "setup(), handle() and finish() are called for the request",
        actual if made else "the request was finished, but no handler's setup() was ever entered",
        made,
        served,
        damage="no setup",
    )


@invariant(
    "lifecycle/order",
    "LC-002",
    "setup, handle, finish, in this order",
    requirement="setup(), handle() and finish() run in that order, each at most once, "
    "on the same object and in the same thread.",
    source="socketserver documentation, BaseRequestHandler.setup/handle/finish; "
    "Lib/socketserver.py, BaseRequestHandler.__init__",
    kinds=("setup.enter", "setup.leave", "handle.enter", "handle.leave", "finish.enter", "finish.leave"),
    orders=(("setup.leave", "handle.enter"), ("handle.leave", "finish.enter"), ("handle.enter", "finish.enter")),
    implied_by=(
        "lifecycle/finish-only-after-setup",
        "lifecycle/finish-always-after-setup",
        "lifecycle/finish-once",
    ),
)
def _order(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for life in lives(trace):
        yield from _walk(life)
        yield from _one_thread(life)


_DONE: Final = ("new", "dead")


def _walk(life: Sequence[Event]) -> Iterator[Violation]:
    """Follow the life through the LIFECYCLE table up to its first illegal step."""
    state, last = "new", life[0]
    for event in life:
        if event.kind in ("init.leave", "init.raise"):
            legal = event.kind == "init.raise" or state in _DONE
        elif event.kind == "init.enter":
            legal = True
        else:
            legal = event.kind in LIFECYCLE[state]
            state = LIFECYCLE[state].get(event.kind, state)
        if not legal:
            yield _illegal(state, last, event)
            return
        last = event


def _illegal(state: str, last: Event, event: Event) -> Violation:
    allowed = " or ".join(LIFECYCLE[state]) or "nothing more"
    return shown(
        f"after {last.kind} the handler is {state!r}, so {allowed} comes next",
        f"{event.kind} came next",
        last,
        event,
        damage=f"{event.kind} while {state}",
    )


def _one_thread(life: Sequence[Event]) -> Iterator[Violation]:
    entered = [event for event in life if event.kind.endswith(".enter")]
    for event in entered:
        if event["thread"] != entered[0]["thread"]:
            yield shown(
                f"all hooks of the handler run in the thread of {entered[0].kind}, {entered[0]['thread']!r}",
                f"{event.kind} ran in thread {event['thread']!r}",
                entered[0],
                event,
                damage="another thread",
            )
            return


@invariant(
    "lifecycle/finish-only-after-setup",
    "LC-003",
    "no finish() after a failed setup()",
    requirement="If setup() raises, neither handle() nor finish() is called for that instance.",
    source="socketserver documentation, BaseRequestHandler.finish: 'If setup() raises an exception, this function will "
    "not be called'; Lib/socketserver.py, BaseRequestHandler.__init__",
    reach=Reach.INJECTED,
    broken_by=("__init__", "setup", "finish_request", "process_request"),
)
def _finish_only_after_setup(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for life in lives(trace):
        failed, called = first(life, "setup.raise"), first(life, "handle.enter", "finish.enter")
        if failed and called:
            yield shown(
                f"setup() raised {told(failed)}: neither handle() nor finish() is called",
                f"{called.kind.partition('.')[0]}() was called",
                failed,
                called,
                damage=called.kind,
            )


@invariant(
    "lifecycle/finish-always-after-setup",
    "LC-004",
    "finish() always follows a good setup()",
    requirement="If setup() returned, finish() is called exactly once, whatever happens in handle(): "
    "return, Exception, SystemExit, KeyboardInterrupt, GeneratorExit or any other BaseException.",
    source="socketserver documentation, BaseRequestHandler.finish: 'Called after the handle() method to perform any "
    "clean-up actions required'; Lib/socketserver.py, BaseRequestHandler.__init__ (try/finally)",
    reach=Reach.INJECTED,
    kinds=("finish.enter",),
    implied_by=("lifecycle/finish-once", "liveness/process-survives"),
)
def _finish_always_after_setup(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for life in lives(trace):
        ready = first(life, "setup.leave")
        finishes = [event for event in life if event.kind == "finish.enter"]
        if ready and len(finishes) != 1 and is_over(trace, settled(trace, ready.connection)):
            yield _finishes(ready, life, finishes)


def _finishes(ready: Event, mine: Sequence[Event], finishes: Sequence[Event]) -> Violation:
    ended = first(mine, "handle.leave", "handle.raise")
    how = ""
    if ended is not None:
        how = " after handle() returned" if ended.kind == "handle.leave" else f" after handle() raised {told(ended)}"
    return shown(
        "setup() returned, so finish() is called exactly once",
        f"finish() was {f'called {len(finishes)} times' if finishes else 'never called'}{how}",
        ready,
        ended,
        *finishes,
        damage="several finishes" if finishes else "no finish",
    )


@invariant(
    "lifecycle/finish-once",
    "LC-005",
    "finish() runs once",
    requirement="finish() is not called a second time by anybody: its effects are not idempotent for datagrams.",
    source="Lib/socketserver.py, BaseRequestHandler.__init__ calls it; DatagramRequestHandler.finish replies each time",
)
def _finish_once(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for life in lives(trace):
        finishes = [event for event in life if event.kind == "finish.enter"]
        if len(finishes) > 1:
            inside = first(life, "handle.leave", "handle.raise", after=finishes[0].seq)
            yield shown(
                "finish() is called once, by the constructor",
                f"finish() was called {len(finishes)} times" + (", the first time inside handle()" if inside else ""),
                *finishes,
                damage="several finishes",
            )


@invariant(
    "lifecycle/files-ready-in-handle",
    "LC-006",
    "handle() finds its files",
    requirement="When handle() starts, a stream handler has connection, rfile and wfile; "
    "a datagram handler has packet, socket, rfile and wfile.",
    source="socketserver documentation, StreamRequestHandler.rfile and wfile; "
    "Lib/socketserver.py, StreamRequestHandler.setup and DatagramRequestHandler.setup",
    implied_by=("lifecycle/order",),
)
def _files_ready_in_handle(trace: Trace, contract: Contract) -> Answer:
    found = []
    lacking = [event for event in settled_of(trace, "handle.enter") if event["missing"]]
    for entered in lacking:
        if not _misses_nothing(trace, entered, contract):
            names = ", ".join(f"self.{name}" for name in entered["missing"])
            expected = f"setup() has made everything that the base class promises, {names} included"
            actual = f"handle() started without {names} (does setup() call super().setup()?)"
            damage = "no " + ", ".join(sorted(entered["missing"]))
            found.append(shown(expected, actual, entered, damage=damage))
    if lacking and not found:
        return Unknown("setup() and finish() are the handler's own, which makes no files and has missed none")
    return found


def _misses_nothing(trace: Trace, entered: Event, contract: Contract) -> bool:
    """Whether a handler that has replaced both setup() and finish() never looked for the two files.

    One that speaks through another library, or through the socket alone, has no use for them.
    """
    if not {"setup", "finish"} <= {*contract.overrides} or not {"rfile", "wfile"} <= {*entered["missing"]}:
        return False
    life = next(life for life in lives(trace) if entered in life)
    raised = [event for event in life if event.kind.endswith(".raise") and event.seq > entered.seq]
    return not any("builtins.AttributeError" in event["lineage"] for event in raised)


@invariant(
    "lifecycle/attributes-before-setup",
    "LC-007",
    "setup() finds request, client_address and server",
    requirement="request, client_address and server are set before setup() runs "
    "and are the objects that get_request() and the server supplied.",
    source="socketserver documentation, BaseRequestHandler.handle: 'Several instance attributes are available to it'; "
    "Lib/socketserver.py, BaseRequestHandler.__init__",
    broken_by=_CONSTRUCTING,
    implied_by=("io/client-address",),
)
def _attributes_before_setup(trace: Trace, _contract: Contract) -> Iterator[Violation]:
    for entered in settled_of(trace, "setup.enter"):
        wrong = [name for name in _ATTRIBUTES if name not in entered["attributes"]]
        if wrong:
            names = ", ".join(f"self.{name}" for name in wrong)
            yield shown(
                f"{names}: set before setup(), to what the server supplied",
                f"at the entry of setup() {names} was missing or another object",
                entered,
                damage="no " + ", ".join(wrong),
            )


@invariant(
    "lifecycle/defaults-do-nothing",
    "LC-012",
    "the default hooks do nothing",
    requirement="BaseRequestHandler.setup(), handle() and finish() do nothing when nobody overrides them, touch "
    "neither request nor client_address nor server, and return None.",
    source="socketserver documentation, BaseRequestHandler.setup/handle/finish: 'The default implementation does "
    "nothing'; Lib/socketserver.py, BaseRequestHandler",
)
def _defaults_do_nothing(trace: Trace, _contract: Contract) -> Answer:
    told_of = trace.of("probe.defaults")
    if not told_of:
        return NotApplicable("the base class is the standard library's own")
    return [
        shown(
            f"BaseRequestHandler.{event['hook']}() does nothing and returns None",
            f"nobody overrides it, and {_WORDS[event['does']]}: {event['detail']}",
            event,
            damage=f"{event['hook']} {event['does']}",
        )
        for event in told_of
        if event["does"] != "nothing"
    ]


_WORDS: Final = {
    "touches": "it touches the connection",
    "returns": "it returns something",
    "raises": "it raises",
    "missing": "there is none",
}


@invariant(
    "lifecycle/finish-does-not-raise",
    "LC-011",
    "finish() does not raise",
    requirement="finish() does not raise, so handle_error() sees the error of handle() and not one that came after it, "
    "and everything that finish() should close is closed.",
    source="Lib/socketserver.py, StreamRequestHandler.finish: 'A final socket error may have occurred here'",
    level=Level.MUST,
    reach=Reach.TIMING,
    implied_by=(
        "datagram/shared-socket-stays-open",
        "lifecycle/finish-only-after-setup",
        "lifecycle/finish-once",
        "lifecycle/files-ready-in-handle",
        "lifecycle/attributes-before-setup",
    ),
)
def _finish_does_not_raise(trace: Trace, contract: Contract) -> Iterator[Violation]:
    for life in lives(trace):
        for raised in life:
            if raised.kind != "finish.raise" or raised["injected"] or is_allowed(raised, contract):
                continue
            if unanswerable(settled(trace, raised.connection), raised, contract) or closed_meanwhile(trace, raised):
                continue
            before = first(life, "handle.raise")
            lost = f", which replaces {told(before)} from handle()" if before and before.seq < raised.seq else ""
            fate = "" if is_exception(raised) else "; the server stops"
            yield with_exception(
                raised, "finish() returns", f"finish() raised {told(raised)}{lost}{fate}", also=(before,)
            )
