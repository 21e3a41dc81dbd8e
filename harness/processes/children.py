"""Forking with clean hands: a child leads its own group, dies with its parent, and leaves nothing behind.

A group outlives its leader, and a handler may fork: so when a child has ended, its group is killed *before* the child
is reaped, while the number cannot yet belong to anybody else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeAlias

__all__ = [
    "CRASHED",
    "Child",
    "adopt_orphans",
    "die_with_parent",
    "flush_standard_streams",
    "kill_orphans",
    "orphans",
]

CRASHED = 70
"""The exit status of a child whose own body, not the handler, raised."""

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_POLL_WITHOUT_DESCRIPTOR_SECONDS = 0.01


def _prctl(option: int, value: int) -> None:
    """Best effort: only Linux has it, and everything here works without, except after a SIGKILL of ours."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent, the process *parent*, dies; 0 takes that back.

    On Linux it is the parent's *thread* that counts.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if parent else 0)
    if parent and os.getppid() != parent:
        os._exit(CRASHED)


def adopt_orphans() -> None:
    """From now on descendants that lost their parent become children of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def orphans() -> set[int]:
    """Every child of this single-threaded process, zombies included; empty where the system does not tell."""
    try:
        listing = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii")
    except OSError:
        return set()
    return {int(pid) for pid in listing.split()}


def kill_orphans(spare: set[int]) -> None:
    """Kill and reap every child of this process except *spare*, and the children that they leave behind."""
    while doomed := orphans() - spare:
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except OSError:
                spare = spare | {pid}


class Child:
    """A process that we forked; started, watched, killed and reaped in the main thread of one process."""

    def __init__(self, pid: int, sigchld: _Handler) -> None:
        self.pid = pid
        self._sigchld = sigchld
        self._exit_fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1

    @classmethod
    def start(cls, body: Callable[[], None]) -> Child:
        """Fork a child that runs *body* and exits with status 0, or CRASHED when *body* raises."""
        # The target may ignore SIGCHLD, or reap whatever ends: until we have reaped, both would steal the exit status.
        sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        parent = os.getpid()
        pid = _fork()
        if pid == 0:
            _live(body, parent, sigchld)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return cls(pid, sigchld)

    def wait(self, seconds: float | None, *fds: int) -> set[int]:
        """Wait until the child has ended or one of *fds* can be read; gives those that can be."""
        poller = select.poll()
        for fd in fds:
            poller.register(fd, select.POLLIN)
        if self._exit_fd >= 0:
            poller.register(self._exit_fd, select.POLLIN)
        elif seconds is None or seconds > _POLL_WITHOUT_DESCRIPTOR_SECONDS:
            seconds = _POLL_WITHOUT_DESCRIPTOR_SECONDS
        return {fd for fd, _ in poller.poll(None if seconds is None else seconds * 1000)} & set(fds)

    def reap(self) -> int | None:
        """The exit status (negative: the signal) when the child has ended, else None; its group ends with it."""
        if self._exit_fd >= 0:
            if not self.wait(0, self._exit_fd):
                return None
            self.kill()
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        if self._exit_fd >= 0:
            os.close(self._exit_fd)
        else:
            self.kill()
        _restore(self._sigchld)
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, number: int) -> None:
        """Send a signal to the child itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the child and everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _restore(sigchld: _Handler) -> None:
    if sigchld is not None:  # None: it was not installed by Python, and Python cannot put it back
        signal.signal(signal.SIGCHLD, sigchld)


def _fork() -> int:
    with warnings.catch_warnings():
        # We start no threads, but a target may have at its import: the supervisor tells the user, in words that help.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _live(body: Callable[[], None], parent: int, sigchld: _Handler) -> NoReturn:
    status = CRASHED
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        die_with_parent(parent)
        _restore(sigchld)
        body()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        flush_standard_streams()
        os._exit(status)


def flush_standard_streams() -> None:
    """Write out what print() still holds; a handler may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
