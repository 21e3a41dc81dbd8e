"""The summary and its last line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.notices import CampaignFinished, FindingReady
from handshaker.reports.summary import outcome_line, rate, summary_lines
from handshaker.reports.text import lines_text, paint
from tests.reports import samples

TOLD = "nothing new: what is violated here was told above"
HELD = (("lifecycle/order", 10, 0, 0, 0),)
BROKEN = (("lifecycle/order", 9, 1, 0, 0),)
UNJUDGED = (("lifecycle/order", 0, 0, 10, 0),)
SHAKY = replace(samples.RAISED, finding=replace(samples.RAISED.finding, nondeterministic=True))


def finished(code: int, *, stopped: str = "done", cases: int = 10, held: bool = True) -> CampaignFinished:
    """A campaign's last Notice, with one invariant that held, or could not be told."""
    return CampaignFinished(code, stopped, cases, 2.0, 7, verdicts=HELD if held else UNJUDGED)


@pytest.mark.parametrize(
    ("notice", "findings", "fixed", "text"),
    [
        (finished(0), (), 0, "everything held · exit 0: held"),
        (finished(1), (samples.RAISED, samples.ROBUSTNESS), 0, "2 findings (1 must, 1 should) · exit 1: violated"),
        (finished(0), (samples.ROBUSTNESS,), 0, "1 finding (0 must, 1 should) · exit 0: nothing that fails the run"),
        (finished(0), (SHAKY,), 0, "1 finding (1 must, 1 nondeterministic) · exit 0: nothing that fails the run"),
        (finished(1), (samples.RAISED, samples.SETUP), 0, "2 findings (2 must, 1 known before) · exit 1: violated"),
        (finished(2), (), 0, "nothing was tested · exit 2: could not test"),
        (finished(0, cases=0), (), 0, "nothing was tested · exit 0: held"),
        (finished(0, held=False), (), 0, "nothing was judged · exit 0: held"),
        (replace(finished(0), verdicts=BROKEN), (), 0, f"{TOLD} · the exit code stands at the end"),
        (finished(0), (), 1, "1 earlier finding fixed · exit 0: held"),
        (
            finished(1),
            (samples.RAISED,),
            2,
            "1 finding (1 must), 2 earlier findings fixed · exit 1: violated",
        ),
        (
            finished(130, stopped="interrupted"),
            (samples.RAISED,),
            0,
            "1 finding (1 must) · everything found so far is kept · exit 130: interrupted",
        ),
        (finished(130, stopped="interrupted"), (), 0, "everything held so far · exit 130: interrupted"),
        (finished(0, stopped="max-time"), (), 0, "everything held · stopped at the time limit · exit 0: held"),
    ],
)
def test_last_line(
    notice: CampaignFinished, findings: tuple[FindingReady, ...], fixed: int, text: str
) -> None:  # fmt: skip
    """The last line says what came out and what the exit code means; an empty run is never green."""
    assert paint(outcome_line(notice, findings, fixed=fixed), color=False) == text


def test_situations_that_never_occurred_are_named() -> None:
    """What was not exercised is as visible as what was."""
    notice = replace(finished(0), situations=(("reset", 3), ("half-close", 1200), ("timeout", 0)))
    text = lines_text(summary_lines(notice, ()), color=False)
    assert "situations    half-close 1,200 · reset 3\n              never: timeout\n" in text
    assert "none was exercised" in lines_text(summary_lines(finished(0), ()), color=False)


def test_verdicts_are_counted_by_invariant() -> None:
    """An invariant that was violated once is violated; only those and the ones nobody could tell are listed."""
    rows = (("a/held", 5, 0, 2, 1), ("a/broken", 5, 1, 0, 0), ("a/unclear", 0, 0, 4, 0), ("a/idle", 0, 0, 0, 9))
    text = lines_text(summary_lines(replace(finished(1), verdicts=rows), ()), color=False)
    assert "verdicts      1 held, 1 violated, 1 unknown, 1 not applicable\n" in text
    assert "violated  a/broken                                 in 1 of 6\n" in text
    assert "unknown   a/unclear                                in all 4\n" in text
    assert "a/held" not in text
    assert "no invariant was judged" in lines_text(summary_lines(replace(finished(2), verdicts=()), ()), color=False)


def test_effort() -> None:
    """Cases, seconds, their quotient and the seed stand on one line."""
    assert "cases         10 in 2.0 s (5/s), seed 7\n" in lines_text(summary_lines(finished(0), ()), color=False)
    assert (rate(0, 1.0), rate(10, 0.0), rate(3000, 1.5)) == ("", "", " (2,000/s)")


def test_advice_keeps_its_lines() -> None:
    """A question of several lines keeps them, indented, and cannot pass for a line of ours."""
    text = lines_text(summary_lines(finished(0), (), questions=("is it?\neverything held",)), color=False)
    assert "question      is it?\n              everything held\n" in text
    endless = lines_text(summary_lines(finished(0), (), remarks=("x\n" * 100_000,)), color=False)
    assert len(endless.splitlines()) < 40
