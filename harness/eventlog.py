"""Events of several threads and processes in one file: each record is one write, so nothing is torn or overwritten.

A server that lives in a house of its own (`networks.house`) writes here, from every thread and from every child that it
forks, until the moment it is killed. The file has no name and is opened for appending before the fork; a record is four
bytes of length and a marshalled tuple. There is no lock that a fork could copy while it is held. Reading happens in the
process that plays the Case, when nobody writes any more: the records are put in the order of their times.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import get_ident
from time import monotonic_ns
from typing import Any, Final, NamedTuple

from handshaker.harness.recorder import Recorder

__all__ = ["EventLog", "LogRecorder", "Moment", "merge"]

_LENGTH_BYTES: Final = 4
_TEXT: Final = "probe.stderr"
_BEGINNINGS: Final = ("init.enter", "setup.enter")
_KEPT: Final = 4
_TALK: Final = frozenset({_TEXT, "probe.warning", "network.sleep"})
_TALK_BYTES_MAX: Final = 2 * 1024 * 1024
"""When a process has written so much, what a handler can say in an endless loop is not written down any more."""
_STOPS: Final = ("network.stalled", "network.spinning", "network.limit", "network.kernel")


class Moment(NamedTuple):
    """One event and the time of it, in nanoseconds of the clock that all processes share."""

    time_ns: int
    what: tuple[Any, ...]
    payload: Any


class _Here(threading.local):
    stamp = 0
    written = 0
    said: tuple[Any, int] = (None, 0)  # what was said last, and how many events had been written by then
    kept = 0  # how much of it


class EventLog:
    """The file; `emit` writes to it from any thread of any process that has inherited it."""

    def __init__(self) -> None:
        self._fd = _file_without_a_name()
        self._here = _Here()
        self.count = 0  # events that this process has written, with those that it inherited
        self._bytes = 0  # that they take

    def fileno(self) -> int:
        """The descriptor, which belongs to whoever has it open."""
        return self._fd

    def emit(self, event: tuple[Any, Any]) -> None:
        """Write one event down, with the time and with who writes."""
        here = self._here
        what, payload = event
        if self._bytes > _TALK_BYTES_MAX and what[0] in _TALK:
            return
        record = (here.stamp or monotonic_ns(), os.getpid(), get_ident(), what, payload)
        try:
            data = marshal.dumps(record)
        except ValueError:
            data = marshal.dumps((*record[:3], _plain(what), _plain(payload)))
        os.write(self._fd, len(data).to_bytes(_LENGTH_BYTES, "little") + data)
        here.written += 1
        self.count += 1
        self._bytes += len(data)

    def say(self, what: tuple[Any, ...], text: str, most: int) -> None:
        """Write *text* down as a part of what this thread says in one go, of which *most* is kept."""
        here = self._here
        here.kept = here.kept if here.said == (what, here.written) else 0
        if here.kept < most:
            self.emit((what, text[:most]))
            here.kept += len(text)
            here.said = what, here.written

    def hold(self, time_ns: int) -> None:
        """From here on events of this thread have happened at *time_ns*; 0: now.

        What a serving thread does between starting a thread (or a child) and turning to the next request happens beside
        what was started. Told as having happened just before, it is the same in every run.
        """
        self._here.stamp = time_ns

    @contextmanager
    def as_it_begins(self) -> Iterator[None]:
        """What this thread writes down within happened when that began: before anybody could see what comes of it."""
        before, self._here.stamp = self._here.stamp, monotonic_ns()
        try:
            yield
        finally:
            self._here.stamp = before

    @property
    def size(self) -> int:
        """How many bytes have been written by everybody."""
        return os.fstat(self._fd).st_size

    @property
    def written(self) -> int:
        """How many events this thread has written."""
        return self._here.written

    def read(self) -> list[Moment]:
        """All events, in the order in which they were written; pieces of text that belong together are joined."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        found: list[list[Any]] = []
        latest: dict[tuple[int, int], list[Any]] = {}
        position = 0
        while (start := position + _LENGTH_BYTES) <= len(data):
            position = start + int.from_bytes(data[start - _LENGTH_BYTES : start], "little")
            if position > len(data):
                break  # the writer was killed
            time_ns, process, thread, what, payload = marshal.loads(data[start:position])  # noqa: S302 - written by us
            before = latest.get((process, thread))
            if before is not None and what[0] == _TEXT and before[1] == what:
                before[2] += payload
                continue
            latest[process, thread] = event = [time_ns, what, payload]
            found.append(event)
        return [Moment(*event) for event in found]

    def close(self) -> None:
        """Give the file back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LogRecorder(Recorder):
    """The recorder of a process whose events go to a log: itself it keeps the first event of a handler's life only."""

    __slots__ = ("_log",)

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log
        self.emit = self._emit

    def _emit(self, event: tuple[Any, Any]) -> None:
        if event[0][0] in _BEGINNINGS and len(self.flat) < _KEPT:
            self.flat.extend(event)
        self._log.emit(event)

    def append_text(self, what: tuple[Any, ...], text: str, most: int) -> None:
        """Write one piece down, if not enough was said in this go; pieces are joined when they are read."""
        self._log.say(what, text, most)

    def mark(self) -> object:
        """A value that changes when this thread writes something down."""
        return self._log.written


def merge(recorder: Recorder, ours: Iterable[Moment], theirs: Iterable[Moment], began_ns: int) -> None:
    """Give *recorder* all events in the order of their times, counted in seconds from *began_ns*.

    *ours* were made in this process, which knows about them; *theirs* in another one.
    """
    theirs = list(theirs)
    for time_ns, what, payload in sorted([*ours, *theirs], key=lambda moment: moment.time_ns):
        recorder.moved(max(time_ns - began_ns, 0) / 1e9)
        recorder.emit((what, payload))
        if what[0] in _STOPS and not recorder.stopped_by:
            recorder.stopped_by = what
    recorder.struck += sum(moment.what[0] == "network.fault" for moment in theirs)


def _file_without_a_name() -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("handshaker-events")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd


def _plain(value: Any) -> Any:
    """*value* without subclasses, such as an IntEnum, that marshal does not take; what is unknown becomes text."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if value is None or isinstance(value, bytes | bytearray | memoryview):
        return None if value is None else bytes(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return repr(value)
