"""One peer of datagrams, and the line in which the datagrams of all peers arrive: the same on both networks.

The peers act in turns: each plays its Steps until it has sent one datagram, then it is the next one's turn. A peer that
pauses or waits for a reply lets the others go on; when all of them wait, time goes by until the first one is done. What
a datagram suffers on its way (`deliver`) happens here: lost, twice, or late, that is after the next one of anybody, and
at the latest before its peer leaves.

A peer that has stopped reading takes as many bytes as its Step says. What comes after that is dropped over UDP, without
a word; over Unix sockets it waits, until eleven wait (net.unix.max_dgram_qlen is 10): then nobody can send to it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from handshaker.harness.case import Script
from handshaker.harness.networks.bounds import REPLY_BYTES_MAX, stop
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.datagram_addresses import LONGEST, UNIX
from handshaker.harness.networks.player import OVER, PLAYED, TIMED_OUT, Turn
from handshaker.harness.recorder import RUN, Emit

__all__ = ["UNIX_PLACES", "DatagramPeer", "Line"]

UNIX_PLACES: Final = 11
"""How many datagrams wait in a Unix socket that nobody reads (net/unix/af_unix.c: more than max_dgram_qlen is full)."""

_SENT: Final = "sent"
_WAITING: Final = "waiting"
_PLAYED: Final = "played"
_OVER: Final = "over"
_TICK_S: Final = 1e-9  # sums of seconds are not exact
_PLAYED_BEFORE_A_REPLY: Final = frozenset({"close", "stop-reading", "resume-reading", "half-close", "reset"})


class DatagramPeer:
    """One peer: its way through its Script, and what it has received."""

    __slots__ = (
        "_early", "_steps", "_until", "address", "flying", "here", "number", "position", "reading", "received",
        "replies", "room",
    )  # fmt: skip

    def __init__(self, number: int, script: Script, address: Any) -> None:
        self.number = number
        self.address = address
        self.position = 0
        self.here = True  # its socket is open
        self.flying = 0  # datagrams of its that the server has not taken yet
        self.reading = True
        self.room = 0
        self.replies: list[bytes] = []
        self.received = 0  # bytes of reply
        self._steps = script.steps
        self._early = script.early
        self._until: float | None = None

    # what a network does

    def carry(self, data: bytes) -> None:
        """Bring one datagram to the server's socket."""
        raise NotImplementedError

    def look(self) -> None:
        """Take what has come from elsewhere than the server's own socket."""

    def leave(self) -> None:
        """Close its socket."""
        raise NotImplementedError

    def resume(self) -> None:
        """Take what has been waiting."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """Whether nobody can send to it."""
        raise NotImplementedError

    # its Script

    @property
    def unsent(self) -> int:
        """How many datagrams it would still send."""
        if not self.here or self.position == len(self._steps):
            return 0
        return sum(step.action == "send" for step in self._steps[self.position :])

    def play_early(self, line: Line) -> None:
        """Play the Steps that come before the server takes its first datagram."""
        while self.position < self._early:
            if self._play(line) is _WAITING and self._until is not None:
                CLOCK.move(self._until - CLOCK.now)

    def go_on(self, line: Line) -> str:
        """Play Steps until a datagram is sent, or it has to wait, or all is over."""
        count = len(self._steps)
        while self.position < count:
            outcome = self._play(line)
            if outcome is not _PLAYED:
                return outcome
        return _OVER

    @property
    def until(self) -> float | None:
        """When it has waited long enough; None when it does not wait."""
        return self._until

    def _play(self, line: Line) -> str:
        step = self._steps[self.position]
        action = step.action
        if action == "send":
            self.position += 1
            if not self.here:
                return _PLAYED
            line.post(self, step.payload)
            return _SENT
        if action == "pause":
            told = ("peer.silent", -1, self.number, step.seconds)
            return self._pass(told) if self._waited(step.seconds) else _WAITING
        if action == "expect":
            self.look()
            met = self.received >= step.size
            if met or self._waited(step.seconds):
                return self._pass(("peer.awaited", -1, self.number, met))
            return _WAITING
        self._act(line, action, step.size)
        return _PLAYED

    def is_answered(self) -> bool:
        """Whether it waits for a reply that has come."""
        steps = self._steps
        step = steps[self.position] if self.position < len(steps) else None
        return step is not None and step.action == "expect" and self.received >= step.size

    def hinder(self, line: Line) -> None:
        """The server is about to reply: let the peer leave or stop reading first, if that comes next."""
        steps = self._steps
        while self.position < len(steps):
            step = steps[self.position]
            if step.action in _PLAYED_BEFORE_A_REPLY:
                self._act(line, step.action, step.size)
            elif step.action == "expect" and self.received >= step.size:
                self._pass(("peer.awaited", -1, self.number, True))
            else:
                return

    def _waited(self, seconds: float) -> bool:
        until = self._until = CLOCK.now + seconds if self._until is None else self._until
        return CLOCK.now + _TICK_S >= until

    def _pass(self, what: tuple[object, ...]) -> str:
        self._until = None
        self.position += 1
        RUN.emit((what, None))
        return _PLAYED

    def _act(self, line: Line, action: str, room: int) -> None:
        """Leave, stop or resume reading; a datagram socket has no direction to end and nothing to reset."""
        self.position += 1
        if not self.here or action in ("half-close", "reset"):
            return
        if action == "close":
            line.bring_late(self)
            RUN.emit((("peer.leave", -1, self.number), None))
            self.here = False
            self.leave()
        elif action == "stop-reading":
            RUN.emit((("peer.deaf", -1, self.number), None))
            self.reading, self.room = False, room
        else:
            RUN.emit((("peer.listens", -1, self.number), None))
            self.reading = True
            self.resume()

    # what it receives

    def takes(self, size: int) -> bool:
        """Whether it would take a datagram of this *size* now, and from now on no more if it would not."""
        if self.reading:
            return True
        if 0 < self.room >= size:
            self.room -= size
            return True
        self.room = 0
        return False

    def take(self, data: bytes, *, own: bool) -> None:
        """Take one datagram, from the server's *own* socket or from another one."""
        self.replies.append(data)
        self.received += len(data)
        RUN.emit((("peer.reply", -1, self.number, own), data))
        if self.received > REPLY_BYTES_MAX:
            stop("network.limit", RUN.connection, "reply")

    def tell_end(self, emit: Emit) -> None:
        """Say that all is over for it, and what it has received."""
        unplayed = len(self._steps) - self.position
        emit((("peer.over", -1, self.number, unplayed), b"".join(self.replies)))


