"""Both ends of one connection in memory: what waits to be read, how each side ended, what has arrived at the peer.

What happens on resets, half-closes and writes to a peer that is gone is what Linux does on its loopback interface
(net/ipv4/tcp_input.c, tcp_reset and tcp_fin; the parity suite compares the two):

- a FIN makes every read after the buffered bytes give b"", whatever comes after it;
- a reset leaves buffered bytes readable, then is told once (ECONNRESET; EPIPE to a writer when a FIN had come before);
  from then on reads give b"", writes EPIPE;
- the first bytes written to a peer that has closed are accepted and answered by such a reset;
- once the connection is dead (reset, or ended by both sides), shutdown() and getpeername() give ENOTCONN.

Unix streams know no resets (net/unix/af_unix.c, unix_release_sock):

- writing to a peer that has closed gives EPIPE at once, and takes nothing away from what is still to be read;
- a peer that goes without having read the whole reply leaves an error behind: after the buffered bytes, before the end
  of the stream, reads give ECONNRESET once;
- shutdown() and getpeername() never fail, and after SHUT_RD nothing more is taken.
"""

from __future__ import annotations

import errno
import functools
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.networks.bounds import REPLY_BYTES_MAX, stop
from handshaker.harness.networks.player import Player
from handshaker.harness.places import shown_address

__all__ = ["FIRST_PEER_PORT", "RESET_CUTS_BYTES", "Link", "UnixLink", "how_it_ended", "link_of"]

FIRST_PEER_PORT: Final = 40_000
_LONG_BYTES: Final = 4_096
RESET_CUTS_BYTES: Final = 128_000
"""The longest reply that the receive buffer of a peer holds when a reset follows at once (measured on Linux)."""


def how_it_ended(*, gone: bool, cut: bool, over: bool) -> str:
    """How the stream ended for a peer: a peer that left by itself (*gone*) sees no reset any more."""
    if cut and not gone:
        return "reset"
    return "eof" if over else "open"


class Link:
    """Both ends of one connection over TCP."""

    __slots__ = (
        "aborted", "address", "barren", "dead", "ended", "error", "inbox", "number", "peer_gone", "player", "reading",
        "released", "reply", "reply_bytes", "room", "shown", "shut_rd", "shut_wr", "tallies", "unread",
    )  # fmt: skip

    unix = False

    def __init__(self, number: int, case: Case, address: Any, shown: str) -> None:
        self.number = number
        self.address = address
        self.shown = shown
        self.inbox: bytes | memoryview = b""
        self.ended = False  # a FIN has come: after the inbox, reads give b""
        self.error = 0  # a pending socket error, given once
        self.dead = False  # reset, or ended by both sides
        self.peer_gone = False  # the peer's side is closed or reset: what is written goes nowhere
        self.reading = True
        self.room = 0
        self.reply: list[bytes] = []
        self.reply_bytes = 0
        self.shut_rd = self.shut_wr = self.released = self.unread = False
        self.aborted = False  # released with SO_LINGER of zero seconds, which sends a reset instead of a FIN
        self.barren = 0
        self.tallies: list[Any] = []
        self.player = Player(number, case.scripts[number], self)

    # what the peer does (the Wire that the Player plays on)

    def deliver(self, data: bytes) -> None:
        """One segment arrives; also after SHUT_RD, which does not keep Linux from taking what comes."""
        if self.inbox:
            data = bytes(self.inbox) + data
        # A view, where the handler may take a long segment in many small pieces: cutting one copies nothing.
        self.inbox = data if len(data) < _LONG_BYTES else memoryview(data)

    def half_close(self) -> None:
        """A FIN arrives."""
        self.ended = True
        self.dead = self.dead or self.shut_wr

    def close(self) -> None:
        """A FIN arrives, and whatever is written from now on is answered by a reset."""
        self.half_close()
        self.peer_gone = True

    def reset(self) -> None:
        """A reset arrives; a connection that is dead already takes no notice."""
        if not self.dead:
            self._die()
        self.peer_gone = True

    def _die(self) -> None:
        self.error = errno.EPIPE if self.ended else errno.ECONNRESET
        self.dead = True

    def stop_reading(self, room: int) -> None:
        """Only *room* more bytes fit."""
        self.reading, self.room = False, room

    def resume_reading(self) -> None:
        """Everything fits again."""
        self.reading = True

    def received(self) -> int:
        """Bytes of reply at the peer."""
        return self.reply_bytes

    # what the server side does

    def broken(self) -> bool:
        """Whether nothing can be written any more."""
        return self.shut_wr or self.dead

    def readable(self) -> bool:
        """Whether a read would not have to wait."""
        return bool(self.inbox or self.ended or self.error or self.shut_rd)

    def take(self, size: int, *, peek: bool) -> bytes:
        """Up to *size* bytes of the inbox."""
        inbox = self.inbox
        whole = len(inbox) <= size
        data = inbox if whole else inbox[:size]
        if not peek:
            self.inbox = b"" if whole else inbox[size:]
        return data if type(data) is bytes else bytes(data)

    def put(self, data: memoryview) -> None:
        """Bytes go to the peer, if it is still there; a closed peer answers the first ones with a reset."""
        if self.peer_gone:
            self._die()
            return
        self.reply.append(bytes(data))
        self.reply_bytes += len(data)
        if not self.reading:
            self.room -= len(data)
        if self.reply_bytes > REPLY_BYTES_MAX:
            stop("network.limit", self.number, "reply")

    def shut_writing(self) -> None:
        """A FIN goes to the peer."""
        self.shut_wr = True
        self.dead = self.dead or self.ended

    def release(self) -> None:
        """The server side is closed; input that nobody read turns the end into a reset."""
        self.released = True
        self.unread = bool(self.inbox)

    def end(self) -> tuple[Any, ...]:
        """How the stream ended for the peer: the fields of `peer.end`."""
        seen_first = self.shut_wr and (self.dead or self.reply_bytes <= RESET_CUTS_BYTES)  # the FIN before the reset
        how = how_it_ended(
            gone=self.peer_gone,
            cut=(self.unread or self.aborted) and not seen_first,
            over=self.released or self.shut_wr,
        )
        return ("peer.end", self.number, how, self.unread, self.player.unplayed)


