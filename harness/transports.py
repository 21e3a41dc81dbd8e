"""The transports that a handler of `socketserver` can be served over, and the ways a server can share its time.

Plain data: a row says what kind of socket a transport needs and in which forms its addresses come. What a network does
with it is the network's affair.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

__all__ = ["CONCURRENCIES", "FORMS", "TRANSPORTS", "Transport", "transport_of"]


@dataclass(frozen=True, slots=True)
class Transport:
    """One row: its name, the socket's family and type, and the name of its plain server class in `socketserver`."""

    name: str
    family: int
    type: int
    server: str
    sentence: str

    @property
    def datagram(self) -> bool:
        """Whether requests are single datagrams, not connections."""
        return self.type == socket.SOCK_DGRAM

    @property
    def unix(self) -> bool:
        """Whether addresses are paths."""
        return self.family == socket.AF_UNIX


_ROWS: Final = (
    Transport("tcp", socket.AF_INET, socket.SOCK_STREAM, "TCPServer", "TCP over IPv4; addresses are (host, port)"),
    Transport("tcp6", socket.AF_INET6, socket.SOCK_STREAM, "TCPServer", "TCP over IPv6; addresses are 4-tuples"),
    Transport("unix", socket.AF_UNIX, socket.SOCK_STREAM, "UnixStreamServer", "Unix streams; a client's address is ''"),
    Transport("udp", socket.AF_INET, socket.SOCK_DGRAM, "UDPServer", "UDP over IPv4; addresses are (host, port)"),
    Transport("udp6", socket.AF_INET6, socket.SOCK_DGRAM, "UDPServer", "UDP over IPv6; addresses are 4-tuples"),
    Transport(
        "unix-dgram", socket.AF_UNIX, socket.SOCK_DGRAM, "UnixDatagramServer",
        "Unix datagrams; a client's address is a path, bytes (abstract) or None (unbound)",
    ),
)  # fmt: skip

TRANSPORTS: Final[dict[str, Transport]] = {row.name: row for row in _ROWS}

CONCURRENCIES: Final = {
    "plain": "one request after another, in the serving thread",
    "threading": "a thread for each request (ThreadingMixIn)",
    "forking": "a process for each request (ForkingMixIn)",
}
"""From the simplest to the hardest: a finding names the first one that shows it."""

FORMS: Final = {
    "": "the usual address of the transport; a path for Unix datagrams",
    "unbound": "no address at all (Unix datagrams): nobody can reply",
    "abstract": "a name in the abstract namespace (Unix datagrams, Linux): the server sees bytes",
}
"""In which form a peer has its address."""


def transport_of(family: int, kind: int) -> Transport | None:
    """The transport of a socket of this *family* and *kind* (type); None when there is none here."""
    return next((row for row in TRANSPORTS.values() if (row.family, row.type) == (family, kind)), None)