class Line:
    """The datagrams that are on their way to the server, in the order in which they arrive, and whose turn it is."""

    __slots__ = ("_late", "_turn", "longest", "open", "peers", "queue", "unix")

    def __init__(self, peers: list[Any], family: int) -> None:
        self.peers: list[DatagramPeer] = peers
        self.queue: deque[tuple[int, Any, bytes]] = deque()
        """(number of the peer, its address, the datagram)."""
        self.unix = family == UNIX
        self.longest = LONGEST[family]
        self.open = True
        """Whether the server's socket is open."""
        self._turn = 0
        self._late: tuple[DatagramPeer, bytes] | None = None

    @property
    def waiting(self) -> int:
        """How many datagrams the server could still take."""
        count = len(self.queue) + (self._late is not None)
        for peer in self.peers:
            count += peer.unsent
        return count

    def begin(self) -> None:
        """Play the early Steps of all peers."""
        for peer in self.peers:
            if peer._early:
                peer.play_early(self)

    def advance(self, deadline: float | None) -> Turn:
        """Let the next peer send, for a server that waits until *deadline* (virtual seconds; None: for ever)."""
        peers = self.peers
        count = len(peers)
        while True:
            waiting: float | None = None
            first = self._turn
            for number in range(first, first + count):
                peer = peers[number % count]
                outcome = peer.go_on(self)
                if outcome is _SENT:
                    self._turn = (number + 1) % count
                    return PLAYED
                if outcome is _WAITING and peer.until is not None:
                    waiting = peer.until if waiting is None else min(waiting, peer.until)
            if self._late is not None:
                self.bring_late()
                return PLAYED
            if waiting is None:
                return OVER
            if deadline is not None and waiting > deadline:
                CLOCK.move(deadline - CLOCK.now)
                return TIMED_OUT
            self._let_time_pass(waiting - CLOCK.now)

    def _let_time_pass(self, seconds: float) -> None:
        CLOCK.move(seconds)

    def post(self, peer: DatagramPeer, data: bytes) -> None:
        """*peer* sends *data*, and what is to happen on the way happens."""
        hardships = RUN.hardships
        if len(data) > self.longest or (self.unix and (not self.open or len(self.queue) >= UNIX_PLACES)):
            fate = "refused"
        else:
            fate = hardships.strike("deliver") if hardships is not None else ""
        RUN.emit((("peer.datagram", -1, peer.number, fate or "sent"), data))
        if fate in ("", "twice"):
            self._bring(peer, data)
        if fate == "twice":
            self._bring(peer, data)
        if self._late is not None:
            self.bring_late()
        if fate == "late":
            self._late = peer, data

    def bring_late(self, leaving: DatagramPeer | None = None) -> None:
        """What was held back arrives; only that of a *leaving* peer, if one is named."""
        if self._late is None or (leaving is not None and self._late[0] is not leaving):
            return
        (peer, data), self._late = self._late, None
        self._bring(peer, data)

    def _bring(self, peer: DatagramPeer, data: bytes) -> None:
        if not self.open or (self.unix and len(self.queue) >= UNIX_PLACES):
            return  # over UDP nobody hears that the server is gone
        if self.queue:
            self.crowd()
        peer.carry(data)
        peer.flying += 1
        self.queue.append((peer.number, peer.address, data))

    def crowd(self) -> None:
        """Several datagrams are about to wait: whoever keeps them may need more room."""

    def taken(self, number: int) -> None:
        """The first datagram of the line, of the peer with this *number*, is with the server."""
        self.queue.popleft()
        if number >= 0:
            self.peers[number].flying -= 1

    def close(self) -> None:
        """The server's socket is closed: what waits there is gone."""
        self.open = False
        self.queue.clear()
