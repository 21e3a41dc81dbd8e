"""Segments, boundary Cases, families and the order of faults."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.harness.case import POINTS, Case, Fault, Script, Step
from handshaker.strategies.cases import FastDriver, boundary_cases, family
from handshaker.strategies.drawing import FastSource
from handshaker.strategies.family import two_pieces
from handshaker.strategies.faults import ALL_FAULTS, sweep_faults
from handshaker.strategies.plan import Plan
from handshaker.strategies.segments import cut_at, draw_segments, variants
from tests.strategies.plans import PLANS

HALF_CLOSE, RESET, CLOSE = Step("half-close"), Step("reset"), Step("close")


@given(payload=st.binary(max_size=200), seed=st.integers(0, 999))
def test_cutting_keeps_every_byte(payload: bytes, seed: int) -> None:
    """Segments are never empty, and together they are the payload; so are all variants, and each differs."""
    for segments in (draw_segments(FastSource(Random(seed)), payload), *variants(payload)):
        assert b"".join(segments) == payload
        assert all(segments)
    assert len({tuple(segments) for segments in variants(payload)}) == len(variants(payload))


def test_variants_hold_the_cuts_that_matter() -> None:
    """Whole, byte by byte, in halves, at lines, and header apart from body."""
    found = variants(b"3\r\nabc")
    assert [b"3\r\nabc"] in found
    assert [b"3", b"\r", b"\n", b"a", b"b", b"c"] in found
    assert [b"3\r\n", b"abc"] in found


def test_long_payloads_are_not_cut_into_thousands() -> None:
    """Only the first bytes are sent one by one."""
    assert max(len(segments) for segments in variants(b"ab \n" * 5000)) == 64


@given(places=st.lists(st.integers(-5, 30), max_size=6))
def test_places_outside_the_payload_are_ignored(places: list[int]) -> None:
    """Any numbers, in any order, cut the payload somewhere."""
    segments = cut_at(b"0123456789", places)
    assert b"".join(segments) == b"0123456789"
    assert len(segments) == 1 + len({place for place in places if 0 < place < 10})


def test_the_sweep_goes_through_every_point_and_effect_in_order() -> None:
    """Nothing is left out, and the order is that of the table."""
    assert list(sweep_faults()) == [(point, effect) for point, effects in POINTS.items() for effect in effects]
    assert len(set(ALL_FAULTS)) == len(ALL_FAULTS)


def _payloads(script: Script) -> list[bytes]:
    return [step.payload for step in script.steps if step.action == "send"]


BOUNDARIES = {
    "nothing": Script((HALF_CLOSE,)),
    "silence": Script(()),
    "one byte": Script((Step("send", b"P"), HALF_CLOSE)),
    "half a message": Script((Step("send", b"PU"), HALF_CLOSE)),
    "close at once": Script((CLOSE,)),
    "reset before accept": Script((RESET,), early=1),
    "message and reset before accept": Script((Step("send", b"PUT\r\n"), RESET), early=2),
    "reset after send": Script((Step("send", b"PUT\r\n"), RESET)),
    "reset on reply": Script((Step("send", b"PUT\r\n"), Step("expect", seconds=0.2, size=1), RESET)),
    "reset in the middle": Script((Step("send", b"P"), Step("send", b"U"), RESET)),
    "silence between reads": Script(
        (Step("send", b"PU"), Step("pause", seconds=3.0), Step("send", b"T\r\n"), HALF_CLOSE)
    ),
    "bytes after the end": Script((Step("send", b"PUT\r\na"), HALF_CLOSE)),
    "endless line": Script((Step("send", b"a", 2_000_000), HALF_CLOSE)),
    "never reads": Script((Step("stop-reading"), Step("send", b"PUT\r\n"))),
}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_every_boundary_is_in_the_sweep(name: str) -> None:
    """What every handler meets sooner or later is tried without any randomness."""
    assert BOUNDARIES[name] in [case.scripts[0] for case in boundary_cases(PLANS["dictionary"])]


def test_boundary_cases_are_few_distinct_and_always_the_same() -> None:
    """The sweep finishes in seconds."""
    cases = boundary_cases(PLANS["example"])
    assert cases == boundary_cases(PLANS["example"])
    assert len(set(cases)) == len(cases) < 150
    assert all(len(case.scripts) == 1 and not case.faults for case in cases)


def test_boundary_cases_use_the_transport_of_the_plan() -> None:
    """A Unix target is swept over Unix sockets."""
    assert {case.transport for case in boundary_cases(Plan(transport="unix"))} == {"unix"}


def _case(*steps: Step, early: int = 0, faults: tuple[Fault, ...] = ()) -> Case:
    return Case((Script(steps, early),), faults)


HELLO = Step("send", b"hello\n")


def test_segmentations_hold_the_same_bytes_and_the_same_ending() -> None:
    """Only the cuts differ."""
    found = [relative for relation, relative in family(_case(HELLO, HALF_CLOSE)) if relation == "segmentation"]
    assert 0 < len(found) <= 3
    for relative in found:
        assert relative.scripts[0].payload == b"hello\n"
        assert len(_payloads(relative.scripts[0])) > 1
        assert relative.scripts[0].steps[-1] == HALF_CLOSE


def test_repeatability_sends_the_last_peer_again_and_isolation_sends_another_first() -> None:
    """The compared peer is the last one in both."""
    case = _case(HELLO, HALF_CLOSE)
    other = Script((Step("send", b"other"), HALF_CLOSE))
    relatives = dict(reversed(family(case, other)))
    assert relatives["repeatability"].scripts == case.scripts * 2
    assert relatives["isolation"].scripts == (other, *case.scripts)


@pytest.mark.parametrize(
    "case",
    [
        _case(HELLO, RESET),
        _case(HELLO, CLOSE),
        _case(HELLO, HALF_CLOSE, early=2),
        _case(HELLO, Step("pause", seconds=1), HELLO, HALF_CLOSE),
        _case(Step("stop-reading"), HELLO, HALF_CLOSE),
    ],
)
def test_relations_exist_only_where_replies_can_be_compared(case: Case) -> None:
    """When timing or a reset decides how much of a reply arrives, an unequal reply means nothing."""
    assert {relation for relation, _ in family(case)} == {""}


def test_cases_with_faults_have_no_relatives() -> None:
    """A fault strikes at a counted point, which a relative would move."""
    assert family(_case(HELLO, faults=(Fault("recv", "short"),))) == []
    assert family(Case()) == []


def test_other_endings_are_tried() -> None:
    """The same bytes with each ending that the Case does not have."""
    endings = [relative.scripts[0].steps for relation, relative in family(_case(HELLO, HALF_CLOSE)) if not relation]
    assert endings == [(HELLO,), (HELLO, RESET), (HELLO, CLOSE)]


@given(seed=st.integers(0, 10_000))
def test_families_are_small_and_differ_from_their_case(seed: int) -> None:
    """At most eight relatives, each another Case."""
    case = FastDriver(PLANS["example"], Random(seed)).next()
    relatives = [relative for _, relative in family(case)]
    assert len(relatives) <= 8
    assert case not in relatives
    assert len(set(relatives)) == len(relatives)


def test_a_short_message_has_one_relative_for_every_cut() -> None:
    """They show where a handler minds the border; a long message, a second segment and a fault have none."""
    short = Case((Script((Step("send", b"abc"), Step("half-close"))),))
    cuts = [[step.payload for step in case.scripts[0].steps[:2]] for _, case in two_pieces(short)]
    assert cuts == [[b"a", b"bc"], [b"ab", b"c"]]
    long, twice = Script((Step("send", b"a", 65),)), Script((Step("send", b"a"), Step("send", b"b")))
    for case in (Case((long,)), Case((twice,)), Case((short.scripts[0],), (Fault("send", "short", 1),)), Case()):
        assert two_pieces(case) == []
