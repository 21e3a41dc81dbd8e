"""The memory network: no kernel object, one thread, virtual time, the same Case always gives the same Trace.

A `Link` is both ends of one connection; the request socket waits on it in virtual time, by playing the peer's Steps.
`docs/networks.md` lists what is deliberately different from the kernel, and the parity suite compares the two.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final, NoReturn

from handshaker.harness.case import Case
from handshaker.harness.networks.bounds import EVENTS_MAX, IDLE_READS_MAX, check_events, stop
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.link import Link, link_of
from handshaker.harness.networks.listener import SERVER_PORT, KernelLess, MemoryListener
from handshaker.harness.networks.player import PLAYED
from handshaker.harness.networks.sockets import PulledSocket
from handshaker.harness.places import NOWHERE, Place
from handshaker.harness.recorder import RUN, Emit

__all__ = ["MemoryListener", "MemoryNetwork", "MemorySocket"]

_ROOM_BYTES: Final = 262_144
_WHERE: Final[dict[str, tuple[Any, str, Any, Any]]] = {
    "tcp": (socket.AF_INET, "AF_INET", ("127.0.0.1", 0), ("127.0.0.1", SERVER_PORT)),
    "tcp6": (socket.AF_INET6, "AF_INET6", ("::1", 0), ("::1", SERVER_PORT, 0, 0)),
    "unix": (socket.AF_UNIX, "AF_UNIX", NOWHERE, NOWHERE),
}
"""For each transport: its family and that one's name, where a server is asked to listen, what connections say of it."""


class MemorySocket(PulledSocket, KernelLess):
    """The request socket of the memory network."""

    def __init__(self, link: Link, family: int, own: Any) -> None:
        self._io_refs = 0
        self._closed = False
        self._timeout = socket.getdefaulttimeout()
        self._options = {}
        self._family = family
        self._own = own
        self._link = link
        self._begin(link.number)
        link.tallies = self._tallies

    # reading

    def _read(self, size: int, flags: int) -> bytes:
        link = self._link
        if not size:
            return b""
        if flags:
            return self._read_specially(link, size, flags)
        patience = self._timeout if self._own_timeouts is None else self._patience(socket.SO_RCVTIMEO)
        if not link.inbox and not self._wait_for_input(link, patience):
            return b""
        link.barren = 0
        return link.take(size, peek=False)

    def _read_specially(self, link: Link, size: int, flags: int) -> bytes:
        # Python waits for a socket with a timeout before it asks the kernel, so there MSG_DONTWAIT changes nothing, and
        # MSG_WAITALL neither, for such a socket is non-blocking underneath (Modules/socketmodule.c, sock_call_impl).
        patience = self._patience(socket.SO_RCVTIMEO)
        if flags & socket.MSG_DONTWAIT and self._timeout is None:
            patience = 0.0
        if flags & socket.MSG_PEEK and link.inbox:
            self._peek_again(link)
        elif not link.inbox and not self._wait_for_input(link, patience):
            return b""
        peek = bool(flags & socket.MSG_PEEK)
        if not peek:
            link.barren = 0
        if flags & socket.MSG_WAITALL and patience is None:
            return self._read_all(link, size, peek=peek)
        return link.take(size, peek=peek)

    def _read_all(self, link: Link, size: int, *, peek: bool) -> bytes:
        data = b""
        while True:
            data = link.take(size, peek=True) if peek else data + link.take(size - len(data), peek=False)
            if len(data) == size or link.ended or link.error or link.shut_rd:
                return data
            if link.player.advance(None) is not PLAYED:
                self._give_up(link, "recv", None, None)

    def _peek_again(self, link: Link) -> None:
        """Who looks again and again at what is there, and takes nothing, waits for more: let the peer go on."""
        if link.barren:
            link.player.advance(CLOCK.now)
        self._barren(link, "recv")

    def _wait_for_input(self, link: Link, patience: float | None) -> bool:
        """Pull until there is more input; False at the end of the stream."""
        before = len(link.inbox)
        deadline = None if patience is None else CLOCK.now + patience
        advance = link.player.advance
        while len(link.inbox) == before:
            if link.error and (link.unix or not link.ended):
                self._raise_pending(link)
            if link.ended:
                return self._barren(link, "recv")
            if link.shut_rd:
                return self._barren(link, "recv")
            turn = advance(deadline)
            if turn is not PLAYED or (patience == 0 and not link.readable()):
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
        CLOCK.move(deadline - CLOCK.now)
        if patience == 0 or self._timeout is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        raise TimeoutError("timed out")

    # writing

    def _write(self, data: memoryview, *, whole: bool) -> int:
        link = self._link
        if not link.inbox:
            link.player.before_write()
        patience = self._timeout if self._own_timeouts is None else self._patience(socket.SO_SNDTIMEO)
        deadline = None if patience is None else CLOCK.now + patience
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
            self._wait_for_room(link, deadline)

    def _may_write(self, link: Link) -> None:
        if link.error and not link.unix:
            self._barren(link, "send")
            self._raise_pending(link)
        if link.broken():
            self._barren(link, "send")
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        if RUN.recorder is not None and len(RUN.recorder.flat) > 2 * EVENTS_MAX:
            check_events(self.number)

    def _room(self, link: Link) -> int:
        return _ROOM_BYTES if link.reading or link.peer_gone else min(_ROOM_BYTES, max(0, link.room))

    def _wait_for_room(self, link: Link, deadline: float | None) -> None:
        """Pull until the peer reads again or is gone."""
        while not self._room(link) and not link.error:
            turn = link.player.advance(deadline)
            if turn is not PLAYED or self._timeout == 0:
                self._give_up(link, "send", deadline, self._patience(socket.SO_SNDTIMEO))

    # the rest

    def _shut(self, how: int) -> None:
        link = self._link
        if link.dead:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        if how != socket.SHUT_WR:
            link.shut_rd = True
        if how != socket.SHUT_RD:
            link.shut_writing()

    def _release(self) -> None:
        self._link.aborted = self._aborts
        self._link.release()

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        """What `setsockopt` set; SO_ERROR gives the pending error, once."""
        self._not_released()
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_ERROR) and self._link.error:
            number, self._link.error, self._link.ended = self._link.error, 0, True
            return number
        return super().getsockopt(level, optname, buflen)

    def getsockname(self) -> Any:
        """The server's own address."""
        self._not_released()
        return self._own

    def _peername(self) -> Any:
        self._not_released()
        if self._link.dead:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._link.address

    def fileno(self) -> int:
        """-1 once closed; an open socket has no descriptor here, so the Case must be played on loopback."""
        if not self._released:
            self._kernel("fileno")
        return -1

    def dup(self) -> NoReturn:
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


