"""The resources rules: each holds for what CPython gives back, breaks for its own leak, and blames no leak of ours."""

from __future__ import annotations

from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.verdict import Level
from tests.invariant_checks import Asked, verdict
from tests.traces.resources import FAILED_SETUP, leaked


def test_a_leak_of_a_failed_setup_says_why_and_where():
    """The damage has its own name, and the place is that of the exception that left setup()."""
    (violation,) = verdict("resources/no-fd-leak", Asked(leaked(FAILED_SETUP))).violations
    assert "finish() never ran" in violation.actual
    assert violation.damage == "descriptor left open by a failed setup"
    assert violation.location == "handler.py:12"


def test_what_only_refcounting_gives_back_is_a_should():
    """Still open is a MUST; given back late is a SHOULD."""
    assert REGISTRY["resources/no-fd-leak"].level is Level.MUST
    assert REGISTRY["resources/closed-explicitly"].level is Level.SHOULD
