"""Datagrams over the kernel's loopback interface: real sockets, the same engine, still one thread and virtual time.

The server's socket and those of the peers are real, so it is the kernel that says what becomes of a datagram. Only the
waiting is ours. Everything is counted: what a peer has sent is there, or arrives within a bounded time, or was dropped
by the kernel; what the server has sent is taken at once, so no buffer of a peer ever fills unless it is to.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.networks.datagram_addresses import DGRAM, HERE, INET, PEEK, UNIX
from handshaker.harness.networks.datagram_network import DatagramNetwork
from handshaker.harness.networks.datagram_peers import UNIX_PLACES, DatagramPeer, Line
from handshaker.harness.networks.datagram_sockets import DatagramSocket
from handshaker.harness.networks.peers import ARRIVAL_S, readable
from handshaker.harness.places import Place
from handshaker.harness.recorder import RUN
from handshaker.harness.transports import TRANSPORTS

__all__ = ["HOME", "KernelDatagramPeer", "LoopbackDatagramNetwork", "LoopbackDatagramSocket"]

_Kernel: Final[Any] = socket.SocketType  # the C class below socket.socket: what is called on it is not recorded
_NONBLOCK: Final = int(socket.SOCK_NONBLOCK)
_WITHOUT_WAITING: Final = DGRAM | _NONBLOCK
_CHUNK_BYTES: Final = 65_536  # more would be mapped and unmapped for every read
_RECEIVE_BYTES: Final = 1_048_576
_SEND_BYTES: Final = 106_496  # the kernel doubles it: the usual send buffer, whatever this machine's is
_FREE: Final = {name: Place(name).address for name, row in TRANSPORTS.items() if row.datagram and not row.unix}
"""Where a server binds that needs no folder of its own: the kernel chooses the port."""


class KernelDatagramPeer(DatagramPeer):
    """A peer with a socket of its own."""

    __slots__ = ("_network", "_socket", "_unix", "_unread")

    def __init__(self, number: int, network: LoopbackDatagramNetwork, family: int) -> None:
        script = network.case.scripts[number]
        self._network: Any = network
        self._unix = family == UNIX
        self._unread = 0  # datagrams of the server's own socket that wait in this peer's
        self._socket = sock = _Kernel(family, _WITHOUT_WAITING)
        if not self._unix:
            sock.bind((HERE[family], 0))
        else:
            _use_usual_send_buffer(sock)
            if script.form != "unbound":
                # An empty name lets the kernel choose one in the abstract namespace.
                sock.bind("" if script.form == "abstract" else network.beside(f"peer{number}"))
        super().__init__(number, script, sock.getsockname() or None)

    def carry(self, data: bytes) -> None:
        """Send it to the server."""
        self._socket.sendto(data, self._network.server)

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return int(self._socket.fileno())

    def leave(self) -> None:
        """Close the socket; a path stays where it is."""
        self._socket.close()

    def part(self) -> None:
        """The Case is over: close the socket, and know nothing of the others any more."""
        self._socket.close()
        self._network = None

    def resume(self) -> None:
        """Take what has been waiting."""
        while self._unread:
            self._unread -= 1
            self._fetch(_CHUNK_BYTES, keep=True)

    @property
    def full(self) -> bool:
        """Whether nobody can send to it."""
        return self.here and self._unread >= UNIX_PLACES

    def land(self, data: bytes) -> None:
        """A reply is on its way: take it, or let it wait, or drop it."""
        if self.takes(len(data)):
            self._fetch(len(data), keep=True)
        elif self._unix:
            self._unread += 1
        else:
            self._fetch(len(data), keep=False)

    def _fetch(self, size: int, *, keep: bool) -> None:
        """Take one datagram of the server's own socket; it is there, or arrives at once, or never."""
        while True:
            try:
                data, address = self._socket.recvfrom(max(size, _CHUNK_BYTES))
            except BlockingIOError:
                if not readable(self._socket.fileno(), ARRIVAL_S):
                    return
                continue
            if address == self._network.server:
                if keep:
                    self.take(data, own=True)
                return
            self._foreign(data)

    def look(self) -> None:
        """Take what has come from elsewhere than the server's own socket."""
        # Nothing has, mostly, and an exception that says so takes longer than asking.
        while self.here and self.reading and readable(self._socket.fileno(), 0):
            try:
                data, address = self._socket.recvfrom(_CHUNK_BYTES)
            except BlockingIOError:
                return
            if address == self._network.server:
                self.take(data, own=True)
            else:
                self._foreign(data)

    def _foreign(self, data: bytes) -> None:
        to = "sender" if self._network.sender == self.number else "peer"
        RUN.emit((("datagram.reply", RUN.connection, "elsewhere", to, False, "", not data), data))
        self.take(data, own=False)


class _Home:
    """Where a Unix server may bind: the path of the Case in progress."""

    path: Any = None


HOME: Final = _Home()  # an object: setting an attribute of a class makes Python forget what it knows of the class


