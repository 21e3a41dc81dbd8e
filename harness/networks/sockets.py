"""The request socket that the handler holds: a `socket.socket` whose every operation is recorded, on both networks.

What a network must provide is small: `_read`, `_write`, `_shut`, `_release` and the answers about addresses and
options. Everything that handlers really call is built on these, so a method behaves alike on both networks. A method of
the C base class that is not overridden would reach a descriptor that does not exist and look like the handler's bug: a
test compares the names.
"""

from __future__ import annotations

import errno
import functools
import socket
import struct
from contextlib import ExitStack
from math import isnan
from operator import index
from threading import get_ident
from typing import Any, Final, NoReturn

from handshaker.harness.networks.bounds import EVENTS_MAX, LONGEST_S, check_events, stop, stopped_again
from handshaker.harness.networks.files import Tally, open_file
from handshaker.harness.recorder import RUN, injected

__all__ = ["SHUTDOWNS", "PulledSocket", "VirtualTimeout", "failure", "name_of", "writable"]

_STRUCTS: Final = {option: struct.Struct("ll") for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)}
_STRUCTS[socket.SO_LINGER] = struct.Struct("ii")
SHUTDOWNS = {socket.SHUT_RD: "rd", socket.SHUT_WR: "wr", socket.SHUT_RDWR: "rdwr"}


