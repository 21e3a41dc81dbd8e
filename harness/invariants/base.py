"""How an invariant is written down: its metadata as a table row, its rule as a pure function over one Trace.

A rule yields a Violation for each break, or returns `NotApplicable(reason)` / `Unknown(reason)`. It never guesses: a
rule that is not sure says Unknown. Facts after one of `STOPS` on a connection come from a handler that was stopped from
outside; `settled` cuts them off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from handshaker.harness.contract import Contract
from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__ = [
    "REGISTRY",
    "STOPS",
    "Answer",
    "AnyRule",
    "Family",
    "Invariant",
    "NotApplicable",
    "RelationRule",
    "Rule",
    "Settled",
    "Unknown",
    "by_connection",
    "by_slug",
    "invariant",
    "settled",
]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The rule cannot tell, and says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The rule does not concern this Trace."""

    reason: str


@dataclass(frozen=True, slots=True)
class Family:
    """Traces that a relation compares: the Case itself, the same once more, and a variant of it, all on fresh servers.

    `relation` is segmentation (the same bytes cut otherwise), isolation (after another peer; the compared connection
    is the last one), repeatability (the same bytes sent by a second peer after the first), completeness (the declared
    example, with a half-close after it in base and repeat, without one in variant) or concurrent (one well-behaved
    peer alone in base and repeat; in variant it is the last of several that are served at the same time).
    """

    relation: str
    base: Trace
    repeat: Trace
    variant: Trace


Answer = Iterable[Violation] | Unknown | NotApplicable
Rule = Callable[[Trace, Contract], Answer]
RelationRule = Callable[[Family, Contract], Answer]
AnyRule = TypeVar("AnyRule", Rule, RelationRule)


@dataclass(frozen=True, slots=True)
class Invariant:
    """One row of the catalogue, with its rule.

    `kinds` are the event kinds it depends on: dropping or duplicating one of them in a good trace must be noticed;
    `orders` are pairs of kinds whose swap must be noticed. `broken_by` are the framework methods that must be
    overridden before a target can break it (empty: any handler can). `implied_by` are the slugs that explain it.
    `relation` rows are judged over families of Traces, not over one.
    """

    slug: str
    row: str
    title: str
    requirement: str
    source: str
    level: Level
    reach: Reach
    rule: Rule | RelationRule
    kinds: tuple[str, ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    broken_by: tuple[str, ...] = ()
    implied_by: tuple[str, ...] = ()
    relation: bool = False

    @property
    def area(self) -> str:
        """The part of the slug before the slash."""
        return self.slug.partition("/")[0]


REGISTRY: Final[dict[str, Invariant]] = {}


def invariant(
    slug: str,
    row: str,
    title: str,
    *,
    requirement: str,
    source: str,
    level: Level = Level.MUST,
    reach: Reach = Reach.MISUSE,
    kinds: tuple[str, ...] = (),
    orders: tuple[tuple[str, str], ...] = (),
    broken_by: tuple[str, ...] = (),
    implied_by: tuple[str, ...] = (),
    relation: bool = False,
) -> Callable[[AnyRule], AnyRule]:
    """Register the decorated rule under *slug*; see Invariant for what the arguments mean."""

    def register(rule: AnyRule) -> AnyRule:
        assert slug not in REGISTRY, slug
        REGISTRY[slug] = Invariant(
            slug, row, title, requirement, source, level, reach, rule, kinds, orders, broken_by, implied_by, relation
        )
        return rule

    return register


def by_slug(slug: str) -> Invariant:
    """The invariant called *slug*. Raises UsageError with close names when there is none."""
    try:
        return REGISTRY[slug]
    except KeyError:
        raise UsageError(f"no invariant is called {slug!r}; {did_you_mean(slug, REGISTRY)}") from None


STOPS: Final = ("network.stalled", "network.spinning", "network.limit", "network.kernel")


class Settled(tuple[Event, ...]):  # noqa: SLOT001 - a tuple cannot have slots
    """The settled events of one connection, in order; `by_kind` holds them by their kind, for rules ask that most."""

    by_kind: dict[str, list[Event]]

    @classmethod
    def of(cls, events: list[Event]) -> Settled:
        """These events."""
        made = cls(events)
        made.by_kind = {}
        for event in events:
            made.by_kind.setdefault(event.kind, []).append(event)
        return made


def settled(trace: Trace, connection: int) -> tuple[Event, ...]:
    """The events of *connection* up to the point where its handler was stopped from outside, that point included."""
    return by_connection(trace).get(connection, ())


def by_connection(trace: Trace) -> dict[int, Settled]:
    """The settled events of each connection, in order of appearance."""
    # All rules ask this of one Trace, one after another: the answer for the last Trace is kept.
    if _LAST.trace is not trace:
        _LAST.trace, _LAST.settled = trace, _settle(trace)
    return _LAST.settled


class _Last:
    def __init__(self) -> None:
        self.trace: Trace | None = None
        self.settled: dict[int, Settled] = {}


_LAST: Final = _Last()


def _settle(trace: Trace) -> dict[int, Settled]:
    kept: dict[int, list[Event]] = {}
    stopped: set[int] = set()
    for event in trace.events:
        connection = event.connection
        if connection >= 0 and connection not in stopped:
            kept.setdefault(connection, []).append(event)
            if event.kind in STOPS:
                stopped.add(connection)
    return {connection: Settled.of(events) for connection, events in kept.items()}
