"""The report a person reads: progress while it runs, then every finding as a block, then a summary.

In a terminal one line moves at the bottom and text has colour (unless `NO_COLOR` is set); in a pipe or a file there
are plain lines of the same words, 100 characters wide whatever the screen, without any control character. Findings
come last and sorted, MUST first, so that what matters stands right above the summary; while the campaign runs each
is only named. Findings with level SHOULD are short blocks in one group.

`--report terminal` writes to standard output, `terminal=PATH` plain text to PATH, `terminal=&2` to standard error.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import Final, TextIO

from handshaker.harness.notices import (
    CampaignFinished,
    CampaignStarted,
    FindingFixed,
    FindingReady,
    FindingSeen,
    Matrix,
    Notice,
    PhaseFinished,
    PhaseStarted,
    Progress,
    Question,
    Remark,
)  # fmt: skip
from handshaker.harness.verdict import Finding, Level
from handshaker.reports.base import STDERR, STDOUT, open_text
from handshaker.reports.failure import compact_lines, failure_lines, finding_order
from handshaker.reports.live import LiveLine
from handshaker.reports.matrix import matrix_lines
from handshaker.reports.summary import rate, summary_lines
from handshaker.reports.text import Line, clean, dotted, line, lines_text, plural, rule

__all__ = ["Terminal", "reporter"]

_PLAIN_WIDTH: Final = 100
_WIDTHS: Final = (60, 120)
_PLAIN_PROGRESS_SECONDS: Final = 30
_LABEL_WIDTH: Final = 12
_ASCII: Final = str.maketrans({"·": "-", "─": "-", "│": "|"})


class Terminal:
    """Prints a campaign to *stream*.

    *live* (a moving line), *color* and *width* follow from the stream unless they are given. The stream is closed at
    the end only if it is *owned*.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool | None = None,
        color: bool | None = None,
        width: int | None = None,
        owned: bool = False,
    ) -> None:
        screen = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._stream, self._owned = stream, owned
        self._color = screen and not os.environ.get("NO_COLOR") if color is None else color
        self._width = width or (_screen_width() if screen else _PLAIN_WIDTH)
        self._wants_live = screen if live is None else live
        self._live: LiveLine | None = None
        self._next_progress = float(_PLAIN_PROGRESS_SECONDS)
        self._seen: dict[str, Finding] = {}
        self._ready: dict[str, FindingReady] = {}
        self._fixed = 0
        self._remarks: dict[str, None] = {}
        self._questions: dict[str, None] = {}
        self._told = True

    def on(self, notice: Notice) -> None:
        """Print or remember what the Notice says."""
        match notice:
            case CampaignStarted():
                self._start(notice)
            case PhaseStarted():
                self._next_progress = _PLAIN_PROGRESS_SECONDS
                if self._live:
                    self._live.begin(notice.phase, notice.expected)
            case Progress():
                self._progress(notice)
            case PhaseFinished():
                self._print([_phase_line(notice)])
            case FindingSeen() | FindingReady() | FindingFixed():
                self._finding(notice)
            case Question():
                self._questions[notice.text] = None
            case Remark():
                self._remarks[notice.text] = None
            case CampaignFinished():
                self._finish(notice)
            case Matrix():
                self._print([(), *matrix_lines(notice, width=self._width)])

    def close(self) -> None:
        """Remove the moving line, and print the findings if the campaign never came to its end."""
        self._stop_live()
        if not self._told:
            self._print_findings(ended=False)
            self._print(line(text) for text in map(clean, (*self._remarks, *self._questions)))
            self._print([line(("the campaign did not come to its end", "must"))])
        if self._owned:
            self._stream.close()

    def _start(self, notice: CampaignStarted) -> None:
        self._told = False
        self._forget()
        self._print(_opening(notice, self._width))
        if self._wants_live:
            self._live = LiveLine(self._stream, color=self._color)

    def _forget(self) -> None:
        """A further campaign of the same run tells its own findings, and not again what was told before."""
        self._seen.clear()
        self._ready.clear()
        self._fixed = 0
        self._remarks.clear()
        self._questions.clear()

    def _progress(self, notice: Progress) -> None:
        if self._live:
            self._live.advance(notice)
        elif notice.seconds >= self._next_progress:
            self._next_progress = notice.seconds + _PLAIN_PROGRESS_SECONDS
            self._print([_progress_line(notice)])

    def _finding(self, notice: FindingSeen | FindingReady | FindingFixed) -> None:
        finding = notice.finding
        if isinstance(notice, FindingFixed):
            self._fixed += 1
            self._print([_note("fixed", f"{clean(finding.invariant)}  {finding.id} no longer shows", "good")])
        elif isinstance(notice, FindingReady):
            self._ready[finding.id] = notice
            self._told = False
        elif finding.id not in self._seen:
            self._seen[finding.id] = finding
            text = f"{clean(finding.invariant)}  ({finding.level}, {finding.reach})"
            self._print([_note("found", text, finding.level)])

    def _finish(self, notice: CampaignFinished) -> None:
        self._stop_live()
        findings = self._print_findings(ended=notice.stopped == "done")
        advice = {"remarks": tuple(self._remarks), "questions": tuple(self._questions)}
        self._print([(), *summary_lines(notice, findings, fixed=self._fixed, width=self._width, **advice)])
        self._told = True

    def _print_findings(self, *, ended: bool) -> list[FindingReady]:
        findings = [*self._ready.values(), *self._unfinished(ended)]
        findings.sort(key=lambda ready: finding_order(ready.finding))
        must = [ready for ready in findings if ready.finding.level != Level.SHOULD]
        should = [ready for ready in findings if ready.finding.level == Level.SHOULD]
        for number, ready in enumerate(must, start=1):
            self._print([(), *failure_lines(ready, width=self._width, place=f"finding {number} of {len(must)}")])
        if should:
            self._print([(), rule(f"robustness: {plural(len(should), 'finding')} of level SHOULD", self._width)])
        for number, ready in enumerate(should):
            self._print([*([()] if number else []), *compact_lines(ready, width=self._width)])
        return findings

    def _unfinished(self, ended: bool) -> list[FindingReady]:
        """What was seen but never made minimal, since the run was cut short; not what another finding explains."""
        if ended:
            return []
        folded = {slug for ready in self._ready.values() for slug in ready.finding.folded}
        left = [finding for finding in self._seen.values() if finding.id not in self._ready]
        return [FindingReady(finding) for finding in left if finding.invariant not in folded]

    def _stop_live(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _print(self, lines: Iterable[Line]) -> None:
        if self._live:
            self._live.print(lines)
        else:
            self._stream.write(self._encodable(lines_text(lines, color=self._color)))
            self._stream.flush()

    def _encodable(self, text: str) -> str:
        """*text*, with what the stream's encoding lacks replaced."""
        encoding = self._stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
        return text


def reporter(path: str, folder: str) -> Terminal:
    """Open the report; see the module for what *path* means. Raises UsageError when it cannot be written."""
    del folder  # without a path this report goes to the screen
    if path in ("", STDOUT):
        return Terminal(sys.stdout)
    return Terminal(sys.stderr) if path == STDERR else Terminal(open_text(path), owned=True)


def _screen_width() -> int:
    smallest, largest = _WIDTHS
    return min(max(shutil.get_terminal_size().columns, smallest), largest)


def _opening(notice: CampaignStarted, width: int) -> list[Line]:
    facts = [
        f"{notice.server} server",
        *([notice.concurrency] if notice.concurrency != "plain" else []),
        f"{notice.network} network",
        notice.transport,
        f"seed {notice.seed}",
        plural(notice.max_examples, "example"),
        plural(notice.invariants, "invariant"),
        f"handshaker {notice.handshaker}",
        f"Python {notice.python}",
    ]
    heading = line((clean(notice.target), "bold"), f" ({clean(notice.target_kind)})")
    return [heading, *(line((text, "dim")) for text in dotted(facts, width)), ()]


def _phase_line(notice: PhaseFinished) -> Line:
    speed = rate(notice.cases, notice.seconds)
    return _note(notice.phase, f"{plural(notice.cases, 'case')} in {notice.seconds:.1f} s{speed}")


def _progress_line(notice: Progress) -> Line:
    expected = f" of {notice.expected:,}" if notice.expected else ""
    found = f", {plural(notice.findings, 'finding')}" if notice.findings else ""
    return _note(notice.phase, f"... {notice.cases:,}{expected} cases in {notice.seconds:.0f} s{found}")


def _note(label: str, text: str, style: str = "dim") -> Line:
    return line((clean(label).ljust(_LABEL_WIDTH), style), text)
