"""The request socket in real time, and what can be seen from outside of the server's side of its connection.

Here the handler may read past our socket, so what it has taken is asked of the kernel, through a copy of the descriptor
that lives for a moment and is looked at only if it still belongs to this connection.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.case import Script
from handshaker.harness.networks.bounds import IDLE_READS_MAX, REPLY_BYTES_MAX, check_events, stop
from handshaker.harness.networks.peers import SMALL_BUFFER_BYTES, KernelPeer
from handshaker.harness.networks.sockets import PulledSocket
from handshaker.harness.recorder import RUN

__all__ = ["LivePeer", "LiveSocket", "unread_bytes"]

_Kernel: Any = socket.SocketType
_ONCE: Final = socket.MSG_PEEK | socket.MSG_DONTWAIT
_SLICE_MS: Final = 5
_SAYING_SLICES: Final = 400


class LivePeer(KernelPeer):
    """A peer that is played in real time, and what is known about the server's side of its connection."""

    __slots__ = ("accepted", "descriptor", "inode", "ready", "waits_in")

    def __init__(self, number: int, script: Script, family: int = socket.AF_INET) -> None:
        super().__init__(number, script, family)
        self.ready = threading.Event()  # its early Steps have been played
        self.accepted = threading.Event()
        self.descriptor = -1
        self.inode = -1  # of the request socket: a descriptor that was closed may come back as another file
        self.waits_in = ""  # the operation of the request socket that waits without a timeout

    def took_all(self) -> bool:
        """Whether the server's side has read all that was sent, as far as can be seen from outside."""
        return not self.pending and (self.sent == self.taken or unread_bytes(self.descriptor, self.inode) == 0)

    def knows_the_end(self) -> bool:
        """Whether the connection is over for this peer; one that does not read cannot see it, and is not waited for."""
        return bool(self.seen) or self.gone or (self.released and not self.reading)

    def stuck(self) -> bool:
        """Whether the handler waits for this peer without a timeout, although nothing is on its way."""
        return bool(self.waits_in) and not self.ended and self.player.next_step is None and self._untouched()

    def _untouched(self) -> bool:
        return self.sent == self.taken if self.waits_in == "recv" else not self.reading


def unread_bytes(descriptor: int, inode: int) -> int:
    """How many bytes wait in the socket *descriptor*, if it still is the one with this *inode*; else 0."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        return 0
    try:
        if os.fstat(copy).st_ino != inode:
            return 0
        return int.from_bytes(fcntl.ioctl(copy, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)
    except OSError:
        return 0
    finally:
        os.close(copy)


class LiveSocket(PulledSocket):
    """The request socket in real time: everything is the kernel's, and written down."""

    _late: OSError | None = None  # what ended a read that had bytes to give

    def __init__(self, descriptor: int, peer: LivePeer) -> None:
        super().__init__(peer.family, socket.SOCK_STREAM, 0, fileno=descriptor)
        if peer.small_buffers:
            _Kernel.setsockopt(self, socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
        peer.descriptor = descriptor
        peer.inode = os.fstat(descriptor).st_ino
        self._peer = peer
        self._barren = 0
        self._begin(peer.number)
        peer.tallies = self._tallies

    def _usable(self, operation: str) -> None:
        if RUN.active and (RUN.stopped or threading.get_ident() == RUN.owner):
            super()._usable(operation)
        else:
            self._not_released()

    def _read(self, size: int, flags: int) -> bytes:
        late, self._late = self._late, None
        if late is not None:
            raise late
        if flags & socket.MSG_WAITALL and not flags & _ONCE and size and self.gettimeout() is None:
            return self._read_all(size, flags & ~socket.MSG_WAITALL)
        return self._read_once(size, flags)

    def _read_all(self, size: int, flags: int) -> bytes:
        """What the kernel does for MSG_WAITALL, piece by piece, so that it can be seen what was taken by now."""
        data = b""
        try:
            while len(data) < size and (part := self._read_once(size - len(data), flags)):
                data += part
        except OSError as error:
            if not data:
                raise
            self._late = error.with_traceback(None) if isinstance(error, ConnectionError) else None
        return data

    def _read_once(self, size: int, flags: int) -> bytes:
        waits = size and self._patience(socket.SO_RCVTIMEO) is None and not flags & socket.MSG_DONTWAIT
        data: bytes = self._while_waiting("recv" if waits else "", _Kernel.recv, size, flags)
        if not data and size:
            self._barren += 1
            if self._barren > IDLE_READS_MAX:
                self._await_the_end()
                stop("network.spinning", self.number, "recv", self._peer.player.state)
        elif not flags & socket.MSG_PEEK:
            self._barren = 0
            self._peer.taken += len(data)
        return data

    def _await_the_end(self) -> None:
        """Give the peer, which has ended the stream, the time to say how."""
        for _ in range(_SAYING_SLICES):
            if self._peer.player.state != "open" or self._peer.shut_rd:
                return
            select.poll().poll(_SLICE_MS)

    def _write(self, data: memoryview, *, whole: bool) -> int:
        check_events(self.number)
        waits = "send" if self._patience(socket.SO_SNDTIMEO) is None else ""
        sent = self._while_waiting(waits, _Kernel.sendall if whole else _Kernel.send, data)
        count: int = len(data) if whole else sent
        if not self._peer.gone:
            self._peer.handed += count
        if self._peer.handed > REPLY_BYTES_MAX:
            stop("network.limit", self.number, "reply")
        return count

    def _while_waiting(self, operation: str, call: Callable[..., Any], *arguments: Any) -> Any:
        # What another thread of the handler waits in does not say that the handler is stuck.
        self._peer.waits_in = operation if threading.get_ident() == RUN.owner else ""
        try:
            return call(self, *arguments)
        finally:
            self._peer.waits_in = ""

    def _shut(self, how: int) -> None:
        _Kernel.shutdown(self, how)
        if how != socket.SHUT_WR:
            self._peer.shut_rd = True
        if how != socket.SHUT_RD:
            self._peer.shut_wr = True

    def _release(self) -> None:
        self._peer.unread = unread_bytes(_Kernel.fileno(self), self._peer.inode) > 0
        self._peer.released = True
        _Kernel.close(self)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
        """Send several buffers as one; ancillary data goes to the kernel."""
        if not (ancdata := list(ancdata)):
            return super().sendmsg(buffers)
        return int(_Kernel.sendmsg(self, buffers, ancdata, flags))

    def fileno(self) -> int:
        """The descriptor, or -1 once closed."""
        return int(_Kernel.fileno(self))

    def dup(self) -> Any:
        """A plain socket for the same connection; what is done through it is not written down."""
        return socket.socket(self.family, self.type, self.proto, fileno=socket.dup(self.fileno()))

    def detach(self) -> int:
        """Give the descriptor away; what is done with it is not written down."""
        RUN.emit((("socket.detach", self.number), None))
        self._peer.released = True  # from here on only the peer can see when the connection ends
        self._released = self._closed = True
        return int(_Kernel.detach(self))
