"""A process of its own for one server, and the certainty that it ends with everything it has started.

The *house* is forked from the process that plays the Case, leads a session of its own, and adopts what its descendants
leave behind, so that each of them can be found. It is killed together with its group when the playing process says so,
and by the kernel when that process is gone: the *lifeline*, a socket that nobody writes to, sends SIGKILL to the whole
group when its other end is closed, however that comes about.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import fcntl
import gc
import marshal
import os
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = [
    "CORNERED",
    "CRASHED",
    "Door",
    "House",
    "cpu_seconds",
    "descendants",
    "keep_out_of_houses",
    "kill_children",
    "let_into_houses",
]

CRASHED: Final = 70
"""The exit status of a house whose own code, not the server's, raised."""

CORNERED: Final = 71
"""The exit status of a house, or of a child in it, that was ended because its handler swallows every stop."""

_MESSAGE_BYTES: Final = 262_144
_CHUNK_BYTES: Final = 65_536
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 1, 36, 37
_F_SETSIG: Final = getattr(fcntl, "F_SETSIG", 10)
_DUMP_SIGNAL: Final = int(getattr(signal, "SIGRTMAX", signal.SIGUSR2 + 1)) - 2
_GRACE_S: Final = 2.0
_STACKS_S: Final = 0.5
_STACKS_BYTES_MAX: Final = 65_536
_SLICE_MS: Final = 5
_STILL_SLICES: Final = 3
_ROUNDS: Final = 50
_prctl: Final[Callable[..., int] | None] = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_private: Final[set[int]] = set()


def keep_out_of_houses(descriptor: int) -> None:
    """A descriptor of our own that a house must not hold open, such as the pipe to a supervisor."""
    _private.add(descriptor)


def let_into_houses(descriptor: int) -> None:
    """Its number may belong to somebody else from now on."""
    _private.discard(descriptor)


class Door:
    """One end of the line between a house and who plays the Case: whole messages, small tuples of plain values."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def pair(cls) -> tuple[Door, Door]:
        """Both ends."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(first), cls(second)

    def fileno(self) -> int:
        """Can be read when there is a message."""
        return self._socket.fileno()

    def send(self, *message: Any) -> None:
        """Send a message, from any thread; the other side may be gone."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(marshal.dumps(message)[:_MESSAGE_BYTES])

    def receive(self) -> tuple[Any, ...] | None:
        """The next message, waited for; None when the other side is gone."""
        try:
            data = self._socket.recv(_MESSAGE_BYTES)
        except ConnectionResetError:
            return None
        return tuple(marshal.loads(data)) if data else None  # noqa: S302 - written by us

    def poll(self, seconds: float = 0.0) -> bool:
        """Whether a message comes within *seconds*."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(seconds * 1_000))

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()


class House:
    """The forked process, as the playing process sees it. `end` must be called, whatever happens."""

    def __init__(self, live: Callable[[Door], None]) -> None:
        self.door, theirs = Door.pair()
        self._lifeline, far = socket.socketpair()
        self._stacks = _stacks_file()
        self._subreaper = _subreaper(1)
        self._ours = set(_children(os.getpid()))
        self.status: int | None = None
        self.exit_fd = -1
        self.pid = 0
        try:
            self._fork(live, theirs, far)
            self.exit_fd = os.pidfd_open(self.pid)
        finally:
            theirs.close()
            far.close()
            if self.exit_fd < 0:
                self.end()

    def _fork(self, live: Callable[[Door], None], theirs: Door, far: socket.socket) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()  # what is still held here would be written by both
        parent = os.getpid()
        # A Ctrl-C must not come between: a house would go on as a second one of us, and we would not know its number.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # forking is ours to answer for, with any threads
                self.pid = os.fork()
            if self.pid == 0:
                self.door.close()
                self._lifeline.close()
                _live(lambda: live(theirs), parent, far, self._stacks, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def reap(self, seconds: float = 0.0) -> bool:
        """Whether the house has ended within *seconds*; `status` is its exit code then (negative: the signal)."""
        if self.status is None:
            poller = select.poll()
            poller.register(self.exit_fd, select.POLLIN)
            if poller.poll(seconds * 1_000):
                os.killpg(self.pid, signal.SIGKILL)  # its number cannot belong to anybody else before it is reaped
                self.status = _wait(self.pid)
                self._end_adopted()
        return self.status is not None

    def _end_adopted(self) -> None:
        """End what a house that ended by itself has left to us; such a process is in a session of its own."""
        for _ in range(_ROUNDS):
            session = os.getsid(0)
            left = [pid for pid in _children(os.getpid()) if pid not in self._ours and _session(pid) != session]
            if not left:
                return
            for pid in left:
                for each in (*descendants(pid), pid):
                    with contextlib.suppress(OSError):
                        os.kill(each, signal.SIGKILL)
                _reap_adopted(pid)

    def stacks(self) -> str:
        """The stacks of all threads of all processes of the house, as faulthandler writes them."""
        start = os.fstat(self._stacks).st_size
        for pid in (self.pid, *sorted(descendants(self.pid))):
            self._dump(pid)  # one after another, for two would write into each other's lines
        size = min(os.fstat(self._stacks).st_size - start, _STACKS_BYTES_MAX)
        return os.pread(self._stacks, size, start).decode(errors="backslashreplace")

    def _dump(self, pid: int) -> None:
        """Have one process write its stacks, and wait until it has; one that cannot is not waited for long."""
        start = size = os.fstat(self._stacks).st_size
        try:
            os.kill(pid, _DUMP_SIGNAL)
        except OSError:
            return
        deadline = time.monotonic() + _STACKS_S
        still = 0
        while still < _STILL_SLICES and time.monotonic() < deadline:
            select.poll().poll(_SLICE_MS)
            size, before = os.fstat(self._stacks).st_size, size
            still = still + 1 if start < size == before else 0

    def end(self) -> None:
        """End the house and all that it has started; a house that says goodbye by itself is waited for by `reap`."""
        known: set[int] = set()
        if self.pid and self.status is None:
            known = self._kill()
        for descriptor in (self.exit_fd, self._stacks):
            if descriptor >= 0:
                os.close(descriptor)
        self.exit_fd = self._stacks = -1
        self._lifeline.close()
        self.door.close()
        for pid in known:
            _reap_adopted(pid)
        if self._subreaper == 0:
            _subreaper(0)
        self._subreaper = -1

    def _kill(self) -> set[int]:
        """Kill descendants first, while the house still is there to be their parent; gives their numbers."""
        known: set[int] = set()
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGSTOP)  # it must not tell the end of its children: that is our doing
        for _ in range(_ROUNDS):
            left = {pid for pid in descendants(self.pid) if not _is_zombie(pid)}
            if not left:
                break
            known |= left
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)  # it may be so young that it leads no group yet
        self.status = _wait(self.pid)
        return known


