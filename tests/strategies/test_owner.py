"""What is drawn and played for the owner of a server: worth its time, equal from both drivers, and able to shrink."""

from __future__ import annotations

from random import Random

import pytest

from handshaker.harness.campaign.reduce import measure, reduce_case
from handshaker.harness.case import ACTS, Act, Case, Fault, Script, Step
from handshaker.strategies.cases import FastDriver, Plan, cases
from handshaker.strategies.express import express
from handshaker.strategies.family import family, two_pieces
from handshaker.strategies.hypothesis_bridge import minimise
from handshaker.strategies.owner import OWNED, SCENARIOS, owner_cases, sensible, within

PEER = Script((Step("send", b"hello\n"), Step("half-close")))
BLOCKING = {"shut down before serving", "shut down twice"}
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


def acts(*words: str) -> tuple[Act, ...]:
    """Acts from words such as `play 1`."""
    return tuple(Act(word.partition(" ")[0], int(word.partition(" ")[2] or 0)) for word in words)


def names(found: list[tuple[str, Case]]) -> set[str]:
    """The names of the scenarios."""
    return {name for name, _ in found}


def test_an_ordinary_handler_costs_nothing_extra():
    """Under a server of the standard library, whose methods are all its own, no scenario is played and none drawn."""
    assert owner_cases(("handle", "setup", "verify_request"), PEER, "tcp", "plain") == []
    driver = FastDriver(Plan(), Random(1))
    assert not any(driver.next().owner for _ in range(300))


@pytest.mark.parametrize("method", sorted(OWNED))
def test_each_method_of_a_server_has_a_scenario(method):
    """Whichever method of a server is overridden, something is done that calls it."""
    assert owner_cases((method,), PEER, "tcp", "plain")


def test_scenarios_fit_the_concurrency():
    """Nobody lets a fork fail where there are none."""
    overrides = ("process_request", "server_close")
    plain, threads = (names(owner_cases(overrides, PEER, "tcp", kind)) for kind in ("plain", "threading"))
    assert "a thread cannot start" in threads - plain
    assert "a fork fails" not in plain | threads


@every_scenario
def test_a_scenario_is_a_case_like_any_other(scenario):
    """It can be played over each transport, has a script for each peer it names, and says what it is."""
    assert scenario.concerns
    for transport in ("tcp", "unix", "udp"):
        case = scenario.case(PEER, transport, scenario.concurrencies[0])
        assert case.owner == scenario.acts
        assert len(case.scripts) == max((act.peer + 1 for act in case.owner if "peer" in ACTS[act.action]), default=0)


def test_scenarios_do_not_wait_for_ever_but_where_that_is_meant():
    """Only the scenarios about shutdown() at the wrong time contain acts that can but wait."""
    assert {scenario.name for scenario in SCENARIOS if sensible(scenario.acts) != scenario.acts} == BLOCKING


def test_acts_without_sense_are_left_out():
    """Nobody shuts down what does not run, waits for a peer whom nobody serves, or lets one come twice."""
    assert sensible(acts("shutdown", "play 0", "serve", "serve", "play 1", "play 1", "close", "play 2")) == acts(
        "begin 0", "serve", "play 1", "close"
    )
    assert sensible(acts("serve", "handle", "shutdown", "handle", "exit", "handle")) == acts(
        "serve", "shutdown", "handle", "exit"
    )


def test_acts_are_told_for_the_peers_that_are_there():
    """An act that names a peer too many names the last one; without peers nobody comes."""
    assert within(acts("serve", "play 2"), 2) == acts("serve", "play 1")
    assert within(acts("serve", "play 2"), 0) == acts("serve")


@pytest.mark.parametrize("seed", range(4))
def test_both_drivers_draw_the_same_acts(seed):
    """A tape of the fast driver gives the same Case, with the same acts, through Hypothesis."""
    plan = Plan(owned=True)
    driver, strategy, owned = FastDriver(plan, Random(seed)), cases(plan), 0
    while owned < 4:
        case = driver.next()
        if case.owner:
            owned += 1
            assert case.owner == sensible(case.owner)
            assert minimise(driver.tape, strategy, lambda other, case=case: other == case, max_calls=2).value == case


