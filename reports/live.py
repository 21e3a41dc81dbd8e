"""The moving line at the bottom of a terminal while a campaign runs.

It is redrawn only when a Notice arrives: no thread of ours, so nothing to trip over when the process forks. All text
passes through `rich` as finished characters: no markup, no highlighting, no emoji codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from handshaker.harness import notices
from handshaker.reports.summary import rate
from handshaker.reports.text import Line, clean, paint, plural

__all__ = ["LiveLine"]


class LiveLine:
    """Shows how far the current phase has come; lines that stay are printed above it. Starts at once."""

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        self._color = color
        console = Console(
            file=stream, force_terminal=True, no_color=not color, markup=False, emoji=False, highlight=False
        )
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, told="")
        self._progress.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def begin(self, phase: str, expected: int) -> None:
        """A new phase; *expected* cases are known to come, or 0."""
        self._progress.reset(self._task, description=clean(phase), total=expected or None, told="")
        self._progress.refresh()

    def advance(self, progress: notices.Progress) -> None:
        """Redraw with these counts."""
        told = f"{plural(progress.cases, 'case')}{rate(progress.cases, progress.seconds)}"
        if progress.findings:
            told += f", {plural(progress.findings, 'finding')}"
        total = progress.expected or None
        self._progress.update(
            self._task, completed=progress.cases, total=total, told=told, description=clean(progress.phase)
        )
        self._progress.refresh()

    def print(self, lines: Iterable[Line]) -> None:
        """Print lines that stay, above the moving one."""
        for spans in lines:
            self._progress.console.print(Text.from_ansi(paint(spans, color=self._color)), soft_wrap=True)

    def stop(self) -> None:
        """Remove the moving line."""
        self._progress.stop()
