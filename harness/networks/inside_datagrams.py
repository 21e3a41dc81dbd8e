"""Inside the house of a server of datagrams: its one socket, and whose request each thread is serving.

The numbers of the requests are counted by the serving thread, as on the other networks; but while one is handled the
next is taken. So what the socket knows about *the* request in progress it is asked for by thread: who reads, whose
datagram it was, what was given.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.networks.board import FOREVER, IN_RECV, IN_SEND
from handshaker.harness.networks.bounds import EVENTS_MAX, stop
from handshaker.harness.networks.datagram_loopback import HOME
from handshaker.harness.networks.datagram_peers import DatagramPeer, Line
from handshaker.harness.networks.datagram_realtime import LiveDatagramSocket
from handshaker.harness.networks.inside import Inside
from handshaker.harness.recorder import RUN

__all__ = ["DatagramsInside", "HouseDatagramSocket"]

_Kernel: Final[Any] = socket.SocketType


class _Here(threading.local):
    serving = False


_here: Final = _Here()


class _KnownPeer(DatagramPeer):
    """A peer as the house sees it: its number and its address."""

    __slots__ = ()

    full = False  # nobody here can see that

    def carry(self, data: bytes) -> None:
        """It is played elsewhere."""

    def leave(self) -> None:
        """It is played elsewhere."""

    def resume(self) -> None:
        """It is played elsewhere."""


class HouseDatagramSocket(LiveDatagramSocket):
    """The server's socket in the house; also what `socket.socket` makes while a server is constructed."""

    @property
    def serving(self) -> bool:
        """Whether it is the server that reads in this thread, in its get_request()."""
        return _here.serving

    @serving.setter
    def serving(self, value: bool) -> None:
        _here.serving = value

    @property
    def latest(self) -> bytes | None:
        """The datagram of the request that this thread serves, as it was given."""
        return self._given.get(RUN.connection)

    @latest.setter
    def latest(self, data: bytes | None) -> None:
        if data is None:
            self._given: dict[int, bytes] = {}
        else:
            self._given[RUN.connection] = data

    def _usable(self) -> Any:
        exchange: Any = self.exchange
        if exchange is not None:
            exchange.bound_events()
        return super()._usable()

    def _next(self, line: Line, size: int, flags: int, *, short: bool) -> tuple[int, Any, bytes, bool]:
        exchange: Any = self.exchange
        found = super()._next(line, size, flags, short=short)
        if self.serving:
            exchange.row(RUN.connection).accepted = True
        if not flags & socket.MSG_PEEK:
            exchange.socket_row.taken += 1
            exchange.wake()
        number, address, *_ = found
        if number < 0:
            exchange.meet_peers()
            found = exchange.number_of(address), *found[1:]
        return found

    def _dispatch(self, via: str, data: bytes, address: Any) -> int:
        exchange: Any = self.exchange
        if exchange is None:
            return super()._dispatch(via, data, address)
        with exchange.as_it_begins():
            return super()._dispatch(via, data, address)

    def _while_waiting(self, waits: bool, operation: str, call: Callable[..., Any], *arguments: Any) -> Any:
        exchange: Any = self.exchange
        if self.serving or RUN.connection < 0:
            return call(self, *arguments)
        row = exchange.row(RUN.connection)
        timeout = self.gettimeout()
        row.patience = FOREVER if timeout is None else int(timeout * 1_000)
        row.waits = IN_SEND if operation == "sendto" else IN_RECV
        exchange.wake()
        try:
            return call(self, *arguments)
        finally:
            row.waits = 0


class DatagramsInside(Inside):
    """The network as a server of datagrams in the house has it: what its socket knows of the Case."""

    def move_in(self) -> None:
        """From here on this process is the house, and its server has the address of this Case."""
        super().move_in()
        HOME.path = self.address

    def listen(self, listener: Any) -> None:
        """Let the peers of this Case send to *listener*."""
        self.line = Line([], listener.family_number)
        self.by_address: dict[Any, DatagramPeer] = {}
        self.taken = 0
        self._senders: dict[int, int] = {}
        self.listener = listener
        listener.exchange = self

    @property
    def sender(self) -> int:
        """The peer whose datagram this thread serves."""
        return self._senders.get(RUN.connection, -1)

    @sender.setter
    def sender(self, number: int) -> None:
        self._senders[RUN.connection] = number

    @property
    def socket_row(self) -> Any:
        """The row of the socket itself."""
        return self._board.rows[-1]

    def row(self, number: int) -> Any:
        """The row of request *number*; strangers beyond all bounds share the last one."""
        return self._board.rows[min(number, len(self._board.rows) - 2)]

    def wake(self) -> None:
        """Tell the crowd that something has changed."""
        self._board.wake()

    def bound_events(self) -> None:
        """End a handler that has made more events than a Case may have."""
        if self._log.count > EVENTS_MAX:
            stop("network.limit", RUN.connection, "events")

    def meet_peers(self) -> None:
        """Hear which peers have come by now."""
        for number, address in self._gate.callers():
            peer = _KnownPeer(number, self._case.scripts[number], address)
            self.line.peers.append(peer)
            if address is not None:
                self.by_address[address] = peer

    def number_of(self, address: Any) -> int:
        """The number of the peer with this *address*; -1 for a stranger, and where several have none."""
        if address is None:
            nameless = [peer.number for peer in self.line.peers if peer.address is None]
            return nameless[0] if len(nameless) == 1 else -1
        peer = self.by_address.get(address)
        return -1 if peer is None else peer.number
