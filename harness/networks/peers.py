"""One peer on the loopback interface or on a Unix socket: a client socket that is played in the handler's thread.

Nothing here waits for the handler. What the peer sends goes out as far as the kernel takes it, the rest when there is
room again; what it receives it takes when the handler's buffer is full, when it counts bytes, and at the end. Both
sides count bytes, so it is known, not guessed, whether something is on its way; waiting for that is bounded, and over
at once on a healthy machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.case import Script
from handshaker.harness.errors import HarnessBug
from handshaker.harness.networks.link import how_it_ended
from handshaker.harness.networks.player import Player

__all__ = ["ARRIVAL_S", "SMALL_BUFFER_BYTES", "KernelPeer", "readable"]

ARRIVAL_S: Final = 1.0
"""How long bytes that are on their way over loopback may take: a bound, never reached on a healthy machine."""

_CHUNK_BYTES: Final = 65_536  # more would be mapped and unmapped for every read
SMALL_BUFFER_BYTES: Final = 4_096
_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER with zero seconds: close() sends a reset
_Kernel: Final[Any] = socket.SocketType  # the C class below socket.socket, which costs half as much to make
_WITHOUT_WAITING: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EAGAIN})


def readable(descriptor: int, seconds: float, *, also_writable: int = -1) -> bool:
    """Wait until *descriptor* can be read, or *also_writable* be written, at most so long."""
    poll = select.poll()
    if descriptor >= 0:
        poll.register(descriptor, select.POLLIN)
    if also_writable >= 0:
        poll.register(also_writable, select.POLLOUT)
    return bool(poll.poll(seconds * 1_000))


class KernelPeer:
    """One peer's end of a connection: the Wire that its Player plays on."""

    __slots__ = (
        "address", "ended", "family", "handed", "number", "player", "reading", "released", "reply", "room", "sent",
        "shut_rd", "seen", "shut_wr", "small_buffers", "taken", "tallies", "unix", "unread", "_arrived", "_queue",
        "_socket",
    )  # fmt: skip

    def __init__(self, number: int, script: Script, family: int = socket.AF_INET) -> None:
        self.number = number
        self.family = family
        self.unix = family == socket.AF_UNIX
        self.small_buffers = "stop-reading" in [step.action for step in script.steps]
        self.sent = 0  # bytes that the kernel took from the peer
        self.taken = 0  # of these, bytes that the handler took
        self.handed = 0  # bytes that the kernel took from the handler
        self.ended = False  # a FIN or a reset is on its way to the server, or there
        self.shut_rd = self.shut_wr = self.released = self.unread = False  # what the server side did
        self.seen = ""  # how the stream ended, once the peer has seen it: eof or reset
        self.reading = True
        self.room = 0
        self.reply: list[bytes] = []
        self.tallies: list[Any] = []
        self.address: Any = None
        self.player = Player(number, script, self)
        self._arrived = 0
        self._queue: deque[memoryview | Callable[[], None]] = deque()
        self._socket = _Kernel(family, _WITHOUT_WAITING)

    def connect(self, server: Any) -> None:
        """Connect, which needs no accept: the connection waits in the backlog."""
        if self.small_buffers:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        number = self._socket.connect_ex(server)
        if number in _UNDER_WAY:
            readable(-1, ARRIVAL_S, also_writable=self._socket.fileno())
        elif number:
            raise OSError(number, os.strerror(number))
        self.address = self._socket.getsockname()

    # what the peer does (the Wire that the Player plays on)

    def deliver(self, data: bytes) -> None:
        """Send one segment, after what is still waiting to be sent."""
        count = 0 if self._queue else self._send(data)
        if count < len(data):
            self._queue.append(memoryview(data)[count:])

    def half_close(self) -> None:
        """Send a FIN, after what is still waiting to be sent."""
        self._then(self._end_sending)

    def close(self) -> None:
        """Take what has arrived, so that a FIN is sent and not a reset, and close."""
        self._then(self._close)

    def reset(self) -> None:
        """Abort the connection; a Unix peer can only go without having read what has come since it last looked."""
        self._then(self._abort)

    def stop_reading(self, room: int) -> None:
        """Take *room* more bytes, then leave everything to the kernel's (small) buffers."""
        self._settle()
        self.reading, self.room = False, room

    def resume_reading(self) -> None:
        """Take reply bytes again."""
        self.reading = True

    def received(self) -> int:
        """How many bytes of reply are at the peer."""
        self._settle()
        return self._arrived

    def _then(self, act: Callable[[], None]) -> None:
        if self._queue:
            self._queue.append(act)
        else:
            act()

    def _end_sending(self) -> None:
        self.ended = True
        with contextlib.suppress(OSError):  # ENOTCONN: the server has reset the connection already
            self._socket.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._settle()
        self._leave()

    def _abort(self) -> None:
        if self.unix:
            self._look_at_the_rest()
        else:
            self._settle()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self._leave()

    def _look_at_the_rest(self) -> None:
        """Learn what has arrived without taking it: input that stays unread is what the server is told of."""
        size = self.handed - self._arrived
        with contextlib.suppress(OSError):
            if size > 0 and (data := self._socket.recv(size, socket.MSG_PEEK)):
                self.reply.append(data)
                self._arrived += len(data)

    def _leave(self) -> None:
        self.ended = True
        self._socket.close()

    def abort(self) -> None:
        """Abort the connection from outside the Script."""
        if not self.gone:
            self._abort()

    def wait(self, seconds: float) -> None:
        """Let real time go by, at most so much, taking and sending what can be taken and sent meanwhile."""
        readable(-1 if self.gone or self.seen or not self.reading else self._socket.fileno(), seconds)
        self.push()
        self.drain()

    # what the server side asks

    @property
    def gone(self) -> bool:
        """Whether the peer has closed or reset its end."""
        return bool(self._socket.fileno() < 0)

    @property
    def consumed(self) -> bool:
        """Whether the handler took all that the peer has sent so far."""
        return self.sent == self.taken and not self._queue

    @property
    def pending(self) -> bool:
        """Whether the peer has decided on more than the kernel has taken from it."""
        return bool(self._queue)

    def push(self) -> bool:
        """Carry out what the peer has decided, as far as the kernel goes along; false when nothing could be done."""
        done = False
        while self._queue:
            first = self._queue[0]
            if isinstance(first, memoryview):
                count = self._send(first)
                done = done or bool(count)
                if count < len(first):
                    self._queue[0] = first[count:]
                    break
            self._queue.popleft()
            if not isinstance(first, memoryview):
                first()
                done = True
        return done

    def push_when_possible(self, server: int) -> None:
        """Push; when the kernel takes nothing, wait until the handler's side (descriptor *server*) has made room."""
        if not self.push() and not readable(server, ARRIVAL_S, also_writable=self._socket.fileno()):
            raise HarnessBug("the kernel took no more bytes of a peer although the handler had read all before them")

    def _send(self, data: bytes | memoryview) -> int:
        try:
            count: int = self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # the server is gone: the bytes are lost, as they would be
        self.sent += count
        return count

    def drain(self) -> int:
        """Take the reply bytes that have arrived; returns how many."""
        before = self._arrived
        gone = self.gone
        while not (self.seen or gone):
            size = _CHUNK_BYTES if self.reading else min(_CHUNK_BYTES, self.room)
            if not size or not self._receive(size):
                break
        return self._arrived - before

    def _receive(self, size: int) -> bool:
        try:
            data = self._socket.recv(size)
        except BlockingIOError:
            return False
        except OSError:
            self.seen = "reset"
            return False
        if not data:
            self.seen = "eof"
            return False
        self.reply.append(data)
        self._arrived += len(data)
        if not self.reading:
            self.room -= len(data)
        return True

    def make_room(self, server: int) -> bool:
        """Take reply bytes, or wait until some arrive or *server* has room; false when this peer takes no more."""
        if self.drain():
            return True
        if self.gone or not (self.reading or self.room):
            return False
        return readable(self._socket.fileno(), ARRIVAL_S, also_writable=server)

    def _settle(self) -> None:
        """Take all that is on its way, if this peer still reads."""
        self.drain()
        while self._arrived < self.handed and not self.seen and not self.gone and (self.reading or self.room):
            if not readable(self._socket.fileno(), ARRIVAL_S):
                break
            self.drain()

    # the end

    def leave(self) -> None:
        """Read to the end of the stream, if the server has ended it, and close."""
        if not self.gone:
            self.reading = True
            self._settle()
            if self.released or self.shut_wr:
                self._await_end()
            if self.unix and self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.seen = "reset"  # a Unix socket tells of unread input also after the end of the stream
            self._socket.close()
        self._queue.clear()

    def _await_end(self) -> None:
        while not self.seen and readable(self._socket.fileno(), ARRIVAL_S):
            self.drain()

    def end(self) -> tuple[Any, ...]:
        """How the stream ended for the peer: the fields of `peer.end`."""
        how = self.seen or how_it_ended(gone=True, cut=False, over=self.released or self.shut_wr)
        return ("peer.end", self.number, how, self.unread, self.player.unplayed)
