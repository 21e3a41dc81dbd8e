"""The pytest form: `lifecycle_test` (no lines of yours), `given_case` (your asserts), `cases`, `play`, `assert_holds`.

`lifecycle_test` conducts one campaign in a worker of its own, as the command line does. `given_case` and `play` play
in the calling process: a handler that ends its process or loops without touching its socket takes the test run with
it, so point the command line or `lifecycle_test` at such a handler first.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.harness.campaign.findings import finding_of, ready
from handshaker.harness.campaign.shared import campaign_of
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.campaign.traffic import Traffic
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case
from handshaker.harness.contract import Contract
from handshaker.harness.declarations import declared_settings, globs
from handshaker.harness.errors import UsageError
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.judge import Judge, primary
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Violation
from handshaker.reports.failure import failure_text
from handshaker.targets.implementation import implementation as load_implementation
from handshaker.targets.stdlib import StdlibTarget

__all__ = [
    "HostedCase",
    "InvariantViolated",
    "PlayedTrace",
    "assert_holds",
    "cases",
    "given_case",
    "lifecycle_test",
    "play",
]

_AREAS: Final = ("lifecycle", "handler", "io", "datagram", "liveness", "resources", "server", "relation")
_OF_CAMPAIGNS: Final = frozenset(field.name for field in fields(Settings)) - {
    "target", "server", "factory", "root", "loader", "replay",
}  # fmt: skip
_OF_CASES: Final = frozenset({
    "allowed_exceptions", "concurrency", "example", "exclude_invariants", "implementation", "invariants", "network",
    "seed", "stateless", "transport",
})  # fmt: skip
_BY_NAME: Final = "handshaker.harness.campaign.loading:DECLARED"


class InvariantViolated(AssertionError):
    """One or more invariants do not hold; `blocks` are the failure blocks, as the command line prints them."""

    def __init__(self, blocks: tuple[str, ...]) -> None:
        super().__init__("\n\n".join(blocks))
        self.blocks = blocks


@dataclass(frozen=True, slots=True, repr=False)
class HostedCase(Case):
    """A Case that knows the bench it is played on."""

    bench: Any = None

    def __repr__(self) -> str:
        return Case.__repr__(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As Hypothesis shows it in a falsifying example."""
        printer.text(repr(self))


@dataclass(frozen=True, slots=True, repr=False)
class PlayedTrace(Trace):
    """A Trace that knows its Case and the bench it was played on, so that it can be judged."""

    case: Case | None = None
    bench: Any = None
    flat: Sequence[Any] = field(default=(), init=False, compare=False)
    """As it was recorded: what the judge knows at a glance. A Trace that was changed since does not have it."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a `lifecycle_test` tests: the worker imports the test module again and finds it here."""

    subject: Any
    server: Any
    factory: Any
    messages: Any = None
    reset: Any = None


def _bench(target: Any, server: Any = None, factory: Any = None, reset: Any = None, **declared: Any) -> Workbench:
    _require_object(target)
    settings = declared_settings(_text_of(target), declared, _OF_CASES)
    if settings.concurrency == "all":
        raise UsageError(
            "concurrency='all': a Case is played under one kind of server; name plain, threading or forking"
        )
    settings = replace(settings, concurrency=settings.concurrency or "plain")
    adapter = _adapter(target, settings, server, factory)
    return Workbench(adapter, settings, settings.network.replace("auto", "memory"), reset=_callable(reset))


def _adapter(target: Any, settings: Settings, server: Any, factory: Any) -> StdlibTarget:
    offered = load_implementation(settings.implementation) if settings.implementation else None
    return StdlibTarget(
        target, text=settings.target, server=server, factory=factory, transport=settings.transport,
        concurrency=settings.concurrency.replace("all", "plain"), implementation=offered,
    )  # fmt: skip


def _require_object(target: Any) -> None:
    if isinstance(target, str):
        raise UsageError(f"{target!r} is a name; import the handler and give the class or callable itself")


def _callable(reset: Any) -> Any:
    if reset is not None and not callable(reset):
        raise UsageError(f"reset={reset!r} cannot be called; give a function without arguments that clears state")
    return reset


def _text_of(target: Any) -> str:
    owner = target if hasattr(target, "__qualname__") else type(target)
    return f"{owner.__module__}:{owner.__qualname__}"


def cases(target: Any, *, messages: Any = None, server: Any = None, factory: Any = None, **declared: Any) -> Any:
    """The strategy of Cases for *target*, for `@given`, `@example` and `st.data()`.

    *messages* is a Hypothesis strategy of bytes, one message each. *declared* are `example`, `stateless`,
    `allowed_exceptions`, `invariants`, `exclude_invariants`, `network`, `transport`, `concurrency`, `implementation`
    (a module, or its name), `seed`, and `reset`, a function that clears state before each Case. Raises UsageError and
    TargetError when that makes no target.
    """
    _require_strategy(messages)
    bench = _bench(target, server, factory, **declared)
    return _hosted(Traffic(bench, messages).strategy, bench)


@st.composite
def _hosted(draw: st.DrawFn, strategy: st.SearchStrategy[Case], bench: Workbench) -> HostedCase:
    case = draw(strategy)
    parts = {each.name: getattr(case, each.name) for each in fields(case)}
    return HostedCase(**parts, bench=bench)


def _require_strategy(messages: Any) -> None:
    if messages is not None and not isinstance(messages, st.SearchStrategy):
        raise UsageError(f"messages: {messages!r} is not a Hypothesis strategy of bytes, such as st.binary()")


