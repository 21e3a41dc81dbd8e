"""The worker: imports the target, then only forks. Started by the supervisor as `python -m`, never by a person.

It must stay pristine, so that every child starts from the same state: it plays no case, starts no thread, and calls
nothing of the target after the loader has returned.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
from typing import Any

from handshaker.harness.networks.house import keep_out_of_houses
from handshaker.harness.places import sweep
from handshaker.harness.processes.children import (
    CRASHED,
    Child,
    adopt_orphans,
    die_with_parent,
    flush_standard_streams,
    kill_orphans,
    orphans,
)
from handshaker.harness.processes.context import Context
from handshaker.harness.processes.loading import load, named
from handshaker.harness.processes.progress import ProgressPage
from handshaker.harness.processes.results import Failure
from handshaker.harness.processes.stacks import DUMP_SIGNAL, write_stacks_to
from handshaker.harness.processes.wire import LineSplitter, to_line, write_or_exit

__all__ = ["main"]

_CHUNK = 1 << 16
_ENDING_S = 5.0


class _Worker:
    def __init__(self, control: socket.socket, stacks: int, page: ProgressPage) -> None:
        self._control, self._stacks, self._page = control, stacks, page
        self._splitter = LineSplitter()
        self._passed: list[int] = []
        self._child: Child | None = None
        self._target: Any = None
        self._scratch = ""
        self._before: set[int] = set()

    def start(self) -> bool:
        """Import what the supervisor names; False when the target refused."""
        boot = self._first_command()
        self._scratch = boot["scratch"]
        sys.path[:0] = boot["path"]
        for module in boot["preload"]:
            importlib.import_module(module)
        self._report("hello", {})
        begun = time.perf_counter()
        self._target, failure = load(boot["loader"], boot["arguments"])
        flush_standard_streams()
        if failure is not None:
            self._report("refused", failure.to_json())
            return False
        self._settle()
        self._report("ready", {"threads": threading.active_count() - 1, "seconds": time.perf_counter() - begun})
        return True

    def _settle(self) -> None:
        """From here on nothing changes any more: children share these pages, and the collector leaves them alone."""
        write_stacks_to(self._stacks)  # the import may have changed it
        die_with_parent(0)  # from here on the end of the control channel tells; the parent *thread* may end earlier
        self._before = orphans()
        adopt_orphans()
        gc.collect()
        gc.freeze()

    def _first_command(self) -> dict[str, Any]:
        while True:
            for _, body in self._receive():
                return body  # type: ignore[no-any-return]

    def serve(self) -> None:
        """Obey until the supervisor says goodbye, or is gone."""
        while True:
            for command, body in self._wait():
                if command == "bye":
                    return
                self._obey(command, body)
            if self._child is not None and (status := self._child.reap()) is not None:
                self._child = None
                kill_orphans(self._before)
                sweep()
                self._report("exited", {"status": status})

    def _wait(self) -> list[Any]:
        if self._child is not None and not self._child.wait(None, self._control.fileno()):
            return []
        return self._receive()

    def _receive(self) -> list[Any]:
        data, passed, _, _ = socket.recv_fds(self._control, _CHUNK, 4)
        self._passed += passed
        if data:
            return self._splitter.feed(data)
        # The supervisor is gone without a word: what it would have cleaned up is ours to clean up, when nobody writes.
        if self._child is not None:
            self._child.kill()
            self._child.wait(_ENDING_S)
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        return [["bye", {}]]

    def _obey(self, command: str, body: dict[str, Any]) -> None:
        if command == "run":
            self._run(body)
        elif self._child is not None and command == "dump":
            self._child.send_signal(DUMP_SIGNAL)
        elif self._child is not None and command == "kill":
            self._child.kill()

    def _run(self, body: dict[str, Any]) -> None:
        wire = self._passed.pop()
        flush_standard_streams()
        self._child = Child.start(lambda: self._live(wire, **body))
        os.close(wire)
        self._report("started", {"pid": self._child.pid})

    def _live(self, wire: int, task: str, arguments: dict[str, Any], folder: str) -> None:
        """The child's life."""
        self._control.close()
        keep_out_of_houses(wire)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        context = Context(self._target, self._page, wire, self._stacks)
        try:
            os.chdir(folder)
            for message in named(task)(context, arguments) or ():
                context.send(message)
            last = to_line(["ended", {}])
        except BaseException as error:
            last = to_line(["failed", Failure.of(error).to_json()])
        self._page.tick()  # a copy that a handler forked and that came back ends here, unheard
        write_or_exit(wire, last)

    def _report(self, kind: str, body: dict[str, Any]) -> None:
        write_or_exit(self._control.fileno(), to_line([kind, body]))

    def close(self) -> None:
        """Leave nothing behind."""
        if self._child is not None:
            self._child.kill()
        with contextlib.suppress(OSError):
            kill_orphans(set())


def main(control: int, stacks: int, page: int) -> None:
    """Serve the supervisor at the other end of *control*; the arguments are inherited descriptors."""
    write_stacks_to(stacks)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(os.getppid())
    worker = _Worker(socket.socket(fileno=control), stacks, ProgressPage(page))
    os.close(page)
    status = CRASHED
    try:
        if worker.start():
            worker.serve()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        worker.close()
        flush_standard_streams()
        os._exit(status)


if __name__ == "__main__":
    arguments, sys.argv[1:] = sys.argv[1:], []
    main(*map(int, arguments))
