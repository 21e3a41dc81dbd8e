"""The end of a report: what was judged, what was exercised and how often, so that an empty green is seen as such.

The last line says the outcome and what the exit code means. A run that judged nothing never reads as a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from handshaker.harness.notices import CampaignFinished, FindingReady
from handshaker.harness.verdict import Level
from handshaker.reports.text import Line, clean, dotted, labelled, line, plural, rule, wrap

__all__ = ["EXITS", "Row", "exit_text", "outcome_line", "rate", "summary_lines"]

EXITS: Final = {0: "held", 1: "violated", 2: "could not test", 130: "interrupted"}

_COLUMN: Final = 14
_TOLD: Final = "nothing new: what is violated here was told above"
_SLUG_WIDTH: Final = 40
_PARAGRAPHS_MAX: Final = 20

Row = tuple[str, int, int, int, int]


def summary_lines(
    finished: CampaignFinished,
    findings: Sequence[FindingReady],
    *,
    fixed: int = 0,
    remarks: Sequence[str] = (),
    questions: Sequence[str] = (),
    width: int = 100,
) -> list[Line]:
    """Counts, situations, remarks, questions, and last the outcome."""
    room = width - _COLUMN
    blocks = [
        [rule("summary", width)],
        _part("verdicts", _verdicts(finished.verdicts)),
        _part("situations", _situations(finished.situations, room)),
        _part("cases", [line(_effort(finished))]),
        *(_part("remark", _paragraphs(text, room)) for text in remarks),
        *(_part("question", _paragraphs(text, room)) for text in questions),
        [(), outcome_line(finished, findings, fixed=fixed)],
    ]
    return [row for block in blocks for row in block]


def _part(label: str, lines: list[Line]) -> list[Line]:
    return labelled(label, lines, indent=0, column=_COLUMN) if lines else []


def _verdicts(rows: Sequence[Row]) -> list[Line]:
    """One line of counts; then only the invariants that were violated or could never be told."""
    if not rows:
        return [line("no invariant was judged")]
    standings = ("held", "violated", "unknown", "idle")
    by_standing = {name: [row for row in rows if _standing(row) == name] for name in standings}
    held, violated, unknown, idle = (len(found) for found in by_standing.values())
    counts = f"{held} held, {violated} violated, {unknown} unknown" + (f", {idle} not applicable" if idle else "")
    detail = [_verdict_row(row, "violated", "must") for row in by_standing["violated"]]
    detail += [_verdict_row(row, "unknown", "should") for row in by_standing["unknown"]]
    return [line(counts), *detail]


def _standing(row: Row) -> str:
    _, holds, violated, unknown, _ = row
    return "violated" if violated else "held" if holds else "unknown" if unknown else "idle"


def _verdict_row(row: Row, word: str, style: str) -> Line:
    slug, holds, violated, unknown, _ = row
    judged = holds + violated
    counts = f"in {violated:,} of {judged:,}" if violated else f"in all {unknown:,}"
    return line((f"{word:<9}", style), f" {clean(slug):<{_SLUG_WIDTH}} {counts}")


def _situations(situations: Sequence[tuple[str, int]], room: int) -> list[Line]:
    """The exercised ones with their counts, most frequent first; then the ones that never occurred."""
    met = sorted((pair for pair in situations if pair[1]), key=lambda pair: (-pair[1], pair[0]))
    never = sorted(name for name, times in situations if not times)
    rows = [line(text) for text in dotted([f"{name} {times:,}" for name, times in met], room)]
    if never:
        rows += [line((text, "should")) for text in wrap(f"never: {', '.join(never)}", room)]
    return rows or [line("none was exercised")]


def _effort(finished: CampaignFinished) -> str:
    speed = rate(finished.cases, finished.seconds)
    return f"{finished.cases:,} in {finished.seconds:.1f} s{speed}, seed {finished.seed}"


def rate(cases: int, seconds: float) -> str:
    """` (1,790/s)`, or nothing when there is nothing to divide by."""
    return f" ({cases / seconds:,.0f}/s)" if cases and seconds > 0 else ""


def _paragraphs(text: str, room: int) -> list[Line]:
    """The text with its own line breaks, but no longer than a person reads."""
    paragraphs = text.split("\n", _PARAGRAPHS_MAX)
    rows = [line(row) for paragraph in paragraphs[:_PARAGRAPHS_MAX] for row in wrap(paragraph, room)]
    return rows if len(paragraphs) <= _PARAGRAPHS_MAX else [*rows, line("...")]


def outcome_line(finished: CampaignFinished, findings: Sequence[FindingReady], *, fixed: int = 0) -> Line:
    """The last line: what came out, then the exit code with its meaning."""
    code = finished.exit_code
    style = "good" if code == 0 and not findings else "should" if code in (0, 130) else "must"
    parts = [_outcome(finished, findings, fixed)]
    if finished.stopped == "max-time":
        parts.append("stopped at the time limit")
    if finished.stopped == "interrupted" and findings:
        parts.append("everything found so far is kept")
    if parts[0] == _TOLD:  # only a run over several combinations has that, and its exit code is not this one's
        return line((" · ".join(parts), style), (" · the exit code stands at the end", "dim"))
    return line((" · ".join(parts), style), (f" · {exit_text(code, violated=bool(findings))}", "dim"))


def exit_text(code: int, *, violated: bool) -> str:
    """The exit code with its meaning, where some invariant may be *violated* without failing the run."""
    return f"exit {code}: {'nothing that fails the run' if violated and not code else EXITS.get(code, 'unexpected')}"


def _outcome(finished: CampaignFinished, findings: Sequence[FindingReady], fixed: int) -> str:
    mended = [f"{plural(fixed, 'earlier finding')} fixed"] if fixed else []
    if findings:
        return ", ".join([f"{plural(len(findings), 'finding')} ({_kinds(findings)})", *mended])
    if finished.exit_code == 2 or not finished.cases:
        return "nothing was tested"
    if mended:
        return mended[0]
    if any(row[2] for row in finished.verdicts):
        return _TOLD if not finished.exit_code else "nothing new so far"
    held = any(row[1] for row in finished.verdicts)
    if not held:
        return "nothing was judged"
    return "everything held so far" if finished.exit_code else "everything held"


def _kinds(findings: Sequence[FindingReady]) -> str:
    must = sum(ready.finding.level == Level.MUST for ready in findings)
    counts = [f"{must} must"]
    counts += [f"{should} should"] if (should := len(findings) - must) else []
    counts += [f"{known} known before"] if (known := sum(ready.known for ready in findings)) else []
    shaky = sum(ready.finding.nondeterministic for ready in findings)
    return ", ".join([*counts, f"{shaky} nondeterministic"] if shaky else counts)
