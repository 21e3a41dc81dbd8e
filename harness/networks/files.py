"""The file objects that `makefile()` returns: the standard ones, which also say through whom bytes travel.

They subclass what `socket.makefile` builds, so a handler sees the classes it knows. `by_collector` tells a descriptor
that was given back by garbage collection from one that somebody closed.
"""

from __future__ import annotations

import functools
import io
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handshaker.harness.networks.sockets import PulledSocket

__all__ = ["Reader", "Stream", "Tally", "Writer", "open_file"]


class Tally:
    """What one writer accepted and what it passed on to the socket; kept apart from it, so that both can be freed."""

    __slots__ = ("accepted", "closed", "mode", "passed_on")

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.accepted = 0
        self.passed_on = 0
        self.closed = False


class Stream(socket.SocketIO):
    """The raw file: what is read or written through it is `via` rfile or wfile."""

    def __init__(self, sock: PulledSocket, mode: Any) -> None:
        super().__init__(sock, mode)
        self._pulled = sock
        self.tally: Tally | None = None

    def readinto(self, b: Any) -> int | None:
        """Read through the socket, as rfile."""
        sock = self._pulled
        sock.via = "rfile"
        try:
            return super().readinto(b)
        finally:
            sock.via = ""

    def write(self, b: Any) -> int | None:
        """Write through the socket, as wfile."""
        sock = self._pulled
        sock.via = "wfile"
        try:
            count = super().write(b)
        finally:
            sock.via = ""
        if self.tally is not None and count:
            self.tally.passed_on += count
        return count

    def __del__(self) -> None:
        if not self.closed:
            self._pulled.by_collector = True
            super().__del__()


def _collected(file: Reader | Writer, stream: type[Stream] = Stream) -> bool:
    """Whether *file* is still open, so that it is the collector who closes it; its socket is told."""
    raw = getattr(file, "raw", None)
    if raw is None or file.closed:
        return False
    if isinstance(raw, stream):
        raw._pulled.by_collector = True
    return True


class Reader(io.BufferedReader):
    """A buffered reader that says so when only the collector closes it."""

    def __del__(self, collected: Callable[[Reader | Writer], bool] = _collected) -> None:
        # Bound here, since a module's names are gone when the interpreter ends and the last files are collected.
        if collected(self):
            super().__del__()


class Writer(io.BufferedWriter):
    """A buffered writer that counts what was written to it, so that bytes it never passed on are known."""

    tally: Tally

    def write(self, buffer: Any, /) -> int:
        """Write to the buffer and count."""
        count = super().write(buffer)
        self.tally.accepted += count
        return count

    def close(self) -> None:
        """Close and say so: a close that somebody asked for, unless the collector did."""
        self.tally.closed = self.tally.closed or not self.closed
        super().close()

    def __del__(self, collected: Callable[[Reader | Writer], bool] = _collected) -> None:
        # Bound here, since a module's names are gone when the interpreter ends and the last files are collected.
        if collected(self):
            super().__del__()


def open_file(
    sock: PulledSocket, mode: str, buffering: int | None, text: dict[str, Any]
) -> tuple[io.IOBase, Tally | None]:
    """What `socket.makefile(mode, buffering, **text)` returns (Lib/socket.py), and its writer's tally, if any."""
    reading, writing = _directions(mode)
    raw = Stream(sock, ("r" if reading else "") + ("w" if writing else ""))
    sock._io_refs += 1  # type: ignore[attr-defined]
    if buffering is None or buffering < 0:
        buffering = io.DEFAULT_BUFFER_SIZE
    if buffering == 0:
        if "b" not in mode:
            raise ValueError("unbuffered streams must be binary")
        return raw, None
    return _buffered(raw, mode, buffering, text, reading=reading, writing=writing)


@functools.cache
def _directions(mode: str) -> tuple[bool, bool]:
    """Whether *mode* reads and whether it writes. Raises ValueError as `makefile` does, and then remembers nothing."""
    if not set(mode) <= {"r", "w", "b"}:
        raise ValueError(f"invalid mode {mode!r} (only r, w, b allowed)")
    writing = "w" in mode
    return "r" in mode or not writing, writing


def _buffered(
    raw: Stream, mode: str, buffering: int, text: dict[str, Any], *, reading: bool, writing: bool
) -> tuple[io.IOBase, Tally | None]:
    buffer: Any
    if reading and writing:
        buffer = io.BufferedRWPair(raw, raw, buffering)
    elif reading:
        buffer = Reader(raw, buffering)
    else:
        buffer = Writer(raw, buffering)
        buffer.tally = raw.tally = Tally(mode)
    if "b" in mode:
        return buffer, raw.tally
    wrapper = io.TextIOWrapper(buffer, **text)
    wrapper.mode = mode  # type: ignore[misc]  # makefile sets it too
    return wrapper, raw.tally
