"""The supervisor: starts the worker, runs tasks in it one after another, and knows at any time what is in flight.

Whatever a task's process does (ends, crashes, loops, falls silent), `run` returns and says so; every message that was
sent before is delivered. Ctrl-C asks the task to stop and gives it time to send what it has; a second one kills it.
"""

from __future__ import annotations

import atexit
import os
import selectors
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, TypeAlias

from handshaker.harness.errors import HarnessBug, UsageError
from handshaker.harness.processes.limits import POLL_SECONDS, Limits, Watchdog, cpu_seconds
from handshaker.harness.processes.results import Failure, TaskResult
from handshaker.harness.processes.stacks import StackReader
from handshaker.harness.processes.wire import LineSplitter, drain
from handshaker.harness.processes.zygote import Boot, Zygote

__all__ = ["OnMessage", "Supervisor"]

OnMessage: TypeAlias = Callable[[dict[str, Any]], None]

_KILL_SECONDS = 5.0
_CRASH = "Fatal Python error"


class Supervisor:
    """Hosts one target in a worker process; a context manager, and safe to close twice. Made by `start`."""

    def __init__(self, boot: Boot, cwd: str | None) -> None:
        self._boot, self._cwd, self._owner = boot, cwd, os.getpid()
        self._zygote: Zygote | None = Zygote(boot)
        self._task: _Run | None = None
        atexit.register(self.close)

    @classmethod
    def start(
        cls,
        loader: str,
        arguments: dict[str, Any],
        *,
        preload: Sequence[str] = (),
        path: Sequence[str] = (),
        cwd: str | None = None,
        import_limit_seconds: float = 10.0,
        explain_hang: Callable[[str], str] | None = None,
    ) -> Self:
        """Start a worker and have it call *loader* ("package.module:function") with *arguments* (JSON values).

        *preload* names modules that tasks need, so that each task need not import them again. *path* is put in front of
        the worker's sys.path. The import runs in the current folder, tasks run in *cwd*, by default each in an empty
        folder of its own. *explain_hang* turns the stacks of an import that did not return in time into a message.

        Raises what the loader raises when it is an error of ours; TargetError when the target's own code raises while
        it is imported, ends its process, or does not return within *import_limit_seconds*; UsageError for a bad *cwd*.
        """
        if cwd is not None and not Path(cwd).is_dir():
            raise UsageError(f"{cwd!r} is not a folder; the working directory must be one that exists")
        boot = Boot(loader, arguments, preload, path, import_limit_seconds, explain_hang)
        return cls(boot, None if cwd is None else str(Path(cwd).absolute()))

    @property
    def threads(self) -> int:
        """How many threads the import left running; they do not exist where tasks run."""
        return int(self._living().ready["threads"])

    @property
    def import_seconds(self) -> float:
        """How long the import took."""
        return float(self._living().ready["seconds"])

    def run(
        self, task: str, arguments: dict[str, Any], *, on_message: OnMessage, limits: Limits | None = None
    ) -> TaskResult:
        """Run *task* ("package.module:function") in a fresh child of the worker until it ends, however it ends.

        *on_message* is called here, in order, for every message. What it raises ends the task and is raised.
        A task that takes the worker down with it has died; the next `run` starts another worker.
        """
        if self._task is not None:
            raise HarnessBug("a supervisor runs one task at a time")
        zygote = self._living()
        folder = self._cwd or tempfile.mkdtemp(dir=zygote.scratch)
        self._task = _Run(zygote, on_message, limits or Limits())
        try:
            return self._task.play(task=task, arguments=arguments, folder=folder)
        finally:
            if self._cwd is None:
                shutil.rmtree(folder, ignore_errors=True)
            if self._task.zygote_gone:
                zygote.close()
                self._zygote = None
            self._task = None

    def stop(self) -> None:
        """Ask the running task to stop, as Ctrl-C does; for use by *on_message*."""
        if self._task is not None:
            self._task.interrupts.count = max(1, self._task.interrupts.count)

    def close(self) -> None:
        """End the worker and everything it started, and remove its folders."""
        atexit.unregister(self.close)
        if self._zygote is not None and self._owner == os.getpid():
            zygote, self._zygote = self._zygote, None
            zygote.close()

    def _living(self) -> Zygote:
        if self._zygote is None:
            self._zygote = Zygote(self._boot)
        return self._zygote

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Interrupts:
    """Counts Ctrl-C instead of raising it anywhere; in a thread other than the main one it leaves things alone."""

    def __init__(self) -> None:
        self.count = 0
        self._previous: Any = None

    def __enter__(self) -> None:
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._previous = signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


