"""What a peer says: raw bytes, lines of the handler's own words, counted and length-prefixed bodies, very long lines.

Random bytes rarely pass the first comparison of a handler. So most payloads are put together from the words of its
own code, and one part of them is wrong: a number that is none, bytes that are no text, a length that lies.
A payload is bytes; a very long one is a tuple of Steps, since it is kept as unit and count.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from handshaker.harness.case import Step
from handshaker.strategies.drawing import Source
from handshaker.strategies.plan import Plan

__all__ = ["Payload", "damage", "draw_content", "longest"]

Payload = bytes | tuple[Step, ...]

_RAW_MAX: Final = 48
_BODY_MAX: Final = 24
_UNIT_MAX: Final = 4
_LINES_MAX: Final = 1_000  # enough for one call per line to be too deep; more only take their time
_LIES: Final = ("right", "right", "one more", "one less", "none", "negative", "huge")
_BEFORE_LENGTH: Final = (b"", b"", b"", b"\0", b"\1", b"\1\0")
_UNITS: Final = (b"a", b"a", b"0", b" ", b"\0", b"\xff", b"(", b"a ", b"a\n", b"/..")
_DAMAGES: Final = ("truncate", "delete", "change", "insert", "duplicate", "repeat")


def draw_content(source: Source, plan: Plan) -> Payload:
    """One payload of a kind that *plan* has switched on."""
    return _KINDS[source.choose(plan.content_options)](source, plan)


def _raw(source: Source, plan: Plan) -> Payload:
    return source.blob(0, _RAW_MAX)


def _line(source: Source, plan: Plan) -> bytes:
    """A word, up to three arguments, a terminator; each of them may be missing."""
    words = source.pick(plan.openings)
    line = words[source.small(0, len(words) - 1)]
    argument = source.pick(source.pick(plan.arguments))
    if argument:
        separator = source.pick(plan.separators)
        line += separator + argument
        for _ in range(2):
            argument = source.pick(source.pick(plan.arguments))
            if not argument:
                break
            line += separator + argument
    return line + source.pick(plan.terminators)


def _lines(source: Source, plan: Plan) -> Payload:
    return b"".join(source.slots(_line, 4, plan)) + source.pick((b"", b"\n", b"\r\n"))


def _counted(source: Source, plan: Plan) -> Payload:
    """A line that holds a length as text, then a body that has it, or nearly."""
    body = source.blob(0, _BODY_MAX)
    claim = _claim(source, len(body))
    word = source.pick(plan.words) + source.pick(plan.separators) if source.flag() else b""
    return word + b"%d" % claim + source.pick(plan.terminators) + body


def _length(source: Source, plan: Plan) -> Payload:
    """A binary length field, then a body that has this length, or nearly; fixed bytes may come before the field."""
    layout = source.pick(plan.length_formats)
    before = source.pick(_BEFORE_LENGTH)
    body = source.blob(0, _BODY_MAX)
    if source.flag():
        body = source.pick(plan.words) + body
    bits = 8 * struct.calcsize(layout)
    claim = _claim(source, len(body)) % (1 << bits)
    return before + claim.to_bytes(bits // 8, "little" if layout[0] == "<" else "big") + body


def _claim(source: Source, true: int) -> int:
    """What is said about a length: mostly the truth."""
    lie = source.pick(_LIES)
    if lie == "right":
        return true
    return {"one more": true + 1, "one less": max(true - 1, 0), "none": 0, "negative": -1, "huge": 0x7FFF_FFFF}[lie]


def longest(unit: bytes, size: int) -> Step:
    """One send of at least *size* bytes, *unit* over and over."""
    return Step("send", unit, -(-size // len(unit)))


def _long(source: Source, plan: Plan) -> Payload:
    """A word, one short unit very often, a terminator; where datagrams are sent, one of a size that matters."""
    if plan.datagram:
        return (Step("send", *_sized(source, plan)),)
    unit = source.pick(_UNITS) if source.flag() else source.blob(1, _UNIT_MAX)
    count = max(source.small(1, plan.max_bytes) // len(unit), 1)
    if any(end and end in unit for end in plan.terminators):
        count = min(count, _LINES_MAX)
    head = source.pick(plan.words) + b" " if source.flag() else b""
    tail = source.pick(plan.terminators)
    return tuple(Step("send", part, times) for part, times in ((head, 1), (unit, count), (tail, 1)) if part)


def _sized(source: Source, plan: Plan) -> tuple[bytes, int]:
    """A short unit, and how often it makes one of the sizes at the borders."""
    unit = source.pick(_UNITS) if source.flag() else source.blob(1, _UNIT_MAX)
    return unit, max(source.pick(plan.sizes) // len(unit), 1)


def _message(source: Source, plan: Plan) -> Payload:
    """A message of the user's, sometimes with a second one behind it."""
    message = source.message()
    return message + source.message() if source.chance(4) else message


def _example(source: Source, plan: Plan) -> Payload:
    return plan.example + plan.example if source.chance(4) else plan.example


def _damaged(source: Source, plan: Plan) -> Payload:
    data = source.message() if plan.messages else plan.example or _line(source, plan)
    data = damage(source, plan, data)
    return damage(source, plan, data) if source.chance(3) else data


def damage(source: Source, plan: Plan, data: bytes) -> bytes:
    """*data* with one harm done to it."""
    kind = source.pick(_DAMAGES)
    at = source.integer(0, len(data))
    if kind == "truncate":
        return data[:at]
    if kind == "insert":
        return data[:at] + source.pick(source.pick(plan.arguments[1:])) + data[at:]
    if kind == "change":
        return data[:at] + source.blob(1, 1) + data[at + 1 :]
    if kind == "repeat":
        return data + data[at:]
    end = at + source.small(0, len(data) - at)
    return data[:at] + data[end:] if kind == "delete" else data[:end] + data[at:end] + data[end:]


_KINDS: Final[Mapping[str, Callable[[Source, Plan], Payload]]] = {
    "raw": _raw,
    "line": _line,
    "lines": _lines,
    "counted": _counted,
    "length": _length,
    "long": _long,
    "message": _message,
    "example": _example,
    "damaged": _damaged,
}
