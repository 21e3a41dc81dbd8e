"""A Case on screen: what each peer does, one Step per line, what it got for it, and the faults that strike."""

from __future__ import annotations

from typing import Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.trace import Event, Trace
from handshaker.reports.text import Line, clean, clip, line, plural, show, width_of

__all__ = ["case_lines", "inline_case", "side_by_side", "step_text"]

_STEPS_MAX: Final = 16
_PEERS_MAX: Final = 6
_HEAD_WIDTH: Final = 8


def case_lines(case: Case, trace: Trace | None, room: int) -> list[Line]:
    """The Case, at most *room* characters wide; with the reply to each peer when there is a *trace* of it."""
    ends = {event.connection: event for event in trace.of("peer.end")} if trace else {}
    rows: list[Line] = []
    for number, script in enumerate(case.scripts[:_PEERS_MAX]):
        inner = room - _HEAD_WIDTH
        steps = [line(text) for text in _step_texts(script, inner)]
        if number in ends:
            steps += [line((text, "dim")) for text in _reply(ends[number], script, inner)]
        rows += _behind(f"peer {number}", steps)
    if len(case.scripts) > _PEERS_MAX:
        rows.append(line((f"... {plural(len(case.scripts) - _PEERS_MAX, 'more peer')} ...", "dim")))
    for fault in case.faults:
        rows += _behind("fault", [line((clip(clean(repr(fault)), room - _HEAD_WIDTH), "should"))])
    return rows or [line("(nobody connects and nothing fails)")]


def _behind(head: str, lines: list[Line]) -> list[Line]:
    heads = [head.ljust(_HEAD_WIDTH)] + [" " * _HEAD_WIDTH] * (len(lines) - 1)
    return [((text, "dim"), *spans) for text, spans in zip(heads, lines, strict=True)]


def _step_texts(script: Script, room: int) -> list[str]:
    texts = [step_text(step, room) for step in script.steps]
    if script.early:
        texts.insert(script.early, "(accepted only now)")
    if len(texts) > _STEPS_MAX:
        cut = len(texts) - _STEPS_MAX + 1
        texts[_STEPS_MAX - 4 : -3] = [f"... {plural(cut, 'more step')} ..."]
    return ["connect", *texts]


def step_text(step: Step, room: int) -> str:
    """One Step as its `repr`, with its bytes cut to *room* and without empty brackets."""
    if step.action == "send":
        return f"send({show(step.data, room - 6, step.repeat)})"
    return clip(repr(step).removesuffix("()"), room)


def _reply(end: Event, script: Script, room: int) -> list[str]:
    """What the peer got and how its stream ended, unless it left before that, on one line if it is short."""
    reply = bytes(end.get("reply", b""))
    got = f"gets {show(reply, room - 5) if reply else 'nothing'}"
    left = any(step.action in ("close", "reset") for step in script.steps)
    ending = f"then {clean(end['end'])}" if end.get("end") and not left else ""
    whole = f"{got}, {ending}" if ending else got
    return [whole] if len(whole) <= room else [clip(got, room), clip(ending, room)]


def inline_case(case: Case, room: int) -> str:
    """The Case on one line of at most *room* characters."""
    peers = [", ".join(_step_texts(script, 60)) for script in case.scripts]
    if len(peers) > 1:
        peers = [f"peer {number}: {text}" for number, text in enumerate(peers)]
    return clip("; ".join([*peers, *(f"fault {fault!r}" for fault in case.faults)]), room)


def side_by_side(left: list[Line], right: list[Line], column: int) -> list[Line]:
    """Two blocks in two columns of *column* characters with a bar between them."""
    height = max(len(left), len(right))
    left, right = left + [()] * (height - len(left)), right + [()] * (height - len(right))
    bars = [(" " * (column - width_of(mine)) + " │ ", "dim") for mine in left]
    return [(*mine, bar, *other) for mine, bar, other in zip(left, bars, right, strict=True)]
