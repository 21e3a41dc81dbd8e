"""Asking one invariant about one hand-written Trace (or Family), and mutants of a good Trace that it must notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from handshaker.harness.conformance.demands import Asked, mutants, verdict
from handshaker.harness.invariants.base import REGISTRY

__all__ = ["Asked", "depending", "mutants", "rows", "table", "verdict"]


def rows(module: str) -> list[str]:
    """The slugs whose rules stand in `harness/invariants/<module>*.py`: those of an area, or of a part of it."""
    place = f"handshaker.harness.invariants.{module}"
    return sorted(slug for slug, row in REGISTRY.items() if row.rule.__module__.startswith(place))


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
