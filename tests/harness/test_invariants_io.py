"""The io rules: each holds for what CPython does, breaks for its own damage, and keeps silent where it cannot tell."""

from __future__ import annotations

from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, verdict
from tests.traces.io import TIMED, before_handle, lacking, timeout_set
from tests.traces_builder import (
    event,
    inserted,
    without,
)


def test_a_poor_file_is_named_once_per_file():
    """Two poor files are two violations, so that each gets its own fingerprint."""
    probe = event("probe.interface", 0, **{"file": "rfile", "class": "Mine", "lacks": ("close",)})
    both = inserted(lacking("wfile", "Mine", "flush"), [probe], after="handle.enter")
    found = verdict("io/buffered-interface", Asked(both)).violations
    assert {violation.damage for violation in found} == {"rfile is a Mine", "wfile is a Mine"}


def test_a_drop_of_the_timeout_is_noticed():
    """Without its settimeout() event the good trace is bad."""
    good = before_handle(timeout_set(5.0))
    assert verdict("io/timeout-applied", Asked(good, TIMED)).outcome is Outcome.HOLDS
    dropped = without(good, "socket.settimeout")
    assert verdict("io/timeout-applied", Asked(dropped, TIMED)).outcome is Outcome.VIOLATED