@functools.cache
def _usual_send_buffer() -> bool:
    """Whether sockets of this machine have the usual send buffer, as they come."""
    with contextlib.closing(_Kernel(UNIX, DGRAM)) as fresh:
        return bool(fresh.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * _SEND_BYTES)


def _use_usual_send_buffer(sock: Any) -> None:
    if not _usual_send_buffer():
        _Kernel.setsockopt(sock, socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)


class LoopbackDatagramSocket(DatagramSocket):
    """The server's socket of the loopback network; also what `socket.socket` makes while a server is constructed."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        _Kernel.__init__(self, family, type | _NONBLOCK, proto, fileno)
        self._io_refs = 0
        self._closed = False
        self.family_number = INET if family == -1 else int(family)
        self._timeout = socket.getdefaulttimeout()
        self._server: Any = None
        self._wide = False
        self._begin()

    def bind(self, address: Any, /) -> None:
        """Whatever address is asked for, it is one that nobody else uses: a free port, or a path of our own."""
        self._not_released()
        if self.family_number == UNIX:
            _Kernel.bind(self, HOME.path)
            _use_usual_send_buffer(self)
        else:
            _Kernel.bind(self, (HERE[self.family_number], 0))
        self._server = _Kernel.getsockname(self)

    def getsockname(self) -> Any:
        """The address that it is bound to."""
        return _Kernel.getsockname(self) if self._server is None or self._released else self._server

    def widen(self) -> None:
        """Make room for many datagrams: one that waits is sure of its place, several may need a larger buffer."""
        if not self._wide:
            self._wide = True
            _Kernel.setsockopt(self, socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)

    def _receive(self, line: Line, size: int, flags: int) -> tuple[int, Any, bytes, bool] | None:
        try:
            data, address = _Kernel.recvfrom(self, size, flags)
        except BlockingIOError:
            if line.queue and not readable(_Kernel.fileno(self), ARRIVAL_S):
                line.taken(line.queue[0][0])  # the kernel has dropped it
            return None
        if not line.queue or line.queue[0][1] != address:
            return -1, address, data, False
        number, _, whole = line.queue[0]
        if not flags & PEEK:
            line.taken(number)
        return number, address, data, len(data) < len(whole)

    def _more(self) -> bool:
        return not self._released and readable(_Kernel.fileno(self), 0)

    def _put(self, peer: DatagramPeer | None, address: Any, data: bytes) -> bool:
        if peer is not None and peer.full:
            return False
        try:
            _Kernel.sendto(self, data, address)
        except BlockingIOError:
            return False
        if peer is None and address == self._server and self.exchange is not None:
            self.widen()
            self.exchange.line.queue.append((-1, address, data))
        return True

    def _landed(self, peer: DatagramPeer, data: bytes) -> None:
        peer.land(data)  # type: ignore[attr-defined]

    def _release(self) -> None:
        _Kernel.close(self)

    def fileno(self) -> int:
        """-1 once closed; who wants the descriptor reads past this socket, so the Case must be played in real time."""
        if self._released:
            return -1
        if self.exchange is not None:
            self._kernel("fileno")
        return int(_Kernel.fileno(self))

    def get_inheritable(self) -> bool:
        """Whether a child process would inherit the descriptor."""
        return os.get_inheritable(_Kernel.fileno(self))

    def set_inheritable(self, inheritable: bool) -> None:
        """Let child processes inherit the descriptor, or not."""
        os.set_inheritable(_Kernel.fileno(self), inheritable)


class _KernelLine(Line):
    """A line whose datagrams wait in the kernel."""

    __slots__ = ("_listener",)

    def __init__(self, peers: list[Any], family: int, listener: LoopbackDatagramSocket) -> None:
        super().__init__(peers, family)
        self._listener = listener

    def crowd(self) -> None:
        """Make room for many."""
        self._listener.widen()


class LoopbackDatagramNetwork(DatagramNetwork):
    """One Case of datagrams over the kernel's loopback interface."""

    __slots__ = ("server",)

    def __init__(self, case: Case) -> None:
        place = None if case.transport in _FREE else Place(case.transport)
        super().__init__(case, _FREE[case.transport] if place is None else place.address, place)
        self.server: Any = None
        """The address of the server's socket."""
        HOME.path = self.address

    def beside(self, name: str) -> str:
        """The path of a Unix peer, beside the server's."""
        place: Any = self._place
        return str(place.beside(name))

    def listen(self, listener: Any) -> None:
        """Let the peers of this Case send to *listener*."""
        self.server = listener.getsockname()
        super().listen(listener)

    def _make_peers(self, family: int) -> list[Any]:
        return [KernelDatagramPeer(number, self, family) for number in range(len(self.case.scripts))]

    def _make_line(self, peers: list[Any], family: int) -> Line:
        return _KernelLine(peers, family, self.listener)

    def close(self) -> None:
        """Give every descriptor of this Case back, whatever happened."""
        if self.listener is not None:
            for peer in self.line.peers:
                peer.part()  # type: ignore[attr-defined]
            self.listener.exchange = None
            if self.listener.is_open:
                self.listener.close()
        super().close()
