"""The memory network: no kernel object, one thread, virtual time, the same Case always gives the same Trace.

A `Link` is both ends of one connection. What it does on resets, half-closes and full buffers is what Linux does on the
loopback interface; `docs/networks.md` lists what is deliberately different, and the parity suite compares the two.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, Final, NoReturn

from handshaker.harness.case import Case
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.player import Player, Turn
from handshaker.harness.networks.sockets import PulledSocket, Stopped
from handshaker.harness.recorder import RUN

__all__ = ["Link", "MemoryListener", "MemoryNetwork", "MemorySocket"]

REPLY_BYTES_MAX: Final = 4 * 1024 * 1024
EVENTS_MAX: Final = 50_000
IDLE_READS_MAX: Final = 200
ROOM_BYTES: Final = 262_144
RESET_CUTS_BYTES: Final = 131_072
SERVER_PORT: Final = 8_000
FIRST_PEER_PORT: Final = 40_000


class Link:
    """Both ends of one connection: what waits to be read, how each side ended, what has arrived at the peer."""

    __slots__ = (
        "address", "barren", "ended", "error", "inbox", "number", "peer_gone", "player", "reading", "reply",
        "reply_bytes", "room", "shut_rd", "shut_wr", "unread", "released", "socket_timeout", "tallies",
    )  # fmt: skip

    def __init__(self, number: int, case: Case) -> None:
        self.number = number
        self.address = ("127.0.0.1", FIRST_PEER_PORT + number)
        self.inbox = b""
        self.ended = False  # a FIN has come: after the inbox, reads give b""
        self.error = 0  # a pending socket error, given once
        self.peer_gone = False  # the peer's side is closed or reset: what is written goes nowhere
        self.reading = True
        self.room = 0
        self.reply: list[bytes] = []
        self.reply_bytes = 0
        self.shut_rd = self.shut_wr = self.released = self.unread = False
        self.barren = 0
        self.socket_timeout: float | None = None
        self.tallies: list[Any] = []
        self.player = Player(number, case.scripts[number], self)

    # what the peer does (the Wire that the Player plays on)

    def deliver(self, data: bytes) -> None:
        """One segment arrives; after the server side is gone it is answered by a reset that nobody sees."""
        if not self.shut_rd:
            self.inbox += data

    def half_close(self) -> None:
        """A FIN arrives."""
        self.ended = True

    def close(self) -> None:
        """A FIN arrives, and whatever is written from now on is answered by a reset."""
        self.ended = self.peer_gone = True

    def reset(self) -> None:
        """A reset arrives: what was not read yet stays readable, then ECONNRESET once (EPIPE if a FIN came before)."""
        self.error = errno.EPIPE if self.ended else errno.ECONNRESET
        self.peer_gone = True

    def stop_reading(self, room: int) -> None:
        """Only *room* more bytes fit."""
        self.reading, self.room = False, room

    def resume_reading(self) -> None:
        """Everything fits again."""
        self.reading = True

    def received(self) -> int:
        """Bytes of reply at the peer."""
        return self.reply_bytes

    # what the server side does

    def take(self, size: int, *, peek: bool) -> bytes:
        """Up to *size* bytes of the inbox."""
        data = self.inbox[:size]
        if not peek:
            self.inbox = self.inbox[size:]
        return data

    def put(self, data: memoryview) -> None:
        """Bytes go to the peer, if it is still there; a closed peer answers the first ones with a reset."""
        if self.peer_gone:
            self.error = errno.EPIPE
            return
        self.reply.append(bytes(data))
        self.reply_bytes += len(data)
        if not self.reading:
            self.room -= len(data)
        if self.reply_bytes > REPLY_BYTES_MAX:
            stop("network.limit", self.number, "reply")

    def release(self) -> None:
        """The server side is closed; input that nobody read turns the end into a reset."""
        self.released = True
        self.unread = bool(self.inbox)

    def end(self) -> tuple[Any, ...]:
        """How the stream ended for the peer: the fields of `peer.end`."""
        if self.unread and (not self.shut_wr or self.reply_bytes > RESET_CUTS_BYTES):
            how = "reset"
        else:
            how = "eof" if self.released or self.shut_wr else "open"
        return ("peer.end", self.number, how, self.unread, self.player.unplayed)


def stop(kind: str, number: int, *fields: Any) -> NoReturn:
    """Write the fact down first, then end the handler."""
    if not RUN.stopped:
        RUN.stopped = True
        RUN.emit(((kind, number, *fields), None))
    raise Stopped(kind)


class _KernelLess(socket.socket):
    """What a socket without a kernel object answers about itself."""

    family = property(lambda self: socket.AF_INET)  # type: ignore[assignment]
    type = property(lambda self: socket.SOCK_STREAM)  # type: ignore[assignment]
    proto = property(lambda self: 0)  # type: ignore[assignment]
    timeout = property(lambda self: self.gettimeout())  # type: ignore[assignment]

    _options: dict[tuple[int, int], Any]
    _timeout: float | None

    def gettimeout(self) -> float | None:
        """The timeout in seconds; None: blocking."""
        return self._timeout

    def getblocking(self) -> bool:
        """Whether operations may wait."""
        return self._timeout != 0

    def setblocking(self, flag: bool, /) -> None:
        """Blocking for ever, or not at all."""
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None, /) -> None:
        """Let operations wait for *value* seconds; None: for ever."""
        if value is not None and float(value) < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = None if value is None else float(value)

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        """What `setsockopt` set, else 0 (or the few values that handlers ask for)."""
        known = {(socket.SOL_SOCKET, socket.SO_TYPE): socket.SOCK_STREAM}
        value = self._options.get((level, optname), known.get((level, optname), 0))
        if buflen and isinstance(value, int):
            return value.to_bytes(min(4, buflen), "little")
        return value

    def get_inheritable(self) -> bool:
        """Sockets are not inheritable unless somebody asks for it (PEP 446)."""
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """Taken; there is no descriptor to inherit."""

    def ioctl(self, *_: Any) -> NoReturn:
        """Windows only."""
        raise AttributeError("ioctl")


class MemorySocket(_KernelLess, PulledSocket):
    """The request socket of the memory network."""

    def __init__(self, link: Link) -> None:
        self._io_refs = 0
        self._closed = False
        self._timeout = socket.getdefaulttimeout()
        self._options = {}
        self._link = link
        self._begin(link.number)
        link.tallies = self._tallies

    # reading

    def _read(self, size: int, flags: int) -> bytes:
        link = self._link
        if not size:
            return b""
        if not link.inbox and not self._wait_for_input(link, flags):
            return b""
        if flags & socket.MSG_WAITALL:
            while len(link.inbox) < size and self._wait_for_input(link, flags):
                pass
        link.barren = 0
        return link.take(size, peek=bool(flags & socket.MSG_PEEK))

    def _wait_for_input(self, link: Link, flags: int) -> bool:
        """Pull until there is more input; False at the end of the stream."""
        if link.shut_rd:
            return self._barren(link, "recv")
        before = len(link.inbox)
        patience = 0.0 if flags & socket.MSG_DONTWAIT else self._timeout
        deadline = None if patience is None else CLOCK.now + patience
        while len(link.inbox) == before:
            if link.ended:
                return self._barren(link, "recv")
            if link.error:
                self._raise_pending(link)
            turn = link.player.advance(deadline)
            if turn is not Turn.PLAYED or (patience == 0 and link.inbox == b"" and not (link.ended or link.error)):
                self._give_up(link, "recv", deadline, patience)
        return True

    def _barren(self, link: Link, operation: str) -> bool:
        link.barren += 1
        if link.barren > IDLE_READS_MAX:
            stop("network.spinning", self.number, operation, link.player.state)
        return False

    def _raise_pending(self, link: Link) -> NoReturn:
        # As Linux: the error is given once, to whoever asks first; after it, reads give EOF and writes EPIPE.
        number, link.error, link.ended = link.error, 0, True
        raise OSError(number, "Connection reset by peer" if number == errno.ECONNRESET else "Broken pipe")

    def _give_up(self, link: Link, operation: str, deadline: float | None, patience: float | None) -> NoReturn:
        if deadline is None:
            stop("network.stalled", self.number, operation, link.player.state)
        self._barren(link, operation)
        if patience == 0:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        CLOCK.move(deadline - CLOCK.now)
        raise TimeoutError("timed out")

    # writing

    def _write(self, data: memoryview, *, whole: bool) -> int:
        link = self._link
        if not link.inbox:
            link.player.before_write()
        deadline = None if self._timeout is None else CLOCK.now + self._timeout
        done = 0
        while True:
            self._may_write(link)
            part = data[done : done + self._room(link)]
            if part:
                link.put(part)
                link.barren = 0
                done += len(part)
            if done == len(data) or (part and not whole and self._timeout is not None):
                return done
            if not self._wait_for_room(link, deadline):
                return done

    def _may_write(self, link: Link) -> None:
        if link.error:
            self._raise_pending(link)
        if link.shut_wr or (link.peer_gone and (link.player.state == "reset" or link.unread)):
            self._barren(link, "send")
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        if len(RUN.recorder.flat if RUN.recorder else ()) > 2 * EVENTS_MAX:
            stop("network.limit", self.number, "events")

    def _room(self, link: Link) -> int:
        return ROOM_BYTES if link.reading or link.peer_gone else min(ROOM_BYTES, max(0, link.room))

    def _wait_for_room(self, link: Link, deadline: float | None) -> bool:
        """Pull until the peer reads again or is gone."""
        while not self._room(link) and not link.error:
            turn = link.player.advance(deadline)
            if turn is not Turn.PLAYED or self._timeout == 0:
                self._give_up(link, "send", deadline, self._timeout)
        return True

    # the rest

    def _shut(self, how: int) -> None:
        link = self._link
        if link.player.state == "reset":
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            link.shut_rd = True
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            link.shut_wr = True

    def _release(self) -> None:
        self._link.release()

    def _kernel(self, operation: str) -> NoReturn:
        stop("network.kernel", self.number, operation)

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout, and write it down."""
        super().settimeout(value)
        RUN.emit((("socket.settimeout", self.number, self._timeout), None))

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int = 0, /) -> None:
        """Keep the option, and write it down."""
        self._options[level, optname] = value
        RUN.emit((("socket.setsockopt", self.number, f"{level}/{optname}"), repr(value)))

    def getsockname(self) -> Any:
        """The server's own address."""
        return ("127.0.0.1", SERVER_PORT)

    def getpeername(self) -> Any:
        """The peer's address; ENOTCONN after a reset."""
        if self._released:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self._link.player.state == "reset":
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._link.address

    def fileno(self) -> int:
        """-1 once closed; an open socket has no descriptor here, so the Case must be played on loopback."""
        if self._released:
            return -1
        self._kernel("fileno")

    def dup(self) -> NoReturn:  # type: ignore[override]
        """A second descriptor needs a first one."""
        self._kernel("dup")

    def accept(self) -> NoReturn:
        """A connected socket does not accept."""
        raise OSError(errno.EINVAL, "Invalid argument")

    listen = bind = _accept = accept  # type: ignore[assignment]

    def connect(self, *_: Any) -> NoReturn:
        """A connected socket does not connect."""
        raise OSError(errno.EISCONN, "Transport endpoint is already connected")

    def connect_ex(self, *_: Any) -> int:
        """A connected socket does not connect."""
        return errno.EISCONN

    def __repr__(self) -> str:
        return f"<MemorySocket of peer {self.number}{' [closed]' if self._closed else ''}>"


