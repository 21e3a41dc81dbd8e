"""Handlers and servers of datagrams that answer too often, too early, to the wrong peer, or to nobody any more."""

from __future__ import annotations

import io
from socketserver import BaseRequestHandler, DatagramRequestHandler
from typing import Any

from handshaker.targets.exhibits.common_datagram import Asked, Packets, PacketServer, answer

__all__ = [
    "NoHalfReply",
    "NoHalfReplyRepaired",
    "OneReply",
    "OneReplyRepaired",
    "Rejected",
    "ReplyToSender",
    "ReplyToSenderRepaired",
    "RequestIsPair",
    "RequestIsPairRepaired",
    "SharedSocketStaysOpen",
    "SharedSocketStaysOpenRepaired",
    "TruncationNoticed",
    "TruncationNoticedRepaired",
]


class Rejected(Exception):
    """The packet is none of ours; the server's log is to say so."""


class _Bare(BaseRequestHandler):
    """A handler that is given the bytes alone."""

    def handle(self) -> None:
        server: Any = self.server
        server.socket.sendto(answer(self.request), self.client_address)


class RequestIsPair(PacketServer):
    """Wrong: gives its handlers the bytes alone, so that none that was written for another server works here."""

    handler = _Bare

    def get_request(self) -> Any:
        (packet, _), address = super().get_request()
        return packet, address


class RequestIsPairRepaired(PacketServer):
    """Repaired: gives its handlers the bytes and the socket, as UDPServer does."""


class TruncationNoticed(DatagramRequestHandler):
    """Wrong: answers whatever came in, also when that is the beginning of a longer datagram."""

    def handle(self) -> None:
        self.wfile.write(self.packet.upper())


class TruncationNoticedRepaired(Packets):
    """Repaired: refuses what is as long as the server's buffer, since nobody knows what is missing."""


class _Direct(io.BufferedIOBase):
    """A file whose every write is sent at once."""

    def __init__(self, socket: Any, address: Any) -> None:
        self._socket, self._address = socket, address

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        sent: int = self._socket.sendto(bytes(data), self._address)
        return sent


class OneReply(DatagramRequestHandler):
    """Wrong: its wfile sends what is written at once, so that a reply of two writes comes as two datagrams."""

    def setup(self) -> None:
        super().setup()
        self.wfile = _Direct(self.socket, self.client_address)

    def handle(self) -> None:
        self.wfile.write(b"answer: ")
        self.wfile.write(answer(self.packet))

    def finish(self) -> None:
        self.wfile.close()


class OneReplyRepaired(DatagramRequestHandler):
    """Repaired: leaves wfile and finish() alone, which send everything that was written as one datagram."""

    def handle(self) -> None:
        self.wfile.write(b"answer: ")
        self.wfile.write(answer(self.packet))


class NoHalfReply(DatagramRequestHandler):
    """Wrong: writes the head of its reply before it has looked at the question, and the head is sent alone."""

    def handle(self) -> None:
        self.wfile.write(b"length ")
        if not self.packet.startswith(b"len "):
            raise Rejected(self.packet[:20])
        self.wfile.write(b"%d\n" % len(self.packet))


class NoHalfReplyRepaired(DatagramRequestHandler):
    """Repaired: writes its reply when it has it."""

    def handle(self) -> None:
        if not self.packet.startswith(b"len "):
            raise Rejected(self.packet[:20])
        self.wfile.write(b"length %d\n" % len(self.packet))


class ReplyToSender(BaseRequestHandler):
    """Wrong: remembers the first peer and answers it for ever, whoever asks."""

    def handle(self) -> None:
        server: Any = self.server
        packet, socket = self.request
        if not hasattr(server, "peer"):
            server.peer = self.client_address
        socket.sendto(answer(packet), server.peer)


class ReplyToSenderRepaired(Asked):
    """Repaired: answers client_address, which is the peer that has asked."""


class SharedSocketStaysOpen(BaseRequestHandler):
    """Wrong: closes the socket when it has answered, as if it were a connection, and so closes the whole server."""

    def handle(self) -> None:
        packet, socket = self.request
        with socket:
            socket.sendto(answer(packet), self.client_address)


class SharedSocketStaysOpenRepaired(BaseRequestHandler):
    """Repaired: leaves the socket, which is everybody's, alone."""

    def handle(self) -> None:
        packet, socket = self.request
        socket.sendto(answer(packet), self.client_address)
