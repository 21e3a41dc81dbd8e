"""Traces written by hand: what CPython's plain server does with a stream handler, as parts to compose and damage.

A part is a list of `(what, payload)` pairs, as a recorder would emit them; `trace(*parts)` puts parts into one Trace
and adds what the server says before the first and after the last peer. `TRACES` names whole, correct traces: whatever
happens in them is what the documentation and the code of `socketserver` promise.

    trace(peer(0), peer(1))                              two peers, served one after another
    trace(peer(0, handle=Raised(ValueError)))            handle() raises: finish(), handle_error(), shutdown_request()
    trace(peer(0, handle=Raised(SystemExit), waiting=1)) the server stops; one peer was never accepted
    without(good, "finish.enter")                        the same trace with the first such event dropped

Within one connection the order is CPython's; where `socket.accepted` and `probe.*` stand exactly is nobody's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from handshaker.harness.conformance.damage import doubled, place_of, renumbered, swapped, without
from handshaker.harness.trace import Header, Trace, materialise
from handshaker.harness.vocabulary import KINDS

__all__ = [
    "CLOSING",
    "FRAME",
    "HEADER",
    "TRACES",
    "Part",
    "Raised",
    "changed",
    "doubled",
    "echo",
    "event",
    "fault",
    "flat_of",
    "inserted",
    "lacking",
    "lineage",
    "moved",
    "peer",
    "refused",
    "renumbered",
    "reset",
    "shut_down",
    "silence",
    "stall",
    "swapped",
    "trace",
    "without",
]

Part = list[tuple[tuple[Any, ...], Any]]

HEADER: Final = Header(target="tests:Handler", python="3.11.7", handshaker="0.1.0")
FRAME: Final = "tests:Handler."


def event(kind: str, connection: int = -1, /, payload: Any = None, **fields: Any) -> tuple[tuple[Any, ...], Any]:
    """One `(what, payload)` pair; the fields are given by name and must be exactly those of the vocabulary."""
    names = KINDS[kind].fields
    assert set(fields) == set(names), f"{kind} has the fields {names}, not {tuple(fields)}"
    return (kind, connection, *(fields[name] for name in names)), payload


def lineage(exception: type[BaseException]) -> tuple[str, ...]:
    """The qualified names of the exception's bases, as raise-events carry them."""
    return tuple(f"{cls.__module__}.{cls.__qualname__}" for cls in exception.__mro__ if cls is not object)


@dataclass(frozen=True)
class Raised:
    """An exception that leaves a hook, and where it came from."""

    exception: type[BaseException] = ValueError
    injected: bool = False
    frame: str = ""
    message: str = "boom"

    def fields(self, hook: str) -> dict[str, Any]:
        """The fields and the payload of a raise-event of *hook*."""
        frame = "" if self.injected else self.frame or FRAME + hook
        location = "" if self.injected else " @ handler.py:12"
        return {
            "lineage": lineage(self.exception),
            "injected": self.injected,
            "frame": frame,
            "payload": f"{self.exception.__name__}: {self.message}{location}",
        }

    def at(self, kind: str, connection: int, hook: str, point: str = "", **more: Any) -> Part:
        """The raise-event *kind*; when the exception is injected, the fault at *point* comes first."""
        raised = [event(kind, connection, **more, **self.fields(hook))]
        return [*fault(connection, point or hook, self.exception.__name__), *raised] if self.injected else raised

    @property
    def kills(self) -> bool:
        """Whether a plain server ends with it."""
        return not issubclass(self.exception, Exception)


def fault(connection: int, point: str, effect: str) -> Part:
    """An injected hardship strikes."""
    return [event("network.fault", connection, point=point, effect=effect, nth=1)]


def echo(connection: int) -> Part:
    """The peer sends one line and half-closes; the handler reads it through rfile and sends it back."""
    return [
        event("peer.send", connection, b"hello\n"),
        event("socket.recv", connection, b"hello\n", via="rfile"),
        event("peer.half-close", connection),
        event("socket.send", connection, b"hello\n", via="sendall", complete=True, resumes=False),
    ]


def reset(connection: int) -> Part:
    """The peer sends half a line and resets; the handler's read fails with ECONNRESET."""
    return [
        event("peer.send", connection, b"hel"),
        event("socket.recv", connection, b"hel", via="rfile"),
        event("peer.reset", connection),
        event("socket.error", connection, operation="recv", errno="ECONNRESET", injected=False),
    ]


def silence(connection: int) -> Part:
    """The peer sends half a line and stays silent until the handler's timeout strikes."""
    return [
        event("peer.send", connection, b"hel"),
        event("socket.recv", connection, b"hel", via="rfile"),
        event("socket.timeout", connection, operation="recv", injected=False),
    ]


def stall(connection: int) -> Part:
    """The peer sends half a line and stays silent; the handler would wait for ever and is stopped."""
    return [*silence(connection)[:2], event("network.stalled", connection, operation="recv", after="open")]


