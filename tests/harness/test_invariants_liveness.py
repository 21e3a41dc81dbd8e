"""The liveness rules: an endless handler belongs to exactly one of them, and waiting on purpose to none."""

from __future__ import annotations

import pytest

from handshaker.harness.judge import primary
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, rows, table, verdict
from tests.traces.liveness import BAD, TIMED, hung
from tests.traces_builder import TRACES


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("slug", [slug for slug in rows("liveness") if not slug.endswith("complete-message")])
def test_a_declared_timeout_makes_no_rule_blame_the_standard_library(slug, name):
    """Whatever a plain server of CPython does is no violation for a handler with a timeout either."""
    assert verdict(slug, Asked(TRACES[name], TIMED)).outcome is not Outcome.VIOLATED


@pytest.mark.parametrize(
    ("slug", "asked"),
    [example for example in table(BAD) if isinstance(example.values[1].subject, Trace)],
)
def test_one_endless_handler_is_one_finding(slug, asked):
    """Of all liveness rules exactly the one that it was made for blames a trace."""
    verdicts = [verdict(each, asked) for each in rows("liveness") if not each.endswith("complete-message")]
    assert [found.verdict.invariant for found in primary(verdicts)] == [slug]


def test_a_hang_is_named_after_the_place_where_it_hung():
    """The innermost frame of the user's code is part of the fingerprint."""
    (violation,) = verdict("liveness/no-hang", Asked(hung("m:H.parse"))).violations
    assert violation.frame == "m:H.parse"