class UnixLink(Link):
    """Both ends of one connection between Unix sockets."""

    __slots__ = ("_read",)

    unix = True

    def __init__(self, number: int, case: Case, address: Any, shown: str) -> None:
        super().__init__(number, case, address, shown)
        self._read = 0  # bytes of reply that the peer has read, as far as it has looked

    def deliver(self, data: bytes) -> None:
        """One segment arrives; after SHUT_RD the peer's own write fails."""
        if not self.shut_rd:
            super().deliver(data)

    def half_close(self) -> None:
        """The end of the stream arrives."""
        self.ended = True

    def reset(self) -> None:
        """The peer goes without reading any more; when it leaves a part of the reply unread, that is told."""
        if self.reply_bytes > self._read:
            self.error = errno.ECONNRESET
        self.close()

    def stop_reading(self, room: int) -> None:
        """Only *room* more bytes fit."""
        self._read = self.reply_bytes
        super().stop_reading(room)

    def received(self) -> int:
        """Bytes of reply at the peer, which reads them."""
        self._read = self.reply_bytes
        return self.reply_bytes

    def broken(self) -> bool:
        """Whether nothing can be written any more."""
        return self.shut_wr or self.peer_gone

    def shut_writing(self) -> None:
        """The end of the stream goes to the peer."""
        self.shut_wr = True

    def end(self) -> tuple[Any, ...]:
        """How the stream ended for the peer: nothing of the reply is lost, but input left unread is an error."""
        how = how_it_ended(gone=self.peer_gone, cut=self.unread, over=self.released or self.shut_wr)
        return ("peer.end", self.number, how, self.unread, self.player.unplayed)


def link_of(number: int, case: Case) -> Link:
    """A fresh connection of the peer *number*, over the transport of *case*."""
    made = UnixLink if case.transport == "unix" else Link
    return made(number, case, *_address_of(case.transport, number))


@functools.cache
def _address_of(transport: str, number: int) -> tuple[Any, str]:
    """The address of the peer *number*, also as a person reads it."""
    port = FIRST_PEER_PORT + number
    address: Any = "" if transport == "unix" else ("::1", port, 0, 0) if transport == "tcp6" else ("127.0.0.1", port)
    return address, shown_address(address)
