"""Watching what a server starts in its house: the thread or the child of each request, from its beginning to its end.

A house belongs to one server, so there `os.fork`, `os.waitpid`, `os._exit` and `Thread.start` are replaced by functions
that do the same and write it down, as far as it is process_request() that calls them. What handlers start is their own
affair.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.eventlog import EventLog
from handshaker.harness.recorder import RUN

__all__ = ["DOING", "ESCAPED", "OURS", "WATCH", "Doing", "Watch", "end_child"]

OURS: Final = "handshaker-"
"""How the names of our own threads in a house begin."""

ESCAPED: Final = 98
"""The exit status of a child that came back out of process_request(): it is ended there and then."""

_CORNERED: Final = 71  # the exit status of a process that we have ended, since its handler swallows every stop
_STRANGERS: Final = 1_000
_WITHOUT_WAITING: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
_real_fork, _real_waitpid, _real_wait, _real_exit = os.fork, os.waitpid, os.wait, os._exit
_real_start = threading.Thread.start


class Doing(threading.local):
    """What the server is doing in this thread."""

    processing = -1  # the connection for which process_request() runs, outside of finish_request()
    forked = False  # for which it has forked, and this is the parent
    request: Any = None


DOING: Final = Doing()


class Watch:
    """What is known in the house about the threads and children of its server; one, since a house has one server."""

    def __init__(self) -> None:
        self.log: EventLog | None = None
        self.inside: Any = None
        self.house = 0
        self.process = 0
        self.service: Callable[[], None] | None = None
        self.entered: Callable[[], None] | None = None
        self.entered_early = False  # whether who waits for the loop may go on before its first turn
        self.born: Callable[..., None] | None = None
        self.children: dict[int, int] = {}  # those that were not waited for: their connections
        self.forked = 0
        self.peak = 1
        self.threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.handed_over: set[int] = set()  # connections that have a thread or a child of their own
        self.numbers: dict[int, tuple[Callable[[], Any], int]] = {}

    def install(self, log: EventLog, inside: Any) -> None:
        """From here on watch this process, which is the house."""
        self.log, self.inside, self.house = log, inside, os.getpid()
        os.fork, os.waitpid, os.wait, os._exit = _fork, _waitpid, _wait, end_child  # type: ignore[assignment]
        threading.Thread.start = _start  # type: ignore[method-assign,assignment]

    def place(self, request: Any) -> int:
        """Let this thread serve *request*, and give its number."""
        found = self.numbers.get(id(request))
        known = found is not None and found[0]() is request
        RUN.connection = number = found[1] if found and known else getattr(request, "number", RUN.connection)
        return number

    def remember(self, request: Any) -> None:
        """Keep in mind which number *request*, just accepted in this thread, has; a recording socket says it itself."""
        if hasattr(request, "number"):
            return
        try:
            self.numbers[id(request)] = weakref.ref(request), RUN.connection
        except TypeError:
            self.numbers[id(request)] = (lambda: request), RUN.connection

    def hold_clock(self, time_ns: int) -> None:
        """What this thread does from here on happened at *time_ns*, until it turns to the next request."""
        if self.log is not None:
            self.log.hold(time_ns)

    def release_clock(self) -> None:
        """What this thread does from here on happens now."""
        if self.log is not None:
            self.log.hold(0)

    def over(self, number: int, *, gone: bool = True) -> None:
        """The server has done with connection *number*; its child is not *gone* before it was waited for."""
        self.inside.request_over(number, gone=gone)

    def wait_status(self, pid: int, status: int) -> None:
        """A child was waited for, by whomever."""
        connection = self.children.pop(pid, None)
        if connection is None or os.getpid() != self.house:
            return
        self.release_clock()
        code = os.waitstatus_to_exitcode(status)
        if code not in (_CORNERED, ESCAPED):
            told = f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            RUN.emit((("process.end", connection, connection + 1, told), None))
        self.over(connection)

    def zombies(self) -> set[int]:
        """The children of the server that have ended and were not waited for."""
        return {pid for pid in list(self.children) if _is_zombie(pid)}

    def note_children(self, moment: str, dead_before: set[int]) -> None:
        """Write down how many children there are; *dead_before* had ended before they should have been reaped."""
        dead = self.zombies()
        alive = sum(map(_is_child, list(self.children))) - len(dead)
        zombies = len(dead & dead_before)
        if moment != "turn" or zombies or alive > self.peak:
            RUN.emit((("probe.children", -1, moment, alive, zombies), None))
        self.peak = max(self.peak, alive)

    def reap_rest(self) -> None:
        """Wait for the children that have ended by now."""
        for pid in list(self.children):
            try:
                done, status = _real_waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                self.children.pop(pid, None)
                continue
            if done:
                self.wait_status(pid, status)


WATCH: Final = Watch()


def _is_zombie(pid: int) -> bool:
    """Whether this child has ended and was not waited for, which it is not by asking."""
    try:
        return os.waitid(os.P_PID, pid, _WITHOUT_WAITING) is not None
    except ChildProcessError:
        return False


def _is_child(pid: int) -> bool:
    """Whether nobody has waited for it: by os.wait3(), say, or by ignoring SIGCHLD."""
    try:
        os.waitid(os.P_PID, pid, _WITHOUT_WAITING)
    except ChildProcessError:
        return False
    return True


# what the server calls


def _fork() -> int:
    """`os.fork`, where process_request() may meet a hardship, and is watched."""
    connection = DOING.processing
    if connection < 0:
        pid = _real_fork()
        if pid == 0:
            WATCH.process += _STRANGERS
        return pid
    began = time.monotonic_ns()
    try:
        if RUN.hardships is not None:
            RUN.hardships.strike("fork")
        pid = _quiet_fork() if _all_threads_are_ours() else _real_fork()
    except OSError:
        RUN.emit((("process.fork", connection, -1), None))
        raise
    if pid == 0:
        WATCH.process = connection + 1
        WATCH.children.clear()
        WATCH.handed_over.add(connection)
    else:
        _note_fork(pid, connection, began)
    return pid


def _all_threads_are_ours() -> bool:
    """Whether the house would have one thread, were it not for those that obey the owner."""
    main = threading.main_thread()
    return all(thread is main or thread.name.startswith(OURS) for thread in threading.enumerate())


def _quiet_fork() -> int:
    with warnings.catch_warnings():
        # That a process with several threads forks is our doing here; of threads of the server's own Python may warn.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _real_fork()


def _note_fork(pid: int, connection: int, began: int) -> None:
    WATCH.hold_clock(began)
    WATCH.children[pid] = connection
    WATCH.forked += 1
    WATCH.handed_over.add(connection)
    DOING.forked = True
    if hasattr(DOING.request, "become_copy"):
        DOING.request.become_copy()
    RUN.emit((("process.fork", connection, connection + 1), None))


def _waitpid(pid: int, options: int) -> tuple[int, int]:
    """`os.waitpid`; a child of the server that has ended is written down."""
    result = _real_waitpid(pid, options)
    if result[0]:
        WATCH.wait_status(*result)
    return result


def _wait() -> tuple[int, int]:
    """`os.wait`, likewise."""
    result = _real_wait()
    WATCH.wait_status(*result)
    return result


def end_child(status: int) -> None:
    """`os._exit`, the end of a child: what is left of its files is written down."""
    if os.getpid() != WATCH.house and 0 < WATCH.process < _STRANGERS:
        number = WATCH.process - 1
        WATCH.inside.note_files(number)
        WATCH.over(number, gone=False)
    _real_exit(status)


def _start(thread: threading.Thread) -> None:
    """`Thread.start`, where process_request() may meet a hardship, and is watched."""
    connection = DOING.processing
    if connection < 0 or _is_executors(thread):
        _real_start(thread)
        return
    began = time.monotonic_ns()
    try:
        if RUN.hardships is not None:
            RUN.hardships.strike("thread.start")
        _watch_end(thread, connection)
        _real_start(thread)
    except BaseException:
        vars(thread).pop("run", None)
        RUN.emit((("thread.start", connection, "failed", thread.daemon), None))
        raise
    WATCH.hold_clock(began)
    WATCH.threads.add(thread)
    WATCH.handed_over.add(connection)
    RUN.emit((("thread.start", connection, "started", thread.daemon), None))


def _is_executors(thread: threading.Thread) -> bool:
    """Whether an executor makes a worker for its pool: it serves many requests, not only this one."""
    return getattr(vars(thread).get("_target"), "__module__", "") == "concurrent.futures.thread"


def _watch_end(thread: threading.Thread, connection: int) -> None:
    run = thread.run

    def watched() -> None:
        vars(thread).pop("run", None)  # or the thread would refer to itself
        try:
            run()
        finally:
            RUN.emit((("thread.end", connection), None))
            WATCH.over(connection)

    thread.run = watched  # type: ignore[method-assign]
