"""The one socket of a server of datagrams: a `socket.socket` whose every operation is recorded, on both networks.

The server reads its requests from it, and hands it to every handler beside the bytes of the request; so a handler that
reads from it takes the next request away from the server, and one that closes it closes the server. Whoever reads pulls
the line of datagrams: when none is there, the peers go on, in the same thread. What a network must provide is small:
`_receive`, `_put`, `_landed`, `_release` and the answers about addresses and options.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from threading import get_ident
from typing import Any, Final, NoReturn, Protocol

from handshaker.harness.held import HELD
from handshaker.harness.networks.bounds import IDLE_READS_MAX, check_events, stop, stopped_again
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.datagram_addresses import DGRAM, DONTWAIT, PEEK, TRUNC, UNIX, destination, form_of
from handshaker.harness.networks.datagram_peers import DatagramPeer, Line
from handshaker.harness.networks.datagram_unconnected import Unconnected
from handshaker.harness.networks.player import PLAYED
from handshaker.harness.networks.sockets import failure, writable
from handshaker.harness.recorder import RUN

__all__ = ["DatagramSocket", "Exchange"]

_real_socket: Final = socket.socket
_Kernel: Final[Any] = socket.SocketType


class Exchange(Protocol):
    """What a server's socket knows of the Case: its peers, its line, and how far the server has come."""

    line: Line
    by_address: dict[Any, DatagramPeer]
    taken: int
    """How many datagrams the server has taken."""
    sender: int
    """The peer of the last one."""


