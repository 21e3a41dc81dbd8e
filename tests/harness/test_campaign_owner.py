"""What a campaign plays for the owner of a server: nothing for ordinary handlers, the scenarios for all others."""

from __future__ import annotations

from collections import Counter

import pytest

from handshaker.harness.campaign.search import _sweep_cases
from handshaker.harness.campaign.situations import SITUATIONS, count, situations
from handshaker.harness.campaign.traffic import Traffic
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Act, Case, Fault
from handshaker.harness.settings import Settings
from handshaker.targets.stdlib import load_target

HOME = "handshaker.targets.exhibits"


def bench_of(target, concurrency=""):
    return Workbench(load_target(target, concurrency=concurrency), Settings(target, save=False), "memory")


def acts(*names):
    return tuple(map(Act, names))


@pytest.mark.parametrize("target", [f"{HOME}.common:Lines", f"{HOME}.server:HookOrderRepaired", f"{HOME}.io:Nagle"])
def test_an_ordinary_target_is_played_without_an_owner(target):
    """Neither in the sweep nor in what is drawn does anybody touch the server object."""
    with bench_of(target) as bench:
        traffic = Traffic(bench)
        assert not any(case.owner for _, case, _ in _sweep_cases(traffic))
        assert not traffic.plan.owned


def test_an_overridden_method_is_played_in_the_sweep():
    """A server with a server_close() of its own is closed twice, once the peers at the border have been."""
    with bench_of(f"{HOME}.owner:CloseIsIdempotent") as bench:
        traffic = Traffic(bench)
        numbered = [(number, case) for number, case, faulty in _sweep_cases(traffic) if not faulty]
        assert [number for number, _ in numbered] == list(range(len(numbered)))
        owned = [case for _, case in numbered if case.owner]
        assert owned == traffic.owned()
        assert acts("close", "close") in [case.owner for case in owned]
        found = {seen.invariant for case in owned for seen in bench.sightings(case)}
    assert found == {"server/close-is-idempotent"}
    assert traffic.plan.owned


def test_a_case_with_an_owner_has_no_variants():
    """It is played as it was drawn: no well-behaved peer is added that nobody would let in."""
    with bench_of(f"{HOME}.owner:CloseIsIdempotent") as bench:
        traffic = Traffic(bench)
        case = traffic.owned()[0]
        assert traffic.relatives(case) == [("", case)]


def test_what_an_owner_does_is_told_as_a_situation():
    """The summary says what was done with the server object, and says nothing of it otherwise."""
    closing = Case(faults=(Fault("server_bind", "OSError"),), owner=acts("serve", "close", "close"))
    names = {"serve_forever() by its owner", "server closed while serving", "server closed twice", "bind fails"}
    assert situations(closing) - set(SITUATIONS) == names
    assert "server closed while serving" not in situations(Case(owner=acts("serve", "shutdown", "close")))
    counts: Counter[str] = Counter()
    count(Case(), counts)
    assert set(counts) <= set(SITUATIONS)