class MemoryListener(_KernelLess):
    """The listening socket of the memory network; also what `socket.socket` makes while a server is constructed."""

    network: MemoryNetwork | None = None

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._io_refs = 0
        self._closed = False
        self._timeout = None
        self._options = {}
        self._address: Any = ("0.0.0.0", 0)
        self.asked_family, self.asked_type = int(family), int(type)

    def bind(self, address: Any, /) -> None:
        """Any address will do; port 0 becomes a fixed one."""
        host, port = (address[0] or "0.0.0.0", address[1] or SERVER_PORT) if isinstance(address, tuple) else address
        self._address = (host, port)

    def listen(self, backlog: int = 0, /) -> None:
        """Ready at once."""
        self._options[socket.SOL_SOCKET, socket.SO_ACCEPTCONN] = 1

    def accept(self) -> tuple[socket.socket, Any]:
        """The next peer of the Case. Raises BlockingIOError when all have been served."""
        if self._closed:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self.network is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self.network.accept()

    def getsockname(self) -> Any:
        """The address it was bound to."""
        return self._address

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int = 0, /) -> None:
        """Keep the option."""
        self._options[level, optname] = value

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def _real_close(self, _: Any = None) -> None:
        self._closed = True

    def shutdown(self, how: int, /) -> None:
        """A listener has nothing to shut down."""

    def detach(self) -> int:
        """There is no descriptor to give away."""
        return -1

    def __repr__(self) -> str:
        return f"<MemoryListener {self._address}>"


