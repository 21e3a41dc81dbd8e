"""One Case of datagrams, on either network: its peers, their line, and how far the server has come."""

from __future__ import annotations

from typing import Any

from handshaker.harness.case import Case
from handshaker.harness.networks.datagram_peers import DatagramPeer, Line
from handshaker.harness.networks.player import PLAYED
from handshaker.harness.places import Place
from handshaker.harness.recorder import Emit

__all__ = ["DatagramNetwork"]


class DatagramNetwork:
    """The peers of one Case, who send to one socket."""

    __slots__ = ("_place", "_settled", "address", "by_address", "case", "line", "listener", "sender", "taken")

    def __init__(self, case: Case, address: Any, place: Place | None = None) -> None:
        self.case = case
        self._place = place
        self.address: Any = address
        """Where the server is to bind its socket."""
        self.taken = 0
        """How many datagrams the server has taken: the number of its next request."""
        self.sender = -1
        """The peer whose datagram the server took last."""
        self._settled = -1  # the peer that has been seen to since anything of the server's ran
        self.listener: Any = None
        self.line: Line
        self.by_address: dict[Any, DatagramPeer] = {}

    def _make_peers(self, family: int) -> list[Any]:
        raise NotImplementedError

    def _make_line(self, peers: list[Any], family: int) -> Line:
        return Line(peers, family)

    def listen(self, listener: Any) -> None:
        """Let the peers of this Case send to *listener*."""
        self.listener = listener
        family = listener.family_number
        peers = self._make_peers(family)
        self.line = self._make_line(peers, family)
        self.by_address = {peer.address: peer for peer in peers if peer.address is not None}
        listener.exchange = self
        self.line.begin()

    @property
    def waiting(self) -> int:
        """How many datagrams the server could still take."""
        return self.line.waiting

    def ready(self) -> bool:
        """Whether the server would turn again: a datagram is there, or its socket is closed, which it cannot see."""
        if not self.line.queue and not self._bring_something():
            return False
        self._settled = -1
        return True

    def _bring_something(self) -> bool:
        line = self.line
        while not line.queue:
            if not line.open:
                return bool(line.waiting)
            if line.advance(None) is not PLAYED and not line.queue:
                return bool(self.listener._more())
        return True

    def settle(self) -> None:
        """The request is over: see what its sender was sent by others than the server's socket."""
        if self.sender >= 0:
            self.line.peers[self.sender].look()
            self._settled = self.sender

    def settle_all(self) -> None:
        """All requests are over: see what anybody was sent by others."""
        for peer in self.line.peers:
            if peer.number != self._settled:
                peer.look()

    def close(self) -> None:
        """Give back whatever this Case holds."""
        if self.listener is not None:
            self.listener.exchange = None  # it refers to this Case, which refers to it
        if self._place is not None:
            self._place.close()

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how each peer ended, after the server is gone."""
        for peer in self.line.peers:
            peer.tell_end(emit)
