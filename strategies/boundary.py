"""The Cases at the borders of what a peer can do, in a fixed order: no randomness, the same on every run.

Each is one peer that does something every handler meets sooner or later: it says nothing, stops in the middle, goes
away early, stays silent, never reads, or sends one endless line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Case, Script, Step
from handshaker.strategies.datagrams import boundary_datagrams
from handshaker.strategies.plan import Plan
from handshaker.strategies.scripts import CLOSE, HALF_CLOSE, RESET
from handshaker.strategies.segments import cut_at, variants

__all__ = ["boundary_cases"]

_LONG_LINE_BYTES: Final = 2_000_000
_MANY_LINES: Final = 10_000  # each is a line that the handler may answer: more only take their time
_RESETS_MAX: Final = 8
_ON_REPLY: Final = Step("expect", seconds=0.2, size=1)
_BETWEEN: Final = Step("pause", seconds=0.01)
_OPEN: Final = ()


def boundary_cases(plan: Plan) -> tuple[Case, ...]:
    """The boundary Cases for *plan*; its example (else its first word as a line) stands for a plain message."""
    if plan.datagram:
        return boundary_datagrams(plan)
    message = plan.example or plan.words[0] + plan.terminators[0]
    scripts: list[Script] = []
    for part in (_endings, _segments, _silences, _slow_peers, _contents):
        scripts.extend(part(plan, message))
    return tuple(Case((script,), (), plan.transport, plan.concurrency) for script in dict.fromkeys(scripts))


def _script(*steps: Step, early: int = 0) -> Script:
    return Script(steps, early)


def _send(*segments: bytes) -> tuple[Step, ...]:
    return tuple(Step("send", segment) for segment in segments if segment)


def _endings(plan: Plan, message: bytes) -> Iterator[Script]:
    """Nothing, one byte, half a message, a whole one; then each end, before and after the peer is accepted."""
    for payload in (b"", message[:1], message[: len(message) // 2], message):
        sent = _send(payload)
        for ending in ((HALF_CLOSE,), _OPEN, (CLOSE,), (RESET,)):
            steps = (*sent, *ending)
            yield _script(*steps)
            if ending:
                yield _script(*steps, early=len(steps))
    for last in (HALF_CLOSE, CLOSE, RESET):
        yield _script(*_send(message), _ON_REPLY, last)


def _segments(plan: Plan, message: bytes) -> Iterator[Script]:
    """The message in all its segmentations, and a reset after each of its pieces."""
    for segments in variants(message):
        yield _script(*_send(*segments), HALF_CLOSE)
    pieces = cut_at(message, range(1, _RESETS_MAX))
    for count in range(len(pieces) + 1):
        yield _script(*_send(*pieces[:count]), RESET)


def _silences(plan: Plan, message: bytes) -> Iterator[Script]:
    """Silence longer than the timeout: at once, between two reads, after a message; then the peer goes on."""
    silence = Step("pause", seconds=plan.silence)
    half = len(message) // 2
    for before, after in ((b"", message), (message[:half], message[half:]), (message, message), (message, b"")):
        yield _script(*_send(before), silence, *_send(after), HALF_CLOSE)
    slowly = [step for piece in _send(*cut_at(message, range(1, _RESETS_MAX))) for step in (piece, silence)]
    yield _script(*slowly, HALF_CLOSE)


def _slow_peers(plan: Plan, message: bytes) -> Iterator[Script]:
    """Peers that send slowly, read late, read little, or never read at all."""
    slowly = [step for piece in _send(*cut_at(message, range(1, _RESETS_MAX))) for step in (piece, _BETWEEN)]
    yield _script(*slowly, HALF_CLOSE)
    for room in (0, 1, 4096):
        stop = Step("stop-reading", size=room)
        yield _script(stop, *_send(message))
        yield _script(stop, *_send(message), HALF_CLOSE)
        yield _script(stop, *_send(message), _BETWEEN, Step("resume-reading"), HALF_CLOSE)
        yield _script(stop, *_send(message), RESET)


def _contents(plan: Plan, message: bytes) -> Iterator[Script]:
    """Bytes after the end, hostile bytes, numbers that are none, and lines without end."""
    word = message.split()[0] if message.split() else b"a"
    end = plan.terminators[0]
    yield _script(*_send(message + b"a"), HALF_CLOSE)
    yield _script(*_send(message + message), HALF_CLOSE)
    yield _script(*_send(message), *_send(message), HALF_CLOSE)
    for line in (
        b"",
        b"\0",
        b"\xff",
        word + b" \xff",
        word + b" \0",
        word + b" -1",
        word + b" 99999999999",
        b"-1",
        b"x",
    ):
        yield _script(*_send(line + end), HALF_CLOSE)
    for unit, count in ((b"a", _LONG_LINE_BYTES), (b"\n", _MANY_LINES), (b"\xff", _LONG_LINE_BYTES)):
        yield _script(Step("send", unit, count), HALF_CLOSE)
    yield _script(*_send(word + b" "), Step("send", b"a", _LONG_LINE_BYTES), *_send(end), HALF_CLOSE)
