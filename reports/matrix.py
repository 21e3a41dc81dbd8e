"""The matrix: groups of invariants against combinations of transport and concurrency, after several campaigns.

An empty cell means that nothing of the group applies there. A combination that was skipped is named with its reason, so
that nobody takes it for tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from handshaker.harness.notices import Matrix
from handshaker.reports.summary import exit_text
from handshaker.reports.text import Line, clean, line, plural, rule, wrap

__all__ = ["matrix_lines"]

_GAP: Final = "  "
_NOTHING: Final = "-"
_Column = tuple[str, ...]


def matrix_lines(notice: Matrix, *, width: int = 100) -> list[Line]:
    """The table, in several parts if it is too wide, the skipped combinations, and the outcome of the whole run."""
    groups = ("", *(clean(group) for group, _ in notice.rows))
    columns = [_column(notice, place) for place in range(len(notice.columns))]
    rows = [rule("combinations", width)]
    for part in _parts(columns, width - _width(groups)):
        rows += _table([groups, *part])
    return [*rows, *_skipped(notice, width), (), _outcome(notice)]


def _column(notice: Matrix, place: int) -> _Column:
    return (clean(notice.columns[place]), *(cells[place] or _NOTHING for _, cells in notice.rows))


def _width(column: _Column) -> int:
    return max(map(len, column)) + len(_GAP)


def _parts(columns: Sequence[_Column], room: int) -> Iterator[list[_Column]]:
    part: list[_Column] = []
    for column in columns:
        if part and sum(map(_width, (*part, column))) > room:
            yield part
            part = []
        part.append(column)
    yield part


def _table(columns: list[_Column]) -> Iterator[Line]:
    for number, cells in enumerate(zip(*columns, strict=True)):
        padded = [cell.ljust(_width(column)) for cell, column in zip(cells, columns, strict=True)]
        padded[-1] = padded[-1].rstrip()
        yield line(*((text, _style(text, head=not number)) for text in padded))


def _style(cell: str, *, head: bool) -> str:
    if head:
        return "bold"
    return "must" if "violated" in cell else ""


def _skipped(notice: Matrix, width: int) -> Iterator[Line]:
    for name, reason in notice.skipped:
        first, *rest = wrap(f"skipped {name}: {reason}", width - len(_GAP))
        yield line((first, "should"))
        yield from (line((_GAP + text, "should")) for text in rest)


def _outcome(notice: Matrix) -> Line:
    skipped = f", {len(notice.skipped)} skipped" if notice.skipped else ""
    played = plural(len(notice.columns), "combination")
    violated = any("violated" in cell for _, cells in notice.rows for cell in cells)
    return line((f"{played} played{skipped} · {exit_text(notice.exit_code, violated=violated)}", "bold"))