class DatagramSocket(Unconnected):
    """A bound datagram socket whose reads pull the line of datagrams."""

    serving: bool
    """Whether it is the server that reads, in its get_request()."""
    turned: int
    """How many requests are over."""
    latest: bytes | None
    """The datagram that the server took last, as it was given."""
    exchange: Exchange | None
    family_number: int
    """The family as a plain number."""

    def __new__(cls, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> Any:  # noqa: A002
        """One of ours for datagrams; a plain socket for a stream, and for a descriptor that exists already."""
        if fileno is not None or type == -1 or type & 0xF != DGRAM:
            return _real_socket(family, type, proto, fileno)
        return super().__new__(cls)

    def _begin(self) -> None:
        self.serving = False
        self.turned = 0
        self.latest = None
        self.exchange = None
        self._released = False
        self._barren = 0
        self._serial = RUN.serial

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return not self._released

    # what a network provides

    def _receive(self, line: Line, size: int, flags: int) -> tuple[int, Any, bytes, bool] | None:
        """The next datagram: number of its peer, address, at most *size* bytes, and whether that is not all of it."""
        raise NotImplementedError

    def _more(self) -> bool:
        """Whether something has come from elsewhere than the peers."""
        return False

    def _put(self, peer: DatagramPeer | None, address: Any, data: bytes) -> bool:
        """Bring *data* to *address*, which is *peer*'s, or to nobody; False when there is no room."""
        raise NotImplementedError

    def _landed(self, peer: DatagramPeer, data: bytes) -> None:
        """Let *peer* take what was brought to it."""
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError

    def _set_option(self, level: int, optname: int, value: Any, *optlen: int) -> None:
        _Kernel.setsockopt(self, level, optname, value, *optlen)

    # reading

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """The next datagram, cut to *bufsize* bytes, and the address of its sender."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        data, address, _ = self._take(bufsize, flags)
        return data, address

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """The next datagram, cut to *bufsize* bytes; nothing at all is asked for zero bytes."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        return self._take(bufsize, flags)[0] if bufsize else b""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into *buffer*."""
        return self.recvfrom_into(buffer, nbytes, flags)[0] if memoryview(buffer).nbytes else 0

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive into *buffer*; also the address of the sender."""
        with writable(buffer) as view:
            if nbytes < 0:
                raise ValueError("negative buffersize in recvfrom_into")
            if nbytes > len(view):
                raise ValueError("nbytes is greater than the length of the buffer")
            data, address, _ = self._take(nbytes or len(view), flags)
            view[: len(data)] = data
        return len(data), address

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """Receive without ancillary data; the flags say whether the datagram was cut."""
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        data, address, cut = self._take(bufsize, flags)
        return data, [], TRUNC if cut else 0, address

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0, /) -> tuple[int, list[Any], int, Any]:
        """Receive into several buffers without ancillary data."""
        with ExitStack() as held:
            views = [held.enter_context(writable(buffer)) for buffer in buffers]
            data, address, cut = self._take(sum(map(len, views)), flags)
            position = 0
            for view in views:
                part = data[position : position + len(view)]
                view[: len(part)] = part
                position += len(part)
        return len(data), [], TRUNC if cut else 0, address

    def _take(self, size: int, flags: int) -> tuple[bytes, Any, bool]:
        run = RUN
        serving = self.serving
        hardships = run.hardships
        if serving and self.exchange is not None:
            run.connection = self.exchange.taken
            if hardships is not None:
                hardships.strike("get_request")
        try:
            exchange = self._usable()
            short = hardships is not None and hardships.strike("recv") == "short"
            peer, address, data, cut = self._next(exchange.line, size, flags, short=short)
        except OSError as error:
            self._failed("recvfrom", error)
            raise
        if flags and flags & PEEK:
            return data, address, cut
        self._barren = 0
        if serving:
            exchange.taken += 1
            exchange.sender = peer
            self.latest = data
        form = form_of(address)
        run.emit((("datagram.request", run.connection, peer, cut, form, "server" if serving else "handler"), data))
        return data, address, cut

    def _next(self, line: Line, size: int, flags: int, *, short: bool) -> tuple[int, Any, bytes, bool]:
        patience = 0.0 if flags & DONTWAIT and self._timeout is None else self._timeout
        if flags & PEEK:
            self._note_barren("recvfrom")  # who takes nothing, however often it looks, does not get on
        while True:
            if not line.queue:
                self._wait(line, patience)
            if short and line.queue:
                size = min(size, len(line.queue[0][2]) // 2)
            found = self._receive(line, size, flags)
            if found is not None:
                return found

    def _wait(self, line: Line, patience: float | None) -> None:
        """Let the peers go on until a datagram is there."""
        deadline = None if patience is None else CLOCK.now + patience
        while not line.queue:
            turn = line.advance(deadline)
            if line.queue or (turn is not PLAYED and self._more()):
                return
            if turn is not PLAYED or patience == 0:
                self._give_up("recvfrom", deadline, patience)

    def _give_up(self, operation: str, deadline: float | None, patience: float | None) -> NoReturn:
        if deadline is None:
            stop("network.stalled", RUN.connection, operation, self._after())
        self._note_barren(operation)
        if patience == 0:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        CLOCK.move(deadline - CLOCK.now)
        raise TimeoutError("timed out")

    def _note_barren(self, operation: str) -> None:
        self._barren += 1
        if self._barren > IDLE_READS_MAX:
            stop("network.spinning", RUN.connection, operation, self._after())

    def _after(self) -> str:
        """What the peers are like by now."""
        peers = self.exchange.line.peers if self.exchange is not None else []
        return "open" if any(peer.here for peer in peers) else "closed"

    def _usable(self) -> Exchange:
        """What this socket is for, as long as it may be used."""
        run = RUN
        if run.stopped:
            stopped_again()
        if self._released or self._serial != run.serial:
            if not self.serving:
                self._note_barren("recvfrom")
            raise OSError(errno.EBADF, "Bad file descriptor")
        if run.active and get_ident() != run.owner:
            self._kernel("thread")
        if self.exchange is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self.exchange

    def _failed(self, operation: str, error: OSError) -> None:
        self._say(*failure(operation, error))

    def _say(self, kind: str, *fields: Any) -> None:
        """Write an event down, unless this socket was kept from an earlier run."""
        if self._serial == RUN.serial:
            RUN.emit(((kind, RUN.connection, *fields), None))

    # writing

    def sendto(self, data: Any, *rest: Any) -> int:
        """Send one datagram: `sendto(data, address)` or `sendto(data, flags, address)`."""
        if not 1 <= len(rest) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(rest)} given)")
        return self._dispatch("sendto", data if type(data) is bytes else _bytes(data), rest[-1])

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
        """Send several buffers as one datagram. Ancillary data needs a kernel object."""
        data = b"".join(map(_bytes, buffers))
        if list(ancdata):
            self._kernel("sendmsg")
        return self.send(data) if address is None else self._dispatch("sendmsg", data, address)

    def _dispatch(self, via: str, data: bytes, address: Any) -> int:
        run = RUN
        try:
            exchange = self._usable()
            peer, address = self._addressee(exchange, address)
            if run.hardships is not None:
                run.hardships.strike("send")  # `short` is without effect: a datagram is sent whole or not at all
            self._send(exchange.line, peer, address, data)
        except OSError as error:
            self._failed("sendto", error)
            raise
        to = "nobody" if peer is None else "sender" if peer.number == exchange.sender else "peer"
        run.emit((("datagram.reply", run.connection, via, to, True, HELD.compare(data), not data), data))
        if peer is not None and peer.here:
            self._landed(peer, data)
        return len(data)

    def _addressee(self, exchange: Exchange, address: Any) -> tuple[DatagramPeer | None, Any]:
        try:
            peer = exchange.by_address.get(address)
        except TypeError:
            peer = None
        if peer is None:
            address = destination(self.family_number, address)
            peer = exchange.by_address.get(address)
        return peer, address

    def _send(self, line: Line, peer: DatagramPeer | None, address: Any, data: bytes) -> None:
        check_events(RUN.connection)
        if len(data) > line.longest:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if peer is not None and not peer.flying:
            peer.hinder(line)
        deadline = None if self._timeout is None else CLOCK.now + self._timeout
        while not self._put(peer, address, data):
            if line.advance(deadline) is PLAYED and self._timeout != 0:
                continue
            if self._put(peer, address, data):
                return
            self._give_up("sendto", deadline, self._timeout)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """To whom? Only a connected socket knows."""
        _bytes(data)
        number = errno.ENOTCONN if self.family_number == UNIX else errno.EDESTADDRREQ
        try:
            self._usable()
            raise OSError(number, os.strerror(number))
        except OSError as error:
            self._failed("sendto", error)
            raise

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """To whom? Only a connected socket knows."""
        self.send(data)

    # settings

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout, and write it down; it holds for the server's own reads too."""
        self._not_released()
        super().settimeout(value)
        if self.exchange is not None:
            self._say("socket.settimeout", self.gettimeout())

    def setblocking(self, flag: bool, /) -> None:
        """Wait for ever, or not at all, and write it down."""
        self.settimeout(None if flag else 0.0)

    def setsockopt(self, level: int, optname: int, value: Any, *optlen: int) -> None:
        """Set the option, and write it down."""
        self._not_released()
        self._set_option(level, optname, value, *optlen)
        if self.exchange is not None and self._serial == RUN.serial:
            RUN.emit((("socket.setsockopt", RUN.connection, f"{level}/{optname}"), repr(value)))

    # ending

    def close(self) -> None:
        """Close; the server has no socket any more."""
        if RUN.connection >= 0 and self.exchange is not None:
            self._say("socket.close")
        super().close()

    def _real_close(self, _: Any = None) -> None:
        if not self._released:
            self._released = True
            if RUN.connection >= 0 and self.exchange is not None:
                self._say("socket.released", "call")
            if self.exchange is not None:
                self.exchange.line.close()
            self._release()

    def detach(self) -> int:
        """Give the descriptor away: only the kernel has one."""
        if RUN.connection >= 0:
            self._say("socket.detach")
        self._kernel("detach")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the server{' [closed]' if self._released else ''}>"


def _bytes(data: Any) -> bytes:
    return memoryview(data).tobytes()
