"""Telling a reply that differs from one that merely carries the time of day.

Two things are hidden before replies are compared: what is known to change (dates, ids, ports), and what an exact
repeat of the same Case was seen to change. What cannot be hidden without guessing is not compared: the answer is
None, never a guess.
"""

from __future__ import annotations

import re
from typing import Final

from handshaker.harness.case import show_bytes

__all__ = ["contrast", "masked", "normalised"]

_VOLATILE: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? \d{1,2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d\d:\d\d:\d\d", b"<date>"),
        (rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d (?:[A-Z]{3,4} )?\d{4}", b"<date>"),
        (rb"\d{1,2}/[A-Z][a-z]{2}/\d{4}[: ]\d\d:\d\d:\d\d", b"<date>"),
        (rb"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?", b"<date>"),
        (rb"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", b"<uuid>"),
        (rb"\b0x[0-9a-fA-F]{6,16}\b", b"<id>"),
        (rb"\b1[5-9]\d{8}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?\b", b"<time>"),
    )
)
_TOKEN: Final = re.compile(rb"[0-9A-Za-z_]+|[^0-9A-Za-z_]")
_ALIGNED_BYTES_MAX: Final = 20_000
_SHOWN_BYTES: Final = 40


def normalised(reply: bytes, port: str = "") -> bytes:
    """*reply* with everything that is known to change from run to run replaced; *port* is the peer's own."""
    for pattern, name in _VOLATILE:
        reply = pattern.sub(name, reply)
    return re.sub(rb"\b" + port.encode() + rb"\b", b"<port>", reply) if port else reply


def masked(base: bytes, repeat: bytes, variant: bytes) -> tuple[bytes, bytes] | None:
    """*base* and *variant* with the words hidden in which *repeat*, an exact repeat of *base*, differs from it.

    None when what changes cannot be told from what stays: the replies have other numbers of words, or are too long.
    """
    if base == repeat:
        return base, variant
    if max(map(len, (base, repeat, variant))) > _ALIGNED_BYTES_MAX:
        return None
    words, again, other = (_TOKEN.findall(reply) for reply in (base, repeat, variant))
    if not len(words) == len(again) == len(other):
        return None
    same = [one == two for one, two in zip(words, again, strict=True)]
    hidden = [
        b"".join(word if kept else b"<...>" for word, kept in zip(reply, same, strict=True)) for reply in (words, other)
    ]
    return hidden[0], hidden[1]


def contrast(base: bytes, variant: bytes) -> tuple[str, str, str]:
    """Both replies around their first difference, short, and the words that say where it is."""
    place = next((i for i, (one, two) in enumerate(zip(base, variant, strict=False)) if one != two), None)
    if place is None:
        place = min(len(base), len(variant))
    start = max(0, place - _SHOWN_BYTES // 2)
    shown = [_excerpt(reply, start) for reply in (base, variant)]
    return shown[0], shown[1], f"first difference at byte {place:,}"


def _excerpt(reply: bytes, start: int) -> str:
    if not reply:
        return "nothing"
    piece = reply[start : start + _SHOWN_BYTES]
    before, after = "..." if start else "", "..." if len(reply) > start + len(piece) else ""
    return f"{before}{show_bytes(piece)}{after} ({len(reply):,} bytes)"
