"""The one engine of both networks: the handler's own operations pull the peer's Script, one Step at a time.

When the handler reads and nothing is there, the next Step is played, in the same thread; so segment borders are exact
and nothing waits. When the handler writes and has consumed all that was sent, Steps that end or hinder the connection
are played first: that is how a peer resets between a request and its reply. Time goes by only while the handler waits.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from handshaker.harness.case import Script, Step
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.recorder import RUN

__all__ = ["OVER", "PLAYED", "TIMED_OUT", "Player", "Turn", "Wire"]


class Turn(Enum):
    """What came of asking the peer to go on."""

    PLAYED = "a Step was played"
    TIMED_OUT = "the peer is still waiting when the handler's patience ends"
    OVER = "the peer will never do anything again"


# As plain names: an enumeration is asked for its members by a function.
PLAYED: Final = Turn.PLAYED
TIMED_OUT: Final = Turn.TIMED_OUT
OVER: Final = Turn.OVER


class Wire(Protocol):
    """What a network does with a peer's Steps."""

    def deliver(self, data: bytes) -> None:
        """Bring one segment to the server's side."""

    def half_close(self) -> None:
        """End the peer's sending direction."""

    def close(self) -> None:
        """Close both directions of the peer's side."""

    def reset(self) -> None:
        """Abort the connection from the peer's side."""

    def stop_reading(self, room: int) -> None:
        """Take *room* more bytes of reply, then none."""

    def resume_reading(self) -> None:
        """Take reply bytes again."""

    def received(self) -> int:
        """How many bytes of reply have arrived at the peer."""


# What the peer is like by now, as the `after` field of `network.stalled` tells it.
_ENDS: Final = {"half-close": "half-closed", "close": "closed", "reset": "reset"}
_PLAYED_BEFORE_A_WRITE: Final = frozenset({"half-close", "close", "reset", "stop-reading", "resume-reading"})


class _Nowhere:
    """The Wire of a Player whose Case is over: nothing is brought to anybody."""

    def deliver(self, data: bytes) -> None:
        """Lost."""

    def half_close(self) -> None:
        """Nobody hears it."""

    close = reset = resume_reading = half_close

    def stop_reading(self, room: int) -> None:
        """Nobody writes."""

    def received(self) -> int:
        """Nothing."""
        return 0


_NOWHERE: Final = _Nowhere()


class Player:
    """One peer's way through its Script."""

    __slots__ = ("_steps", "_until", "_wire", "number", "position", "state")

    def __init__(self, number: int, script: Script, wire: Wire) -> None:
        self.number = number
        self.position = 0
        self.state = "open"
        self._steps = script.steps
        self._wire: Wire = wire
        self._until: float | None = None

    def part(self) -> None:
        """The Case is over: let go of the wire, which refers to this Player; so both are freed without a search."""
        self._wire = _NOWHERE

    @property
    def unplayed(self) -> int:
        """How many Steps are left."""
        return len(self._steps) - self.position

    @property
    def next_step(self) -> Step | None:
        """The Step that comes next; None when the Script is over."""
        return self._steps[self.position] if self.position < len(self._steps) else None

    def pass_over(self, kind: str, told: object) -> None:
        """A waiting Step is over: somebody else waited for it, in real time."""
        self._pass((kind, self.number, told))

    def play_early(self, count: int) -> None:
        """Play *count* Steps before the connection is accepted."""
        while self.position < count and self.advance(None) is PLAYED:
            pass

    def advance(self, deadline: float | None) -> Turn:
        """Play the next Step for a handler that waits until *deadline* (virtual seconds; None: for ever)."""
        position = self.position
        if position == len(self._steps):
            return OVER
        step = self._steps[position]
        action = step.action
        if action == "send":
            self.position = position + 1
            self._send(step.payload)
        elif action == "pause":
            return self._wait(step.seconds, deadline)
        elif action == "expect":
            return self._expect(step.size, step.seconds, deadline)
        else:
            self.position = position + 1
            self._act(action, step.size)
        return PLAYED

    def before_write(self) -> None:
        """The handler is about to write and has consumed its input: let the peer end or hinder the connection first."""
        steps = self._steps
        while self.position < len(steps):
            step = steps[self.position]
            if step.action in _PLAYED_BEFORE_A_WRITE:
                self.position += 1
                self._act(step.action, step.size)
            elif step.action == "expect" and self._wire.received() >= step.size:
                self._pass(("peer.expect", self.number, True))
            else:
                return

    def _send(self, payload: bytes) -> None:
        # A peer that has ended its sending direction cannot send: the Step is passed over, for `send()` would fail.
        if payload and self.state == "open":
            RUN.emit((("peer.send", self.number), payload))
            self._wire.deliver(payload)

    def _act(self, action: str, size: int) -> None:
        if self.state in ("closed", "reset") or (action == "half-close" and self.state != "open"):
            return
        RUN.emit(((f"peer.{action}", self.number), None))
        if action == "stop-reading":
            self._wire.stop_reading(size)
        elif action == "resume-reading":
            self._wire.resume_reading()
        else:
            self.state = _ENDS[action]
            (
                self._wire.reset
                if action == "reset"
                else self._wire.close
                if action == "close"
                else self._wire.half_close
            )()

    def _expect(self, size: int, seconds: float, deadline: float | None) -> Turn:
        if self._wire.received() >= size:
            return self._pass(("peer.expect", self.number, True))
        # Both sides wait for each other now: the handler does not write while it waits, so the peer's patience ends.
        turn = self._let_time_pass(seconds, deadline)
        return turn if turn is TIMED_OUT else self._pass(("peer.expect", self.number, False))

    def _wait(self, seconds: float, deadline: float | None) -> Turn:
        turn = self._let_time_pass(seconds, deadline)
        return turn if turn is TIMED_OUT else self._pass(("peer.pause", self.number, seconds))

    def _let_time_pass(self, seconds: float, deadline: float | None) -> Turn:
        # The peer's own waiting goes on while the handler does something else, such as sleeping.
        until = self._until = CLOCK.now + seconds if self._until is None else self._until
        if deadline is not None and until > deadline:
            CLOCK.move(deadline - CLOCK.now)
            return TIMED_OUT
        CLOCK.move(until - CLOCK.now)
        self._until = None
        return PLAYED

    def _pass(self, what: tuple[object, ...]) -> Turn:
        self._until = None
        self.position += 1
        RUN.emit((what, None))
        return PLAYED
