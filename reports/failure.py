"""The failure block: what a person needs to believe a finding, to understand it and to make it happen again.

Its parts always come in the same order; a part that a finding does not have (history, contrast, folded rows) is left
out, one that is merely unknown says so. The block is made from the Notice alone, so the terminal and the pytest
plugin print the same. Commands are never wrapped or cut: they are there to be copied.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.notices import FindingReady
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Confirmation, Finding, Level, Reach
from handshaker.reports.commands import closing_lines
from handshaker.reports.steps import case_lines, inline_case, side_by_side
from handshaker.reports.text import Line, clean, dotted, labelled, line, lines_text, plural, rule, width_of, wrap
from handshaker.reports.timeline import event_text

__all__ = ["compact_lines", "confirmation_text", "failure_lines", "failure_text", "finding_order"]

_REACHES: Final = {
    Reach.PEER: "any peer can do this with bytes",
    Reach.TIMING: "a peer can do this with timing, reset or silence",
    Reach.INJECTED: "only an injected fault makes it happen",
    Reach.MISUSE: "the code does this itself, no hostile peer is needed",
}
_OWNER: Final = "it needs what the server's owner does"

_INDENT: Final = 2
_COLUMN: Final = 17
_WITNESSES_MAX: Final = 6
_HISTORY_MAX: Final = 5
_SIDE_BY_SIDE_MIN: Final = 90


def failure_text(ready: FindingReady, *, color: bool = False, width: int = 100) -> str:
    """The failure block as text, with ANSI colours if *color*; only commands and paths may be longer than *width*."""
    return lines_text(failure_lines(ready, width=width), color=color)


def failure_lines(ready: FindingReady, *, width: int = 100, place: str = "finding") -> list[Line]:
    """The failure block as Lines; *place* says which of the findings it is."""
    room = width - _COLUMN
    return [
        rule(f"{place} · {ready.finding.id}", width),
        *_titled(ready, width),
        (),
        *_labelled("requirement", [line(text) for text in wrap(ready.requirement or "(none was stated)", room)]),
        *_labelled("source", [line(text) for text in wrap(ready.source or "(none was stated)", room)]),
        *_labelled("happened", _witness(ready, room)),
        *_labelled("expected", [line(text) for text in wrap(ready.finding.violation.expected or "-", room)]),
        *_labelled("actual", [line((text, "bold")) for text in wrap(ready.finding.violation.actual or "-", room)]),
        (),
        *_smallest(ready, room),
        *_labelled("code", [line(_code(ready.finding))]),
        *_history(ready.finding, room),
        *_labelled("confirmation", [line(text) for text in wrap(confirmation_text(ready.finding), room)]),
        *_folded(ready.finding, room),
        (),
        *closing_lines(ready, indent=_INDENT),
    ]


def compact_lines(ready: FindingReady, *, width: int = 100) -> list[Line]:
    """A short block for a finding that is only robustness (SHOULD): what it is, how to see it, how to silence it."""
    finding = ready.finding
    room = width - _COLUMN
    return [
        *_titled(ready, width),
        *_labelled("actual", [line(text) for text in wrap(finding.violation.actual or "-", room)[:2]]),
        *_labelled("smallest case", [line(inline_case(finding.case, room))]),
        *_labelled("code", [line(_code(finding))]),
        *_labelled("confirmation", [line(text) for text in wrap(confirmation_text(finding), room)]),
        *closing_lines(ready, indent=_INDENT),
    ]


def finding_order(finding: Finding) -> tuple[int, int, str, str]:
    """The sort key of the screen: MUST before SHOULD, then peer, timing, injected, misuse, then the name."""
    return (list(Level).index(finding.level), list(Reach).index(finding.reach), finding.invariant, finding.id)


def _labelled(label: str, lines: list[Line]) -> list[Line]:
    return labelled(label, lines, indent=_INDENT, column=_COLUMN)


def _titled(ready: FindingReady, width: int) -> list[Line]:
    """The name and the title (below it when both are long), then the level and who can make it happen."""
    finding = ready.finding
    name, level = clean(finding.invariant), finding.level.upper()
    titles: list[Line] = [line((text, "bold")) for text in wrap(ready.title, width)] if ready.title else [()]
    if width_of(titles[0]) + len(name) + 2 <= width:
        titles[0] = ((name, finding.level), ("  ", ""), *titles[0])
    else:
        titles.insert(0, line((name, finding.level)))
    facts = [
        f"{finding.reach}: {_REACHES[finding.reach]}",
        *([_OWNER] if finding.case.owner and finding.case.scripts else []),
        *(["known before this run"] if ready.known else []),
    ]
    reaches = [line(text) for text in dotted(facts, width - len(level) - 3)]
    return [*titles, *labelled(f"{level} · ", reaches, indent=0, column=len(level) + 3, style=finding.level)]


def _witness(ready: FindingReady, room: int) -> list[Line]:
    if ready.trace is None:
        return [line(text) for text in wrap("(no trace was kept of it)", room)]
    chosen = _witness_events(ready.finding, ready.trace)
    shown = chosen if len(chosen) <= _WITNESSES_MAX else [*chosen[: _WITNESSES_MAX - 2], *chosen[-2:]]
    rows = [_witness_row(event, room) for event in shown]
    if len(shown) < len(chosen):
        rows.insert(_WITNESSES_MAX - 2, line((f"... {plural(len(chosen) - len(shown), 'more event')} ...", "dim")))
    return rows or [line("(no event at all)")]


def _witness_events(finding: Finding, trace: Trace) -> list[Event]:
    """The events that the violation names; the last ones of its connection when it names none."""
    wanted = set(finding.violation.witness)
    named = [event for event in trace if event.seq in wanted]
    return named or list(trace.of(connection=finding.violation.connection) or trace.events)[-3:]


def _witness_row(event: Event, room: int) -> Line:
    who = f"#{event.connection}" if event.connection >= 0 else ""
    head = f"{event.time:7.3f}  {who:<4}"
    return line((head, "dim"), event_text(event, room - len(head)))


def _smallest(ready: FindingReady, room: int) -> list[Line]:
    """The Case; beside it (below it on a narrow screen) the Case that it differs from, each with its replies."""
    finding = ready.finding
    if finding.contrast is None:
        return _labelled("smallest case", case_lines(finding.case, ready.trace, room))
    if room < _SIDE_BY_SIDE_MIN - _COLUMN:
        smallest = _labelled("smallest case", case_lines(finding.case, ready.trace, room))
        return [*smallest, *_labelled("but", case_lines(finding.contrast, ready.contrast_trace, room))]
    half = (room - 3) // 2
    left = [line(("this case", "bold")), *case_lines(finding.case, ready.trace, half)]
    right = [line(("differs from this one", "bold")), *case_lines(finding.contrast, ready.contrast_trace, half)]
    return _labelled("smallest case", side_by_side(left, right, half))


def _code(finding: Finding) -> str:
    location, frame = clean(finding.violation.location), clean(finding.violation.frame).rpartition(":")[2]
    if location and frame:
        return f"{location} in {frame}"
    return location or frame or "no single line of the handler's own code"


def _history(finding: Finding, room: int) -> list[Line]:
    if not finding.history:
        return []
    count = sum(len(case.scripts) for case in finding.history)
    before = plural(count, "connection")
    told = f"needs {before} before it" if finding.confirmations else f"seen after {before}"
    rows = [line(text) for text in wrap(f"{told} in the same process", room)]
    cases = finding.history[:_HISTORY_MAX]
    rows += [line(f"{number}. {inline_case(case, room - 4)}") for number, case in enumerate(cases, start=1)]
    if len(finding.history) > len(cases):
        rows.append(line((f"... {plural(len(finding.history) - len(cases), 'more case')} ...", "dim")))
    return _labelled("history", rows)


def confirmation_text(finding: Finding) -> str:
    """How sure we are: `confirmed 3/3 on loopback`, `memory only: REASON`, or `nondeterministic (2 of 5)`."""
    if not finding.confirmations:
        return "nondeterministic" if finding.nondeterministic else "not confirmed: it was not played again"
    if finding.nondeterministic:
        shaky = min(finding.confirmations, key=lambda each: each.seen / max(each.played, 1))
        return f"nondeterministic ({shaky.seen} of {shaky.played}); never fails a run by itself"
    by_network = {each.network: each for each in finding.confirmations}
    loopback, memory = by_network.get("loopback"), by_network.get("memory")
    if loopback and loopback.seen:
        return _confirmed(loopback)
    if memory and memory.seen:
        return f"memory only: {_why_not(loopback)} ({memory.seen}/{memory.played} in memory)"
    return "; ".join(_confirmed(each) for each in finding.confirmations)


def _confirmed(confirmation: Confirmation) -> str:
    verb = "confirmed" if confirmation.seen == confirmation.played else "seen"
    reason = f" ({clean(confirmation.reason)})" if confirmation.reason else ""
    return f"{verb} {confirmation.seen}/{confirmation.played} on {clean(confirmation.network)}{reason}"


def _why_not(loopback: Confirmation | None) -> str:
    if loopback is None:
        return "it was not tried on loopback"
    return clean(loopback.reason) or f"it did not show in {plural(loopback.played, 'replay')} on loopback"


def _folded(finding: Finding, room: int) -> list[Line]:
    if not finding.folded:
        return []
    return _labelled("also breaks", [line(text) for text in wrap(", ".join(finding.folded), room)])
