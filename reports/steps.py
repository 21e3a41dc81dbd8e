"""A Case on screen: what each peer does, one Step per line, what it got for it, and the faults that strike."""

from __future__ import annotations

from typing import Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.trace import Event, Trace
from handshaker.harness.transports import TRANSPORTS
from handshaker.reports.text import Line, clean, clip, dotted, line, plural, show, width_of

__all__ = ["case_lines", "datagram_text", "inline_case", "side_by_side", "step_text"]

_STEPS_MAX: Final = 16
_PEERS_MAX: Final = 6
_HEAD_WIDTH: Final = 8
_NOT_MUCH: Final = ("gets nothing", "gets one empty datagram")
_ADDRESSES: Final = {"": (), "unbound": ("has no address",), "abstract": ("has an abstract address",)}


def case_lines(case: Case, trace: Trace | None, room: int) -> list[Line]:
    """The Case, at most *room* characters wide; with the reply to each peer when there is a *trace* of it."""
    datagram = TRANSPORTS[case.transport].datagram
    replies = _replies(case, trace, room - _HEAD_WIDTH) if trace else {}
    rows: list[Line] = []
    for number, script in enumerate(case.scripts[:_PEERS_MAX]):
        texts = _step_texts(script, room - _HEAD_WIDTH, datagram=datagram)
        got = [line((text, "dim")) for text in replies.get(number, ())]
        rows += _behind(f"peer {number}", [*map(line, texts or ["does nothing"]), *got])
    if len(case.scripts) > _PEERS_MAX:
        rows.append(line((f"... {plural(len(case.scripts) - _PEERS_MAX, 'more peer')} ...", "dim")))
    for fault in case.faults:
        rows += _behind("fault", [line((clip(clean(repr(fault)), room - _HEAD_WIDTH), "should"))])
    if case.owner:
        rows += _behind("owner", [line(text) for text in _act_texts(case, room - _HEAD_WIDTH)])
    return rows or [line("(nobody connects and nothing fails)")]


def _act_texts(case: Case, room: int) -> list[str]:
    """What the owner of the server does, in order, in as many lines as that takes."""
    return dotted([repr(act) for act in case.owner], room)


def _behind(head: str, lines: list[Line]) -> list[Line]:
    heads = [head.ljust(_HEAD_WIDTH)] + [" " * _HEAD_WIDTH] * (len(lines) - 1)
    return [((text, "dim"), *spans) for text, spans in zip(heads, lines, strict=True)]


def _step_texts(script: Script, room: int, *, datagram: bool = False) -> list[str]:
    texts = [datagram_text(step, room) if datagram else step_text(step, room) for step in script.steps]
    if script.early:
        texts.insert(script.early, "(served only now)" if datagram else "(accepted only now)")
    if len(texts) > _STEPS_MAX:
        cut = len(texts) - _STEPS_MAX + 1
        texts[_STEPS_MAX - 4 : -3] = [f"... {plural(cut, 'more step')} ..."]
    return [*_ADDRESSES[script.form], *texts] if datagram else ["connect", *texts]


def step_text(step: Step, room: int) -> str:
    """One Step as its `repr`, with its bytes cut to *room* and without empty brackets."""
    if step.action == "send":
        return f"send({show(step.data, room - 6, step.repeat)})"
    return clip(repr(step).removesuffix("()"), room)


def datagram_text(step: Step, room: int) -> str:
    """What a peer of datagrams does, in words, in at most *room* characters."""
    if step.action == "send":
        count = len(step.data) * step.repeat
        told = "one empty datagram" if not count else "one datagram"
        shown = f" {show(step.data, room - 30, step.repeat)}" if count else ""
        size = f" ({count:,} bytes)" if step.repeat > 1 else ""
        return clip(f"sends {told}{shown}{size}", room)
    seconds = f"{step.seconds:g} s"
    told = {
        "pause": f"is silent for {seconds}",
        "expect": f"waits for {plural(step.size, 'byte')} of reply, at most {seconds}",
        "close": "leaves: its socket is closed",
        "stop-reading": f"takes {plural(step.size, 'more byte')} of reply, then none"
        if step.size
        else "takes no replies",
        "resume-reading": "takes replies again",
    }.get(step.action, step_text(step, room))
    return clip(told, room)


def _replies(case: Case, trace: Trace, room: int) -> dict[int, list[str]]:
    """What each peer got, by its number, in words."""
    if not TRANSPORTS[case.transport].datagram:
        ends = {event.connection: event for event in trace.of("peer.end")}
        scripts = enumerate(case.scripts)
        return {number: _reply(ends[number], script, room) for number, script in scripts if number in ends}
    return {number: [_received(datagrams, room)] for number, datagrams in enumerate(trace.datagrams)}


def _received(datagrams: tuple[bytes, ...], room: int) -> str:
    if len(datagrams) < 2:
        return f"gets {show(datagrams[0], room - 5)}" if any(datagrams) else _NOT_MUCH[len(datagrams)]
    texts = ", ".join(show(data, max(room // 2, 16)) for data in datagrams)
    return clip(f"gets {len(datagrams)} datagrams: {texts}", room)


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
    datagram = TRANSPORTS[case.transport].datagram
    peers = [", ".join(_step_texts(script, 60, datagram=datagram)) for script in case.scripts]
    if len(peers) > 1:
        peers = [f"peer {number}: {text}" for number, text in enumerate(peers)]
    owner = [f"owner: {', '.join(map(repr, case.owner))}"] if case.owner else []
    return clip("; ".join([*peers, *(f"fault {fault!r}" for fault in case.faults), *owner]), room)


def side_by_side(left: list[Line], right: list[Line], column: int) -> list[Line]:
    """Two blocks in two columns of *column* characters with a bar between them."""
    height = max(len(left), len(right))
    left, right = left + [()] * (height - len(left)), right + [()] * (height - len(right))
    bars = [(" " * (column - width_of(mine)) + " │ ", "dim") for mine in left]
    return [(*mine, bar, *other) for mine, bar, other in zip(left, bars, right, strict=True)]
