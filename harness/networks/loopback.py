"""The loopback network: real kernel sockets, the same engine, still one thread and virtual time.

The server's listening socket and the request socket are real, so what the kernel says about resets, half-closes and
full buffers is what the handler sees. Only the waiting is ours: the request socket never blocks; when the kernel has
nothing for it, the peer's next Step is played on the peer's own socket, in the same thread, and then it has something.
Nothing is ever sent to another address than 127.0.0.1 and ::1, and every port is chosen by the kernel; a Unix server
has a path of its own, which is removed when its Case is over.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Final, NoReturn

from handshaker.harness.case import Case
from handshaker.harness.errors import HarnessBug
from handshaker.harness.networks.bounds import IDLE_READS_MAX, REPLY_BYTES_MAX, check_events, stop
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.peers import ARRIVAL_S, SMALL_BUFFER_BYTES, KernelPeer, readable
from handshaker.harness.networks.player import PLAYED
from handshaker.harness.networks.sockets import PulledSocket, VirtualTimeout
from handshaker.harness.places import Place, remove_socket_path, shown_address
from handshaker.harness.recorder import RUN, Emit
from handshaker.harness.transports import TRANSPORTS

__all__ = ["LoopbackListener", "LoopbackNetwork", "LoopbackSocket", "named"]

_FREE: Final[dict[int, Any]] = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}
_NAMES: Final[dict[int, str]] = {row.family: row.family.name for row in TRANSPORTS.values()}  # type: ignore[attr-defined]
_Kernel: Any = socket.SocketType  # the C class below socket.socket: what is called on it is not recorded
_family_of: Final[Callable[[socket.socket], int]] = _Kernel.family.__get__  # without looking for an enumeration member


class LoopbackSocket(PulledSocket, VirtualTimeout):
    """The request socket of the loopback network: the kernel's answers, and waiting in virtual time."""

    def __init__(self, descriptor: int, peer: KernelPeer) -> None:
        _Kernel.__init__(self, peer.family, socket.SOCK_STREAM, 0, descriptor)
        _Kernel.settimeout(self, 0)
        self._io_refs = 0
        self._closed = False
        self._timeout = socket.getdefaulttimeout()
        if peer.small_buffers:
            _Kernel.setsockopt(self, socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
        self._descriptor = descriptor
        self._peer = peer
        self._barren = 0
        self._begin(peer.number)
        peer.tallies = self._tallies

    # reading

    def _read(self, size: int, flags: int) -> bytes:
        if not size:
            return b""
        if flags:
            return self._read_specially(size, flags)
        if self._peer.sent == self._peer.taken:
            self._wait_for_input(self._timeout if self._own_timeouts is None else self._patience(socket.SO_RCVTIMEO))
        return self._receive(size)

    def _read_specially(self, size: int, flags: int) -> bytes:
        # As in memory: Python hides both flags from sockets that have a timeout.
        patience = self._patience(socket.SO_RCVTIMEO)
        if flags & socket.MSG_DONTWAIT and self._timeout is None:
            patience = 0.0
        peek = flags & socket.MSG_PEEK
        if self._peer.sent == self._peer.taken:
            self._wait_for_input(patience)
        elif peek:
            self._peek_again()
        if flags & socket.MSG_WAITALL and patience is None:
            return self._read_all(size, peek)
        return self._receive(size, peek)

    def _read_all(self, size: int, peek: int) -> bytes:
        peer = self._peer
        data = b""
        while True:
            while not peek and peer.sent > peer.taken and len(data) < size:
                data += self._receive(size - len(data))
            if (peer.sent - peer.taken if peek else len(data)) >= size or self._ending():
                return data or self._receive(size, peek)
            self._wait_for_input(None)

    def _ending(self) -> bool:
        return self._peer.ended or self._peer.shut_rd

    def _peek_again(self) -> None:
        if self._barren:
            self._peer.player.advance(CLOCK.now)
        self._note_barren("recv")

    def _wait_for_input(self, patience: float | None) -> None:
        """Pull until the kernel has something to say: bytes, the end of the stream or an error."""
        peer = self._peer
        before = peer.sent
        deadline = None if patience is None else CLOCK.now + patience
        while peer.sent == before and not (peer.ended or peer.shut_rd):
            if peer.pending:
                peer.push_when_possible(self._descriptor)
                continue
            turn = peer.player.advance(deadline)
            if turn is not PLAYED or (patience == 0 and peer.sent == before and not self._ending()):
                self._give_up("recv", deadline, patience)

    def _receive(self, size: int, flags: int = 0) -> bytes:
        """What the kernel has; it was counted out, so it is there or arrives at once."""
        peer = self._peer
        try:
            data: bytes = _Kernel.recv(self, size, flags)
        except BlockingIOError:
            if not readable(self._descriptor, ARRIVAL_S):
                raise HarnessBug("bytes of a peer did not arrive over loopback") from None
            data = _Kernel.recv(self, size, flags)
        if not data:
            self._note_barren("recv")
        elif not flags or not flags & socket.MSG_PEEK:
            peer.taken += len(data)
            self._barren = 0
        return data

    def _note_barren(self, operation: str) -> None:
        self._barren += 1
        if self._barren > IDLE_READS_MAX:
            stop("network.spinning", self.number, operation, self._peer.player.state)

    def _give_up(self, operation: str, deadline: float | None, patience: float | None) -> NoReturn:
        if deadline is None:
            stop("network.stalled", self.number, operation, self._peer.player.state)
        self._note_barren(operation)
        CLOCK.move(deadline - CLOCK.now)
        if patience == 0 or self._timeout is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        raise TimeoutError("timed out")

    # writing

    def _write(self, data: memoryview, *, whole: bool) -> int:
        if self._peer.consumed:
            self._peer.player.before_write()
        patience = self._patience(socket.SO_SNDTIMEO)
        deadline = None if patience is None else CLOCK.now + patience
        done, length = 0, len(data)
        while True:
            check_events(self.number)
            count = self._send(data[done:] if done else data)
            done += count
            if done == length or (count and not whole and self._timeout is not None):
                return done
            if not count:
                self._wait_for_room(deadline)

    def _send(self, part: memoryview) -> int:
        """How many bytes the kernel takes; none when its buffer is full."""
        peer = self._peer
        try:
            count: int = _Kernel.send(self, part)
        except BlockingIOError:
            return 0
        except OSError:
            self._note_barren("send")
            raise
        if count:
            self._barren = 0
        if not peer.gone:
            peer.handed += count
        if peer.handed > REPLY_BYTES_MAX:
            stop("network.limit", self.number, "reply")
        return count

    def _wait_for_room(self, deadline: float | None) -> None:
        """Let the peer take bytes; if it does not read, pull until it reads again or is gone."""
        peer = self._peer
        if peer.gone or peer.make_room(self._descriptor):
            return
        turn = peer.player.advance(deadline)
        if turn is not PLAYED or self._timeout == 0:
            self._give_up("send", deadline, self._patience(socket.SO_SNDTIMEO))

    # the rest

    def _shut(self, how: int) -> None:
        _Kernel.shutdown(self, how)
        if how != socket.SHUT_WR:
            self._peer.shut_rd = True
        if how != socket.SHUT_RD:
            self._peer.shut_wr = True

    def _release(self) -> None:
        self._peer.unread = not self._peer.consumed
        self._peer.released = True
        _Kernel.close(self)

    def fileno(self) -> int:
        """-1 once closed; who wants the descriptor reads past this socket, so the Case must be played in real time."""
        if not self._released:
            self._kernel("fileno")
        return -1

    def dup(self) -> NoReturn:
        """A second descriptor would be read past this socket."""
        self._kernel("dup")

    def get_inheritable(self) -> bool:
        """Whether a child process would inherit the descriptor."""
        return os.get_inheritable(self._descriptor)

    def set_inheritable(self, inheritable: bool) -> None:
        """Let child processes inherit the descriptor, or not."""
        os.set_inheritable(self._descriptor, inheritable)


class LoopbackListener(socket.socket):
    """A real listening socket on this machine; also what `socket.socket` makes while a server is constructed."""

    network: Any = None
    _name: Any = None

    def bind(self, address: Any, /) -> None:
        """Whatever address is asked for, it is a free port of 127.0.0.1 or ::1; a path is taken as it is."""
        _Kernel.bind(self, _FREE.get(_family_of(self), address))
        self._name = _Kernel.getsockname(self)

    def getsockname(self) -> Any:
        """The address that it was bound to."""
        return _Kernel.getsockname(self) if self._name is None or self._closed else self._name  # type: ignore[attr-defined]

    def accept(self) -> tuple[socket.socket, Any]:
        """The next peer of the Case. Raises BlockingIOError when all have been served."""
        if self.network is None:
            return super().accept()
        if self._closed:  # type: ignore[attr-defined]
            raise OSError(errno.EBADF, "Bad file descriptor")
        accepted: tuple[socket.socket, Any] = self.network.accept()
        return accepted

    def take(self) -> tuple[int, Any]:
        """The descriptor of the connection that waits longest, and its address."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        return descriptor, address


class LoopbackNetwork:
    """One Case on loopback: its peers connect one after another, when the server accepts."""

    __slots__ = ("_address", "_place", "address", "case", "family", "listener", "peers")

    def __init__(self, case: Case) -> None:
        self.case = case
        self.family: Any = TRANSPORTS[case.transport].family
        self.peers: list[KernelPeer] = []
        self.listener: LoopbackListener | None = None
        self._place = Place(case.transport)
        self.address: Any = self._place.address
        """Where the server is to listen."""
        self._address: Any = None

    @property
    def waiting(self) -> int:
        """How many peers have not been accepted yet."""
        return len(self.case.scripts) - len(self.peers)

    def listen(self, listener: LoopbackListener) -> None:
        """Let the peers of this Case connect to *listener*."""
        listener.network = self
        self.listener = listener
        self._address = listener.getsockname()

    def accept(self) -> tuple[socket.socket, Any]:
        """Let the next peer connect. Raises BlockingIOError when there is none."""
        if not self.waiting or self.listener is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        number = len(self.peers)
        run, script = RUN, self.case.scripts[number]
        run.connection = number
        if run.hardships is not None:
            run.hardships.strike("get_request")
        peer = KernelPeer(number, script, self.family)
        self.peers.append(peer)
        peer.connect(self._address)
        run.emit((("peer.connect", number), shown_address(peer.address)))
        if script.early:
            peer.player.play_early(script.early)
        descriptor, address = self.listener.take()
        sock = LoopbackSocket(descriptor, peer)
        told = (_NAMES[self.family], "SOCK_STREAM", sock._timeout, False, named(sock, address))
        run.emit((("socket.accepted", number, *told), None))
        return sock, address

    def leave(self) -> None:
        """Let every peer read to the end and close."""
        for peer in self.peers:
            peer.leave()

    def close(self) -> None:
        """Give every descriptor of this Case back, whatever happened."""
        self.leave()
        for peer in self.peers:
            peer.player.part()
        if self.listener is not None:
            self.listener.network = None
            if not self.listener._closed:  # type: ignore[attr-defined]
                self.listener.close()
        self._remove_file()
        self._place.close()

    def _remove_file(self) -> None:
        """Remove the socket file of a server that chose its path itself; the server may have removed it."""
        if self.family == socket.AF_UNIX and isinstance(self._address, str) and self._address != self._place.address:
            remove_socket_path(self._address)

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how each connection ended, after the server is gone."""
        self.leave()
        for peer in self.peers:
            for tally in peer.tallies:
                pending = tally.accepted - tally.passed_on
                emit((("socket.file-end", peer.number, tally.mode, pending > 0, tally.closed), pending))
            emit((peer.end(), b"".join(peer.reply)))


def named(sock: socket.socket, address: Any) -> bool:
    """Whether the kernel still knows *address* as the peer of *sock*."""
    try:
        return bool(_Kernel.getpeername(sock) == address)
    except OSError:
        return False