SITUATIONS = {
    "binding fails": lambda case: has(case, "server_bind"),
    "listening fails": lambda case: has(case, "server_activate"),
    "shut down": lambda case: does(case, "serve", "play", "shutdown"),
    "served again": lambda case: does(case, "serve", "shutdown", "serve"),
    "a peer comes after shutdown": lambda case: does(case, "serve", "shutdown", "begin"),
    "closed while serving": lambda case: does(case, "serve", "close") and not does(case, "shutdown"),
    "closed twice": lambda case: does(case, "close", "close"),
    "a with statement": lambda case: does(case, "enter", "exit"),
    "handle_request() with a timeout": lambda case: any(act.action == "handle" and act.seconds for act in case.owner),
    "no descriptor is left": lambda case: has(case, "get_request", "exhausted") and does(case, "serve", "play"),
    "service_actions() raises": lambda case: has(case, "service_actions") and does(case, "serve"),
    "closed with a handler at work": lambda case: does(case, "serve", "begin", "close"),
}


def has(case: Case, point: str, effect: str = "") -> bool:
    """Whether the Case has such a Fault."""
    return any(fault.point == point and effect in ("", fault.effect) for fault in case.faults)


def does(case: Case, *wanted: str) -> bool:
    """Whether the owner does these things in this order, and perhaps others between them."""
    rest = iter(act.action for act in case.owner)
    return all(name in rest for name in wanted)


@pytest.mark.parametrize("concurrency", ["plain", "threading"])
def test_every_situation_of_a_server_is_drawn(concurrency):
    """The search meets each situation that an owner can bring about, in whatever company."""
    driver, missing = FastDriver(Plan(owned=True, concurrency=concurrency), Random(1)), set(SITUATIONS)
    for _ in range(20_000):
        case = driver.next()
        if case.owner:
            missing -= {name for name in missing if SITUATIONS[name](case)}
    assert missing == set()


def test_a_drawn_situation_shrinks_to_the_minimum():
    """What the search has met is told with one silent peer, the one Fault and the one act that it needs."""
    plan = Plan(owned=True)
    driver = FastDriver(plan, Random(1))
    while not SITUATIONS["service_actions() raises"](driver.next()):
        pass
    found = minimise(driver.tape, cases(plan), SITUATIONS["service_actions() raises"], max_seconds=5).value
    assert found == Case(
        (Script((Step("half-close"),)),), (Fault("service_actions", "ValueError"),), owner=acts("serve")
    )


def test_a_datagram_needs_no_descriptor():
    """What cannot happen to a server of datagrams is not drawn for one."""
    driver = FastDriver(Plan(owned=True, transport="udp"), Random(1))
    drawn = [driver.next() for _ in range(3_000)]
    assert any(has(case, "service_actions") for case in drawn)
    assert not any(has(case, "get_request", "exhausted") for case in drawn)


@every_scenario
def test_a_scenario_can_be_expressed(scenario):
    """The choices of `express` draw exactly the scenario, so that it shrinks like any Case."""
    case = scenario.case(PEER, "tcp", scenario.concurrencies[0])
    tape, strategy = express(case)
    assert minimise(tape, strategy, lambda other: other == case, max_calls=2).value == case


def is_closed_twice(case: Case) -> bool:
    """The defect that shrinking looks for: the server is closed twice after some peer was there."""
    before = [act.action for act in case.owner]
    return before.count("close") == 2 and "play" in before[: before.index("close")]


@pytest.mark.parametrize("way", ["hypothesis", "by hand"])
def test_acts_shrink_to_the_minimum(way):
    """What is left are the acts that matter, and the one peer that they name."""
    start = Case((PEER,) * 3, owner=acts("enter", "serve", "play 2", "begin 1", "shutdown", "close", "close", "exit"))
    if way == "hypothesis":
        smallest = minimise(*express(start), is_closed_twice, max_seconds=5).value
    else:
        smallest, _ = reduce_case(start, is_closed_twice)
    assert smallest == Case((Script((Step("half-close"),)),), owner=acts("serve", "play 0", "close", "close"))
    assert measure(smallest) < measure(start)


def test_a_case_with_an_owner_has_no_relatives():
    """What is compared with what only depends on the peers; here it depends on the owner as well."""
    owned = Case((PEER,), owner=acts("serve", "play 0"))
    assert family(owned) == two_pieces(owned) == []
