"""Datagrams in memory: no kernel object, one thread, virtual time, the same Case always gives the same Trace.

What replies meet is what they meet on Linux: over UDP everything goes, whether anybody hears it or not; over Unix
sockets a peer that has left refuses (its path is still there), and one that does not read blocks.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.networks.bounds import stop
from handshaker.harness.networks.datagram_addresses import HERE, INET, INET6, PEEK, UNIX
from handshaker.harness.networks.datagram_network import DatagramNetwork
from handshaker.harness.networks.datagram_peers import UNIX_PLACES, DatagramPeer, Line
from handshaker.harness.networks.datagram_sockets import DatagramSocket
from handshaker.harness.networks.link import FIRST_PEER_PORT
from handshaker.harness.networks.listener import SERVER_PORT
from handshaker.harness.places import NOWHERE, Place
from handshaker.harness.recorder import RUN
from handshaker.harness.transports import TRANSPORTS

__all__ = ["MemoryDatagramNetwork", "MemoryDatagramSocket", "MemoryPeer", "no_other_sockets"]

_real_socket: Final = socket.socket
_BUFFER_BYTES: Final = 212_992
_FRESH: Final = {
    (socket.SOL_SOCKET, socket.SO_TYPE): int(socket.SOCK_DGRAM),
    (socket.SOL_SOCKET, socket.SO_RCVBUF): _BUFFER_BYTES,
    (socket.SOL_SOCKET, socket.SO_SNDBUF): _BUFFER_BYTES,
}
_UNBOUND: Final[dict[int, Any]] = {INET: ("0.0.0.0", 0), INET6: ("::", 0, 0, 0)}  # noqa: S104 - what it says of itself
_USUAL: Final = {name: Place(name, files=False).address for name, row in TRANSPORTS.items() if row.datagram}
_FOLDER: Final = Path(NOWHERE).parent


def _address_in(family: int, host: str, port: int) -> Any:
    return (host, port) if family == INET else (host, port, 0, 0)


class MemoryPeer(DatagramPeer):
    """A peer without a socket."""

    __slots__ = ("_unix", "_unread")

    def __init__(self, number: int, case: Case, family: int) -> None:
        script = case.scripts[number]
        super().__init__(number, script, _peer_address(family, number, script.form))
        self._unix = family == UNIX
        self._unread: deque[bytes] = deque()

    def carry(self, data: bytes) -> None:
        """There is no way to go."""

    def leave(self) -> None:
        """What nobody has read is gone."""
        self._unread.clear()

    def resume(self) -> None:
        """Take what has been waiting."""
        while self._unread:
            self.take(self._unread.popleft(), own=True)

    @property
    def full(self) -> bool:
        """Whether nobody can send to it."""
        return self.here and len(self._unread) >= UNIX_PLACES

    @property
    def charged(self) -> int:
        """How much of the server's send buffer is taken by what it has not read."""
        return sum(map(_charge, map(len, self._unread)))

    def land(self, data: bytes) -> None:
        """A reply is here: it is taken, or waits, or is dropped."""
        if self.takes(len(data)):
            self.take(data, own=True)
        elif self._unix:
            self._unread.append(data)


