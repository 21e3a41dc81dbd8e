"""Text that is safe to print: nothing that a peer or a handler said may act on the terminal or break a table.

A line is a tuple of (text, style) spans, so that the same lines are printed with colour, without, or compared in a
test. Rules: only `clean` makes text of foreign values; a line holds no line break; styles are the few names below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "STYLES", "Line", "Span", "clean", "clip", "dotted", "labelled", "line", "lines_text", "paint", "plural", "rule",
    "show", "width_of", "wrap",
]  # fmt: skip

Span = tuple[str, str]
Line = tuple[Span, ...]

STYLES: Final = {"": "", "bold": "1", "dim": "2", "good": "32", "must": "1;31", "should": "1;33", "command": "36"}

_LONGEST: Final = 600
_SHORTEST: Final = 8


def clean(value: object) -> str:
    """*value* as one line of printable text: every character that a terminal could act on is written as its escape."""
    text = str(value)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text):,} characters)"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def clip(text: str, room: int) -> str:
    """*text*, cut to *room* characters with `...` at the end when it is longer."""
    return text if len(text) <= room else text[: max(room - 3, 0)] + "..."


def show(data: bytes, room: int, repeat: int = 1) -> str:
    """Bytes as a Python expression of at most about *room* characters, with their number when they were cut."""
    times = "" if repeat == 1 else f" * {repeat:,}"
    whole = repr(data[:room])
    if len(data) <= room and len(whole) + len(times) <= room:
        return whole + times
    tail = f"... ({len(data):,} bytes){times}"
    if room - len(tail) < _SHORTEST:
        tail = "..."
    fits = max(room - len(tail), _SHORTEST)
    kept = data[:fits]
    while kept and len(repr(kept)) > fits:
        kept = kept[:-1]
    return repr(kept) + tail


def line(*parts: str | Span) -> Line:
    """A Line of spans and of texts without a style."""
    return tuple((part, "") if isinstance(part, str) else part for part in parts)


def wrap(text: object, room: int) -> list[str]:
    """Prose, cleaned, its white space made single, in lines of at most *room* characters."""
    return textwrap.wrap(clean(" ".join(str(text).split())), max(room, 20), break_on_hyphens=False) or [""]


def labelled(label: str, lines: Sequence[Line], *, indent: int, column: int, style: str = "dim") -> list[Line]:
    """*lines* behind a *label* that stands *indent* from the left; the lines start at *column*."""
    heads = [" " * indent + label.ljust(column - indent)] + [" " * column] * (len(lines) - 1)
    return [((head, style), *spans) for head, spans in zip(heads, lines, strict=True)]


def dotted(items: Iterable[str], room: int) -> list[str]:
    """Items, cleaned, with dots between them, in lines of at most *room* characters that break only between items."""
    rows: list[str] = []
    for item in map(clean, items):
        if rows and len(rows[-1]) + len(item) + 3 <= room:
            rows[-1] += f" · {item}"
        else:
            rows += wrap(item, room)
    return rows


def rule(text: str, width: int, style: str = "dim") -> Line:
    """A horizontal rule of *width* characters that bears *text*."""
    return (("── ", style), (text, "bold"), (" " + "─" * max(width - len(text) - 4, 2), style))


def plural(count: int, noun: str) -> str:
    """The count with its noun: `1 finding`, `1,200 findings`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def width_of(spans: Line) -> int:
    """How many characters the Line takes."""
    return sum(len(text) for text, _ in spans)


def paint(spans: Line, *, color: bool) -> str:
    """One Line as a string, with ANSI colours if *color*."""
    if not color:
        return "".join(text for text, _ in spans).rstrip()
    return "".join(
        f"\x1b[{STYLES[style]}m{text}\x1b[0m" if STYLES[style] and text.strip() else text for text, style in spans
    )


def lines_text(lines: Iterable[Line], *, color: bool) -> str:
    """Lines as one string that ends with a line break."""
    return "".join(paint(spans, color=color) + "\n" for spans in lines)
