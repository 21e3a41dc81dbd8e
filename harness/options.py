"""Turning what people type into values.

Durations, escaped bytes, steps, faults, acts of a server's owner. Each error says what to write instead.
"""

from __future__ import annotations

import codecs
import posixpath
import re
from typing import Final

from handshaker.harness.case import ACTS, POINTS, Act, Fault
from handshaker.harness.errors import UsageError, did_you_mean

__all__ = ["act", "duration", "escaped_bytes", "fault", "plain_target"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def duration(text: str, option: str) -> float:
    """Seconds from `500ms`, `30s`, `10m`, `8h`, or a plain number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", text.strip())
    if match is None:
        raise UsageError(f"{option}: {text!r} is not a duration; write 500ms, 30s, 10m or 8h")
    return float(match[1]) * _UNITS[match[2]]


def escaped_bytes(text: str, option: str) -> bytes:
    r"""Bytes from text with Python's escapes: `GET / HTTP/1.0\r\n`, `\x00\xff`."""
    try:
        return bytes(codecs.escape_decode(text.encode("utf-8"))[0])
    except ValueError as error:
        raise UsageError(
            f"{option}: {text!r}: {error}; write bytes with Python's escapes, such as \\r\\n or \\xff"
        ) from None


def fault(text: str) -> Fault:
    """A Fault from `point=effect` or `point=effect@nth`."""
    match = re.fullmatch(r"([\w.]+)=(\w+)(?:@(\d+))?", text)
    if match is None:
        raise UsageError(
            f"--fault: {text!r} is not a fault; write POINT=EFFECT or POINT=EFFECT@NTH, such as recv=short@2"
        )
    point, effect, nth = match[1], match[2], int(match[3] or 1)
    if point not in POINTS:
        raise UsageError(f"--fault: no point is called {point!r}; {did_you_mean(point, POINTS)}")
    try:
        return Fault(point, effect, nth)
    except ValueError as error:
        raise UsageError(f"--fault: {error}") from None


def plain_target(text: str) -> str:
    """TARGET with its path, if it has one, in one spelling: `./server.py:H` and `server.py:H` are one target."""
    place, colon, attributes = text.rpartition(":") if ".py:" in text else (text, "", "")
    return f"{posixpath.normpath(place)}{colon}{attributes}" if place.endswith(".py") else text


def act(text: str) -> Act:
    """An Act from its name, out of `case.ACTS`: `play:PEER` and `begin:PEER` name a peer, `handle` may name a duration.

    `play(PEER)`, as a Case is shown, is understood as well.
    """
    bracketed = re.fullmatch(r"([a-z]+)\((.*)\)", text.strip())
    text = ":".join(filter(None, bracketed.groups())) if bracketed else text.strip()
    action, given, value = text.partition(":")
    if action not in ACTS:
        raise UsageError(f"--act: no act is called {action!r}; {did_you_mean(action, ACTS)}")
    if action in ("play", "begin"):
        if not re.fullmatch(r"[0-9]{1,4}", value):
            raise UsageError(
                f"--act: {text!r} names no peer; write {action}:0 for the first peer, {action}:1 for the next"
            )
        return Act(action, peer=int(value))
    if action == "handle":
        return Act(action, seconds=duration(value, "--act handle") if given else 0.0)
    if given:
        raise UsageError(f"--act: {action} takes no value; found {value!r}; write {action}")
    return Act(action)
