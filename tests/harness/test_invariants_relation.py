"""The relations: a reply that changes is told from one that carries the time of day, a cut one, and a legal state."""

from __future__ import annotations

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import REGISTRY, Family
from handshaker.harness.invariants.masking import contrast, masked, normalised
from handshaker.harness.judge import primary
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Level, Outcome
from tests.invariant_checks import Asked, rows, table, verdict
from tests.traces_builder import Raised, changed, event, fault, inserted, peer, reset, silence, stall, trace, without

SPLIT = UnicodeDecodeError
STATELESS = Contract(stateless=True)
FIRST_DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello"
SECOND_DATE = b"Date: Mon, 07 Nov 1994 08:49:38 GMT\r\n\r\nhello"


def replying(*replies: bytes, **options) -> Trace:
    """A Trace in which one peer after another gets these *replies*."""
    served = trace(*(peer(number, **options) for number in range(len(replies))))
    for number, reply in enumerate(replies):
        served = changed(served, "peer.end", number, reply=reply)
    return served


def cut(base: Trace, variant: Trace, repeat: Trace | None = None) -> Family:
    """The same bytes, cut otherwise in *variant*."""
    return Family("segmentation", base, repeat or base, variant)


def alone(base: bytes, *variant: bytes, repeat: bytes | None = None, relation: str = "isolation") -> Family:
    """One peer alone, and after others: it is the last one in *variant*."""
    again = base if repeat is None else repeat
    return Family(relation, replying(base), replying(again), replying(*variant))


def with_event(served: Trace, *part: tuple) -> Trace:
    """The same, with *part* while its first handler runs."""
    return inserted(served, list(part), after="handle.enter")


HELLO = replying(b"hello")
DAMAGED = replying(b"hel")
FAULTED = with_event(DAMAGED, *fault(0, "recv", "short"))
TIMED_OUT = changed(trace(peer(0, body=silence)), "peer.end", reply=b"hel")
RESET = changed(trace(peer(0, body=reset)), "peer.end", reply=b"hel")
CLOSED = with_event(DAMAGED, event("peer.close", 0))
STALLED = changed(trace(peer(0, body=stall)), "peer.end", reply=b"hel")
KILLED = replying(b"hel", handle=Raised(SystemExit))
UNREAD = changed(DAMAGED, "peer.end", end="reset", unread=True)
RAISED = replying(b"hello", handle=Raised(SPLIT))

GOOD = {
    "relation/segmentation": {
        "same": Asked(cut(HELLO, HELLO)),
        "both raise alike": Asked(cut(RAISED, RAISED)),
        "only the date": Asked(cut(replying(FIRST_DATE), replying(SECOND_DATE))),
        "only what a repeat changes too": Asked(
            cut(replying(b"id a1 ok"), replying(b"id b2 ok"), replying(b"id c3 ok"))
        ),
        "only the peer's own port": Asked(
            cut(replying(b"from 40000"), changed(replying(b"from 51234"), "peer.connect", address="127.0.0.1:51234"))
        ),
        "the whole address as a pair": Asked(
            cut(replying(b"from 40000"), changed(replying(b"from 51234"), "peer.connect", address=("::1", 51234, 0, 0)))
        ),
    },
    "relation/isolation": {
        "same": Asked(alone(b"hello", b"other", b"hello"), STATELESS),
        "same, stateful": Asked(alone(b"hello", b"other", b"hello")),
        "the peer before it was silent": Asked(
            Family("isolation", HELLO, HELLO,
                   changed(trace(peer(0, body=silence), peer(1)), "peer.end", 1, reply=b"hello")), STATELESS
        ),
    },
    "relation/repeatability": {
        "same": Asked(alone(b"hello", b"hello", b"hello", relation="repeatability"), STATELESS),
    },
}  # fmt: skip

