"""A crowd of stream peers: each has one connection, whose number is its own.

They connect one after another, each as soon as the one before has been accepted, so that the order of the connections
is the order of the peers also where addresses tell nothing.
"""

from __future__ import annotations

import functools
import select
import time
from collections.abc import Callable, Iterable
from typing import Any

from handshaker.harness.case import Script, Step
from handshaker.harness.networks.board import FOREVER, IN_RECV, Row
from handshaker.harness.networks.crowd import PAUSE_MAX_S, QUIET_S, WAITS, Crowd, Watched
from handshaker.harness.networks.peers import KernelPeer
from handshaker.harness.places import shown_address
from handshaker.harness.recorder import RUN, Emit
from handshaker.harness.transports import TRANSPORTS

__all__ = ["CrowdPeer", "StreamCrowd"]

_LAGS_MAX = 5
_PAUSES_MAX_S = 2.0


class CrowdPeer(KernelPeer):
    """One of several peers, played while others are."""

    __slots__ = ("_lag", "_lags", "_over_at", "_spare_s", "_step", "allowed", "row", "script")

    def __init__(self, number: int, script: Script, row: Row, family: int) -> None:
        super().__init__(number, script, family)
        self.row = row
        self.script = script
        self.allowed = 0  # Steps before this one may be played by now
        self._step: Step | None = None  # the Step that takes time
        self._over_at = 0.0
        self._spare_s = _PAUSES_MAX_S  # all its waiting together may take so long
        self._lag: Any = None
        self._lags = 0

    @property
    def handed(self) -> int:
        """How many bytes the kernel took from the handler."""
        return int(self.row.handed)

    @handed.setter
    def handed(self, _: int) -> None:
        """Taken; the board knows better."""

    # Steps

    @property
    def ready(self) -> bool:
        """Whether it may play a Step now."""
        return self._step is None and self.player.position < self.allowed

    @property
    def busy(self) -> bool:
        """Whether a Step that takes time goes on."""
        return self._step is not None

    @property
    def finished(self) -> bool:
        """Whether it will never do anything again."""
        return not self.busy and self.player.next_step is None

    def play(self, now: float) -> None:
        """Play the next Step, or begin it if it takes time."""
        step = self.player.next_step
        if step is not None and step.action in ("pause", "expect"):
            seconds = min(step.seconds, PAUSE_MAX_S, self._spare_s)
            self._spare_s -= seconds
            self._step, self._over_at = step, now + seconds
            return
        self.player.advance(None)
        self.row.state = self.player.state

    def go_on(self, now: float, *, in_vain: bool) -> float:
        """End the Step that takes time if it is over; else the time when it will be. *in_vain*: nothing moves."""
        step = self._step
        if step is None:
            return 0.0
        if step.action == "expect":
            if (met := self.received() >= step.size) or now >= self._over_at or (in_vain and self.calm()):
                self._pass("peer.expect", met)
        elif now >= self._over_at or (in_vain and self.calm() and self.row.patience == FOREVER):
            self._pass("peer.pause", min(step.seconds, PAUSE_MAX_S))
        return self._over_at if self.busy else 0.0

    def _pass(self, kind: str, told: object) -> None:
        self._step = None
        self.player.pass_over(kind, told)

    # what the server's side is doing

    def calm(self) -> bool:
        """Whether the server's side of the connection can do nothing before the peer does something."""
        row = self.row
        if not row.accepted:
            return self.gone
        if self.over():
            return True
        if self.pending:
            return False
        if row.waits == IN_RECV:
            return bool(row.taken == self.sent and (row.told or not self.ended))
        return bool(row.waits) and not self.reading

    def unsettled(self) -> bool:
        """Whether the next round must wait for it."""
        if self.busy or self._lags > _LAGS_MAX or self._lag == self._progress():
            return False
        early = self.player.position < self.script.early and not self.row.accepted
        return self.pending if early else not self.calm()

    def note_lag(self) -> None:
        """The server's side does not come to rest: do not wait for it before something changes, nor again and again."""
        self._lag = self._progress()
        self._lags += 1

    def _progress(self) -> Any:
        row = self.row
        return row.accepted, row.taken, row.handed, row.waits, self.sent, self.player.position

    def over(self) -> bool:
        """Whether the connection is over: for the peer, or for the server."""
        return bool(self.row.over or self.row.released or self.seen)

    def waited_for(self) -> bool:
        """Whether the handler waits for this peer, which will do nothing more."""
        return self.finished and bool(self.row.waits) and self.calm() and not self.over()

    def stuck(self) -> bool:
        """Whether the handler waits so for ever."""
        return self.waited_for() and self.row.patience == FOREVER

    def at_rest(self) -> bool:
        """Whether all is over, or the handler waits for ever, or for longer than we do."""
        return self.over() or (self.waited_for() and not 0 <= self.row.patience <= PAUSE_MAX_S * 1_000)

    def _settle(self) -> None:
        self.drain()

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return int(self._socket.fileno())

    def wants(self) -> int:
        """The events of poll() that it waits for."""
        if self.gone:
            return 0
        reads = not self.seen and (self.reading or self.room > 0)
        return (select.POLLIN if reads else 0) | (select.POLLOUT if self.pending else 0)

    def stir(self) -> None:
        """Send and take what can be sent and taken."""
        self.push()
        self.drain()

    def take_over(self) -> None:
        """Copy what the board says, for the end of the story."""
        row = self.row
        self.released, self.unread = row.released, row.unread
        self.shut_rd, self.shut_wr = row.shut_rd, row.shut_wr


