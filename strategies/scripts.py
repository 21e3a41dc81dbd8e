"""What one peer does: it says something, in segments, with interruptions, and ends in one of a dozen ways."""

from __future__ import annotations

from typing import Final

from handshaker.harness.case import Script, Step
from handshaker.strategies.content import draw_content
from handshaker.strategies.drawing import Source
from handshaker.strategies.plan import Plan
from handshaker.strategies.segments import draw_segments

__all__ = ["CLOSE", "HALF_CLOSE", "RESET", "draw_script"]

HALF_CLOSE: Final = Step("half-close")
CLOSE: Final = Step("close")
RESET: Final = Step("reset")

_ON_REPLY: Final = Step("expect", seconds=0.2, size=1)
_LAST: Final = {
    "half-close": (HALF_CLOSE,),
    "torn half-close": (HALF_CLOSE,),
    "early half-close": (HALF_CLOSE,),
    "open": (),
    "torn open": (),
    "close": (CLOSE,),
    "reset": (RESET,),
    "torn reset": (RESET,),
    "early reset": (RESET,),
    "close on reply": (_ON_REPLY, CLOSE),
    "reset on reply": (_ON_REPLY, RESET),
}
_NOTHING: Final = Script((HALF_CLOSE,))

_TWISTS: Final = (*("none",) * 8, "trailing", "interrupted", "interrupted")
_INTERRUPTIONS: Final = ("pause", "silence", "expect", "stop-reading", "stop-reading later")
_BRIEF: Final = Step("pause", seconds=0.01)
_STOP: Final = Step("stop-reading")
_STOP_LATER: Final = Step("stop-reading", size=4096)
_TRAILING_MAX: Final = 16
_PLACES_MAX: Final = 8


def draw_script(source: Source, plan: Plan) -> Script:
    """The Script of one peer."""
    ending = source.choose(plan.ending_options)
    if ending == "nothing":
        return _NOTHING
    payload = draw_content(source, plan)
    twist = source.pick(_TWISTS)
    if isinstance(payload, bytes):
        if twist == "trailing":
            payload += source.blob(1, _TRAILING_MAX)
        if ending[:4] == "torn" and payload:
            payload = payload[: source.integer(0, len(payload) - 1)]
        steps = [Step("send", segment) for segment in draw_segments(source, payload)]
    else:
        steps = list(payload[:-1] if ending[:4] == "torn" else payload)
    if twist == "interrupted":
        for place, step in source.slots(_interruption, 2, plan):
            steps.insert(place, step)
    steps += _LAST[ending]
    return Script(tuple(steps), len(steps) if ending[:5] == "early" else 0)


def _interruption(source: Source, plan: Plan) -> tuple[int, Step]:
    """Where (before the step of that number) and what; a place behind the last segment means behind it."""
    kind = source.pick(_INTERRUPTIONS)
    place = source.integer(0, _PLACES_MAX)
    if kind == "silence":
        return place, Step("pause", seconds=plan.silence)
    return place, _FIXED[kind]


_FIXED: Final = {"pause": _BRIEF, "expect": _ON_REPLY, "stop-reading": _STOP, "stop-reading later": _STOP_LATER}
