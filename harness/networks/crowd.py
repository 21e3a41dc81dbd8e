"""All peers of one Case at once, played from outside: the server is in another process, and everything is real time.

One thread plays them all with poll(). Here is what streams (`crowd_streams`) and datagrams (`crowd_datagrams`) have in
common: the one place where the playing process waits. The Steps go round: every peer that is ready plays its next one,
and the next round begins when the server's side of all of them has settled, that is waits for more or is done, as the
board says. A handler that is busy with something else is given a short while in which nothing moves; so what is read at
once is what was sent at once, and nothing ever sleeps blindly.

What is waited for is bounded: a pause or an expectation lasts at most a second, and a pause that no handler could tell
from a longer one is over when nothing moves any more.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.networks.board import IN_RECV, IN_SEND, Board
from handshaker.harness.recorder import RUN, Emit

__all__ = ["PAUSE_MAX_S", "QUIET_S", "WAITS", "Crowd", "Watched"]

PAUSE_MAX_S: Final = 1.0
QUIET_S: Final = 0.05
WAITS: Final = {IN_RECV: "recv", IN_SEND: "send"}
"""The operation that a request socket waits in, as `network.stalled` tells it."""

Watched = tuple[int, int, Callable[[], None]]
"""A descriptor, the events of poll() that are waited for, and what is called when one comes."""


class Crowd:
    """The peers of *case*, and the waiting for whatever happens next.

    *gate* tells the house who has connected, and from where.
    """

    def __init__(self, case: Case, board: Board, gate: Callable[..., None]) -> None:
        self.case = case
        self.board = board
        self.moved_at = 0.0
        self.stamp_ns = 0
        """When what is written down next has happened; 0: now."""
        self._gate = gate
        self._watched: dict[int, Callable[[], None]] = {board.waked: board.sleep}

    # what streams and datagrams do differently

    def connect(self, number: int, address: Any) -> bool:
        """Let peer *number* come, and play its early Steps; false when nobody is there any more."""
        raise NotImplementedError

    def let_play(self, number: int) -> None:
        """From now on peer *number* may play all its Steps."""
        raise NotImplementedError

    def connect_all(self, address: Any, ended: Callable[[], bool], limit_s: float) -> None:
        """Let all peers come, and then let their Steps go round."""
        raise NotImplementedError

    def is_served(self, number: int) -> bool:
        """Whether the server has done with all that peer *number* wanted."""
        raise NotImplementedError

    def playing(self) -> bool:
        """Whether any peer has a Step to play that it may play."""
        raise NotImplementedError

    def over(self) -> bool:
        """Whether all that is to be played was played, and every request that was accepted is over for its peer."""
        raise NotImplementedError

    def done(self) -> bool:
        """Whether nothing is left of any request that was accepted."""
        return all(row.gone for row in self.board.rows if row.accepted)

    def at_rest(self) -> bool:
        """Whether nothing will happen any more, since every handler that is not over waits for a silent peer."""
        raise NotImplementedError

    def give_up(self) -> bool:
        """End the waiting of those handlers, and write it down; false when there is no way but to kill them."""
        raise NotImplementedError

    def hung(self) -> Iterable[tuple[int, str, str]]:
        """The requests that do not end: number, the operation of the socket that waits, what the peer is like."""
        raise NotImplementedError

    def unfinished(self) -> Iterable[tuple[int, str, str]]:
        """The same for requests that the server's side has not done with, whatever their peers have seen."""
        raise NotImplementedError

    def waiting(self) -> int:
        """How many peers (or datagrams) the server has not accepted."""
        raise NotImplementedError

    def leave(self) -> None:
        """Let every peer take what is there, and go."""
        raise NotImplementedError

    def close(self) -> None:
        """Give all descriptors back, whatever happened."""
        raise NotImplementedError

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how it ended for each peer."""
        raise NotImplementedError

    def _play(self, now: float, *, in_vain: bool) -> float:
        """Play what is due: -1 when something was played, else the time when something will be (0: nothing)."""
        raise NotImplementedError

    def _sockets(self) -> Iterable[Watched]:
        """The peers' descriptors that may become ready."""
        raise NotImplementedError

    # waiting

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call *readable* when *descriptor* can be read."""
        self._watched[descriptor] = readable

    def unwatch(self, descriptor: int) -> None:
        """Do not look at it any more."""
        self._watched.pop(descriptor, None)

    def wait(self, until: Callable[[], Any], seconds: float) -> bool:
        """Play what is to be played until *until* is true, at most so long; whether it is."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() >= deadline:
                return bool(until())
            RUN.alive()  # whoever waits here knows for how long
            self.turn(deadline)
        return True

    def quiet(self, seconds: float) -> bool:
        """Whether nothing has moved for so long."""
        return time.monotonic() - self.moved_at >= seconds

    def turn(self, deadline: float) -> None:
        """Play one round if it is time for it, else wait for something to move."""
        now = time.monotonic()
        due = self._play(now, in_vain=self.quiet(QUIET_S))
        if due < 0:
            self.moved_at = time.monotonic()
            return
        until = min(deadline, now + QUIET_S, due or deadline)
        self._poll(max(until - now, 0.0))

    def _poll(self, seconds: float) -> None:
        poller = select.poll()
        called = dict(self._watched)
        for descriptor in called:
            poller.register(descriptor, select.POLLIN)
        for descriptor, events, ready in self._sockets():
            called[descriptor] = ready
            poller.register(descriptor, events)
        for descriptor, _ in poller.poll(seconds * 1_000 + 0.5):
            self.moved_at = time.monotonic()
            called[descriptor]()
