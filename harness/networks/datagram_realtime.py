"""Datagrams in real time, for handlers that use the server's socket past us: its descriptor, or a thread of their own.

The server runs its own `serve_forever` in a thread; the peers are played from the thread that plays the Case, in turns
as ever, the next one when the last datagram has been dealt with, or the handler waits for another one, or nothing has
moved for a short while. Pauses last at most a second, every wait is bounded, and a handler that is busy when the bound
is reached is written down as stalled (as spinning, if it used the processor all the time), with the stacks of all
threads.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.networks.bounds import note_stop
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.datagram_addresses import DONTWAIT, PEEK, TRUNC
from handshaker.harness.networks.datagram_loopback import LoopbackDatagramNetwork, LoopbackDatagramSocket
from handshaker.harness.networks.datagram_peers import DatagramPeer, Line
from handshaker.harness.networks.datagram_sockets import Exchange
from handshaker.harness.networks.player import Turn
from handshaker.harness.networks.realtime import LIMIT_S, PAUSE_MAX_S, stacks
from handshaker.harness.networks.serving import BUSY_SHARE, QUIET_S, SLICE_S, ServedInThread
from handshaker.harness.recorder import RUN

__all__ = ["LiveDatagramSocket", "RealTimeDatagramNetwork"]

_Kernel: Final[Any] = socket.SocketType


class LiveDatagramSocket(LoopbackDatagramSocket):
    """The server's socket in real time: everything is the kernel's, and written down."""

    def _begin(self) -> None:
        super()._begin()
        self.read = 0  # datagrams that were taken, by whomever
        self.waits_in = ""  # the operation in which the handler waits without a timeout
        _Kernel.settimeout(self, self._timeout)

    def bind(self, address: Any, /) -> None:
        """Bind; nobody sees in time how many datagrams wait, so there is room for many."""
        super().bind(address)
        self.widen()

    def _usable(self) -> Exchange:
        if self._released and self.serving:
            select.select((), (), (), SLICE_S)  # the server turns for nothing, as fast as it can: slowly will do
        if self.exchange is None or (RUN.active and (RUN.stopped or threading.get_ident() == RUN.owner)):
            return super()._usable()
        self._not_released()
        return self.exchange

    def _next(self, line: Line, size: int, flags: int, *, short: bool) -> tuple[int, Any, bytes, bool]:
        waits = not self.serving and self.gettimeout() is None and not flags & DONTWAIT
        data, _, told, address = self._while_waiting(waits, "recvfrom", _Kernel.recvmsg, size, 0, flags)
        if not flags & PEEK:
            self.read += 1
        peer = self.exchange.by_address.get(address) if self.exchange is not None else None
        nameless = [each.number for each in line.peers if each.address is None] if address is None else []
        number = peer.number if peer is not None else nameless[0] if len(nameless) == 1 else -1
        kept = data[: len(data) // 2] if short else data
        return number, address, kept, len(kept) < len(data) or bool(told & TRUNC)

    def _send(self, line: Line, peer: DatagramPeer | None, address: Any, data: bytes) -> None:
        self._while_waiting(self.gettimeout() is None, "sendto", _Kernel.sendto, data, address)

    def _while_waiting(self, waits: bool, operation: str, call: Callable[..., Any], *arguments: Any) -> Any:
        # What another thread of the handler waits in does not say that the handler is stuck.
        ours = threading.get_ident() == RUN.owner
        if ours:
            self.waits_in = operation if waits else ""
        try:
            return call(self, *arguments)
        finally:
            if ours:
                self.waits_in = ""

    def _landed(self, peer: DatagramPeer, data: bytes) -> None:
        """The peers take what comes when they look."""

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout, and write it down."""
        super().settimeout(value)
        _Kernel.settimeout(self, value)

    def fileno(self) -> int:
        """The descriptor, or -1 once closed."""
        return int(_Kernel.fileno(self))

    def dup(self) -> Any:
        """A plain socket for the same descriptor; what is done through it is not written down."""
        return socket.socket(self.family, self.type, self.proto, fileno=socket.dup(self.fileno()))

    def connect(self, address: Any, /) -> None:
        """Hear one peer only."""
        _Kernel.connect(self, address)

    def connect_ex(self, address: Any, /) -> int:
        """Hear one peer only."""
        return int(_Kernel.connect_ex(self, address))

    def shutdown(self, how: int, /) -> None:
        """Shut a direction down, as far as there is one."""
        _Kernel.shutdown(self, how)

    def detach(self) -> int:
        """Give the descriptor away; what is done with it is not written down."""
        self._say("socket.detach")
        self._released = self._closed = True
        return int(_Kernel.detach(self))


