"""Hosting a handler of datagrams for one Case: one socket for everybody, and a turn of the server for each datagram.

The server is driven as `serve_forever` drives it: while a datagram is there, `_handle_request_noblock`, then
`service_actions`. A server whose socket a handler has closed turns and turns in CPython, for its own error is
swallowed; here it turns a few times, and what would still have come is abandoned.
"""

from __future__ import annotations

import socket
from socketserver import BaseServer
from typing import Any, Final, Protocol

from handshaker.harness.recorder import RUN
from handshaker.targets.hosting import Host, note_address, note_server_stopped
from handshaker.targets.hosting_realtime import RealTimeHost
from handshaker.targets.instrument_server import TracedServer, placed_before

__all__ = [
    "Arriving",
    "DatagramHost",
    "RealTimeDatagramHost",
    "TracedDatagramServer",
    "instrument_datagram_server",
]

_FRUITLESS_TURNS_MAX: Final = 5


class Arriving(Protocol):
    """What hosting needs from a network of datagrams."""

    address: Any
    taken: int
    listener: Any

    @property
    def waiting(self) -> int:
        """Datagrams that the server could still take."""

    def ready(self) -> bool:
        """Whether the server would turn once more."""

    def settle(self) -> None:
        """The request is over."""

    def settle_all(self) -> None:
        """All requests are over."""


class TracedDatagramServer(TracedServer):
    """Placed before the class of a server of datagrams: its socket is told when it is the server that reads."""

    _handshaker_taken_ = False

    def get_request(self) -> Any:
        """Write down the taking of a datagram."""
        sock = self.socket  # type: ignore[attr-defined]
        ours = hasattr(sock, "serving")
        if ours:
            sock.serving = True
        try:
            result = super().get_request()
        finally:
            if ours:
                sock.serving = False
        self._handshaker_taken_ = True
        return result

    def _handle_request_noblock(self) -> None:
        """One turn; afterwards it is seen whether the socket that all requests share is still open."""
        self._handshaker_taken_ = False
        try:
            super()._handle_request_noblock()  # type: ignore[misc]
        finally:
            if self._handshaker_taken_ and not RUN.stopped:
                sock = self.socket  # type: ignore[attr-defined]
                RUN.emit((("probe.listener", RUN.connection, not getattr(sock, "_closed", False)), None))
                if hasattr(sock, "turned"):
                    sock.turned += 1


def instrument_datagram_server(server: BaseServer) -> BaseServer:
    """The same server object, its hooks recorded from now on."""
    return placed_before(server, TracedDatagramServer)


def _serve_datagrams(server: Any, network: Arriving) -> None:
    """Serve every datagram that comes, until none is left or the server has died."""
    alive, fruitless = True, 0
    while alive and fruitless < _FRUITLESS_TURNS_MAX:
        number = network.taken
        try:
            if not network.ready():
                break
            if server.socket is not network.listener:
                _note_another_socket()
                break
            server._handle_request_noblock()
            server.service_actions()
        except BaseException as exception:
            if RUN.stopped:
                return
            note_server_stopped(exception)
            alive = False
        if RUN.stopped:
            return
        fruitless = 0 if network.taken > number else fruitless + 1
        if not fruitless:
            network.settle()
    network.settle_all()
    if network.waiting and not RUN.stopped:
        RUN.emit((("server.abandoned", -1, network.waiting), None))


def _note_another_socket() -> None:
    """A handler has given the server a socket that is not ours: it would wait in the kernel."""
    RUN.stopped = True
    what = ("network.kernel", RUN.connection, "server.socket")
    if RUN.recorder is not None:
        RUN.recorder.stopped_by = what
    RUN.emit((what, None))


class DatagramHost(Host):
    """One target that takes datagrams, hosted in the thread that plays the Case."""

    def _serve(self, server: Any, network: Any) -> None:
        _serve_datagrams(server, network)

    def construct(self, address: Any) -> Any:
        """A fresh server at *address*, its hooks recorded."""
        return instrument_datagram_server(self._make(address))

    def _other_listener(self, server: Any, address: Any) -> socket.socket:
        listener = self._listener(server.address_family, server.socket_type)
        listener.bind(address)
        return listener

    def _note_address(self, server: Any, listener: socket.socket) -> None:
        own, said = listener.getsockname(), server.server_address
        note_address(own, said, agrees=said == own)


class RealTimeDatagramHost(DatagramHost, RealTimeHost):
    """One target that takes datagrams, hosted as it is in production: a thread serves, the peers are elsewhere."""