def _wait(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0  # the target ignores SIGCHLD, or has a handler that reaps whatever ends


def _reap_adopted(pid: int) -> None:
    """Reap a killed process that has become our child with the death of the house; who else has it will."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _subreaper(value: int) -> int:
    """Let descendants that lose their parent become our children, or no longer; gives what it was before."""
    if _prctl is None:
        return 1
    before = ctypes.c_int(1)
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    _prctl(_PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)
    return before.value


def _live(body: Callable[[], None], parent: int, lifeline: socket.socket, stacks: int, mask: set[Any]) -> NoReturn:
    """The life of the house, from the fork to its end."""
    status = CRASHED
    try:
        _settle(parent, lifeline, stacks)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        body()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _settle(parent: int, lifeline: socket.socket, stacks: int) -> None:
    os.setsid()
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, _F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if os.getppid() != parent:
        os._exit(CRASHED)
    for descriptor in _private:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    faulthandler.enable(stacks, all_threads=True)  # a crash in here is no crash of the process that plays the Case
    # Not faulthandler.register(): it reads the frames of running threads from C, without the lock, and may crash.
    signal.signal(_DUMP_SIGNAL, lambda *_: faulthandler.dump_traceback(stacks, all_threads=True))
    gc.freeze()  # what the playing process has left for its collector is not for this one to collect


def _stacks_file() -> int:
    fd = os.memfd_create("handshaker-stacks")
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd


def descendants(pid: int) -> set[int]:
    """All living and dead descendants of the process *pid* that the system tells of."""
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        for child in _children(ahead.pop()):
            if child not in found:
                found.add(child)
                ahead.append(child)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - these names are only numbers
            with contextlib.suppress(OSError):
                found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def _read(path: str) -> str:
    """What a file of the system says: with the fewest calls, since it is asked for every Case."""
    descriptor = os.open(path, os.O_RDONLY)
    data = b""
    try:
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            data += chunk
    finally:
        os.close(descriptor)
    return data.decode("latin-1")


def _stat(pid: int) -> list[str]:
    """What the system says of a process, from its state on (proc(5), /proc/pid/stat); empty when it is gone."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return []


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] in ([], ["Z"], ["X"])


def _session(pid: int) -> int:
    told = _stat(pid)
    return int(told[3]) if told else os.getsid(0)


def kill_children() -> None:
    """In the house: kill and reap everything that the house has started and everything it has adopted."""
    for _ in range(_ROUNDS):
        left = descendants(os.getpid())
        if not left:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)  # of a grandchild it says ECHILD until we have adopted it


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that the process and its descendants have used by now."""
    total = 0
    for each in (pid, *descendants(pid)):
        total += sum(map(int, _stat(each)[11:13]))
    return total / os.sysconf("SC_CLK_TCK")