def _not_a_connection(name: str) -> Callable[..., NoReturn]:
    def method(self: object, *_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    method.__name__ = name
    method.__doc__ = "A listening socket cannot."
    return method


for _name in (
    "connect", "connect_ex", "getpeername", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into",
    "send", "sendall", "sendmsg", "sendmsg_afalg", "sendto", "dup", "_accept",
):  # fmt: skip
    setattr(MemoryListener, _name, _not_a_connection(_name))


class MemoryNetwork:
    """One Case in memory: its peers connect one after another, when the server accepts."""

    __slots__ = ("case", "links")

    def __init__(self, case: Case) -> None:
        self.case = case
        self.links: list[Link] = []

    @property
    def waiting(self) -> int:
        """How many peers have not been accepted yet."""
        return len(self.case.scripts) - len(self.links)

    def accept(self) -> tuple[socket.socket, Any]:
        """Let the next peer connect. Raises BlockingIOError when there is none."""
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        number = len(self.links)
        RUN.connection = number
        if RUN.hardships is not None:
            RUN.hardships.strike("get_request")
        link = Link(number, self.case)
        self.links.append(link)
        RUN.emit((("peer.connect", number), f"{link.address[0]}:{link.address[1]}"))
        early = self.case.scripts[number].early
        if early:
            link.player.play_early(early)
        sock = MemorySocket(link)
        self._accepted(sock, link)
        return sock, link.address

    def _accepted(self, sock: MemorySocket, link: Link) -> None:
        named = link.player.state != "reset"
        RUN.emit((("socket.accepted", link.number, "AF_INET", "SOCK_STREAM", sock.gettimeout(), False, named), None))

    def finish(self) -> None:
        """Write down how each connection ended, after the server is gone."""
        for link in self.links:
            for tally in link.tallies:
                pending = tally.accepted - tally.passed_on
                RUN.emit((("socket.file-end", link.number, tally.mode, pending > 0, tally.closed), pending))
            RUN.emit((link.end(), b"".join(link.reply)))

