"""The rules about one handler's life: what CPython does breaks none of them, and each notices its own damage."""

from __future__ import annotations

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, depending, mutants, rows, table, verdict
from tests.traces_builder import (
    TRACES,
    Part,
    Raised,
    changed,
    doubled,
    echo,
    event,
    inserted,
    lacking,
    peer,
    stall,
    swapped,
    trace,
)

ONE = TRACES["one peer"]
EXITS = TRACES["handle exits"]
RAISES = trace(peer(0, handle=Raised(ValueError)))
SETUP_FAILS = trace(peer(0, setup=Raised(ValueError)))

HOOKS = ("setup.", "handle.", "finish.")
FINISH = [event("finish.enter", 0, instance=0, thread=0), event("finish.leave", 0, instance=0, open=())]


def entered(instance: int) -> Part:
    """handle() is entered on this instance."""
    return [event("handle.enter", 0, instance=instance, thread=0, missing=())]


def finishes_early(connection: int) -> Part:
    """A handle() that calls self.finish() when it has answered."""
    return [*echo(connection), *FINISH]


SECOND_SETUP = inserted(ONE, [event("setup.enter", 0, instance=1, thread=0, attributes=())], after="handle.enter")
EARLY_FINISH = trace(peer(0, body=finishes_early))

GOOD = {
    "lifecycle/one-handler-per-request": {
        "one peer": Asked(ONE),
        "two peers": Asked(TRACES["two peers"]),
        "an error before setup": Asked(trace(peer(0, init=Raised(TypeError)))),
    },
    "lifecycle/order": {"stream": Asked(ONE), "base": Asked(TRACES["base handler"])},
    "lifecycle/finish-only-after-setup": {
        "setup raises": Asked(SETUP_FAILS),
        "setup exits": Asked(TRACES["setup exits"]),
        "setup returns": Asked(ONE),
    },
    "lifecycle/finish-always-after-setup": {
        "handle returns": Asked(ONE),
        "handle raises": Asked(RAISES),
        "handle exits": Asked(EXITS),
    },
    "lifecycle/finish-once": {"once": Asked(ONE), "twice, in two lives": Asked(TRACES["two peers"])},
    "lifecycle/files-ready-in-handle": {"all there": Asked(ONE)},
    "lifecycle/attributes-before-setup": {"all there": Asked(ONE)},
    "lifecycle/finish-does-not-raise": {
        "returns": Asked(ONE),
        "raises what we injected": Asked(TRACES["finish raises"]),
        "raises what was declared": Asked(
            trace(peer(0, finish=Raised(BrokenPipeError))), Contract(allowed_exceptions=("builtins.OSError",))
        ),
    },
}
BAD = {
    "lifecycle/one-handler-per-request": {
        "a constructor without super": Asked(lacking(ONE, *HOOKS)),
        "no handler at all": Asked(lacking(ONE, "init.", *HOOKS)),
        "two handlers": Asked(SECOND_SETUP),
    },
    "lifecycle/order": {
        "handle calls itself": Asked(inserted(ONE, entered(0), after="handle.enter")),
        "another object": Asked(inserted(ONE, entered(7), after="setup.leave")),
        "no handle": Asked(lacking(ONE, "handle.")),
        "no handle and no finish": Asked(lacking(ONE, "handle.", "finish.")),
        "another thread": Asked(changed(ONE, "finish.enter", thread=7)),
    },
    "lifecycle/finish-only-after-setup": {
        "finish after setup": Asked(inserted(SETUP_FAILS, FINISH, after="setup.raise")),
        "finish inside setup": Asked(inserted(SETUP_FAILS, FINISH, after="setup.enter")),
        "handle after setup": Asked(inserted(SETUP_FAILS, entered(0), after="setup.raise")),
    },
    "lifecycle/finish-always-after-setup": {
        "handle returned": Asked(lacking(ONE, "finish.")),
        "handle raised": Asked(lacking(RAISES, "finish.")),
        "handle exited": Asked(lacking(EXITS, "finish.")),
    },
    "lifecycle/finish-once": {
        "after finish": Asked(doubled(ONE, "finish.enter")),
        "inside handle": Asked(EARLY_FINISH),
    },
    "lifecycle/files-ready-in-handle": {"no files": Asked(changed(ONE, "handle.enter", missing=("wfile", "rfile")))},
    "lifecycle/attributes-before-setup": {
        "only the request": Asked(changed(ONE, "setup.enter", attributes=("request",))),
    },
    "lifecycle/finish-does-not-raise": {
        "an exception": Asked(trace(peer(0, finish=Raised(BrokenPipeError)))),
        "an exit": Asked(trace(peer(0, finish=Raised(SystemExit)))),
    },
}


@pytest.mark.parametrize("slug", rows("lifecycle"))
def test_every_rule_has_a_good_and_a_bad_trace(slug):
    """A rule cannot be added without traces that show both."""
    assert GOOD[slug]
    assert BAD[slug]


@pytest.mark.parametrize(("slug", "asked"), table(GOOD))
def test_it_holds_for_a_correct_life(slug, asked):
    """A rule holds on the traces that were written for it."""
    assert verdict(slug, asked).outcome is Outcome.HOLDS


@pytest.mark.parametrize(("slug", "asked"), table(BAD))
def test_it_is_violated_by_its_own_damage(slug, asked):
    """A rule notices what it is about, shows it by events, and gives it a name."""
    said = verdict(slug, asked)
    assert said.outcome is Outcome.VIOLATED
    for violation in said.violations:
        assert all(0 <= seq < len(asked.subject) for seq in violation.witness)
        assert violation.witness
        assert violation.expected != violation.actual
        assert violation.exception or violation.damage


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("slug", rows("lifecycle"))
def test_no_rule_blames_the_standard_library(slug, name):
    """What a correct handler does under the standard library is neither violation nor doubt."""
    assert verdict(slug, Asked(TRACES[name])).outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE)


@pytest.mark.parametrize("slug", depending(rows("lifecycle")))
def test_mutants_of_good_traces_are_noticed(slug):
    """Dropping, doubling or swapping what a rule depends on breaks it."""
    found = [(name, mutant) for asked in GOOD[slug].values() for name, mutant in mutants(slug, asked.subject)]
    assert found
    for name, mutant in found:
        assert verdict(slug, Asked(mutant)).outcome is Outcome.VIOLATED, name


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
    assert verdict(slug, Asked(stalled)).outcome is Outcome.HOLDS


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
