"""The rules about one handler's life: what CPython does breaks none of them, and each notices its own damage."""

from __future__ import annotations

import pytest

from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, rows, verdict
from tests.traces.lifecycle import EARLY_FINISH, HOOKS, ONE
from tests.traces_builder import (
    Raised,
    changed,
    event,
    inserted,
    lacking,
    peer,
    stall,
    swapped,
    trace,
)


def only_violation(slug, subject):
    """The one violation that the rule sees."""
    (violation,) = verdict(slug, Asked(subject)).violations
    return violation


def test_a_missing_super_init_is_guessed():
    """A constructor that returns without any hook says where to look."""
    violation = only_violation("lifecycle/one-handler-per-request", lacking(ONE, *HOOKS))
    assert "super().__init__()" in violation.actual


def test_hooks_out_of_order_name_the_step():
    """The order rule says in which state the handler was and what came instead."""
    violation = only_violation("lifecycle/order", swapped(ONE, "setup.leave", "handle.enter"))
    assert (
        violation.expected == "after setup.enter the handler is 'setting up', so setup.leave or setup.raise comes next"
    )
    assert violation.actual == "handle.enter came next"
    assert violation.damage == "handle.enter while setting up"


@pytest.mark.parametrize("slug", rows("lifecycle"))
def test_a_handler_that_was_stopped_owes_nothing(slug):
    """What is missing after a handler was stopped from outside is not missed."""
    stalled = lacking(trace(peer(0, body=stall)), "finish.")
    assert verdict(slug, Asked(stalled)).outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE)


def test_a_handler_whose_process_ended_owes_nothing():
    """When the process is gone, finish() could not be called."""
    gone = lacking(inserted(ONE, [event("probe.process-gone", status="exit 3")], after="handle.enter"), "finish.")
    assert verdict("lifecycle/finish-always-after-setup", Asked(gone)).outcome is Outcome.HOLDS


def test_finish_inside_handle_is_told_apart():
    """A handler that calls self.finish() is told that the first call came inside handle()."""
    assert "the first time inside handle()" in only_violation("lifecycle/finish-once", EARLY_FINISH).actual


def test_finish_that_hides_the_error_of_handle():
    """An exception of finish() names the one of handle() that it replaces, and blames the user's frame."""
    hiding = trace(peer(0, handle=Raised(ValueError), finish=Raised(KeyError)))
    violation = only_violation("lifecycle/finish-does-not-raise", hiding)
    assert violation.actual == "finish() raised KeyError: boom, which replaces ValueError: boom from handle()"
    assert (violation.exception, violation.frame) == ("builtins.KeyError", "tests:Handler.finish")
    assert violation.location == "handler.py:12"


def test_missing_files_are_named():
    """Files that setup() did not make are part of the fingerprint, in any order."""
    bare = changed(ONE, "handle.enter", missing=("wfile", "rfile"))
    assert only_violation("lifecycle/files-ready-in-handle", bare).damage == "no rfile, wfile"
