"""Every invariant of the registry, asked about the traces that were written for it, for the others, and for mutants.

What is special about an area stands in the module of that area; what holds for every rule stands here, once.
"""

from __future__ import annotations

import pytest

from handshaker.harness.conformance.demands import flaws_bad, flaws_good, flaws_under_damage
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, depending, table, verdict
from tests.traces import BAD, DOUBT, GOOD
from tests.traces_builder import TRACES

SLUGS = sorted(REGISTRY)
RULES = [slug for slug in SLUGS if not REGISTRY[slug].relation]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_rule_has_a_good_and_a_bad_trace(slug):
    """A rule cannot be added without traces that show both: write them into a module of tests/traces."""
    assert GOOD.get(slug)
    assert BAD.get(slug)


def test_examples_belong_to_rules():
    """No example is left behind when a rule is renamed."""
    assert {*GOOD, *BAD, *DOUBT} <= set(REGISTRY)


@pytest.mark.parametrize(("slug", "asked"), table(GOOD))
def test_it_holds_for_its_good_traces(slug, asked):
    """What the documentation promises, and what CPython does beyond it, breaks no rule."""
    assert list(flaws_good(slug, asked)) == []


@pytest.mark.parametrize(("slug", "asked"), table(BAD))
def test_it_is_violated_by_its_own_damage(slug, asked):
    """A violation says what was expected and what happened, points at events, and gives the damage a name."""
    assert list(flaws_bad(slug, asked)) == []


@pytest.mark.parametrize(("slug", "asked"), table(DOUBT))
def test_it_keeps_silent_where_it_cannot_tell(slug, asked):
    """A doubt is unknown or not applicable, with a reason; what we caused, or CPython does, is no violation."""
    said = verdict(slug, asked)
    assert said.outcome in (Outcome.UNKNOWN, Outcome.NOT_APPLICABLE)
    assert said.reason


@pytest.mark.parametrize("slug", RULES)
def test_no_rule_blames_the_standard_library(slug):
    """Whatever a plain server of CPython does, with injected faults or without, is no violation.

    Nor is it a doubt, for a rule that has shown no doubtful trace.
    """
    fine = {Outcome.HOLDS, Outcome.NOT_APPLICABLE, *([Outcome.UNKNOWN] if slug in DOUBT else [])}
    said = {name: verdict(slug, Asked(served)).outcome for name, served in TRACES.items()}
    assert {name: outcome for name, outcome in said.items() if outcome not in fine} == {}


@pytest.mark.parametrize("slug", depending(RULES))
def test_mutants_of_good_traces_are_noticed(slug):
    """Dropping, doubling or swapping what a rule depends on breaks it, in each of its good traces.

    Every kind and every order that it names occurs in one of them.
    """
    assert list(flaws_under_damage(slug, GOOD[slug].values())) == []