class MemoryNetwork:
    """One Case in memory: its peers connect one after another, when the server accepts.

    *files*: the server looks at the file of its Unix socket, so there has to be one.
    """

    __slots__ = ("_family", "_listener", "_name", "_own", "_place", "address", "case", "links", "waiting")

    def __init__(self, case: Case, *, files: bool = False) -> None:
        self.case = case
        self.links: list[Link] = []
        self.waiting = len(case.scripts)
        """How many peers have not been accepted yet."""
        self._family, self._name, self.address, self._own = _WHERE[case.transport]
        """Where the server is to listen."""
        self._listener: MemoryListener | None = None
        self._place = Place(case.transport) if files and case.transport == "unix" else None
        if self._place is not None:
            self.address = self._place.address

    def listen(self, listener: MemoryListener) -> None:
        """Let the peers of this Case connect to *listener*."""
        listener.network = self
        self._listener = listener
        if self._name == "AF_UNIX":
            self._own = listener.getsockname()

    def accept(self) -> tuple[socket.socket, Any]:
        """Let the next peer connect. Raises BlockingIOError when there is none."""
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        number = len(self.links)
        run = RUN
        run.connection = number
        if run.hardships is not None:
            run.hardships.strike("get_request")
        link = link_of(number, self.case)
        self.links.append(link)
        self.waiting -= 1
        run.emit((("peer.connect", number), link.shown))
        early = self.case.scripts[number].early
        if early:
            link.player.play_early(early)
        sock = MemorySocket(link, self._family, self._own)
        told = ("socket.accepted", number, self._name, "SOCK_STREAM", sock._timeout, False, not link.dead)
        run.emit((told, None))
        return sock, link.address

    def close(self) -> None:
        """Remove the socket file, if there is one; what refers to each other is parted, so that it goes at once."""
        for link in self.links:
            link.player.part()
        if self._listener is not None:
            self._listener.network = None
            self._listener.remove_file()
        if self._place is not None:
            self._place.close()

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how each connection ended, after the server is gone."""
        for link in self.links:
            for tally in link.tallies:
                pending = tally.accepted - tally.passed_on
                emit((("socket.file-end", link.number, tally.mode, pending > 0, tally.closed), pending))
            emit((link.end(), b"".join(link.reply)))
