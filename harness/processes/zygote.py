"""The supervisor's end of one worker process: starting it, talking to it, and making sure that it is gone."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from handshaker.harness.errors import HarnessBug, TargetError
from handshaker.harness.places import sweep
from handshaker.harness.processes.capture import Capture
from handshaker.harness.processes.loading import death_sentence, hang_sentence
from handshaker.harness.processes.progress import PAGE_BYTES, ProgressPage
from handshaker.harness.processes.results import Failure, ending
from handshaker.harness.processes.stacks import DUMP_SIGNAL, StackReader
from handshaker.harness.processes.wire import LineSplitter, drain, to_line

__all__ = ["Boot", "Zygote"]

_MODULE = "handshaker.harness.processes.worker"
_START_SECONDS = 60.0
_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Boot:
    """What a worker is told when it starts; see `Supervisor.start`."""

    loader: str
    arguments: dict[str, Any]
    preload: Sequence[str] = ()
    path: Sequence[str] = ()
    import_limit_seconds: float = 10.0
    explain_hang: Callable[[str], str] | None = field(default=None, repr=False)


class Zygote:
    """A running worker that has imported the target.

    The constructor raises what `Supervisor.start` raises, and leaves nothing behind when it does.
    """

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self.stdout, self.stderr, self.stacks = Capture(), Capture(), Capture()
        self.scratch = tempfile.mkdtemp(prefix="handshaker-")
        self._control, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as page:
            page.truncate(PAGE_BYTES)
            self.page = ProgressPage(page.fileno())
            self._process = self._popen(theirs.fileno(), page.fileno())
        self._control.setblocking(False)
        self._splitter = LineSplitter()
        self._reports: list[Any] = []
        try:
            self.ready = self._start()
        except BaseException:
            self.close()
            raise

    def _popen(self, control: int, page: int) -> subprocess.Popen[bytes]:
        inherited = (control, self.stacks.fileno(), page)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, *map(str, inherited)],
            stdin=subprocess.DEVNULL,
            stdout=self.stdout.fileno(),
            stderr=self.stderr.fileno(),
            pass_fds=inherited,
            # Shrinking is Hypothesis' work, and it would keep notes in a `.hypothesis` folder of the user's.
            env=os.environ | {"PYTHONHASHSEED": "0", "HYPOTHESIS_STORAGE_DIRECTORY": self.scratch},
            start_new_session=True,
        )

    def _start(self) -> dict[str, Any]:
        """Have the target imported; gives the facts of the worker's `ready`."""
        boot = self._boot
        self.send(
            "boot",
            loader=boot.loader,
            arguments=boot.arguments,
            preload=list(boot.preload),
            path=list(boot.path),
            scratch=self.scratch,
        )
        kind, _ = self._next_report(_START_SECONDS)
        if kind != "hello":
            raise HarnessBug(f"the worker process {ending(self._reap())} at its start:\n{self.stderr.tail()}")
        kind, body = self._next_report(boot.import_limit_seconds)
        if kind == "ready":
            return body
        if kind == "refused":
            raise Failure(**body).error()
        if kind == "silent":
            raise TargetError(self._hang())
        raise TargetError(death_sentence(ending(self._reap()), self.stderr.tail()))

    def _hang(self) -> str:
        reader = StackReader(self.stacks.fileno())
        os.kill(self._process.pid, DUMP_SIGNAL)
        stack = reader.settled_text()
        self._reap()
        explain = self._boot.explain_hang
        return explain(stack) if explain else hang_sentence(stack, self._boot.import_limit_seconds)

    def _next_report(self, seconds: float) -> tuple[str, dict[str, Any]]:
        """The next report; ("silent", {}) when none comes in time, ("gone", {}) when none can come any more."""
        deadline = time.monotonic() + seconds
        while not self._reports:
            left = deadline - time.monotonic()
            if left <= 0:
                return "silent", {}
            select.select([self._control], [], [], left)
            self._reports = self.reports()
        kind, body = self._reports.pop(0)
        return kind, body

    def fileno(self) -> int:
        """Can be read when there are reports."""
        return self._control.fileno()

    def reports(self) -> list[tuple[str, dict[str, Any]]]:
        """What the worker has reported by now; ("gone", {}) is last when the worker is no more."""
        try:
            values, gone = drain(self._control.fileno(), self._splitter)
        except ConnectionResetError:
            values, gone = [], True
        return [(kind, body) for kind, body in values] + ([("gone", {})] if gone else [])

    def send(self, command: str, **body: Any) -> None:
        """Send a command; a worker that is gone takes none, and its reports will say so."""
        self._control.setblocking(True)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(to_line([command, body]))
        self._control.setblocking(False)

    def run(self, writing: int, **body: Any) -> None:
        """Have a task run whose messages go to the descriptor *writing*."""
        for capture in (self.stdout, self.stderr, self.stacks):
            capture.clear()
        self.page.reset()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._control, [b" "], [writing])
        self.send("run", **body)

    def close(self) -> int:
        """End the worker and everything that it started; gives its exit status. It must not be used afterwards."""
        self.send("bye")
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline and ("gone", {}) not in self.reports():
            select.select([self._control], [], [], 0.1)
        status = self._reap()
        self._control.close()
        for capture in (self.stdout, self.stderr, self.stacks):
            capture.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        sweep()
        return status

    def _reap(self) -> int:
        """Wait for the worker, which is dead or dying, and kill what is left of its group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()