def _charge(size: int) -> int:
    """What the kernel counts for a datagram of *size* bytes that waits (net/core/sock.c, sock_alloc_send_pskb)."""
    paged = -(-max(0, size - 16_064) // 4_096) * 4_096
    return (1 << (size - paged + 319).bit_length()) + 256 + paged


@functools.cache
def _peer_address(family: int, number: int, form: str) -> Any:
    if family != UNIX:
        return _address_in(family, HERE[family], FIRST_PEER_PORT + number)
    if form == "unbound":
        return None
    return b"\0%05x" % number if form == "abstract" else f"{_FOLDER}/peer{number}"


class MemoryDatagramSocket(DatagramSocket):
    """The server's socket of the memory network; also what `socket.socket` makes while a server is constructed."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        self.family_number = INET if family == -1 else int(family)
        self._io_refs = 0
        self._closed = False
        self._timeout = socket.getdefaulttimeout()
        self._options: dict[tuple[int, int], Any] = {}
        self._address: Any = _UNBOUND.get(self.family_number, "")
        self._stand_in: socket.socket | None = None
        self._begin()

    family = property(lambda self: socket.AddressFamily(self.family_number))
    type = property(lambda _: socket.SOCK_DGRAM)
    proto = property(lambda _: 0)

    def _receive(self, line: Line, size: int, flags: int) -> tuple[int, Any, bytes, bool]:
        number, address, data = line.queue[0]
        if not flags & PEEK:
            line.taken(number)
        return (number, address, data, False) if len(data) <= size else (number, address, data[:size], True)

    def _put(self, peer: DatagramPeer | None, address: Any, data: bytes) -> bool:
        unix = self.family_number == UNIX
        if unix and self._is_out_of_buffer():
            return False
        if peer is not None and not (unix and peer.full):
            if unix and not peer.here:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            return True
        if peer is None and address == self._address:
            self.exchange.line.queue.append((-1, address, data))  # type: ignore[union-attr]
        elif peer is None and unix:
            number = errno.ENOENT if isinstance(address, str) else errno.ECONNREFUSED
            raise OSError(number, os.strerror(number))
        return peer is None

    def _is_out_of_buffer(self) -> bool:
        peers: Any = self.exchange.line.peers if self.exchange is not None else ()
        return bool(sum(peer.charged for peer in peers) >= _BUFFER_BYTES)

    def _landed(self, peer: DatagramPeer, data: bytes) -> None:
        peer.land(data)  # type: ignore[attr-defined]

    def _release(self) -> None:
        if self._stand_in is not None:
            self._stand_in.close()

    def bind(self, address: Any, /) -> None:
        """Any address will do, once; port 0 becomes a fixed one."""
        self._not_released()
        unix = self.family_number == UNIX
        if self._address and (unix or self._address[1]):
            number = errno.EADDRINUSE if unix else errno.EINVAL
            raise OSError(number, os.strerror(number))
        if unix:
            self._address = os.fsdecode(address) or NOWHERE
        else:
            self._address = _address_in(self.family_number, HERE[self.family_number], address[1] or SERVER_PORT)

    def getsockname(self) -> Any:
        """The address that it is bound to."""
        self._not_released()
        return self._address

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        """What `setsockopt` set, else what a fresh socket would say of what handlers ask for, else 0."""
        self._not_released()
        value = self._options.get((level, optname), _FRESH.get((level, optname), 0))
        return value.to_bytes(4, sys.byteorder)[:buflen] if buflen and isinstance(value, int) else value

    def _set_option(self, level: int, optname: int, value: Any, *_: int) -> None:
        self._options[level, optname] = value

    def get_inheritable(self) -> bool:
        """Sockets are not inheritable unless somebody asks for it (PEP 446)."""
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """Taken; there is no descriptor to inherit."""

    def ioctl(self, *_: Any) -> None:
        """Windows only."""
        raise AttributeError("ioctl")

    def fileno(self) -> int:
        """-1 once closed; while the server is constructed, one that nobody uses: some servers set flags on theirs."""
        if self._released:
            return -1
        if self.exchange is not None:
            self._kernel("fileno")
        if self._stand_in is None:
            self._stand_in = _real_socket(socket.AF_INET, socket.SOCK_DGRAM)
        return self._stand_in.fileno()


@contextmanager
def no_other_sockets() -> Iterator[None]:
    """While the block lasts, a handler that makes a datagram socket of its own is told to need the kernel.

    Its peers are not there: what it sent would go to somebody else, and nobody would see that it was sent.
    """
    original = socket.socket.__init__

    def watched(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        asked = fileno is None and type != -1 and type & 0xF == socket.SOCK_DGRAM
        if asked and RUN.connection >= 0 and get_ident() == RUN.owner:
            stop("network.kernel", RUN.connection, "socket")
        original(self, family, type, proto, fileno)

    socket.socket.__init__ = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.__init__ = original  # type: ignore[method-assign]


class MemoryDatagramNetwork(DatagramNetwork):
    """One Case of datagrams in memory."""

    __slots__ = ()

    def __init__(self, case: Case) -> None:
        super().__init__(case, _USUAL[case.transport])

    def _make_peers(self, family: int) -> list[Any]:
        return [MemoryPeer(number, self.case, family) for number in range(len(self.case.scripts))]
