"""A Case says what all peers do and which hardships strike: everything that is needed to run it again.

Payloads are kept as (unit, repeat), so that two megabytes of `a` stay two numbers on screen, in a file and while
shrinking. Steps of one Script are played in order; which Step comes next is decided by the handler's own reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.errors import did_you_mean
from handshaker.harness.transports import CONCURRENCIES, FORMS, TRANSPORTS

__all__ = ["ACTIONS", "ACTS", "EFFECTS", "EXCEPTIONS", "POINTS", "Act", "Case", "Fault", "Script", "Step", "show_bytes"]

ACTIONS: Final = {
    "send": "send a segment of bytes, or one datagram",
    "expect": "wait until `size` bytes of reply have arrived in all, at most `seconds`",
    "pause": "stay silent for `seconds`",
    "half-close": "end the sending direction (FIN); go on reading",
    "close": "close both directions",
    "reset": "abort the connection (RST)",
    "stop-reading": "stop taking reply bytes; the handler's send buffer fills after `size` more bytes",
    "resume-reading": "take reply bytes again",
}

ACTS: Final = {
    "serve": "run serve_forever() in a thread of its own",
    "handle": "call handle_request() once, with a server timeout of `seconds` (0: the server's own)",
    "play": "let `peer` connect and play its Script, and wait until its connection is over",
    "begin": "let `peer` connect and play its Script, and do not wait for what the server does",
    "shutdown": "call shutdown(), from another thread than the serving one",
    "stop": "call shutdown() as well, and go on as soon as it waits for the loop to end",
    "close": "call server_close()",
    "enter": "enter the server's context manager",
    "exit": "leave the server's context manager",
}
"""What the owner of a server does with it; a Case without acts is the usual life: serve all peers, shut down, close."""

EXCEPTIONS: Final = (
    "ValueError", "OSError", "TimeoutError", "ConnectionResetError", "BrokenPipeError",
    "SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException",
)  # fmt: skip

POINTS: Final[dict[str, tuple[str, ...]]] = {
    **{f"{hook}.{edge}": EXCEPTIONS for hook in ("setup", "handle", "finish") for edge in ("enter", "leave")},
    "verify_request": ("false", *EXCEPTIONS),
    "get_request": (*EXCEPTIONS, "exhausted"),
    "handle_error": EXCEPTIONS,
    "recv": ("short", "TimeoutError", "ConnectionResetError", "OSError"),
    "send": ("short", "TimeoutError", "ConnectionResetError", "BrokenPipeError", "OSError"),
    "deliver": ("lost", "twice", "late"),
    "server_bind": ("OSError",),
    "server_activate": ("OSError",),
    "service_actions": EXCEPTIONS,
    "thread.start": ("RuntimeError",),
    "fork": ("OSError",),
}
"""Where a Fault strikes, and what it can do there. `deliver` is a datagram on its way to the server."""

EFFECTS: Final = tuple(sorted({effect for effects in POINTS.values() for effect in effects}))

_SHOWN_BYTES_MAX: Final = 60


def show_bytes(data: bytes, repeat: int = 1, *, limit: int = _SHOWN_BYTES_MAX) -> str:
    """*data* as a short Python expression: escaped, cut after *limit* bytes, with its repeat count."""
    text = repr(data) if len(data) <= limit else f"{data[:limit]!r}... ({len(data):,} bytes)"
    return text if repeat == 1 else f"{text} * {repeat:,}"


def _require(values: Any, wanted: type, name: str) -> None:
    """Raise TypeError unless *values* is a tuple of *wanted*: what a Case is made of decides whom a finding blames."""
    if type(values) is not tuple:
        raise TypeError(f"{name} must be a tuple of {wanted.__name__}; found {values!r}")
    for value in values:
        if type(value) is not wanted:
            raise TypeError(f"{name} must hold {wanted.__name__} only; found {value!r}")


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One action of a peer. `data` is sent `repeat` times over; `seconds` and `size` belong to the waiting actions."""

    action: str
    data: bytes = b""
    repeat: int = 1
    seconds: float = 0.0
    size: int = 0

    def __post_init__(self) -> None:
        if type(self.data) is not bytes:
            raise TypeError(f"data must be bytes, such as b'GET'; found {self.data!r}")
        if self.action not in ACTIONS:
            raise ValueError(f"unknown action {self.action!r}; {did_you_mean(self.action, ACTIONS)}")
        if self.repeat < 0 or self.size < 0 or not 0 <= self.seconds < 1e9:
            raise ValueError(f"repeat, size and seconds of {self.action!r} must not be negative or endless")

    @property
    def payload(self) -> bytes:
        """The bytes that this Step sends."""
        return self.data * self.repeat if self.repeat != 1 else self.data

    def __repr__(self) -> str:
        if self.action == "send":
            return f"send({show_bytes(self.data, self.repeat)})"
        arguments = [f"{self.size} bytes"] if self.size else []
        arguments += [f"{self.seconds:g} s"] if self.seconds else []
        return f"{self.action}({', '.join(arguments)})"