class _RealTimeLine(Line):
    """A line in which time is real: while all peers wait, so does who plays them."""

    __slots__ = ("sent", "wait")

    def __init__(self, peers: list[Any], family: int) -> None:
        super().__init__(peers, family)
        self.sent = 0
        self.wait: Callable[[float], None] = time.sleep

    def _let_time_pass(self, seconds: float) -> None:
        began = time.monotonic()
        self.wait(min(seconds, PAUSE_MAX_S))
        waited = time.monotonic() - began
        CLOCK.now += seconds if waited >= min(seconds, PAUSE_MAX_S) else waited

    def _bring(self, peer: DatagramPeer, data: bytes) -> None:
        if self.open:
            with contextlib.suppress(OSError):
                peer.carry(data)
                self.sent += 1


class RealTimeDatagramNetwork(ServedInThread, LoopbackDatagramNetwork):
    """One Case of datagrams in real time: `serve` runs the server in a thread while the peers are played."""

    __slots__ = ("_limit_s", "_over")

    def __init__(self, case: Case, limit_s: float = LIMIT_S) -> None:
        super().__init__(case)
        self._limit_s = limit_s
        self._over = threading.Event()  # the serving thread has ended

    def _make_line(self, peers: list[Any], family: int) -> Line:
        line = _RealTimeLine(peers, family)
        line.wait = lambda seconds: self._await(self._heard, seconds)
        return line

    def close(self) -> None:
        """Give every descriptor of this Case back, whatever happened."""
        if self.listener is not None:
            self.line.wait = time.sleep  # type: ignore[attr-defined]
        super().close()

    @property
    def waiting(self) -> int:
        """How many datagrams the server could still take."""
        untaken: int = self.line.sent - self.listener.read  # type: ignore[attr-defined]
        return self.line.waiting + max(0, untaken)

    # in the thread that plays the Case

    def _play_all(self) -> None:
        while not self._ended() and self.line.advance(None) is Turn.PLAYED:
            self._await(lambda: self._is_done() or self._wants_more(), QUIET_S)
        began, busy = time.monotonic(), time.process_time()
        self._await(lambda: self._is_done() or self._is_stuck(), self._limit_s)
        if not self._is_done() and not self._ended():
            self._stall(busy=(time.process_time() - busy) / (time.monotonic() - began))

    def _ended(self) -> bool:
        return self._over.is_set() or RUN.stopped or not self.line.open

    def _is_done(self) -> bool:
        """Whether the server has dealt with all that was sent."""
        return bool(self.listener.read >= self.line.sent and self.listener.turned >= self.taken)  # type: ignore[attr-defined]

    def _wants_more(self) -> bool:
        """Whether the handler waits, although it has read all that was sent."""
        return bool(self.listener.waits_in and self.listener.read >= self.line.sent)  # type: ignore[attr-defined]

    def _is_stuck(self) -> bool:
        """Whether it still waits after a while in which nothing came."""
        end = time.monotonic() + QUIET_S
        while self._wants_more() or (self.listener.waits_in == "sendto"):
            if time.monotonic() > end:
                return True
            self._look(SLICE_S)
        return False

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until *condition* comes true, at most *seconds*, while the peers take what arrives."""
        end = time.monotonic() + seconds
        while not (condition() or self._ended()):
            left = end - time.monotonic()
            if left <= 0:
                return
            self._look(min(left, SLICE_S))

    def _look(self, seconds: float) -> None:
        readable = select.poll()
        peers: list[Any] = [peer for peer in self.line.peers if peer.here and peer.reading]
        by_descriptor = {peer.fileno(): peer for peer in peers}
        for descriptor in by_descriptor:
            readable.register(descriptor, select.POLLIN)
        for descriptor, _ in readable.poll(seconds * 1_000):
            by_descriptor[descriptor].look()

    def _heard(self) -> bool:
        """Whether a peer that waits for a reply has it."""
        return any(peer.is_answered() for peer in self.line.peers)

    def _stall(self, busy: float) -> None:
        """The request in progress did not end in time: say so, and what all threads were doing."""
        kind = "network.spinning" if busy > BUSY_SHARE else "network.stalled"
        after = "open" if any(peer.here for peer in self.line.peers) else "closed"
        note_stop(kind, max(RUN.connection, 0), self.listener.waits_in or "handle", after, payload=stacks())

    def _wake(self) -> None:
        """One datagram for a handler that waits for one, and one for the server, whose next turn is its last."""
        with (
            contextlib.suppress(OSError),
            contextlib.closing(_Kernel(self.listener.family, socket.SOCK_DGRAM)) as waker,
        ):
            for _ in range(2):
                waker.sendto(b"", self.server)

    def _take_away(self) -> None:
        for peer in self.line.peers:
            peer.leave()
        self._wake()

    def _account(self) -> None:
        if not RUN.stopped:
            self.settle_all()
            if self.waiting:
                RUN.emit((("server.abandoned", -1, self.waiting), None))
