"""What peers of datagrams do: sizes at the borders, turns, addresses, and relatives that mean something."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.strategies.cases import FastDriver, boundary_cases, family
from handshaker.strategies.datagrams import follower, truncations
from handshaker.strategies.express import express
from handshaker.strategies.family import two_pieces
from handshaker.strategies.faults import faults_of
from handshaker.strategies.hypothesis_bridge import minimise
from handshaker.strategies.plan import Plan
from tests.strategies.plans import PLANS, driver, strategy

UDP = PLANS["datagrams"]
UNIX = PLANS["datagrams on Unix"]
CLOSE = Step("close")
ACTIONS = {"send", "pause", "expect", "close", "stop-reading", "resume-reading"}


def _of(*steps: Step, form: str = "", transport: str = "udp") -> Case:
    return Case((Script(steps, form=form),), transport=transport)


def _send(data: bytes, repeat: int = 1) -> Step:
    return Step("send", data, repeat)


def _drawn(plan: Plan, count: int = 400) -> list[Case]:
    fast = driver(plan, 3)
    return [fast.next() for _ in range(count)]


@pytest.mark.parametrize("plan", [UDP, UNIX, PLANS["datagrams of messages"]])
def test_peers_only_do_what_a_peer_of_datagrams_can_do(plan: Plan) -> None:
    """Nobody half-closes or resets what has no connection, and no datagram is longer than UDP carries."""
    for case in (*_drawn(plan), *boundary_cases(plan)):
        steps = [step for script in case.scripts for step in script.steps]
        assert case.transport == plan.transport
        assert {step.action for step in steps} <= ACTIONS
        assert all(len(step.payload) <= 65_507 for step in steps)


def test_the_simplest_case_is_one_empty_datagram() -> None:
    """That is where shrinking goes."""
    seen: list[Case] = []
    minimise((), strategy(UDP), lambda case: bool(seen.append(case)))
    assert seen[0] == _of(_send(b""))


def test_the_sizes_at_the_borders_are_drawn() -> None:
    """Nothing, one byte, around the server's limit, and the longest datagram of UDP."""
    sizes = {len(step.payload) for case in _drawn(UDP, 4_000) for script in case.scripts for step in script.steps}
    assert sizes >= {0, 1, 8_191, 8_192, 8_193, 9_000, 65_507}


def test_sizes_follow_the_server() -> None:
    """A server that cuts datagrams to 512 bytes is tried around 512 bytes."""
    assert Plan(transport="udp", packet_bytes=512).sizes == (1, 511, 512, 513, 9_000, 65_507)
    assert Plan(transport="udp", packet_bytes=1).sizes == (1, 2, 9_000, 65_507)
    assert max(Plan(transport="udp", packet_bytes=200_000).sizes) == 65_507


def test_only_unix_peers_have_unusual_addresses() -> None:
    """Over UDP everybody has a port."""
    forms = {plan.transport: {script.form for case in _drawn(plan) for script in case.scripts} for plan in (UDP, UNIX)}
    assert forms == {"udp": {""}, "unix-dgram": {"", "unbound", "abstract"}}


BOUNDARIES = {
    "nothing": _of(_send(b"")),
    "one byte": _of(_send(b"P")),
    "the limit": _of(_send(b"a", 8_192)),
    "one more": _of(_send(b"\xff", 8_193)),
    "the longest": _of(_send(b"\0", 65_507)),
    "twice": _of(_send(b"PUT x"), _send(b"PUT x")),
    "leaves at once": _of(_send(b"PUT x"), CLOSE),
    "leaves with its reply": _of(_send(b"PUT x"), Step("expect", seconds=0.2, size=1), CLOSE),
    "never reads": _of(Step("stop-reading"), *(_send(b"PUT x"),) * 14),
    "in turns": Case((Script((_send(b"PUT x"),)), Script((_send(b"x TUP"),))), transport="udp"),
    "all at once": Case((Script((_send(b"PUT x"),) * 3, 3),), transport="udp"),
}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_every_boundary_is_in_the_sweep(name: str) -> None:
    """What every server of datagrams meets sooner or later is tried without any randomness."""
    assert BOUNDARIES[name] in boundary_cases(UDP)


def test_boundary_cases_are_few_distinct_and_always_the_same() -> None:
    """The sweep finishes in seconds; peers without an address are there on Unix only."""
    for plan, forms in ((UDP, {""}), (UNIX, {"", "unbound", "abstract"})):
        cases = boundary_cases(plan)
        assert cases == boundary_cases(plan)
        assert len(set(cases)) == len(cases) < 100
        assert {script.form for case in cases for script in case.scripts} == forms


