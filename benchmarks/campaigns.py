"""Campaigns as a user starts them: the command line in a process of its own, its report read line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from handshaker.harness.notices import CampaignFinished, FindingReady, Notice
from handshaker.reports.jsonl import parse_notice

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
ANY_EXIT = (0, 1)
INTERRUPTED = 130
SHORT = ("--max-examples", "20")  # of a quick run


@dataclass
class Told:
    """What one campaign said, each Notice with the seconds since the command was given."""

    notices: list[tuple[float, Notice]] = field(default_factory=list)
    exit_code: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    """User and system time of the command and of all processes that it started and waited for."""

    def first(self, kind: str) -> float | None:
        """When the first Notice of this *kind* came."""
        return next((at for at, notice in self.notices if notice.kind == kind), None)

    @property
    def ready(self) -> list[tuple[float, FindingReady]]:
        """The findings that were shrunk, with the time when each was ready."""
        return [(at, notice) for at, notice in self.notices if isinstance(notice, FindingReady)]

    @property
    def finished(self) -> CampaignFinished | None:
        """The last Notice, if the campaign came to its end."""
        return next((notice for _, notice in self.notices if isinstance(notice, CampaignFinished)), None)


def command(target: str, *options: str) -> list[str]:
    """The command line of one campaign that saves nothing and reports as JSON lines."""
    return [sys.executable, "-m", "handshaker", "run", target, "--no-save", "--report", "jsonl=-", *options]


class Campaign:
    """One running campaign. Iterate over it: each Notice as it comes, with the seconds since the command was given."""

    def __init__(self, target: str, *options: str, folder: Path | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `wait`
        self._began = time.perf_counter()
        self.process = psutil.Popen(
            command(target, *options), cwd=folder or ROOT, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self.told = Told()

    def __iter__(self) -> Iterator[tuple[float, Notice]]:
        for line in self.process.stdout:
            told = time.perf_counter() - self._began, parse_notice(line, where="the report")
            self.told.notices.append(told)
            yield told

    def wait(self) -> Told:
        """Its end. Raises RuntimeError when it could not test."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.told.exit_code = os.waitstatus_to_exitcode(status)
        self.told.seconds = time.perf_counter() - self._began
        self.told.cpu_s = usage.ru_utime + usage.ru_stime
        self._errors.seek(0)
        errors = self._errors.read().decode(errors="replace")
        self._errors.close()
        self.process.stdout.close()
        if self.told.exit_code not in (*ANY_EXIT, INTERRUPTED):
            raise RuntimeError(f"exit code {self.told.exit_code}: {errors.strip()}")
        return self.told


def run(target: str, options: Sequence[str] = (), folder: Path | None = None) -> Told:
    """One campaign, from the command to its end."""
    campaign = Campaign(target, *options, folder=folder)
    for _ in campaign:
        pass
    return campaign.wait()


def run_until(invariant: str, target: str, options: Sequence[str] = ()) -> Told:
    """One campaign, ended by Ctrl-C as soon as it has a minimal finding of *invariant*."""
    campaign = Campaign(target, *options)
    asked = False
    for _, notice in campaign:
        if not asked and isinstance(notice, FindingReady) and notice.finding.invariant == invariant:
            asked = True
            campaign.process.send_signal(signal.SIGINT)
    return campaign.wait()


def resident_mb(process: Any) -> float:
    """The resident memory of a process; 0 when it is gone."""
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0