@dataclass(frozen=True, slots=True, repr=False)
class Script:
    """The ordered Steps of one peer, which connects first. The first `early` Steps are played before it is accepted.

    `form` is the form of the peer's address, out of `transports.FORMS`.
    """

    steps: tuple[Step, ...] = ()
    early: int = 0
    form: str = ""

    def __post_init__(self) -> None:
        _require(self.steps, Step, "steps")
        if not 0 <= self.early <= len(self.steps):
            raise ValueError(f"early must lie between 0 and {len(self.steps)}, the number of steps; found {self.early}")
        if self.form not in FORMS:
            raise ValueError(f"unknown form {self.form!r} of an address; {did_you_mean(self.form, FORMS)}")

    @property
    def payload(self) -> bytes:
        """All bytes that this peer sends, in order."""
        return b"".join(step.payload for step in self.steps if step.action == "send")

    def __repr__(self) -> str:
        steps = [repr(step) for step in self.steps]
        if self.early:
            steps.insert(self.early, "(accepted)")
        connect = f"connect ({self.form})" if self.form else "connect"
        return ", ".join([connect, *steps])


@dataclass(frozen=True, slots=True, repr=False)
class Act:
    """One action of the server's owner. `peer` belongs to play and begin, `seconds` to handle."""

    action: str
    peer: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.action not in ACTS:
            raise ValueError(f"unknown act {self.action!r}; {did_you_mean(self.action, ACTS)}")
        if self.peer < 0 or not 0 <= self.seconds < 1e9:
            raise ValueError(f"peer and seconds of {self.action!r} must not be negative or endless")

    def __repr__(self) -> str:
        told = {
            "play": str(self.peer),
            "begin": str(self.peer),
            "handle": f"{self.seconds:g} s" if self.seconds else "",
        }
        return f"{self.action}({told.get(self.action, '')})"


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """Injected hardship: the `nth` time that `point` is reached in this Case, `effect` happens there."""

    point: str
    effect: str
    nth: int = 1

    def __post_init__(self) -> None:
        if self.point not in POINTS:
            raise ValueError(f"unknown fault point {self.point!r}; {did_you_mean(self.point, POINTS)}")
        if self.effect not in POINTS[self.point]:
            raise ValueError(
                f"{self.point} cannot suffer {self.effect!r}; {did_you_mean(self.effect, POINTS[self.point])}"
            )
        if self.nth < 1:
            raise ValueError(f"nth counts from 1; found {self.nth}")

    def __repr__(self) -> str:
        return f"{self.point} #{self.nth}: {self.effect}"


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """The Scripts of all peers, the Faults and the owner's acts: everything needed to run it again.

    On a plain server streams are served one after another, datagrams in turns: the first of each peer, the second of
    each peer, and so on. A threading or forking server has all its peers at once.
    """

    scripts: tuple[Script, ...] = ()
    faults: tuple[Fault, ...] = ()
    transport: str = "tcp"
    concurrency: str = "plain"
    owner: tuple[Act, ...] = ()

    def __post_init__(self) -> None:
        _require(self.scripts, Script, "scripts")
        _require(self.faults, Fault, "faults")
        _require(self.owner, Act, "owner")
        if self.transport not in TRANSPORTS:
            raise ValueError(f"unknown transport {self.transport!r}; {did_you_mean(self.transport, TRANSPORTS)}")
        if self.concurrency not in CONCURRENCIES:
            raise ValueError(
                f"unknown concurrency {self.concurrency!r}; {did_you_mean(self.concurrency, CONCURRENCIES)}"
            )
        for act in self.owner:
            if act.action in ("play", "begin") and act.peer >= len(self.scripts):
                raise ValueError(f"{act!r} names a peer that has no script; there are {len(self.scripts)}")

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits, the same for equal Cases everywhere."""
        return codec.digest(self)

    def __repr__(self) -> str:
        parts = [] if self.transport == "tcp" else [self.transport]
        parts += [] if self.concurrency == "plain" else [self.concurrency]
        told = [repr(script) for script in self.scripts]
        if TRANSPORTS[self.transport].datagram:  # who sends datagrams does not connect
            told = [text.removeprefix("connect").lstrip(", ") or "nothing" for text in told]
        parts += [f"peer {number}: {script}" for number, script in enumerate(told)]
        parts += [f"fault {fault!r}" for fault in self.faults]
        parts += [f"owner: {', '.join(map(repr, self.owner))}"] if self.owner else []
        return f"Case({'; '.join(parts)})"
