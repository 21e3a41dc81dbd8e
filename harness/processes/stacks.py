"""Stacks of a process that no longer answers, and of one that crashed: written by `faulthandler`, read by us."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "DUMP_SIGNAL",
    "StackFrame",
    "StackReader",
    "is_users_file",
    "stack_frames",
    "users_frame",
    "write_stacks_to",
]

# A real-time signal where there is one: handlers use SIGUSR1 and SIGUSR2 for themselves.
DUMP_SIGNAL: Final = int(getattr(signal, "SIGRTMAX", signal.SIGUSR2 + 1)) - 1

_OUR_FOLDER = str(Path(__file__).absolute().parents[2]) + os.sep
_PYTHON_FOLDERS = tuple(
    folder + os.sep for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")} if folder
)
_SETTLE_SECONDS = 1.0
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)')
# The worker's main thread is listed last, and these are its last lines: outermost frame, or cut short.
_ENDS = ("in _run_module_as_main", "...")


@dataclass(frozen=True, slots=True)
class StackFrame:
    """One frame of a dumped stack; `function` has no class in front, since the dump has none."""

    file: str
    line: int
    function: str


def write_stacks_to(fd: int) -> None:
    """Write this process's stacks to *fd* when it crashes, and whenever it is sent DUMP_SIGNAL."""
    faulthandler.enable(fd, all_threads=True)
    faulthandler.register(DUMP_SIGNAL, fd, all_threads=True, chain=False)


class StackReader:
    """Reads what was written to *fd* from this moment, or from *start*, on."""

    __slots__ = ("_fd", "_start")

    def __init__(self, fd: int, start: int | None = None) -> None:
        self._fd = fd
        self._start = os.fstat(fd).st_size if start is None else start

    def text(self) -> str:
        """Everything written so far."""
        size = os.fstat(self._fd).st_size - self._start
        return os.pread(self._fd, max(size, 0), self._start).decode("utf-8", "replace")

    def settled_text(self) -> str:
        """Everything, once a dump that was asked for is complete; what is there, when that takes a second."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not (text := self.text()).rstrip().endswith(_ENDS) and time.monotonic() < deadline:
            time.sleep(0.002)
        return text


def stack_frames(stack: str) -> tuple[StackFrame, ...]:
    """The frames of the thread that was running (else of the main thread), innermost first."""
    threads = re.split(r"(?m)^(?=Current thread |Thread )", stack)
    running = [thread for thread in threads if thread.startswith("Current thread ")]
    return tuple(
        StackFrame(found["file"], int(found["line"]), found["function"])
        for found in _FRAME.finditer((running or threads)[-1])
    )


def users_frame(stack: str) -> StackFrame | None:
    """The innermost frame of the user's code, None when there is none: where a hang or a crash is to be looked for."""
    return next((frame for frame in stack_frames(stack) if is_users_file(frame.file)), None)


def is_users_file(file: str) -> bool:
    """Whether *file* is neither Python's nor ours; installed packages count as the user's."""
    if file.startswith(("<frozen", _OUR_FOLDER)):
        return False
    return "site-packages" in file or not file.startswith(_PYTHON_FOLDERS)
