"""The relations: a reply that changes is told from one that carries the time of day, a cut one, and a legal state."""

from __future__ import annotations

import pytest

from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.invariants.masking import contrast, masked, normalised
from handshaker.harness.judge import primary
from handshaker.harness.verdict import Level, Outcome
from tests.invariant_checks import Asked, rows, table, verdict
from tests.traces.relation import BAD, DOUBT, STATELESS, alone, cut, replying


@pytest.mark.parametrize(("slug", "asked"), table(BAD))
def test_it_is_violated_by_another_reply_or_outcome(slug, asked):
    """A violation shows both sides and names the damage."""
    said = verdict(slug, asked)
    assert said.outcome is Outcome.VIOLATED
    (violation,) = said.violations
    assert violation.expected != violation.actual
    assert violation.damage in ("reply differs", "outcome differs")
    assert violation.witness


@pytest.mark.parametrize("slug", ["relation/isolation", "relation/repeatability"])
def test_a_stateful_reply_is_a_question(slug):
    """Unless the handler is declared stateless, a difference is asked about, and says what to declare."""
    said = verdict(slug, DOUBT[slug]["state is not declared"])
    assert said.outcome is Outcome.UNKNOWN
    assert said.reason.startswith("question: ")
    assert "stateless" in said.reason


def test_both_replies_are_shown_around_their_first_difference():
    """The block says where to look, also in a long reply."""
    base, variant = (replying(b"x" * 5_000 + end + b"y" * 50) for end in (b"GOOD", b"BAD"))
    (violation,) = verdict("relation/segmentation", Asked(cut(base, variant))).violations
    assert "GOOD" in violation.expected
    assert "BAD" in violation.actual
    assert "first difference at byte 5,000" in violation.actual
    assert len(violation.expected) < 200


def test_one_defect_has_one_name_whatever_the_bytes_were():
    """A missing, a shorter and another reply share a fingerprint; they are one unframed message."""
    damages = {
        verdict("relation/segmentation", BAD["relation/segmentation"][name]).violations[0].damage
        for name in ("shorter", "nothing", "something")
    }
    assert damages == {"reply differs"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Mon, 07 Nov 1994 09:00:00 GMT"),
        (b"Sun Nov  6 08:49:37 1994", b"Mon Nov 17 08:49:37 1994"),
        (b"[06/Nov/1994 08:49:37]", b"[07/Nov/1994 08:49:38]"),
        (b"1994-11-06T08:49:37.125Z", b"1995-01-01T00:00:00Z"),
        (b"1994-11-06", b"1995-01-01"),
        (b"id=550e8400-e29b-41d4-a716-446655440000", b"id=123e4567-e89b-12d3-a456-426614174000"),
        (b"<H object at 0x7f3a5c0d1e80>", b"<H object at 0x55d0a1b2c3>"),
        (b"t=1700000000.25", b"t=1700000001"),
        (b"t=1700000000123", b"t=1700000001456"),
    ],
    ids=lambda text: text.decode(),
)
def test_what_is_known_to_change_is_hidden(one, other):
    """Dates, ids, addresses in memory and seconds since 1970 look alike."""
    assert one != other
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize("text", [b"200 OK", b"12345", b"0x1f", b"1234567890", b"10:20", b"Sunday", b""])
def test_what_may_carry_meaning_is_not_hidden(text):
    """Short numbers, status codes and words stay what they are."""
    assert normalised(text, "40000") == text


def test_a_port_is_hidden_as_a_whole_number_only():
    """Port 80 does not hide a part of 8080."""
    assert normalised(b"from 80, not 8080", "80") == b"from <port>, not 8080"


def test_a_repeat_teaches_what_to_hide():
    """Only the words that differ between two exact repeats are hidden, in both replies."""
    assert masked(b"id a1 ok", b"id c3 ok", b"id b2 ok") == (b"id <...> ok", b"id <...> ok")
    assert masked(b"id a1 ok", b"id a1 ok", b"id b2 ok") == (b"id a1 ok", b"id b2 ok")
    assert masked(b"a", b"b c", b"a") is None


def test_contrast_names_an_empty_reply():
    """Nothing is called nothing, not b''."""
    assert contrast(b"", b"x") == ("nothing", "b'x' (1 bytes)", "first difference at byte 0")


def test_repetition_folds_under_isolation():
    """A reply that depends on any peer before it is one finding, not two."""
    families = (alone(b"1", b"x", b"2"), alone(b"1", b"1", b"2", relation="repeatability"))
    verdicts = [verdict(slug, Asked(family, STATELESS)) for slug in rows("relation") for family in families]
    assert {found.verdict.invariant for found in primary(verdicts)} == {"relation/isolation"}


def test_causes_form_no_circle_and_are_invariants():
    """Every `implied_by` names an invariant, and no invariant explains itself through others."""
    for slug, row in REGISTRY.items():
        ahead, seen = list(row.implied_by), set()
        while ahead:
            cause = ahead.pop()
            assert cause in REGISTRY, f"{slug} is implied by {cause}, which does not exist"
            assert cause != slug, f"{slug} explains itself"
            if cause not in seen:
                seen.add(cause)
                ahead += REGISTRY[cause].implied_by


def test_no_must_folds_under_a_should():
    """Folding never turns a finding that fails a run into one that does not."""
    for slug, row in REGISTRY.items():
        if row.level is Level.MUST:
            assert {REGISTRY[cause].level for cause in row.implied_by} <= {Level.MUST}, slug