def peer(
    connection: int = 0,
    *,
    setup: Raised | None = None,
    handle: Raised | None = None,
    finish: Raised | None = None,
    init: Raised | None = None,
    verify: bool | Raised = True,
    report: Raised | None = None,
    body: Callable[[int], Part] = echo,
    stream: bool = True,
    waiting: int = 0,
    thread: int = 0,
) -> Part:
    """Everything that CPython does for one peer, from its connect to its end.

    *setup*, *handle*, *finish* and *report* (handle_error) may raise; *init* raises before any hook runs (a wrong
    signature). *verify* is what verify_request() says or raises. *body* is what happens inside handle() before it
    raises. *waiting* peers are abandoned when the server stops.
    """
    accepted = _accepted(connection)
    if isinstance(verify, Raised):
        raised = verify.at("verify_request.raise", connection, "verify_request")
        return [*accepted, *raised, *_stopped(connection, verify, "verify_request", waiting), *_end(connection, b"")]
    accepted.append(event("verify_request.leave", connection, result=verify))
    if not verify:
        return [*accepted, *shut_down(connection), *_end(connection, b"")]
    life, error, hook = _life(connection, setup, handle, finish, init, body(connection), thread, stream)
    request = [event("process_request.enter", connection), event("finish_request.enter", connection), *life]
    reply = b"".join(payload for what, payload in life if what[0] == "socket.send")
    return [*accepted, *request, *_after(connection, error, hook, report, waiting, reply)]


def refused(connection: int, accept: Raised, waiting: int = 0) -> Part:
    """get_request() raises *accept* before the peer *connection* is accepted; it comes again at the next turn."""
    turn = [event("get_request.enter"), *accept.at("get_request.raise", connection, "get_request")]
    stopped = [] if issubclass(accept.exception, OSError) else _stopped(connection, accept, "get_request", waiting)
    return turn + stopped


def _accepted(connection: int) -> Part:
    return [
        event("get_request.enter"),
        event("peer.connect", connection, "127.0.0.1:40000"),
        event(
            "socket.accepted", connection,
            family="AF_INET", type="SOCK_STREAM", timeout=None, inheritable=False, peername=True,
        ),
        event("get_request.leave", connection, "('127.0.0.1', 40000)"),
        event("verify_request.enter", connection),
    ]  # fmt: skip


def _life(
    connection: int,
    setup: Raised | None,
    handle: Raised | None,
    finish: Raised | None,
    init: Raised | None,
    body: Part,
    thread: int,
    stream: bool,
) -> tuple[Part, Raised | None, str]:
    """The life of one handler instance, with the exception that its constructor raises, and from which hook."""
    me = {"instance": connection}
    attributes = ("request", "client_address", "server")
    life = [event("init.enter", connection, "tests:Handler", thread=thread, **me)]
    if init is not None:
        return [*life, event("init.raise", connection, **me, **init.fields("__init__"))], init, "__init__"
    life.append(event("setup.enter", connection, thread=thread, attributes=attributes, **me))
    if setup is not None:
        life += setup.at("setup.raise", connection, "setup", "setup.enter", **me)
        return [*life, event("init.raise", connection, **me, **setup.fields("setup"))], setup, "setup"
    if stream:
        life.append(event("socket.makefile", connection, mode="rb", buffering=-1))
    life += [event("setup.leave", connection, **me), event("handle.enter", connection, thread=thread, missing=(), **me)]
    life += body
    if handle is None:
        life.append(event("handle.leave", connection, **me))
    else:
        life += handle.at("handle.raise", connection, "handle", "handle.leave", **me)
    life.append(event("finish.enter", connection, thread=thread, **me))
    if finish is None:
        life.append(event("finish.leave", connection, open=(), **me))
    else:
        life += finish.at("finish.raise", connection, "finish", "finish.leave", **me)
    error, hook = (finish, "finish") if finish is not None else (handle, "handle")
    if error is None:
        return [*life, event("init.leave", connection, **me)], None, ""
    return [*life, event("init.raise", connection, **me, **error.fields(hook))], error, hook


def _after(connection: int, error: Raised | None, hook: str, report: Raised | None, waiting: int, reply: bytes) -> Part:
    """What the server does when the constructor has returned or raised."""
    if error is None:
        served = [event("finish_request.leave", connection), *shut_down(connection)]
        return [*served, event("process_request.leave", connection), *_end(connection, reply)]
    fields = error.fields(hook)
    failed = [event(f"{name}.raise", connection, **fields) for name in ("finish_request", "process_request")]
    if error.kills:
        stopped = _stopped(connection, error, hook, waiting)
        return [*failed, *shut_down(connection), *stopped, *_end(connection, reply)]
    failed.append(event("handle_error.enter", connection, **fields))
    if report is None:
        printed = event("probe.stderr", connection, _printed(error))
        reported = event("handle_error.leave", connection)
        return [*failed, printed, reported, *shut_down(connection), *_end(connection, reply)]
    failed += report.at("handle_error.raise", connection, "handle_error")
    return [*failed, *_stopped(connection, report, "handle_error", waiting), *_end(connection, reply, "open")]


