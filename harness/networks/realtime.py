"""Loopback in real time, for handlers that read past our socket: `select` on a descriptor, `ssl`, threads of their own.

The server runs its own `serve_forever` in a thread; the peers are played from the thread that plays the Case. A peer
sends its next segment when the last one was taken, or when nothing has moved for a short while; pauses last at most a
second. Little is known for certain here, so every wait is bounded: a handler that is busy when the bound is reached is
written down as stalled (as spinning, if it used the processor all the time), with the stacks of all threads.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.case import Case, Step
from handshaker.harness.networks.bounds import note_stop
from handshaker.harness.networks.live import LivePeer, LiveSocket
from handshaker.harness.networks.loopback import LoopbackNetwork, named
from handshaker.harness.networks.serving import BUSY_SHARE, QUIET_S, SLICE_S, ServedInThread
from handshaker.harness.places import shown_address
from handshaker.harness.recorder import RUN

__all__ = ["LIMIT_S", "PAUSE_MAX_S", "RealTimeNetwork", "stacks"]

LIMIT_S: Final = 5.0
PAUSE_MAX_S: Final = 1.0
_STACKS_BYTES_MAX: Final = 65_536


class RealTimeNetwork(ServedInThread, LoopbackNetwork):
    """One Case on loopback, in real time: `serve` runs the server in a thread while the peers are played."""

    __slots__ = ("_limit_s", "_over")

    def __init__(self, case: Case, limit_s: float = LIMIT_S) -> None:
        super().__init__(case)
        self._limit_s = limit_s
        self._over = threading.Event()  # the serving thread has ended

    @property
    def waiting(self) -> int:
        """How many peers have not been accepted yet."""
        return len(self.case.scripts) - sum(peer.accepted.is_set() for peer in self._live)

    @property
    def _live(self) -> list[LivePeer]:
        return [peer for peer in self.peers if isinstance(peer, LivePeer)]

    # in the serving thread

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the peer that is connecting; whoever else connects here gets a plain socket."""
        peer = self._live[-1] if self.peers else None
        if self.listener is None or peer is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        if not peer.accepted.is_set():
            RUN.connection = peer.number
            if RUN.hardships is not None:
                RUN.hardships.strike("get_request")
        descriptor, address = self.listener.take()
        peer.ready.wait(self._limit_s)
        # Unix peers have no address to tell them by: the first that comes is taken for the one that is connecting.
        if address != peer.address or (peer.unix and peer.accepted.is_set()):
            return socket.socket(self.family, socket.SOCK_STREAM, 0, fileno=descriptor), address
        return self._accepted(peer, descriptor), address

    def _accepted(self, peer: LivePeer, descriptor: int) -> LiveSocket:
        sock = LiveSocket(descriptor, peer)
        told = (sock.gettimeout(), False, named(sock, peer.address))
        RUN.emit((("socket.accepted", peer.number, self.family.name, "SOCK_STREAM", *told), None))
        peer.accepted.set()
        return sock

    # in the thread that plays the Case

    def _account(self) -> None:
        self._drop_unserved()
        if self.waiting and not RUN.stopped:
            RUN.emit((("server.abandoned", -1, self.waiting), None))

    def _drop_unserved(self) -> None:
        """A peer that connected to a dying server has no connection of which anything could be said."""
        for peer in self._live:
            if not peer.accepted.is_set():
                peer.abort()
                self.peers.remove(peer)

    def _play_all(self) -> None:
        for number, script in enumerate(self.case.scripts):
            if self._over.is_set() or RUN.stopped or self.listener is None:
                return
            peer = LivePeer(number, script, self.family)
            self.peers.append(peer)
            try:
                peer.connect(self._address)
            except OSError:
                return  # the handler has closed the listening socket
            RUN.emit((("peer.connect", number), shown_address(peer.address)))
            self._play(peer, script.early)
            peer.ready.set()
            if self._await(peer, peer.accepted.is_set, self._limit_s):
                self._play(peer, len(script.steps))
                self._await_end(peer)
            elif not self._over.is_set():
                self._stall()

    def _play(self, peer: LivePeer, until: int) -> None:
        while peer.player.position < until and not self._over.is_set() and not RUN.stopped:
            step = peer.player.next_step
            if step is not None:
                self._play_step(peer, step)

    def _play_step(self, peer: LivePeer, step: Step) -> None:
        seconds = min(step.seconds, PAUSE_MAX_S)
        if step.action == "pause":
            self._await(peer, lambda: False, seconds)
            peer.player.pass_over("peer.pause", seconds)
        elif step.action == "expect":
            met = self._await(peer, lambda: peer.received() >= step.size, seconds)
            peer.player.pass_over("peer.expect", met)
        else:
            peer.player.advance(None)
            if peer.accepted.is_set():
                self._await(peer, lambda: peer.took_all() or bool(peer.seen), QUIET_S)

    def _await(self, peer: LivePeer, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether *condition* comes true within *seconds*, while *peer* takes what arrives and the server goes on."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or self._over.is_set() or RUN.stopped:
                return condition()
            peer.wait(min(left, SLICE_S))
        return True

    def _await_end(self, peer: LivePeer) -> None:
        """Wait until the server has ended the connection; a handler that can only wait for ever is not waited for."""
        began, busy = time.monotonic(), time.process_time()
        stuck_since: float | None = None
        while not (peer.knows_the_end() or self._over.is_set() or RUN.stopped):
            now = time.monotonic()
            stuck_since = (stuck_since or now) if peer.stuck() else None
            if (stuck_since is not None and now - stuck_since > QUIET_S) or now - began > self._limit_s:
                self._stall(busy=(time.process_time() - busy) / (now - began))
                return
            peer.wait(SLICE_S)

    def _stall(self, busy: float = 0.0) -> None:
        """The handler in progress did not end in time: say so, and what all threads were doing."""
        number = max(RUN.connection, 0)
        peer = next((peer for peer in self._live if peer.number == number), None)
        kind = "network.spinning" if busy > BUSY_SHARE else "network.stalled"
        operation = (peer.waits_in if peer else "") or "handle"
        note_stop(kind, number, operation, peer.player.state if peer else "open", payload=stacks())

    def _take_away(self) -> None:
        for peer in self._live:
            peer.ready.set()
            peer.abort()


def stacks() -> str:
    """The stacks of all threads, as faulthandler writes them."""
    # Through a pipe, for a file of ours would be taken for one of the handler's; what does not fit is left out.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        faulthandler.dump_traceback(file=writing, all_threads=True)
        return os.read(reading, _STACKS_BYTES_MAX).decode(errors="backslashreplace")
    finally:
        os.close(reading)
        os.close(writing)