BAD = {
    "relation/segmentation": {
        "shorter": Asked(cut(HELLO, DAMAGED)),
        "nothing": Asked(cut(HELLO, replying(b""))),
        "something": Asked(cut(replying(b""), HELLO)),
        "other words beside a volatile one": Asked(
            cut(replying(b"id a1 ok"), replying(b"id b2 no"), replying(b"id c3 ok"))
        ),
        "one raises": Asked(cut(HELLO, RAISED)),
        "the second peer": Asked(cut(replying(b"a", b"b"), replying(b"a", b"c"))),
        "in spite of a doubt about another peer": Asked(
            cut(replying(b"a", b"b"), changed(replying(b"x", b"b"), "peer.end", 1, end="reset"))
        ),
    },
    "relation/isolation": {"leak": Asked(alone(b"hello", b"secret", b"secret hello"), STATELESS)},
    "relation/repeatability": {
        "counts": Asked(alone(b"1", b"1", b"2", relation="repeatability"), STATELESS),
    },
}

DOUBT = {
    "relation/segmentation": {
        "stopped": Asked(cut(HELLO, STALLED)),
        "timed out": Asked(cut(HELLO, TIMED_OUT)),
        "a fault that counts calls": Asked(cut(HELLO, FAULTED)),
        "reset by the peer": Asked(cut(RESET, HELLO)),
        "closed by the peer": Asked(cut(HELLO, CLOSED)),
        "cut by unread input": Asked(cut(HELLO, UNREAD)),
        "the server stopped": Asked(cut(HELLO, KILLED)),
        "the repeat raises": Asked(cut(HELLO, DAMAGED, RAISED)),
        "the repeat has more words": Asked(cut(replying(b"a"), replying(b"b"), replying(b"a and b"))),
        "the variant has more words": Asked(cut(replying(b"a"), replying(b"a and b"), replying(b"b"))),
        "too long to align": Asked(cut(*(replying(letter * 30_000) for letter in (b"a", b"b", b"c")))),
        "a peer was not served": Asked(cut(replying(b"a", b"b"), replying(b"a"))),
        "no end": Asked(cut(HELLO, without(HELLO, "peer.end"))),
        "nobody": Asked(cut(trace(), trace())),
        "another relation": Asked(alone(b"a", b"b")),
    },
    "relation/isolation": {
        "state is not declared": Asked(alone(b"hello", b"secret", b"secret hello")),
        "nobody": Asked(Family("isolation", HELLO, HELLO, trace()), STATELESS),
        "the peer before it ended the server": Asked(Family("isolation", HELLO, HELLO, KILLED), STATELESS),
        "the peer before it hung": Asked(
            Family("isolation", HELLO, HELLO, trace(peer(0, body=stall), peer(1))), STATELESS
        ),
        "another relation": Asked(cut(HELLO, DAMAGED), STATELESS),
    },
    "relation/repeatability": {
        "state is not declared": Asked(alone(b"1", b"1", b"2", relation="repeatability")),
        "another relation": Asked(cut(HELLO, DAMAGED), STATELESS),
    },
}


@pytest.mark.parametrize("slug", rows("relation"))
def test_every_rule_has_a_good_a_bad_and_a_doubtful_family(slug):
    """A relation without examples of each kind is not finished."""
    assert GOOD[slug]
    assert BAD[slug]
    assert DOUBT[slug]


@pytest.mark.parametrize(("slug", "asked"), table(GOOD))
def test_it_holds_where_only_the_volatile_parts_differ(slug, asked):
    """Dates, ids, ports and whatever an exact repeat changes are not compared."""
    assert verdict(slug, asked).outcome is Outcome.HOLDS


@pytest.mark.parametrize(("slug", "asked"), table(BAD))
def test_it_is_violated_by_another_reply_or_outcome(slug, asked):
    """A violation shows both sides and names the damage."""
    said = verdict(slug, asked)
    assert said.outcome is Outcome.VIOLATED
    (violation,) = said.violations
    assert violation.expected != violation.actual
    assert violation.damage in ("reply differs", "outcome differs")
    assert violation.witness


@pytest.mark.parametrize(("slug", "asked"), table(DOUBT))
def test_it_keeps_silent_where_it_cannot_tell(slug, asked):
    """A reply that may be cut, or whose changes cannot be hidden, is not compared."""
    said = verdict(slug, asked)
    assert said.outcome in (Outcome.UNKNOWN, Outcome.NOT_APPLICABLE)
    assert said.reason


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