def test_one_that_follows_speaks_when_all_others_have_spoken() -> None:
    """However long they wait in between."""
    case = _of(_send(b"a"), Step("pause", seconds=3.0), _send(b"b"), Step("expect", seconds=0.5))
    waits, *rest = follower(case, Script((_send(b"c"),))).steps
    assert waits.action == "pause"
    assert waits.seconds > 3.5
    assert rest == [_send(b"c")]


def _relatives(case: Case) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for relation, relative in family(case):
        found.setdefault(relation, []).append(relative)
    return found


def test_relatives_are_delivered_otherwise_repeated_and_after_another() -> None:
    """A datagram is never cut into segments."""
    case = _of(_send(b"a"), _send(b"b"))
    found = _relatives(case)
    assert {fault.effect for each in found[""] for fault in each.faults} == {"lost", "twice", "late"}
    assert _of(_send(b"b"), _send(b"a")) in found[""]
    assert found["repeatability"] == [Case(case.scripts * 2, transport="udp")]
    (after,) = found["isolation"]
    assert after.scripts[1:] == case.scripts
    assert "segmentation" not in found
    assert two_pieces(_of(_send(b"abc"))) == []


@pytest.mark.parametrize(
    "case",
    [
        _of(_send(b"a"), CLOSE),
        _of(Step("stop-reading"), _send(b"a")),
        _of(_send(b"a"), form="unbound", transport="unix-dgram"),
        Case((Script((_send(b"a"),), 1),), transport="udp"),
    ],
)
def test_relations_exist_only_where_replies_can_be_compared(case: Case) -> None:
    """A peer that left, is deaf, or has no address gets no reply that would mean anything."""
    assert set(_relatives(case)) == {""}


def test_cases_with_faults_have_no_relatives() -> None:
    """A fault strikes at a counted point, which a relative would move."""
    assert family(Case((Script((_send(b"a"),)),), (Fault("deliver", "lost"),), "udp")) == []


def test_what_is_cut_is_compared_with_another_last_byte() -> None:
    """The byte before the border changes, and nothing else; what is not cut is left alone."""
    for unit, other in ((b"a", b"b"), (b"b", b"a")):
        (variant,) = _relatives(_of(_send(unit, 9_000)))["truncation"]
        assert variant.scripts[0].payload == unit * 8_191 + other + unit * 808
    assert "truncation" not in _relatives(_of(_send(b"a", 8_192)))
    assert [relation for relation, _ in family(_of(_send(b"a", 600)), packet_bytes=512)].count("truncation") == 1


def test_the_sweep_cuts_the_example_and_what_is_no_message() -> None:
    """A handler that understands its message looks at the end of it, others at nothing."""
    assert [base.scripts[0].steps[0].data for base, _ in truncations(UDP)] == [b"a", b"PUT x"]
    assert [base.scripts[0].steps[0].data for base, _ in truncations(UNIX)] == [b"a"]
    assert all(len(base.scripts[0].payload) > 8_192 for base, _ in truncations(UDP))


@given(seed=st.integers(0, 10_000))
def test_families_are_small_and_differ_from_their_case(seed: int) -> None:
    """At most eight relatives, each another Case."""
    case = FastDriver(UNIX, Random(seed)).next()
    relatives = [relative for _, relative in family(case)]
    assert len(relatives) <= 8
    assert case not in relatives


def test_only_datagrams_are_delivered() -> None:
    """A stream loses nothing silently, so there the fault could not strike."""
    assert ("deliver", "twice") in faults_of("unix-dgram")
    assert [kind for kind in faults_of("tcp") if kind[0] == "deliver"] == []


def test_any_case_of_datagrams_comes_back() -> None:
    """Its address forms, its concurrency and what the server's owner does included."""
    case = Case(
        (Script((_send(b""), _send(b"ab"), CLOSE), form="unbound"), Script((_send(b"x", 9_000),), form="abstract")),
        (Fault("deliver", "late", 2),),
        "unix-dgram",
        "threading",
        (Act("begin"), Act("play", 1), Act("close")),
    )
    for each in (case, *_drawn(UNIX, 20), *boundary_cases(UDP)[::4]):
        assert minimise(*express(each), lambda drawn, each=each: drawn == each, max_calls=2).value == each