def name_of(error: OSError) -> str:
    """`ECONNRESET` and the like, or the exception's own name when it carries no number."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def failure(operation: str, error: OSError) -> tuple[Any, ...]:
    """The kind and the fields of the event that tells of a failed *operation*."""
    if isinstance(error, TimeoutError):
        return "socket.timeout", operation, injected(error)
    return "socket.error", operation, name_of(error), injected(error)


@functools.cache
def _whats(number: int) -> tuple[dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]], tuple[Any, ...]]:
    """What is written down at every turn of connection *number*: a read, the end of the stream, a sendall."""
    read = {via: ("socket.recv", number, via or "socket") for via in ("", "rfile", "wfile")}
    end = {via: ("socket.eof", number, via or "socket") for via in ("", "rfile", "wfile")}
    return read, end, ("socket.send", number, "sendall", True, False)


def writable(buffer: Any) -> memoryview:
    """The bytes of *buffer*, to be released whatever happens: as long as it is viewed it cannot be resized."""
    view = memoryview(buffer)
    if view.readonly:
        raise TypeError(f"a read-write bytes-like object is required, not {type(buffer).__name__}")
    return view.cast("B")


def _fixed(data: Any) -> memoryview:
    """The bytes of *data*, copied if they may change: an exception keeps this view, which must not hold *data* fast."""
    view = memoryview(data).cast("B")
    return view if type(data) is bytes else memoryview(view.tobytes())


def _numbers(option: int, value: Any) -> tuple[int, int]:
    """The two numbers that the *value* of this *option* of the socket is made of."""
    shape = _STRUCTS[option]
    if isinstance(value, int) or len(memoryview(value)) < shape.size:
        raise OSError(errno.EINVAL, "Invalid argument")
    first, second = shape.unpack_from(value)
    return first, second


class VirtualTimeout(socket.socket):
    """The timeout of a socket whose waiting happens in virtual time: a number of ours, unknown to the kernel."""

    timeout = property(lambda self: self.gettimeout())

    _timeout: float | None

    def gettimeout(self) -> float | None:
        """The timeout in seconds; None: blocking."""
        return self._timeout

    def getblocking(self) -> bool:
        """Whether operations may wait."""
        return self._timeout != 0

    def setblocking(self, flag: bool, /) -> None:
        """Blocking for ever, or not at all."""
        self.settimeout(None if index(flag) else 0.0)

    def settimeout(self, value: float | None, /) -> None:
        """Let operations wait for *value* seconds; None: for ever."""
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"a timeout is a number of seconds or None, not {type(value).__name__}")
        if value is not None and not 0 <= value < LONGEST_S:
            if isnan(value):
                raise ValueError("Invalid value NaN (not a number)")
            if -LONGEST_S < value < 0:
                raise ValueError("Timeout value out of range")
            raise OverflowError("timestamp out of range for platform time_t")
        self._timeout = None if value is None else float(value)


class PulledSocket(socket.socket):
    """A connected socket whose reads pull the peer's Script."""

    number: int
    via: str
    by_collector: bool
    _tallies: list[Tally]
    _rest: bytes
    _own_timeouts: dict[int, float | None] | None = None
    _aborts = False  # whether closing sends a reset: it lingers for no time at all

    def _begin(self, number: int) -> None:
        self.number = number
        self.via = ""
        self.by_collector = False
        self._released = False
        self._serial = RUN.serial
        self._tallies = []
        self._rest = b""
        self._what_recv, self._what_eof, self._what_sendall = _whats(number)

    # what a network provides

    def _read(self, size: int, flags: int) -> bytes:
        raise NotImplementedError

    def _write(self, data: memoryview, *, whole: bool) -> int:
        raise NotImplementedError

    def _shut(self, how: int) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError

    def _kernel(self, operation: str) -> NoReturn:
        """Say that the Case needs a kernel object, unless this socket was kept from an earlier run."""
        if self._serial != RUN.serial:
            raise OSError(errno.EBADF, "Bad file descriptor")
        stop("network.kernel", self.number, operation)

    def _patience(self, option: int) -> float | None:
        """How long a read (SO_RCVTIMEO) or write (SO_SNDTIMEO) may wait: Python's timeout, else the socket's own."""
        timeout = self.gettimeout()
        return timeout if timeout is not None else (self._own_timeouts or {}).get(option)

    # reading

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive up to *bufsize* bytes of what the peer's Script brings next."""
        size = index(bufsize)
        if size < 0:
            raise ValueError("negative buffersize in recv")
        return self._take("recv", size, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into *buffer*."""
        with writable(buffer) as view:
            room = len(view)
            if not 0 <= nbytes <= room:
                rule = "negative buffersize in recv_into" if nbytes < 0 else "buffer too small for requested bytes"
                raise ValueError(rule)
            data = self._take("recv", nbytes or room, flags)
            count = len(data)
            view[:count] = data
            return count

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive, with no address, as a connected stream socket does."""
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive into *buffer*, with no address."""
        return self.recv_into(buffer, nbytes, flags), None

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """Receive without ancillary data."""
        return self.recv(bufsize, flags), [], 0, None

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0, /) -> tuple[int, list[Any], int, Any]:
        """Receive into several buffers without ancillary data."""
        with ExitStack() as held:
            views = [held.enter_context(writable(buffer)) for buffer in buffers]
            data = self._take("recv", sum(map(len, views)), flags)
            position = 0
            for view in views:
                part = data[position : position + len(view)]
                view[: len(part)] = part
                position += len(part)
        return len(data), [], 0, None

    def _take(self, operation: str, size: int, flags: int) -> bytes:
        run = RUN
        try:
            self._usable(operation)
            if run.hardships is not None and run.hardships.strike("recv") == "short":
                data = self._read(min(size, 1), flags)
            else:
                data = self._read(size, flags)
        except OSError as error:
            self._failed(operation, error)
            raise
        if data:
            if run.recorder is not None and len(run.recorder.flat) > 2 * EVENTS_MAX:
                check_events(self.number)
            if not flags or not flags & socket.MSG_PEEK:
                run.emit((self._what_recv[self.via], data))
        elif size:
            run.emit((self._what_eof[self.via], None))
        return data

    def _usable(self, operation: str) -> None:
        run = RUN
        if run.stopped:
            stopped_again()
        if self._released or self._serial != run.serial:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if run.active and get_ident() != run.owner:
            self._kernel("thread")

    def _not_released(self) -> None:
        if self._released:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def _failed(self, operation: str, error: OSError) -> None:
        self._say(*failure(operation, error))

    def _say(self, kind: str, *fields: Any) -> None:
        """Write an event down, unless this socket was kept from an earlier run."""
        if self._serial == RUN.serial:
            RUN.emit(((kind, self.number, *fields), None))

    def getpeername(self) -> Any:
        """The peer's address; ENOTCONN when the connection is dead."""
        try:
            return self._peername()
        except OSError as error:
            self._failed("getpeername", error)
            raise

    def _peername(self) -> Any:
        return super().getpeername()

    # writing

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Hand over as many bytes as there is room for; returns how many."""
        view = _fixed(data)
        try:
            self._usable("send")
            part = view
            if RUN.hardships is not None and RUN.hardships.strike("send") == "short":
                part = view[: max(1, len(view) // 2)]
            count = self._write(part, whole=False)
        except OSError as error:
            self._failed("send", error)
            raise
        self._sent(view, count)
        return count

    def _sent(self, view: memoryview, count: int) -> None:
        rest = self._rest
        self._rest = b"" if self.via else bytes(view[count:])
        resumes = bool(rest) and (rest.startswith(view) or bytes(view).startswith(rest))
        what = ("socket.send", self.number, self.via or "send", count == len(view), resumes)
        RUN.emit((what, bytes(view[:count])))

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Hand over all of *data* or raise."""
        view = _fixed(data)
        try:
            self._usable("send")
            if RUN.hardships is not None:
                RUN.hardships.strike("send")
            count = self._write(view, whole=True)
        except OSError as error:
            self._failed("send", error)
            raise
        if count:
            RUN.emit((self._what_sendall, view.obj))

    def sendto(self, data: Any, *_: Any) -> int:
        """Send; the address is ignored, as a connected stream socket does."""
        return self.send(data)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
        """Send several buffers as one. Ancillary data needs a kernel object."""
        if list(ancdata):
            self._kernel("sendmsg")
        return self.send(b"".join(buffers))

    def sendmsg_afalg(self, *_: Any, **__: Any) -> int:
        """Only AF_ALG sockets can."""
        raise OSError(errno.EINVAL, "algset is only supported for AF_ALG")

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file through `send`, as `socket.sendfile` does where the system call is missing."""
        return int(self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]

    # file objects

    def makefile(
        self, mode: str = "r", buffering: int | None = None, *,
        encoding: str | None = None, errors: str | None = None, newline: str | None = None,
    ) -> Any:  # fmt: skip
        """The file object that `socket.makefile` would return (Lib/socket.py)."""
        file, tally = open_file(self, mode, buffering, {"encoding": encoding, "errors": errors, "newline": newline})
        RUN.emit((("socket.makefile", self.number, mode, -1 if buffering is None else buffering), None))
        if tally is not None:
            self._tallies.append(tally)
        return file

    # settings

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout, and write it down."""
        self._not_released()
        super().settimeout(value)
        RUN.emit((("socket.settimeout", self.number, self.gettimeout()), None))

    def setblocking(self, flag: bool, /) -> None:
        """Wait for ever, or not at all, and write it down."""
        self.settimeout(None if index(flag) else 0.0)

    def setsockopt(self, level: int, optname: int, value: Any, *optlen: int) -> None:
        """Set the option, and write it down."""
        self._not_released()
        if level == socket.SOL_SOCKET and optname in _STRUCTS:
            self._heed(optname, *_numbers(optname, value))
        super().setsockopt(level, optname, value, *optlen)
        RUN.emit((("socket.setsockopt", self.number, f"{level}/{optname}"), repr(value)))

    def _heed(self, option: int, first: int, second: int) -> None:
        """An option that changes how the socket waits, or how it ends."""
        if option == socket.SO_LINGER:
            self._aborts = bool(first) and not second
        else:
            seconds = first + second / 1e6
            self._own_timeouts = {**(self._own_timeouts or {}), option: seconds or None}

    # ending

    def shutdown(self, how: int, /) -> None:
        """Shut one direction down, or both."""
        try:
            self._usable("shutdown")
            if how not in SHUTDOWNS:
                raise OSError(errno.EINVAL, "Invalid argument")
            self._shut(how)
        except OSError as error:
            self._failed("shutdown", error)
            raise
        RUN.emit((("socket.shutdown", self.number, SHUTDOWNS[how]), None))

    def close(self) -> None:
        """Close; the descriptor is given back when the last file object is closed too."""
        self._say("socket.close")
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        self._closed = True
        if self._io_refs <= 0:  # type: ignore[attr-defined]
            self._real_close()

    def _decref_socketios(self) -> None:
        if self._io_refs > 0:  # type: ignore[attr-defined]
            self._io_refs -= 1  # type: ignore[attr-defined]
        if self._closed:
            self._close_if_unused()

    def _real_close(self, _: Any = None) -> None:
        if not self._released:
            self._released = True
            self._say("socket.released", "collector" if self.by_collector else "call")
            self._release()

    def detach(self) -> int:
        """Give the descriptor away: only a kernel socket has one."""
        RUN.emit((("socket.detach", self.number), None))
        self._kernel("detach")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of peer {self.number}{' [closed]' if self._closed else ''}>"

    def __del__(self) -> None:
        if not getattr(self, "_released", True):
            self.by_collector = True
            self._real_close()
