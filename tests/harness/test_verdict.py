"""Findings: what makes two of them the same, and what does not."""

from __future__ import annotations

import dataclasses

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.verdict import Confirmation, Finding, Level, Reach, Violation

VIOLATION = Violation(
    "released", "held", exception="builtins.OSError", frame="m:H.setup", damage="lost", location="m.py:7"
)
FINDING = Finding("m:H", "lifecycle/released", Level.MUST, Reach.PEER, VIOLATION, Case())


@pytest.mark.parametrize(
    "changes",
    [
        {"location": "m.py:99"},
        {"witness": (1, 2)},
        {"connection": 3},
        {"expected": "said better", "actual": "said better"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_edits_of_other_lines_do_not_change_the_id(changes):
    """Line numbers, event numbers and wording are no part of a finding's identity."""
    other = dataclasses.replace(FINDING, violation=dataclasses.replace(VIOLATION, **changes))
    assert other.id == FINDING.id


@pytest.mark.parametrize(
    "changes", [{"exception": "E"}, {"frame": "m:G"}, {"damage": ""}], ids=lambda changes: next(iter(changes))
)
def test_another_cause_is_another_finding(changes):
    """Another exception, place or damage gives another id."""
    other = dataclasses.replace(FINDING, violation=dataclasses.replace(VIOLATION, **changes))
    assert other.id != FINDING.id


def test_target_and_invariant_are_part_of_the_identity():
    """The same break of another target or another invariant is another finding."""
    others = [dataclasses.replace(FINDING, target="m:G"), dataclasses.replace(FINDING, invariant="io/x"), FINDING]
    assert len({finding.id for finding in others}) == 3


def test_a_smaller_case_is_the_same_finding():
    """Shrinking, another seed and other levels keep the identity."""
    case = Case((Script((Step("reset"),)),))
    assert dataclasses.replace(FINDING, case=case, history=(case,), seed=9, level=Level.SHOULD).id == FINDING.id


def test_ids_are_pinned():
    """Saved findings are named by their id, so it stays what it was in every version."""
    assert FINDING.fingerprint == "m:H|lifecycle/released|builtins.OSError|m:H.setup|lost"
    assert FINDING.id == "9433b42129b6"


def test_confirmations_add_up():
    """A new confirmation leaves the old finding as it was."""
    once = FINDING.with_confirmation(Confirmation("memory", 3, 3))
    twice = once.with_confirmation(Confirmation("loopback", 0, 3, "needs virtual time"))
    assert [confirmation.network for confirmation in twice.confirmations] == ["memory", "loopback"]
    assert FINDING.confirmations == ()
    assert twice.id == FINDING.id


def test_reaches_are_shown_in_their_order():
    """What any peer can do comes first on the screen."""
    assert [reach.value for reach in Reach] == ["peer", "timing", "injected", "misuse"]
