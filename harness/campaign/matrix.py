"""What was judged under which combination: one row for each group of invariants, one column for each combination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from handshaker.harness.notices import CampaignFinished, Matrix

__all__ = ["matrix"]

_STANDINGS: Final = ("violated", "held", "unknown")
_Row = tuple[str, int, int, int, int]


def matrix(columns: Sequence[tuple[str, CampaignFinished | str]], exit_code: int) -> Matrix:
    """The Notice for these *columns*: what each campaign counted, or the reason why it was skipped."""
    played = [(name, told) for name, told in columns if isinstance(told, CampaignFinished)]
    groups = sorted({_area(row[0]) for _, told in played for row in told.verdicts})
    rows = [(group, tuple(_cell(told.verdicts, group) for _, told in played)) for group in groups]
    skipped = tuple((name, told) for name, told in columns if isinstance(told, str))
    return Matrix(tuple(name for name, _ in played), tuple(rows), skipped, exit_code)


def _area(slug: str) -> str:
    return slug.partition("/")[0]


def _cell(verdicts: Iterable[_Row], group: str) -> str:
    """`2 violated, 5 held` and the like; nothing when nothing of the group applies."""
    counts = dict.fromkeys(_STANDINGS, 0)
    for slug, holds, violated, unknown, _ in verdicts:
        if _area(slug) == group and (holds or violated or unknown):
            counts["violated" if violated else "held" if holds else "unknown"] += 1
    return ", ".join(f"{count} {standing}" for standing, count in counts.items() if count)
