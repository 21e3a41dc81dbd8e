"""How long to wait for a task that shows no sign of life, and how to tell that it shows none.

Waiting time alone lies on a busy machine: a spinning handler may get little of the processor, and a slow one none. So a
task is stuck when it *used* much processor time, or waited very long, without any progress in between.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

__all__ = ["POLL_SECONDS", "Limits", "Watchdog", "cpu_seconds"]

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a task may go without progress, and how long it may take in all; all in seconds.

    `cpu_seconds` counts the task's own processor time and `silent_seconds` waiting time, both since its last progress
    (a mark or a message). After `total_seconds` it is asked to stop; `grace_seconds` after it was asked it is killed.
    """

    cpu_seconds: float = 1.0
    silent_seconds: float = 10.0
    total_seconds: float | None = None
    grace_seconds: float = 2.0


class Watchdog:
    """Remembers when a task last made progress; pure, so that time itself can be tested."""

    __slots__ = ("_cpu", "_limits", "_now", "_progress")

    def __init__(self, limits: Limits, *, now: float) -> None:
        self._limits, self._now, self._cpu, self._progress = limits, now, 0.0, 0

    def observe(self, progress: int, *, now: float, cpu: float) -> str:
        """Which limit is exceeded: "cpu", "silent", or "" when none is.

        *progress* is any number that changes with progress; *now* and *cpu* are seconds on clocks that never go back.
        """
        if progress != self._progress:
            self._progress, self._now, self._cpu = progress, now, cpu
        elif cpu - self._cpu > self._limits.cpu_seconds:
            return "cpu"
        elif now - self._now > self._limits.silent_seconds:
            return "silent"
        return ""


if sys.platform == "linux":

    def cpu_seconds(pid: int) -> float:
        """Processor time that the process has used so far, all its threads together; 0.0 when it is gone."""
        process_clock = (~pid << 3) | 2  # as clock_getcpuclockid(3) computes it; finer and cheaper than /proc
        try:
            return time.clock_gettime(process_clock)
        except OSError:
            return 0.0

else:
    import psutil

    def cpu_seconds(pid: int) -> float:
        """Processor time that the process has used so far, all its threads together; 0.0 when it is gone."""
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)
