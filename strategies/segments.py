"""Where a payload is cut. The bytes stay the same; a handler that reads a stream must not care.

The simplest is not to cut at all. Borders between words and lines are tried often, since that is where the handler's
own reads end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from handshaker.strategies.drawing import Source

__all__ = ["cut_at", "draw_segments", "variants"]

_EACH_MAX: Final = 64
_EACH_DRAWN_MAX: Final = 16

_STYLES: Final = (*("whole",) * 5, "two", "two", "two", "few", "lines", "words", "each")
_WORD_BORDER: Final = re.compile(rb"(?<=[0-9A-Za-z])(?=[^0-9A-Za-z])|(?<=[^0-9A-Za-z])(?=[0-9A-Za-z])")
_LINE_BORDER: Final = re.compile(rb"(?<=\n)(?=[^\n])")
_FEW: Final = 4
_BORDERS_MAX: Final = 12


def draw_segments(source: Source, payload: bytes) -> list[bytes]:
    """*payload* in one segment or several; none of them is empty."""
    size = len(payload)
    if size < 2:
        return [payload] if payload else []
    style = source.pick(_STYLES)
    if style == "whole":
        return [payload]
    if style == "two":
        at = source.integer(1, size - 1)
        return [payload[:at], payload[at:]]
    if style == "few":
        return cut_at(payload, source.slots(_place, _FEW, size - 1))
    if style == "each":
        return cut_at(payload, range(1, _EACH_DRAWN_MAX))
    return cut_at(payload, _lines(payload) if style == "lines" else _words(payload))


def _place(source: Source, last: int) -> int:
    return source.integer(1, last)


def cut_at(payload: bytes, places: Iterable[int]) -> list[bytes]:
    """*payload* cut at *places*, in whatever order and however often they are named."""
    segments, start = [], 0
    for place in sorted(set(places)):
        if start < place < len(payload):
            segments.append(payload[start:place])
            start = place
    return [*segments, payload[start:]]


def _words(payload: bytes) -> list[int]:
    return [match.start() for match in _WORD_BORDER.finditer(payload)][:_BORDERS_MAX]


def _lines(payload: bytes) -> list[int]:
    return [match.start() for match in _LINE_BORDER.finditer(payload)][:_BORDERS_MAX]


def variants(payload: bytes) -> list[list[bytes]]:
    """The same bytes cut in other ways, each way once: whole, each byte, halves, at lines, at words, before the last.

    Of a long payload the first bytes are sent one by one and the rest in one segment.
    """
    size = len(payload)
    if size < 2:
        return [[payload]] if payload else []
    places: list[Iterable[int]] = [(), range(1, _EACH_MAX), (size // 2,), _lines(payload), _words(payload), (size - 1,)]
    return [list(segments) for segments in dict.fromkeys(tuple(cut_at(payload, each)) for each in places)]
