"""For those who re-implement what is tested here: conformance suites as ordinary pytest items, with names.

    from handshaker.testing import check_target
    test_contract = check_target(lambda: my_socketserver, deviations={"server/error-report": "we log instead"})

`check_target` asks a module that offers the names of `socketserver` whether it keeps the contract, `check_transport`
whether a transport is the same on every network, `check_invariant` whether a rule can be trusted. Everything is played
in the calling process, on loopback and Unix sockets only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pytest

from handshaker.harness.conformance.check import Item
from handshaker.harness.conformance.demands import Asked, asked, flaws_bad, flaws_good, flaws_under_damage, slug_of
from handshaker.harness.conformance.suite import Suite, chosen
from handshaker.harness.conformance.table import ITEMS, KNOWN_CPYTHON
from handshaker.harness.conformance.transport import (
    TransportItem,
    flaws,
    items_for,
    transport_named,
    why_no_transport,
)
from handshaker.harness.errors import HandshakerError, UsageError
from handshaker.harness.transports import Transport
from handshaker.harness.verdict import Outcome

__all__ = ["KNOWN_CPYTHON", "Asked", "check_invariant", "check_target", "check_transport"]

_CLOSING: Final = "closing"


def check_target(
    make_target: Callable[[], Any],
    *,
    deviations: Mapping[str, str] | None = None,
    transports: Iterable[str] = (),
    concurrency: str = "all",
) -> Any:
    """A test with one pytest item for each named sub-check of the contract; assign it to a name like `test_…`.

    *make_target* returns the implementation: a module or an object with the names of `socketserver`. *deviations* says
    which rules (or single items, by their id) it breaks on purpose, and why: such an item is an expected failure, and
    a deviation that shows nowhere any more fails. *transports* and *concurrency* narrow the choice. What the
    implementation does not offer is skipped with the reason; when everything is skipped, the last item fails.

    Raises UsageError for an unknown rule, transport or concurrency.
    """
    suite = Suite(make_target, chosen(ITEMS, transports, concurrency), deviations or {}, ITEMS)
    rules = [key for key in suite.deviations if "[" not in key]
    closing = [pytest.param((_CLOSING, key), id=f"{_CLOSING}[{key}-still-shows]") for key in rules]
    closing.append(pytest.param((_CLOSING, ""), id=f"{_CLOSING}[something-was-judged]"))

    @pytest.mark.parametrize("item", [*(pytest.param(item, id=item.id) for item in suite.items), *closing])
    def test(item: Any) -> None:
        """The implementation keeps the contract of socketserver."""
        __tracebackhide__ = True
        if isinstance(item, Item):
            _conduct(suite, item)
        else:
            _close(suite, item[1])

    return test


def _close(suite: Suite, deviation: str) -> None:
    """What is asked of the run as a whole; an implementation that cannot be made fails once, here."""
    __tracebackhide__ = True
    if suite.unusable is not None and deviation:
        pytest.skip(suite.no_implementation)
    if isinstance(suite.unusable, HandshakerError):
        pytest.fail(str(suite.unusable), pytrace=False)
    if suite.unusable is not None:
        raise suite.unusable
    if problem := suite.gone(deviation) if deviation else suite.nothing_judged():
        pytest.fail(problem, pytrace=False)


def _conduct(suite: Suite, item: Item) -> None:
    __tracebackhide__ = True
    if reason := suite.why_not(item):
        pytest.skip(reason)
    result, declared = suite.result(item), suite.declared(item)
    if result.outcome is Outcome.VIOLATED and declared:
        pytest.xfail(f"declared: {declared}")
    if result.outcome is not Outcome.HOLDS:
        pytest.fail(result.text, pytrace=False)
    if item.id in suite.deviations:
        pytest.fail(suite.gone(item.id), pytrace=False)


def check_transport(transport: str | Transport, *, networks: Sequence[str] = ("memory", "loopback")) -> Any:
    """A test with one pytest item for each named sub-check of a transport; assign it to a name like `test_…`.

    *transport* is a row of `transports.TRANSPORTS` or its name, *networks* are names of `runner.NETWORKS`: on each of
    them addresses have the right form and an echo comes back whole, and the same Cases give the same events on all.
    Skipped where this machine cannot do it. Raises UsageError for an unknown transport or network.
    """
    row = transport_named(transport)

    @pytest.mark.parametrize("item", [pytest.param(item, id=item.id) for item in items_for(row, networks)])
    def test(item: TransportItem) -> None:
        """The transport is what its row says, on each network alike."""
        __tracebackhide__ = True
        if reason := why_no_transport(row):
            pytest.skip(reason)
        if problems := flaws(item, row):
            pytest.fail("\n".join([item.id, *problems]), pytrace=False)

    return test


def check_invariant(rule: Any, *, good: Iterable[Any], bad: Iterable[Any]) -> None:
    """Raise AssertionError unless *rule* can be trusted: what is demanded of every rule of ours.

    *rule* is a slug or the function that `@invariant` decorates; *good* and *bad* are Traces, Families, or
    `Asked(trace, Contract(...))`, at least one each. It holds on every good one; it is violated by every bad one, with
    a damage and a witness; and dropping, doubling or swapping what it says it depends on makes a good one bad.

    Raises UsageError for a rule that is not registered, and for an example that is no trace.
    """
    __tracebackhide__ = True
    slug, goods, bads = slug_of(rule), tuple(map(asked, good)), tuple(map(asked, bad))
    if not goods or not bads:
        raise UsageError(f"{slug}: {len(goods)} good and {len(bads)} bad traces; give at least one of each")
    problems = [flaw for each in goods for flaw in flaws_good(slug, each)]
    problems += [flaw for each in bads for flaw in flaws_bad(slug, each)]
    problems += flaws_under_damage(slug, goods)
    if problems:
        raise AssertionError("\n".join([f"{slug} cannot be trusted:", *problems]))
