"""The rules about threads and children, and what the other rules say about servers that have them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.judge import Judge, primary
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, verdict
from tests.traces.concurrency import ERROR, census, last_gets, stateless
from tests.traces_builder import Raised, changed, event, inserted, lacking
from tests.traces_concurrent import CONCURRENT, forked, mingled, threaded, trace_of

RULES = sorted(slug for slug, row in REGISTRY.items() if not row.relation)
SERVED = {
    "lifecycle/one-handler-per-request", "lifecycle/order", "lifecycle/finish-always-after-setup",
    "lifecycle/finish-once",
    "server/hook-order", "server/error-reported-once", "server/base-exceptions", "server/next-request-served",
    "resources/socket-closed-once", "resources/shutdown-before-close", "io/written-bytes-arrive", "io/write-all",
    "io/nothing-after-finish", "io/reply-then-eof", "liveness/no-spin", "liveness/process-survives",
}  # fmt: skip
"""Rules that say something about every request that was served, whoever shares its time how."""


def said_of(slug, name):
    """What one rule says about a trace of the mix-ins."""
    return verdict(slug, Asked(CONCURRENT[name], Contract(concurrency=name.partition(":")[0])))


@pytest.mark.parametrize("name", CONCURRENT)
def test_no_rule_blames_the_mix_ins_of_the_standard_library(name):
    """Whatever ThreadingMixIn and ForkingMixIn do, with injected faults or without, is no violation and no doubt."""
    said = {slug: said_of(slug, name) for slug in RULES}
    fine = (Outcome.HOLDS, Outcome.NOT_APPLICABLE)
    assert {slug: told.reason or told.violations for slug, told in said.items() if told.outcome not in fine} == {}


@pytest.mark.parametrize("slug", sorted(SERVED))
@pytest.mark.parametrize("name", ["threading: one after another", "forking: served"])
def test_a_rule_about_requests_is_not_silent_about_threads_and_children(slug, name):
    """None of them is green because it looked at nothing."""
    assert said_of(slug, name).outcome is Outcome.HOLDS


def primaries(trace, **contract):
    """The slugs that a trace violates, each explained by no other one."""
    overrides = {method for row in REGISTRY.values() for method in row.broken_by}
    judge = Judge(Contract(overrides=tuple(overrides), concurrency=trace.header.server, **contract))
    found = {each.verdict.invariant for each in primary(judge.verdicts(trace))}
    assert not judge.bugs
    return found


def test_a_parent_that_shuts_down_is_one_finding():
    """That it called the wrong hook explains nothing more."""
    served = trace_of("forking", forked(0))
    shut = changed(changed(served, "parent.hook", hook="shutdown_request"), "probe.parent-copy", shut=True, open=False)
    assert primaries(shut) == {"resources/parent-closes-connection"}


def test_zombies_are_told_once():
    """A server that never reaps is one finding, whether handle_timeout() or the loop should have done it."""
    counted = event("probe.children", moment="timeout", alive=0, zombies=1)
    assert primaries(inserted(census("closed", zombies=1), [counted], after="process.end")) == {
        "resources/children-reaped"
    }


def test_a_stop_of_one_thread_is_no_excuse_for_another():
    """A peer that holds its own thread says nothing about what another thread did to its request."""

    def waits(connection):
        return [event("network.stalled", connection, operation="recv", after="open")]

    both = trace_of("threading", mingled(threaded(0, body=waits), threaded(1, handle=Raised(ValueError))))
    lost = lacking(both, "handle_error.")
    (violation,) = verdict("server/error-reported-once", Asked(lost)).violations
    assert violation.connection == 1


def test_a_raising_server_close_of_the_owner_is_not_the_handlers():
    """CPython itself raises RuntimeError there when a thread could not be started; only a handler's own call counts."""
    closed = inserted(
        trace_of("threading", threaded(0)), [event("server_close.raise", -1, "join", **ERROR)], after="server.closed"
    )
    assert verdict("resources/no-thread-left", Asked(closed)).outcome is Outcome.HOLDS


def test_a_reply_that_udp_may_have_lost_is_no_violation():
    """A missing datagram is counted only where nothing is ever lost."""
    asked = stateless(last_gets(b""))
    family = asked.subject
    header = replace(family.variant.header, transport="udp")
    lost = replace(family, variant=replace(family.variant, header=header))
    assert verdict("relation/concurrent-isolation", asked).outcome is Outcome.VIOLATED
    assert verdict("relation/concurrent-isolation", Asked(lost)).outcome is Outcome.UNKNOWN


def test_a_handler_that_closes_its_server_is_told_once():
    """Its thread waits for itself in server_close(): that is no uncaught exception of another kind."""
    raises = trace_of("threading", threaded(0, handle=Raised(RuntimeError)))
    closing = event("server_close.raise", 0, "RuntimeError: cannot join current thread", **ERROR)
    assert primaries(inserted(raises, [closing], after="handle.enter")) == {"resources/no-thread-left"}
