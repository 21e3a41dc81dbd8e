"""What exhibits of datagrams have in common: a protocol of one question and one answer, served without any defect."""

from __future__ import annotations

from socketserver import BaseRequestHandler, DatagramRequestHandler, UDPServer
from typing import Any

__all__ = ["PACKET_BYTES", "Asked", "PacketServer", "Packets", "answer"]

PACKET_BYTES = UDPServer.max_packet_size
_TOO_LONG = b"too long\n"


def answer(packet: bytes) -> bytes:
    """The reply to one datagram; one that may have been cut is refused."""
    return _TOO_LONG if len(packet) >= PACKET_BYTES else packet.upper()


class Packets(DatagramRequestHandler):
    """Answers each datagram."""

    def handle(self) -> None:
        self.wfile.write(answer(self.packet))


class Asked(BaseRequestHandler):
    """The same, without files."""

    def handle(self) -> None:
        packet, socket = self.request
        socket.sendto(answer(packet), self.client_address)


class PacketServer(UDPServer):
    """A server that brings its handler along."""

    handler: type[BaseRequestHandler] = Asked

    def __init__(self, server_address: Any) -> None:
        super().__init__(server_address, self.handler)
