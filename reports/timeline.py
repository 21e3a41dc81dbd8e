"""One drawing of a Trace for every text report: a line per event, time downwards, one lane per source.

A lane is where an event's text begins; it may run over the lanes to its right, since a line holds one event only.
What is nested in a hook is indented by it. Details that say the usual thing (a send that was complete) are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from handshaker.harness.trace import Event, Trace
from handshaker.harness.vocabularies.datagrams import DATAGRAMS
from handshaker.harness.vocabulary import KINDS
from handshaker.reports.text import Line, clean, clip, line, lines_text, show

__all__ = ["event_text", "exception_name", "timeline_lines", "timeline_text"]

_LANES: Final = ("peer", "socket", "handler", "server", "network", "probe")

_TIME_WIDTH: Final = 9
_CONNECTION_WIDTH: Final = 4
_LANE_STEP: Final = 9
_INDENT: Final = 2

_USUAL: Final[dict[str, Any]] = {
    "complete": True, "resumes": False, "unread": False, "unplayed": 0, "injected": False, "agrees": True,
    "met": True, "delta": 0, "peername": True, "inheritable": False, "cut": False, "held": "same", "pair": True,
    "whole": True, "own": True, "file": "standard", "free": True, "itself": True,
}  # fmt: skip
_HIDDEN: Final = ("instance", "thread", "lineage", "frame", "attributes", "empty")
_BARE: Final = ("seconds", "operation", "end", "how", "what", "action", "fate", "form")
_SPOKEN: Final = ("via", "by", "after", "to", "peer")
_STYLED: Final = ("raise", "blocked", "stalled", "spinning", "fault", "stopped", "error", "limit")


def timeline_text(trace: Trace, *, color: bool = False, width: int = 100) -> str:
    """The whole Trace as text, one event per line of at most *width* characters, under a line that names the lanes."""
    return lines_text(timeline_lines(trace, width=width), color=color)


def timeline_lines(trace: Trace, *, width: int = 100) -> list[Line]:
    """The same as `timeline_text`, as Lines."""
    drawn = [_heading()]
    depth: dict[tuple[str, int], int] = {}
    for event in trace:
        lane = _lane(event)
        key = (lane, event.connection)
        if event.kind.endswith((".leave", ".raise", ".blocked")):
            depth[key] = max(depth.get(key, 0) - 1, 0)
        drawn.append(_row(event, lane, depth.get(key, 0), width))
        if event.kind.endswith(".enter"):
            depth[key] = depth.get(key, 0) + 1
    return drawn


def _heading() -> Line:
    names = "".join(name.ljust(_LANE_STEP) for name in _LANES)
    return line(("time".rjust(_TIME_WIDTH - 1) + " " + "#".ljust(_CONNECTION_WIDTH) + names.rstrip(), "dim"))


def _row(event: Event, lane: str, depth: int, width: int) -> Line:
    number = f"#{event.connection}" if event.connection >= 0 else ""
    head = f"{event.time:{_TIME_WIDTH - 1}.3f} {number:<{_CONNECTION_WIDTH}}"
    gap = " " * (_LANE_STEP * _LANES.index(lane) + _INDENT * depth)
    text = event_text(event, max(width - len(head) - len(gap), 24), short=True)
    return line((head, "dim"), gap, (text, _style(event)))


def _lane(event: Event) -> str:
    name = event.source.partition("#")[0]
    return "server" if name == "owner" else name if name in _LANES else _LANES[-1]


def _style(event: Event) -> str:
    return "must" if event.kind.endswith(_STYLED) else ""


_PHASES: Final = {
    "owner.enter": "",
    "owner.leave": "done",
    "owner.raise": "raises",
    "owner.blocked": "has not returned",
}


def event_text(event: Event, room: int, *, short: bool = False) -> str:
    """What one event says in at most *room* characters: its kind (without its source if *short*) and its details."""
    kind = clean(event.kind)
    if "act" in event.data:
        kind = f"owner {clean(event['act'])}() {_PHASES.get(event.kind, event.kind)}".rstrip()
    elif short:
        kind = kind.removeprefix(f"{_lane(event)}.")
    if event.get("lineage"):
        return clip(f"{kind} {_raised(event)}", room)
    hidden = ("act", "nth", "stacks", "seconds") if event.source == "owner" else ()
    data = {name: value for name, value in event.data.items() if name not in hidden}
    details = _details(data, room - len(kind) - 1)
    if event.kind in _WHOLE and event.get("data") == b"":
        details += " b''"  # an empty datagram is one all the same
    return clip(f"{kind} {details}".rstrip(), room)


def _raised(event: Event) -> str:
    name = exception_name(event["lineage"][0])
    said = clean(event.get("message", "")).removeprefix(f"{name.rpartition('.')[2]}:").strip()
    injected = " (injected)" if event.get("injected") else ""
    return f"{name}{injected}" + (f": {said}" if said else "")


def exception_name(qualified: object) -> str:
    """The name of an exception's type as its user writes it: without `builtins.`."""
    return clean(qualified).removeprefix("builtins.")


def _details(data: Mapping[str, Any], room: int) -> str:
    """Structural details first and short, then the payload in the room that is left."""
    shown = {name: value for name, value in data.items() if name not in _HIDDEN and not _is_usual(name, value)}
    structure = [_detail(name, value) for name, value in shown.items() if not isinstance(value, (bytes, bytearray))]
    text = " ".join(structure)
    for value in shown.values():
        if isinstance(value, (bytes, bytearray)):
            text = f"{text} {show(bytes(value), max(room - len(text) - 1, 16))}".lstrip()
    return text


def _is_usual(name: str, value: object) -> bool:
    if value is None or value in ("", (), [], b""):
        return True
    return name in _USUAL and bool(value == _USUAL[name])


def _detail(name: str, value: object) -> str:
    if isinstance(value, bool) and name != "result":
        return clean(name) if value else f"not {clean(name)}"
    text = clip(clean(value), 200)
    if name in _SPOKEN:
        return f"{name} {text}"
    return text if name in _BARE or name in _PAYLOADS else f"{clean(name)}={text}"


_WHOLE: Final = frozenset(name for name, kind in DATAGRAMS.items() if kind.payload == "data")
_PAYLOADS: Final = frozenset(kind.payload for kind in KINDS.values() if kind.payload)