def _printed(error: Raised) -> str:
    return f"Exception occurred during processing of request from peer\n{error.exception.__name__}: boom\n"


def shut_down(connection: int) -> Part:
    """The server shuts the request down and closes it."""
    return [
        event("shutdown_request.enter", connection),
        event("socket.shutdown", connection, how="wr"),
        event("close_request.enter", connection),
        event("socket.close", connection),
        event("socket.released", connection, by="call"),
        event("close_request.leave", connection),
        event("shutdown_request.leave", connection),
    ]


def _stopped(connection: int, error: Raised, hook: str, waiting: int) -> Part:
    stopped = [event("server.stopped", connection, **error.fields(hook))]
    return stopped + ([event("server.abandoned", count=waiting)] if waiting else [])


def _end(connection: int, reply: bytes, end: str = "eof") -> Part:
    return [event("peer.end", connection, reply, end=end, unread=False, unplayed=0)]


CLOSING: Final[Part] = [event("server.closed")]
_LAST: Final = ("socket.file-end", "peer.end")
_OPENING: Final[Part] = [event("server.address", -1, ("127.0.0.1:0", "127.0.0.1:39999"), agrees=True)]


def trace(*parts: Part, header: Header = HEADER, closing: Part = CLOSING) -> Trace:
    """One Trace: the server starts, the *parts* happen, the server is closed, then the peers' ends are written down.

    *closing* is what is seen when it closes.
    """
    pairs = [pair for part in parts for pair in part]
    last = [pair for pair in pairs if pair[0][0] in _LAST]
    pairs = [*_OPENING, *(pair for pair in pairs if pair[0][0] not in _LAST), *closing, *last]
    return materialise([item for pair in pairs for item in pair], None, header)


def flat_of(trace: Trace) -> list[Any]:
    """The recorder's flat list that this Trace was made from."""
    flat: list[Any] = []
    for each in trace:
        spec = KINDS[each.kind]
        flat.append((each.kind, each.connection, *(each[name] for name in spec.fields)))
        flat.append(each[spec.payload] if spec.payload else None)
    return flat


def lacking(trace: Trace, *prefixes: str) -> Trace:
    """*trace* without all events whose kind starts with one of *prefixes*."""
    return renumbered(trace, (each for each in trace if not each.kind.startswith(prefixes)))


def moved(trace: Trace, kind: str, before: str) -> Trace:
    """*trace* with its first event of this *kind* moved to stand right before the first event *before*."""
    place = place_of(trace, kind, 0)
    rest = [*trace.events[:place], *trace.events[place + 1 :]]
    goal = next(index for index, each in enumerate(rest) if each.kind == before)
    return renumbered(trace, (*rest[:goal], trace.events[place], *rest[goal:]))


def changed(trace: Trace, kind: str, nth: int = 0, **data: Any) -> Trace:
    """*trace* with other details in its *nth* event of this *kind*."""
    place = place_of(trace, kind, nth)
    events = list(trace.events)
    events[place] = replace(events[place], data={**events[place].data, **data})
    return renumbered(trace, events)


def inserted(trace: Trace, part: Part, *, after: str, nth: int = 0) -> Trace:
    """*trace* with the events of *part* right after its *nth* event *after*."""
    place = place_of(trace, after, nth) + 1
    new = materialise([item for pair in part for item in pair], None, trace.header)
    return renumbered(trace, (*trace.events[:place], *new.events, *trace.events[place:]))


_INJECTED: Final = Raised(ValueError, injected=True)

TRACES: Final[dict[str, Trace]] = {
    "one peer": trace(peer(0)),
    "two peers": trace(peer(0), peer(1)),
    "base handler": trace(peer(0, stream=False)),
    "denied": trace(peer(0, verify=False), peer(1)),
    "setup raises": trace(peer(0, setup=_INJECTED), peer(1)),
    "setup exits": trace(peer(0, setup=Raised(SystemExit, injected=True), waiting=1)),
    "handle raises": trace(peer(0, handle=_INJECTED), peer(1)),
    "finish raises": trace(peer(0, finish=_INJECTED), peer(1)),
    "handle and finish raise": trace(peer(0, handle=_INJECTED, finish=_INJECTED), peer(1)),
    "accept fails": trace(refused(0, Raised(OSError, injected=True)), peer(0), peer(1)),
    "accept breaks": trace(refused(0, _INJECTED, waiting=2)),
    "verify breaks": trace(peer(0, verify=_INJECTED, waiting=1)),
    "handle_error breaks": trace(peer(0, handle=_INJECTED, report=_INJECTED, waiting=1)),
    "handle exits": trace(peer(0, handle=Raised(SystemExit, injected=True), waiting=1)),
    "peer resets": trace(peer(0, body=reset), peer(1)),
    "peer is silent": trace(peer(0, body=silence), peer(1)),
    "nobody comes": trace(),
}
