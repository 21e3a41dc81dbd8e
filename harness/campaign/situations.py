"""Which situations a Case exercises: the words of the summary, so that a green run that tried nothing is visible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Case, Script

__all__ = ["SITUATIONS", "count", "situations"]

_LARGE_BYTES: Final = 65_536

SITUATIONS: Final = (
    "one peer", "several peers", "no bytes at all", "one segment", "several segments", "byte by byte",
    "half-close after the message", "half-close with nothing sent", "silent to the end", "close", "reset",
    "reset before accept", "silence between segments", "peer stops reading", "large payload", "bytes above 127",
    "NUL bytes", "injected fault",
)  # fmt: skip

_ENDINGS: Final = {"close": "close", "reset": "reset"}


def count(case: Case, counts: Counter[str]) -> None:
    """Add the situations of *case* to *counts*."""
    counts.update(situations(case))


def situations(case: Case) -> set[str]:
    """The situations that *case* exercises."""
    names = {"one peer" if len(case.scripts) < 2 else "several peers"}
    if case.faults:
        names.add("injected fault")
    for script in case.scripts:
        names.update(_of_script(script))
    return names


def _of_script(script: Script) -> Iterator[str]:
    actions = [step.action for step in script.steps]
    sends = [step for step in script.steps if step.action == "send"]
    yield "no bytes at all" if not sends else "one segment" if len(sends) == 1 else "several segments"
    if len(sends) > 1 and all(len(step.data) * step.repeat == 1 for step in sends):
        yield "byte by byte"
    if "half-close" in actions:
        yield "half-close after the message" if sends else "half-close with nothing sent"
    elif not set(actions) & {"close", "reset"}:
        yield "silent to the end"
    yield from (name for action, name in _ENDINGS.items() if action in actions)
    if "reset" in actions[: script.early]:
        yield "reset before accept"
    if "pause" in actions:
        yield "silence between segments"
    if "stop-reading" in actions:
        yield "peer stops reading"
    for step in sends:
        if len(step.data) * step.repeat >= _LARGE_BYTES:
            yield "large payload"
        if not step.data.isascii():
            yield "bytes above 127"
        if b"\0" in step.data:
            yield "NUL bytes"