class _Run:
    """One task, from its start to its result."""

    def __init__(self, zygote: Zygote, on_message: OnMessage, limits: Limits) -> None:
        self._zygote, self._on_message, self._limits = zygote, on_message, limits
        self.interrupts = _Interrupts()
        self.zygote_gone = False
        self._started = time.monotonic()
        self._watchdog = Watchdog(limits, now=self._started)
        self._splitter = LineSplitter()
        self._selector = selectors.DefaultSelector()
        self._wire, self._pid, self._messages = -1, 0, 0
        self._over = self._ended = False
        self._exit_status: int | None = None
        self._error: Failure | None = None
        self._hung, self._stopped, self._stack = "", "", ""
        self._kill_at = self._lost_at = float("inf")

    def play(self, **body: Any) -> TaskResult:
        with self.interrupts:
            self._wire, writing = os.pipe()
            os.set_blocking(self._wire, False)
            self._zygote.run(writing, **body)
            os.close(writing)
            try:
                self._listen()
            finally:
                self._selector.close()
                os.close(self._wire)
        return self._result()

    def _listen(self) -> None:
        self._selector.register(self._wire, selectors.EVENT_READ, self._read_messages)
        self._selector.register(self._zygote, selectors.EVENT_READ, self._read_reports)
        try:
            while not self._over:
                for key, _ in self._selector.select(POLL_SECONDS):
                    key.data()
                self._watch(time.monotonic())
            self._read_messages(most_chunks=None)
        finally:
            if not self._over:
                self._abandon()

    def _read_messages(self, most_chunks: int | None = 16) -> None:
        values, closed = drain(self._wire, self._splitter, most_chunks)
        if closed and self._wire in self._selector.get_map():
            self._selector.unregister(self._wire)
        for kind, body in values:
            if kind == "message":
                self._messages += 1
                self._on_message(body)
            elif kind == "ended":
                self._ended = True
            else:
                self._error = Failure(**body)

    def _read_reports(self) -> None:
        for kind, body in self._zygote.reports():
            if kind == "started":
                self._pid = body["pid"]
            else:
                self._over = True
                self._exit_status = body.get("status")
                self.zygote_gone = kind == "gone"

    def _watch(self, now: float) -> None:
        for capture in (self._zygote.stdout, self._zygote.stderr):
            capture.trim()
        self._heed_interrupts(now)
        if self._lost_at < now:
            self._over = self.zygote_gone = True
        elif self._kill_at < now or self.interrupts.count > 1:
            self._kill(now)
        elif self._pid and not self._hung and not self._over:
            self._look_for_life(now)

    def _heed_interrupts(self, now: float) -> None:
        if not self._stopped:
            if self.interrupts.count:
                self._ask_to_stop("asked", now)
            elif self._limits.total_seconds is not None and now - self._started > self._limits.total_seconds:
                self._ask_to_stop("total", now)

    def _ask_to_stop(self, reason: str, now: float) -> None:
        self._stopped = reason
        self._zygote.page.request_stop()
        self._kill_at = now + self._limits.grace_seconds

    def _look_for_life(self, now: float) -> None:
        life = self._zygote.page.life + self._messages
        self._hung = self._watchdog.observe(life, now=now, cpu=cpu_seconds(self._pid))
        if self._hung:
            reader = StackReader(self._zygote.stacks.fileno())
            self._zygote.send("dump")
            self._stack = reader.settled_text()
            self._kill(now)

    def _kill(self, now: float) -> None:
        self._zygote.send("kill")
        self._kill_at = float("inf")
        self._lost_at = min(self._lost_at, now + _KILL_SECONDS)

    def _abandon(self) -> None:
        """Somebody's exception passes through here: the task must not outlive it."""
        self._kill(time.monotonic())
        deadline = time.monotonic() + _KILL_SECONDS
        while not self._over and time.monotonic() < deadline:
            self._selector.select(POLL_SECONDS)
            self._read_reports()
        self.zygote_gone = self.zygote_gone or not self._over

    def _status(self) -> tuple[str, str]:
        """Status and reason; a Ctrl-C that came too late to stop anything still counts."""
        if self.interrupts.count and not self._stopped:
            self._stopped = "asked"
        if self._error is not None:
            return "failed", ""
        if self._hung:
            return "hung", self._hung
        if self._stopped and (self._ended or self._exit_status == -signal.SIGKILL):
            return "interrupted", self._stopped
        return ("done", "") if self._ended else ("died", "")

    def _result(self) -> TaskResult:
        status, reason = self._status()
        page = self._zygote.page
        stack = self._stack or _crash(StackReader(self._zygote.stacks.fileno(), 0).text())
        return TaskResult(
            status=status,
            reason=reason,
            ended=self._ended,
            exit_status=self._exit_status,
            stack=stack,
            in_flight=page.in_flight,
            marks=page.marks,
            messages=self._messages,
            stderr=self._zygote.stderr.tail(),
            stdout=self._zygote.stdout.tail(),
            error=self._error,
            asked=self.interrupts.count > 0,
        )


def _crash(written: str) -> str:
    _, found, after = written.rpartition(_CRASH)
    return found + after if found else ""
