"""Asking one invariant about one hand-written Trace (or Family), and mutants of a good Trace that it must notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import REGISTRY, Family
from handshaker.harness.judge import Judge
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Verdict
from tests.traces_builder import doubled, swapped, without

__all__ = ["Asked", "depending", "mutants", "rows", "table", "verdict"]


@dataclass(frozen=True)
class Asked:
    """One question: a Trace or a Family, and what its target declares."""

    subject: Trace | Family
    contract: Contract = field(default_factory=Contract)


def verdict(slug: str, asked: Asked) -> Verdict:
    """What the invariant *slug* says, as if the target overrode everything that could break it."""
    row = REGISTRY[slug]
    overrides = (*row.broken_by, *asked.contract.overrides)
    judge = Judge(replace(asked.contract, overrides=overrides), (slug,))
    ask = judge.judge_family if isinstance(asked.subject, Family) else judge.verdicts
    (said,) = ask(asked.subject)
    assert not judge.bugs, judge.bugs
    return said


def rows(area: str) -> list[str]:
    """The slugs of one area."""
    return sorted(slug for slug, row in REGISTRY.items() if row.area == area)


def depending(slugs: list[str]) -> list[str]:
    """Those that depend on event kinds or orders whose damage in a good trace they must notice."""
    return [slug for slug in slugs if REGISTRY[slug].kinds or REGISTRY[slug].orders]


def table(examples: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """`{slug: {name: example}}` as the parameters (slug, example), named."""
    return [
        pytest.param(slug, example, id=f"{slug}: {name}")
        for slug, named in examples.items()
        for name, example in named.items()
    ]


def mutants(slug: str, trace: Trace) -> Iterator[tuple[str, Trace]]:
    """*trace* with each kind that the invariant depends on dropped and doubled, and each of its orders swapped."""
    row, present = REGISTRY[slug], {event.kind for event in trace}
    for kind in present.intersection(row.kinds):
        yield f"without {kind}", without(trace, kind)
        yield f"two {kind}", doubled(trace, kind)
    for one, two in row.orders:
        if {one, two} <= present:
            yield f"{one} after {two}", swapped(trace, one, two)