class StreamCrowd(Crowd):
    """The peers of a Case of streams."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.peers: list[CrowdPeer] = []
        self._abandoned = 0

    def connect(self, number: int, address: Any) -> bool:
        """Let peer *number* connect, and play its early Steps; false when nobody listens any more."""
        script = self.case.scripts[number]
        peer = CrowdPeer(number, script, self.board.rows[number], TRANSPORTS[self.case.transport].family)
        before_ns = time.monotonic_ns()
        try:
            peer.connect(address)
        except OSError:
            peer.abort()
            return False
        self.peers.append(peer)
        self._gate("connected", number, peer.address, peer.small_buffers)
        self.stamp_ns = before_ns  # the server may have seen it by now
        RUN.emit((("peer.connect", number), shown_address(peer.address)))
        self.stamp_ns = 0
        peer.allowed = script.early
        while peer.player.position < script.early:
            self.turn(time.monotonic() + PAUSE_MAX_S)
        self._gate("ready", number)
        return True

    def connect_all(self, address: Any, ended: Callable[[], bool], limit_s: float) -> None:
        """Let all peers connect, each when the one before has been accepted, and then let their Steps go round."""
        for number in range(len(self.case.scripts)):
            if ended() or not self.connect(number, address):
                return
            row = self.board.rows[number]
            self.wait(functools.partial(self._is_next, row, ended), limit_s)
        for number in range(len(self.peers)):
            self.let_play(number)

    def _is_next(self, row: Row, ended: Callable[[], bool]) -> bool:
        """Whether the next peer may connect: the one with *row* was accepted, or nobody accepts."""
        return row.accepted or ended() or self.quiet(4 * QUIET_S)

    def let_play(self, number: int) -> None:
        """From now on peer *number* may play all its Steps."""
        for peer in self.peers:
            if peer.number == number:
                peer.allowed = len(peer.script.steps)

    def is_served(self, number: int) -> bool:
        """Whether the server has done with the connection of peer *number*."""
        return bool(self.board.rows[number].over)

    def playing(self) -> bool:
        """Whether any peer has a Step to play that it may play."""
        return any(peer.busy or peer.ready for peer in self.peers)

    def over(self) -> bool:
        """Whether all that is to be played was played, and every connection is over."""
        return not self.playing() and all(peer.over() for peer in self.peers)

    def at_rest(self) -> bool:
        """Whether nothing will happen any more, since every handler that is not over waits for a silent peer."""
        return not self.playing() and self.quiet(QUIET_S) and all(peer.at_rest() for peer in self.peers)

    def give_up(self) -> bool:
        """Reset the connection of a handler that would wait for ever; close that of one who is only patient."""
        for peer in self.peers:
            if peer.stuck():
                RUN.emit((("network.stalled", peer.number, WAITS[peer.row.waits], peer.player.state), ""))
                peer.abort()
            elif peer.waited_for():
                RUN.emit((("peer.close", peer.number), None))
                peer.close()
        return True

    def hung(self) -> Iterable[tuple[int, str, str]]:
        """The connections that do not end."""
        for peer in self.peers:
            if peer.row.accepted and not peer.over():
                yield peer.number, WAITS.get(peer.row.waits, ""), peer.player.state

    def unfinished(self) -> Iterable[tuple[int, str, str]]:
        """The connections that are over for their peers, but not for the server."""
        for peer in self.peers:
            if peer.row.accepted and not peer.row.over:
                yield peer.number, "", peer.player.state

    def waiting(self) -> int:
        """How many peers were not accepted."""
        return len(self.case.scripts) - sum(bool(row.accepted) for row in self.board.rows)

    def leave(self) -> None:
        """Let every peer read what is there, and close; one that was never accepted has no story to tell."""
        for peer in self.peers:
            if not peer.row.accepted:
                peer.abort()
            peer.take_over()
            peer.leave()
        self.peers = [peer for peer in self.peers if peer.row.accepted]

    def close(self) -> None:
        """Give all descriptors back."""
        for peer in self.peers:
            peer.abort()

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how each connection ended for its peer."""
        for peer in self.peers:
            emit((peer.end(), b"".join(peer.reply)))

    def _play(self, now: float, *, in_vain: bool) -> float:
        due = [at for peer in self.peers if (at := peer.go_on(now, in_vain=in_vain))]
        ready = [peer for peer in self.peers if peer.ready]
        unsettled = [peer for peer in self.peers if peer.unsettled()] if ready else []
        if not ready or (unsettled and not in_vain):
            return min(due, default=0.0)
        for peer in unsettled:
            peer.note_lag()
        for peer in ready:
            peer.play(now)
        return -1.0

    def _sockets(self) -> Iterable[Watched]:
        for peer in self.peers:
            if events := peer.wants():
                yield peer.fileno(), events, peer.stir
