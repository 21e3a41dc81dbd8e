"""What there is to choose from: the lines of `handshaker list …` and the page of `handshaker explain …`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Final

import handshaker.harness.judge  # noqa: F401 - registers all invariants
from handshaker.harness.case import ACTS, POINTS
from handshaker.harness.invariants.base import REGISTRY, Invariant, by_slug
from handshaker.harness.transports import TRANSPORTS
from handshaker.reports.base import REPORTS

__all__ = ["LISTS", "explain_row"]


def _invariants() -> Iterator[str]:
    for row in sorted(REGISTRY.values(), key=lambda row: row.slug):
        yield f"{row.slug:40} {row.level:6} {row.reach:8} {row.title}"


def _targets() -> Iterator[str]:
    yield "module:attr            a handler class, a partial or callable that makes handlers, a server class, a factory"
    yield "path/to/file.py        the only handler, server or factory defined in the file"
    yield "path/to/file.py:attr   the same, by name"
    yield "logging.config:listen  the configuration listener of the standard library"
    yield "pydoc                  the documentation server of the standard library"


def _faults() -> Iterator[str]:
    for point, effects in POINTS.items():
        yield f"{point:16} {', '.join(effects)}"


def _transports() -> Iterator[str]:
    for row in TRANSPORTS.values():
        yield f"{row.name:16} {row.sentence}"


def _acts() -> Iterator[str]:
    forms = {"play": "play:PEER", "begin": "begin:PEER", "handle": "handle[:SECONDS]"}
    for name, sentence in ACTS.items():
        yield f"{forms.get(name, name):16} {sentence}"


LISTS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "invariants": _invariants,
    "targets": _targets,
    "reports": lambda: iter(REPORTS.names()),
    "faults": _faults,
    "transports": _transports,
    "acts": _acts,
}


def _judged_on(row: Invariant) -> str:
    if row.relation:
        return "several traces: the case, the same once more, and a variant of it"
    return "one trace" + (f", by {', '.join(row.kinds)}" if row.kinds else "")


def explain_row(slug: str) -> str:
    """One invariant in full. Raises UsageError with close names when there is none."""
    row = by_slug(slug)
    who = ", ".join(row.broken_by) if row.broken_by else "any handler"
    lines = [
        f"{row.slug} ({row.row}): {row.title}",
        "",
        textwrap.fill(row.requirement, 88),
        "",
        f"level      {row.level}",
        f"reach      {row.reach} (usually; each finding computes its own)",
        f"source     {row.source}",
        f"broken by  {who}" + (" (skipped for targets that override none of these)" if row.broken_by else ""),
        f"judged on  {_judged_on(row)}",
    ]
    if row.implied_by:
        lines.append(f"folds under {', '.join(row.implied_by)}")
    return "\n".join(lines)
