"""What the benchmarks share: interleaved rounds, medians, and one table with the goal beside each figure.

A figure of its own says little on a machine that does other things too, so paths are compared inside one run: every
round measures each path once, in turn, and the median of the rounds is kept. The clock is CPU time (user and system)
of this process unless a script says otherwise: time that others take does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

CPU = "CPU time of this process"
WALL = "wall time"


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, the value with its unit, and the goal it is held against (none: it informs)."""

    what: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The row of the table."""
        verdict = {None: "", True: "met", False: "NOT met"}[self.met]
        return self.what, f"{_rounded(self.value)} {self.unit}".strip(), self.goal, verdict


def at_least(what: str, value: float, goal: float, unit: str = "x") -> Row:
    """A figure that should be *goal* or more."""
    return Row(what, value, unit, f">= {goal:g} {unit}".strip(), value >= goal)


def at_most(what: str, value: float, goal: float, unit: str) -> Row:
    """A figure that should be *goal* or less."""
    return Row(what, value, unit, f"<= {goal:g} {unit}".strip(), value <= goal)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument(
        "--rounds", type=int, default=rounds, help=f"rounds of which the median counts (default {rounds})"
    )
    made.add_argument("--quick", action="store_true", help="a short run: shows that it works, its figures mean little")
    made.add_argument("--json", type=Path, help="also write the rows to this file")
    return made


def cpu_us(once: Callable[[], object], times: int) -> float:
    """Microseconds of CPU time for one call, averaged over *times* of them."""
    start = time.process_time()
    for _ in range(times):
        once()
    return (time.process_time() - start) / times * 1e6


def wall_us(once: Callable[[], object], times: int) -> float:
    """Microseconds on the wall for one call, averaged over *times* of them: for work that several processes share."""
    start = time.perf_counter()
    for _ in range(times):
        once()
    return (time.perf_counter() - start) / times * 1e6


def medians(rounds: int, **paths: Callable[[], float]) -> dict[str, float]:
    """The median of what each path says, each asked once a round, in turn."""
    said: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            said[name].append(path())
    return {name: statistics.median(values) for name, values in said.items()}


def show(title: str | None, clock: str, rows: Sequence[Row], path: Path | None = None) -> None:
    """Print the rows under a title and what they were measured on; write them to *path*, too."""
    print((title or "").partition("\n")[0])
    print(f"{machine()}; {clock}")
    print_table(rows)
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows, their columns aligned."""
    cells = [("measured", "figure", "goal", ""), *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for what, value, goal, verdict in cells:
        line = f"  {what:<{widths[0]}}  {value:>{widths[1]}}  {goal:<{widths[2]}}  {verdict}"
        print(line.rstrip())
    print(flush=True)


def read_rows(path: Path) -> list[Row]:
    """The rows that `show` wrote."""
    names = [field.name for field in fields(Row)]
    return [Row(**{name: each[name] for name in names}) for each in json.loads(path.read_text(encoding="utf-8"))]


def machine() -> str:
    """What the figures depend on: the interpreter, the processors, and how busy they are."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, load {load}"


def spread(values: Iterable[float]) -> tuple[float, float]:
    """The median and the largest of *values*."""
    kept = list(values)
    return statistics.median(kept), max(kept)
