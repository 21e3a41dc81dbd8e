"""A report listens to the Notices of a run and writes one format; this is how reports are named and opened.

To add one, write `reports/<name>.py` with `reporter(path, folder) -> Reporter`; third parties name such a module in
the entry point group `handshaker.reports`. On the command line it is `--report <name>` or `--report <name>=<path>`.
A report never decides anything about the run, and a report that fails (a full disk) never ends it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol, TextIO, cast

from handshaker.harness.errors import UsageError
from handshaker.harness.notices import Notice
from handshaker.harness.registry import Registry

__all__ = ["REPORTS", "STDERR", "STDOUT", "Reporter", "open_report", "open_reports", "open_text"]

REPORTS: Final = Registry("handshaker.reports", "handshaker.reports", noun="report", verbs=("reporter",))

STDOUT: Final = "-"
STDERR: Final = "&2"


class Reporter(Protocol):
    """Whatever listens to a run."""

    def on(self, notice: Notice) -> None:
        """Take the next Notice. Kinds that do not matter to this format are ignored."""

    def close(self) -> None:
        """Write what is still to be written, also when the run ended early; called once."""


def open_report(spec: str, *, folder: str = "") -> Reporter:
    """Open the report that `name` or `name=path` asks for.

    *folder* is where a report goes that writes a file and was given no path. Raises UsageError when the name is
    unknown or the path cannot be written.
    """
    name, equals, path = spec.partition("=")
    if equals and not path:
        raise UsageError(f"report {spec!r} has an empty path; write {name!r} or '{name}=PATH'")
    return cast(Reporter, REPORTS.load(name).reporter(path, folder))


def open_reports(specs: Iterable[str], *, folder: str = "") -> Reporter:
    """Open several reports as one.

    When one of them writes to standard output (`jsonl=-`), the terminal report moves to standard error. Raises
    UsageError as `open_report` does; what was opened until then is closed.
    """
    wanted = list(specs)
    taken = any(spec.endswith(f"={STDOUT}") for spec in wanted)
    several = _Several()
    try:
        for spec in wanted:
            moved = f"terminal={STDERR}" if taken and spec == "terminal" else spec
            several.add(spec, open_report(moved, folder=folder))
    except BaseException:
        several.close()
        raise
    return several


def open_text(path: str, *, folder: str = "") -> TextIO:
    """Open the file of a report for writing, in *folder* (made when missing) unless it is empty.

    Raises UsageError naming the path and the reason when it cannot be written.
    """
    place = Path(folder) / path
    _refuse_to_destroy(place)
    try:
        if folder:
            place.parent.mkdir(parents=True, exist_ok=True)
        return place.open("w", encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        advice = "name a file in a folder that exists and can be written"
        raise UsageError(f"cannot write the report {str(place)!r}: {reason}; {advice}") from None


def _refuse_to_destroy(place: Path) -> None:
    """Raise UsageError when a file that no report wrote is in the way: a slip must not cost a source file."""
    try:
        with place.open("rb") as file:
            begins = file.read(len(_MARK))
    except OSError:
        return
    if begins and begins != _MARK:
        raise UsageError(f"cannot write the report {str(place)!r}: this file is no report; name another, or remove it")


_MARK: Final = b'{"format": "handshaker/'


class _Several:
    """Feeds every report; one whose file fails is dropped, with a line on standard error, and the others go on."""

    def __init__(self) -> None:
        self._open: dict[str, Reporter] = {}

    def add(self, spec: str, reporter: Reporter) -> None:
        if spec in self._open:
            reporter.close()
            raise UsageError(f"report {spec!r} is asked for twice; name each destination once")
        self._open[spec] = reporter

    def on(self, notice: Notice) -> None:
        for spec, reporter in list(self._open.items()):
            try:
                reporter.on(notice)
            except OSError as error:
                del self._open[spec]
                _complain(spec, error)

    def close(self) -> None:
        for spec, reporter in self._open.items():
            try:
                reporter.close()
            except OSError as error:
                _complain(spec, error)
        self._open.clear()


def _complain(spec: str, error: OSError) -> None:
    sys.stderr.write(f"report {spec!r} stopped: {error.strerror or error}; the run goes on without it\n")