def given_case(target: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a test that takes `case`: Hypothesis draws Cases for *target*; options as in `cases`."""
    strategy = cases(target, **options)
    decorate: Callable[[Callable[..., Any]], Any] = given(case=strategy)
    return decorate


def play(case: Case, target: Any = None, **options: Any) -> PlayedTrace:
    """Play *case* in this process and return its Trace.

    *target*, with options as in `cases`, is needed only for a Case that `cases` or `given_case` did not draw. Raises
    UsageError without one.
    """
    if not isinstance(case, Case):
        raise UsageError(f"play: {case!r} is not a Case; draw one with handshaker.cases, or make a handshaker.Case")
    bench = getattr(case, "bench", None) if target is None else _bench(target, **options)
    if bench is None:
        raise UsageError("play: this Case does not know its target; write handshaker.play(case, MyHandler)")
    case = bench.hosted(case)
    with bench:
        recorder = bench.run(case)
    trace = recorder.trace(bench.stage.header)
    played = PlayedTrace(trace.header, trace.events, case, bench)
    object.__setattr__(played, "flat", recorder.flat)
    return played


def assert_holds(trace: Trace, invariants: tuple[str, ...] = ("*",), exclude: tuple[str, ...] = ()) -> None:
    """Raise InvariantViolated, with one readable block for each cause, unless all *invariants* (globs) hold in *trace*.

    What was declared for the target as `invariants` and `exclude_invariants` counts as well.
    """
    __tracebackhide__ = True
    if not isinstance(trace, PlayedTrace) or trace.bench is None:
        raise UsageError("assert_holds: expected a Trace that handshaker.play returned")
    settings: Settings = trace.bench.settings
    chosen = invariants if invariants != ("*",) else settings.invariants
    judge = _judge(trace.bench.contract, globs("invariants", chosen), (*exclude, *settings.exclude_invariants))
    if trace.flat and judge.screen(trace.flat):
        return
    found = primary(judge.verdicts(trace))
    if found:
        blocks = tuple(_block(v.invariant, seen, folded, trace, settings) for v, seen, folded in found)
        raise _violated(found[0][0].invariant)(blocks)


@functools.cache
def _violated(slug: str) -> type[InvariantViolated]:
    """A class of its own for each invariant: Hypothesis takes failures for different bugs by their class."""
    name = InvariantViolated.__name__
    return type(name, (InvariantViolated,), {"__module__": __name__, "__qualname__": name, "slug": slug})


@functools.lru_cache(maxsize=64)
def _judge(contract: Contract, chosen: tuple[str, ...], excluded: tuple[str, ...]) -> Judge:
    """One judge for all examples of a test: it remembers what it has seen."""
    return Judge(contract, chosen, excluded)


def _block(slug: str, seen: Violation, folded: tuple[str, ...], trace: PlayedTrace, settings: Settings) -> str:
    case = trace.case or Case()
    plain = Case(**{each.name: getattr(case, each.name) for each in fields(Case)})
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    again = replace(settings, replay=f"pytest {shlex.quote(node)}" if node else "run this test again")
    finding = finding_of(Sighting(slug, seen, plain, folded), again)
    return failure_text(ready(finding, trace, None, saved="", known=False))


def lifecycle_test(
    target: Any,
    *,
    server: Any = None,
    factory: Any = None,
    messages: Any = None,
    reset: Any = None,
    **declared: Any,
) -> Any:
    """A test function with one pytest item for each group of invariants, over one campaign against *target*.

    Assign it at the top level of a test module: `test_my_handler = handshaker.lifecycle_test(MyHandler)`. *messages*
    is a Hypothesis strategy of bytes, *reset* a function that clears state before each Case. *declared* are fields of
    Settings (`seed`, `max_examples`, `stateless`, `allowed_exceptions`, `example`, `fail_on`, …); without a seed it is
    1, so that a test run is repeatable. Under pytest-xdist one worker conducts, the others read.
    Raises UsageError and TargetError when that makes no target.
    """
    _require_strategy(messages)
    named = {"messages": f"{_BY_NAME}.messages"} if messages is not None else {}
    named |= {"reset": f"{_BY_NAME}.reset"} if _callable(reset) is not None else {}
    settings = declared_settings(_text_of(target), {"seed": 1, **declared, **named}, _OF_CAMPAIGNS)
    _adapter(target, settings, server, factory)
    caller = sys._getframe(1).f_globals
    where = {"test_module": caller.get("__file__", ""), "test_module_name": caller.get("__name__", "")}

    @pytest.mark.parametrize("group", _AREAS)
    def test(group: str, request: pytest.FixtureRequest) -> None:
        __tracebackhide__ = True
        name = request.node.originalname
        outcome = campaign_of(settings, {**where, "test": name, "sys_path": sys.path}, request.config)
        selected = [slug for slug in outcome.judged if slug.startswith(f"{group}/")]
        if not selected:
            pytest.skip(f"no invariant of {group} applies to this handler")
        blocks = tuple(failure_text(found) for found in outcome.failing(settings) if _area(found) == group)
        if blocks:
            raise InvariantViolated(blocks)

    test.__doc__ = f"The lifecycle of {settings.target} holds."
    test.handshaker_target = _Declared(target, server, factory, messages, reset)  # type: ignore[attr-defined]
    return test


def _area(found: Any) -> str:
    return REGISTRY[found.finding.invariant].area
