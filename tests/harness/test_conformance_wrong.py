"""A deliberately wrong re-implementation of each row of the contract is caught by the sub-checks of that row."""

from __future__ import annotations

import pytest

from handshaker.harness.conformance.check import Item
from handshaker.harness.conformance.suite import Suite
from handshaker.harness.conformance.table import ITEMS, KNOWN_CPYTHON
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.verdict import Outcome
from tests.wrong.further import FURTHER
from tests.wrong.table import WRONGS, Wrong

# The rows that a re-implementation can break; all others are broken by handlers and by the hooks of server subclasses.
CONTRACT_ROWS = {
    f"LC-{number:03}"
    for number in (*range(1, 9), *range(10, 18), *range(19, 22), 23, *range(25, 41), *range(43, 49), 50, 51, 57)
} | {f"LC-{number:03}" for number in range(60, 67)}

BY_ID = {item.id: item for item in ITEMS}
PLAYABLE = [item for item in ITEMS if item.id not in KNOWN_CPYTHON]


def own_items(wrong: Wrong) -> tuple[Item, ...]:
    """The sub-checks of the row."""
    return tuple(item for item in PLAYABLE if item.slug == wrong.slug)


def other_items(wrong: Wrong) -> tuple[Item, ...]:
    """The sub-checks of all other rows, on the transport and the concurrency on which the row is checked first."""
    first = own_items(wrong)[0]
    alike = [item for item in PLAYABLE if (item.transport, item.concurrency) == (first.transport, first.concurrency)]
    return tuple(item for item in alike if item.slug != wrong.slug and not takes_long(item))


def takes_long(item: Item) -> bool:
    """Whether somebody is held up by a neighbour, or an owner waits, for ever when the loop is stuck."""
    return item.check.relation == "concurrent" or any(case.owner for case in item.cases)


@pytest.mark.parametrize("wrong", [pytest.param(each, id=each.slug) for each in WRONGS])
def test_a_wrong_implementation_is_caught(wrong):
    """A sub-check of its row fails, so do those of rows that follow from it, and no others."""
    own, others = own_items(wrong), other_items(wrong)
    suite = Suite(wrong.module, (*own, *others), {})

    def is_caught(item: Item) -> bool:
        return not suite.why_not(item) and suite.result(item).outcome is Outcome.VIOLATED

    assert any(is_caught(item) for item in own)
    assert {item.slug for item in others if is_caught(item)} == set(wrong.also)


@pytest.mark.parametrize(
    ("name", "wrong"), [pytest.param(*each, id=f"{each[0]}: {each[1].mistake}") for each in FURTHER]
)
def test_a_further_mistake_is_caught_by_its_sub_check(name, wrong):
    """What serves everybody well and differs in one documented particular fails the sub-check of that particular."""
    item = BY_ID[name]
    suite = Suite(wrong.module, (item,), {})
    assert suite.why_not(item) == ""
    assert suite.result(item).outcome is Outcome.VIOLATED


def test_every_row_of_the_contract_has_a_wrong_implementation():
    """A row that a re-implementation can break has shown that it notices."""
    assert {REGISTRY[wrong.slug].row for wrong in WRONGS} == CONTRACT_ROWS
    assert len({wrong.slug for wrong in WRONGS}) == len(WRONGS)
