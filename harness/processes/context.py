"""What a task can do: talk to the supervisor, say which case is in flight, and fork a call that needs fresh state.

A task is a function `(context, arguments) -> Iterator[dict] | None`; what it yields is sent. It runs in a child of its
own; it must not play a case itself if it wants to `fork` pristine copies afterwards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from handshaker.harness.errors import HarnessBug
from handshaker.harness.networks.house import keep_out_of_houses
from handshaker.harness.processes.children import Child
from handshaker.harness.processes.limits import POLL_SECONDS, Limits, Watchdog, cpu_seconds
from handshaker.harness.processes.progress import ProgressPage
from handshaker.harness.processes.results import Failure, Outcome
from handshaker.harness.processes.stacks import DUMP_SIGNAL, StackReader
from handshaker.harness.processes.wire import LineSplitter, drain, to_line, write_or_exit

__all__ = ["Context", "Task"]


class Context:
    """The task's side of the process layer.

    `target` is what the loader returned. `mark(phase, index)` says that this case is in flight from now on; it is also
    a sign of life, and cheap enough for every case. `pulse()` is one from within a case.
    """

    def __init__(self, target: Any, page: ProgressPage, wire: int, stacks: int) -> None:
        self.target = target
        self.mark: Callable[[int, int], None] = page.mark
        self.pulse: Callable[[], None] = page.pulse
        self._page, self._wire, self._stacks = page, wire, stacks
        self._answering = -1
        # A handler may fork, and its copy may come back into our loop: it must neither mark nor speak in our name.
        os.register_at_fork(after_in_child=page.disown)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message to the supervisor, at once; it is also a sign of life.

        Raises HarnessBug in a forked call, which returns its result instead.
        """
        self._page.tick()
        if self._wire < 0:
            raise HarnessBug("a forked call cannot send messages; let it return them")
        write_or_exit(self._wire, to_line(["message", message]))

    def stop_requested(self) -> bool:
        """Whether the task should finish what it has in hand, send it, and return."""
        return self._page.stop_requested

    def fork(self, function: Callable[..., Any], *args: Any, limits: Limits | None = None) -> Outcome:
        """Call *function* in a forked copy of this process and give back what it returned (a JSON value).

        The copy may die, or be killed because it exceeds *limits*; this process stays as pristine as it was.
        """
        stack = StackReader(self._stacks)
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        child = Child.start(lambda: self._answer(writing, function, args))
        os.close(writing)
        try:
            return _Call(child, reading, stack, self._page, limits or Limits()).outcome()
        finally:
            os.close(reading)

    def answer(self, value: Any) -> None:
        """In a forked call that cannot return any more: give *value* back; the caller ends the process next."""
        write_or_exit(self._answering, to_line(["ended", value]))

    def _answer(self, writing: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._page.adopt()
        self._wire, self._answering = -1, writing
        keep_out_of_houses(writing)
        try:
            answer = to_line(["ended", function(*args)])
        except BaseException as error:
            answer = to_line(["failed", Failure.of(error).to_json()])
        self._page.tick()  # a copy that the function forked and that came back ends here, unheard
        write_or_exit(writing, answer)


Task: TypeAlias = Callable[[Context, dict[str, Any]], Iterator[dict[str, Any]] | None]


class _Call:
    """One forked call, as its caller sees it."""

    def __init__(self, child: Child, reading: int, stack: StackReader, page: ProgressPage, limits: Limits) -> None:
        self._child, self._reading, self._stack, self._page, self._limits = child, reading, stack, page, limits
        self._splitter = LineSplitter()
        self._answers: list[Any] = []
        self._reason = ""
        self._hung_stack = ""

    def outcome(self) -> Outcome:
        """Wait for the end, whichever it is."""
        try:
            status = self._wait()
        except BaseException:
            self._kill()
            raise
        self._read()
        for kind, body in self._answers:
            return Outcome("done", body) if kind == "ended" else Outcome("failed", error=Failure(**body))
        if self._reason:
            return Outcome("hung", reason=self._reason, exit_status=status, stack=self._hung_stack)
        return Outcome("died", exit_status=status, stack=self._stack.text())

    def _wait(self) -> int:
        started = time.monotonic()
        watchdog = Watchdog(self._limits, now=started)
        pause_s = min(POLL_SECONDS, self._limits.cpu_seconds / 2)
        while (status := self._child.reap()) is None:
            self._child.wait(pause_s, *([] if self._answers else [self._reading]))
            self._read()
            self._page.tick()  # for the supervisor: this process is alive, and minds its own child
            if self._reason:
                continue
            now = time.monotonic()
            self._reason = watchdog.observe(self._page.progress, now=now, cpu=cpu_seconds(self._child.pid))
            if self._limits.total_seconds is not None and now - started > self._limits.total_seconds:
                self._reason = "total"
            if self._reason:
                self._child.send_signal(DUMP_SIGNAL)
                self._hung_stack = self._stack.settled_text()
                self._child.kill()
        return status

    def _read(self) -> None:
        self._answers += drain(self._reading, self._splitter)[0]

    def _kill(self) -> None:
        self._child.kill()
        while self._child.reap() is None:
            self._child.wait(POLL_SECONDS)
