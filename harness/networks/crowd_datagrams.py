"""A crowd of datagram peers: everybody sends its next datagram, then it is seen what comes of all of them.

Here a connection is one request, so the board has a row for each datagram that may be taken, and one more for the
socket that all of them share: how many datagrams were read from it, by whomever. Few are on their way at any time: as
many as there are peers.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterable
from typing import Any

from handshaker.harness.case import Case
from handshaker.harness.networks.board import FOREVER, Board
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.crowd import PAUSE_MAX_S, QUIET_S, WAITS, Crowd, Watched
from handshaker.harness.networks.datagram_loopback import KernelDatagramPeer
from handshaker.harness.networks.datagram_peers import DatagramPeer, Line
from handshaker.harness.recorder import Emit
from handshaker.harness.transports import TRANSPORTS

__all__ = ["DatagramCrowd", "datagrams_max"]

_PAUSES_MAX_S = 2.0


def datagrams_max(case: Case) -> int:
    """How many datagrams the peers of *case* may send, some of them twice."""
    twice = sum(fault.effect == "twice" for fault in case.faults)
    return twice + sum(step.action == "send" for script in case.scripts for step in script.steps)


class _Peer(KernelDatagramPeer):
    """One of several peers: it takes what comes when it comes."""

    __slots__ = ()

    @property
    def unplayed(self) -> int:
        """How many Steps are left."""
        return len(self._steps) - self.position

    def _foreign(self, data: bytes) -> None:
        self.take(data, own=False)  # nobody here knows which request it was an answer to


class _Line(Line):
    """A line over the kernel: what was sent is counted, and nobody but the kernel keeps it."""

    __slots__ = ("sent",)

    def __init__(self, peers: list[Any], family: int) -> None:
        super().__init__(peers, family)
        self.sent = 0

    @property
    def late(self) -> bool:
        """Whether a datagram is held back."""
        return self._late is not None

    def _bring(self, peer: DatagramPeer, data: bytes) -> None:
        with contextlib.suppress(OSError):
            peer.carry(data)
            self.sent += 1


class DatagramCrowd(Crowd):
    """The peers of a Case of datagrams. *folder* is where Unix peers have their sockets."""

    def __init__(self, case: Case, board: Board, gate: Callable[..., None], folder: str) -> None:
        super().__init__(case, board, gate)
        self.folder = folder
        self.server: Any = None
        self.sender = -1  # nobody here knows whose datagram the server took last
        self._family = int(TRANSPORTS[case.transport].family)
        self._line = _Line([], self._family)
        self._playing: list[_Peer] = []
        self._began = 0.0
        self._spare_s = _PAUSES_MAX_S  # all waiting together may take so long
        self._lag: Any = None

    @property
    def _peers(self) -> list[_Peer]:
        return self._line.peers  # type: ignore[return-value]

    def beside(self, name: str) -> str:
        """The path of a peer's socket."""
        return f"{self.folder}/{name}"

    @property
    def _socket_row(self) -> Any:
        return self.board.rows[-1]

    # coming and playing

    def connect(self, number: int, address: Any) -> bool:
        """Let peer *number* have a socket, and send its early datagrams."""
        self.server = address
        self._began = self._began or time.monotonic()
        peer = _Peer(number, self, self._family)  # type: ignore[arg-type]
        self._peers.append(peer)
        self._gate("connected", number, peer.address, False)
        peer.play_early(self._line)
        return True

    def connect_all(self, address: Any, ended: Callable[[], bool], limit_s: float) -> None:
        """Let all peers have sockets, and then send in turns."""
        for number in range(len(self.case.scripts)):
            self.connect(number, address)
        self._playing = list(self._peers)

    def let_play(self, number: int) -> None:
        """From now on peer *number* may play all its Steps."""
        self._playing += [peer for peer in self._peers if peer.number == number]

    def playing(self) -> bool:
        """Whether any peer has a Step to play, or a datagram is held back."""
        return self._line.late or any(peer.unplayed for peer in self._playing)

    def _play(self, now: float, *, in_vain: bool) -> float:
        """One round: every peer goes on until it has sent one datagram, or has to wait."""
        CLOCK.now = max(CLOCK.now, now - self._began)
        waiting = [peer for peer in self._playing if peer.unplayed]
        if not self.playing() or not (self._settled() or in_vain or self._lag == self._progress()):
            return 0.0
        self._lag = self._progress() if in_vain and not self._settled() else None
        sent = self._line.sent
        before = [peer.unplayed for peer in waiting]
        for peer in waiting:
            peer.go_on(self._line)
        if before == [peer.unplayed for peer in waiting]:
            self._line.bring_late()
        if sent != self._line.sent or before != [peer.unplayed for peer in waiting]:
            return -1.0
        return self._due(waiting, now, in_vain=in_vain) if waiting else 0.0

    def _due(self, waiting: list[_Peer], now: float, *, in_vain: bool) -> float:
        """When the first of the peers that all wait will be done; a long wait is cut short."""
        until = min((peer.until for peer in waiting if peer.until is not None), default=CLOCK.now)
        if in_vain and self._settled() and self._nobody_is_impatient():
            CLOCK.now = until
            return now
        most = min(PAUSE_MAX_S, self._spare_s)
        left = until - CLOCK.now
        if left > most:
            CLOCK.now = until - most
            self._began = now - CLOCK.now
        self._spare_s -= min(left, most, QUIET_S)
        return now + min(left, most)

    def _nobody_is_impatient(self) -> bool:
        return all(row.over or row.patience == FOREVER for row in self.board.rows if row.accepted and row.waits)

    # what the server's side is doing

    def _requests(self) -> list[Any]:
        return [row for row in self.board.rows[:-1] if row.accepted and not row.over]

    def _all_read(self) -> bool:
        return bool(self._socket_row.taken >= self._line.sent)

    def _settled(self) -> bool:
        """Whether all that was sent was read, and every request is over, or waits for more."""
        return self._all_read() and all(row.waits for row in self._requests())

    def _progress(self) -> Any:
        rows = self._requests()
        return self._line.sent, self._socket_row.taken, len(rows), sum(row.waits for row in rows)

    def is_served(self, number: int) -> bool:
        """Whether the server has done with all that was sent so far."""
        return not self.playing() and self._all_read() and not self._requests()

    def over(self) -> bool:
        """Whether all that is to be played was played, and every request is over."""
        return not self.playing() and self._all_read() and not self._requests()

    def at_rest(self) -> bool:
        """Whether nothing will happen any more: what waits, waits for ever; what was not read never will be."""
        if self.playing() or not self.quiet(4 * QUIET_S):
            return False
        return all(row.waits and row.patience == FOREVER for row in self._requests())

    def give_up(self) -> bool:
        """What nobody has read is lost; a handler that waits on the server's own socket cannot be reached."""
        if self._requests():
            return False
        self._line.sent = self._socket_row.taken
        return True

    def hung(self) -> Iterable[tuple[int, str, str]]:
        """The requests that do not end."""
        state = "open" if any(peer.here for peer in self._peers) else "closed"
        for number, row in enumerate(self.board.rows[:-1]):
            if row.accepted and not row.over:
                yield number, {"recv": "recvfrom", "send": "sendto"}.get(WAITS.get(row.waits, ""), ""), state

    def unfinished(self) -> Iterable[tuple[int, str, str]]:
        """The same."""
        return self.hung()

    def waiting(self) -> int:
        """How many datagrams the server has not taken."""
        unsent = sum(peer.unsent for peer in self._peers)
        return unsent + max(0, self._line.sent - int(self._socket_row.taken))

    # the end

    def leave(self) -> None:
        """Let every peer take what is there."""
        for peer in self._peers:
            peer.look()

    def close(self) -> None:
        """Give all descriptors back."""
        for peer in self._peers:
            peer.leave()

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how it ended for each peer."""
        for peer in self._peers:
            peer.tell_end(emit)

    def _sockets(self) -> Iterable[Watched]:
        for peer in self._peers:
            if peer.here and peer.reading:
                yield peer.fileno(), select.POLLIN, peer.look
