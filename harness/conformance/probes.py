"""Probe handlers: what is played on an implementation's own base classes, made when it is known which those are.

A probe is ordinary handler code, written as the documentation of `socketserver` teaches it, so whatever goes wrong is
the doing of the base classes. The functions below become the methods of a new class; they may use what the base class
promises and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from socket import SO_REUSEADDR, SOL_SOCKET
from typing import Any, Final

from handshaker.targets.bases import Implementation

__all__ = [
    "PROBES",
    "Probe",
    "bind_later",
    "handler_class",
    "impatient",
    "linger",
    "say_nothing",
    "say_one",
    "server_class",
]

_LINE_BYTES: Final = 65_536
_RECV_BYTES: Final = 4_096
_BIG_BYTES: Final = 200_000
_LINGER_S: Final = 0.2
_PATIENCE_S: Final = 0.1


def _echo_lines(self: Any) -> None:
    with suppress(ConnectionError, TimeoutError):
        while line := self.rfile.readline(_LINE_BYTES):
            self.wfile.write(line)


def _echo_bytes(self: Any) -> None:
    if isinstance(self.request, tuple):
        data, sock = self.request
        sock.sendto(data, self.client_address)
        return
    with suppress(ConnectionError, TimeoutError):
        while data := self.request.recv(_RECV_BYTES):
            self.request.sendall(data)


def _echo_datagram(self: Any) -> None:
    self.wfile.write(self.rfile.read())


def _echo_in_parts(self: Any) -> None:
    data = self.rfile.read()
    self.wfile.write(data[:2])
    self.wfile.write(data[2:])


def _write_and_fail(self: Any) -> None:
    self.wfile.write(b"half")
    raise ValueError("after half of the reply")


def _boom(self: Any) -> None:
    with suppress(ConnectionError, TimeoutError):
        while line := self.rfile.readline(_LINE_BYTES):
            if line == b"boom\n":
                raise ValueError(line)
            self.wfile.write(line)


def _fail(self: Any) -> None:
    raise ValueError("before the first byte of the reply")


def _write_much(self: Any) -> None:
    self.rfile.readline(_LINE_BYTES)
    self.wfile.write(b"x" * _BIG_BYTES)


def _greet_and_listen(self: Any) -> None:
    self.wfile.write(b"220 ready\n")
    with suppress(ConnectionError, TimeoutError):
        self.rfile.readline(_LINE_BYTES)


def _setup_and_say(self: Any) -> str:
    self._probe_base_.setup(self)
    return "from setup"


def _echo_and_say(self: Any) -> str:
    _echo_lines(self)
    return "from handle"


def _finish_and_say(self: Any) -> str:
    self._probe_base_.finish(self)
    return "from finish"


def _tell_of_files(self: Any) -> None:
    sizes = self.wfile.write(b"abc"), self.wfile.write(memoryview(b"abcdef").cast("H"))
    self.wfile.write(f"{(*sizes, self.wfile.writable(), self.rfile.readable())}\n".encode())


def _read_around(self: Any) -> None:
    line = self.rfile.readline(_LINE_BYTES)
    self.wfile.write(line + self.request.recv(_RECV_BYTES))


def _tell_of_address(self: Any) -> None:
    self.wfile.write(b"reused" if self.server.socket.getsockopt(SOL_SOCKET, SO_REUSEADDR) else b"mine alone")


def _refuse_arguments(self: Any) -> None:
    """A constructor of a wrong signature."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A kind of handler: the name of the base class that it is built on, and its methods."""

    base: str
    methods: Mapping[str, Any]
    sentence: str


PROBES: Final[dict[str, Probe]] = {
    "bytes": Probe("BaseRequestHandler", {"handle": _echo_bytes}, "sends back what arrives, through self.request"),
    "lines": Probe("StreamRequestHandler", {"handle": _echo_lines}, "sends back each line, through rfile and wfile"),
    "datagram": Probe("DatagramRequestHandler", {"handle": _echo_datagram}, "sends back its datagram, through wfile"),
    "parts": Probe("DatagramRequestHandler", {"handle": _echo_in_parts}, "writes its reply in two parts"),
    "half": Probe("DatagramRequestHandler", {"handle": _write_and_fail}, "writes half of a reply, then raises"),
    "half-stream": Probe("StreamRequestHandler", {"handle": _write_and_fail}, "writes half of a reply, then raises"),
    "boom": Probe("StreamRequestHandler", {"handle": _boom}, "sends back each line, and raises on `boom`"),
    "fails": Probe("DatagramRequestHandler", {"handle": _fail}, "raises before it has written anything"),
    "untouched": Probe("BaseRequestHandler", {}, "leaves setup, handle and finish to the base class"),
    "returns": Probe(
        "StreamRequestHandler",
        {"setup": _setup_and_say, "handle": _echo_and_say, "finish": _finish_and_say},
        "returns something from each hook, which nobody looks at",
    ),
    "much": Probe("StreamRequestHandler", {"handle": _write_much}, "answers with 200 kB in one write"),
    "greets": Probe("StreamRequestHandler", {"handle": _greet_and_listen}, "writes first, then reads a line"),
    "counts": Probe("StreamRequestHandler", {"handle": _tell_of_files}, "tells what its files say of themselves"),
    "around": Probe("StreamRequestHandler", {"handle": _read_around}, "reads a line, and then from the socket itself"),
    "address": Probe("StreamRequestHandler", {"handle": _tell_of_address}, "tells whether the address may be reused"),
    "unfit": Probe("BaseRequestHandler", {"__init__": _refuse_arguments}, "has a constructor of a wrong signature"),
}


# methods of servers, for the `server` of a Check


def linger(self: Any) -> None:
    """A service_actions() that takes its time."""
    time.sleep(_LINGER_S)


def impatient(self: Any) -> None:
    """A server_activate() that gives the server's socket a timeout, as was done before servers had one."""
    self._probe_base_.server_activate(self)
    self.socket.settimeout(_PATIENCE_S)


def bind_later(self: Any, server_address: Any, handler: Any) -> None:
    """A constructor that binds when the one of the base class is done."""
    self._probe_base_.__init__(self, server_address, handler, bind_and_activate=False)
    with suppress(OSError):  # a socket that is bound already, which is for the claim to tell
        self.server_bind()
    self.server_activate()


def say_one(self: Any, request: Any, client_address: Any) -> int:
    """A verify_request() that says yes with a number."""
    return 1


def say_nothing(self: Any, request: Any, client_address: Any) -> None:
    """A verify_request() that says no by saying nothing."""


def handler_class(probe: str, made: Implementation, attributes: Mapping[str, Any]) -> type | None:
    """The handler class of *probe* on the base class of *made*, with these attributes; None without such a base."""
    spec = PROBES[probe]
    base = made.named(spec.base)
    if base is None:
        return None
    return _derived((base,), f"Probe_{probe}".replace("-", "_"), {**spec.methods, **attributes, "_probe_base_": base})


def server_class(made: Implementation, transport: str, concurrency: str, methods: Mapping[str, Any]) -> type | None:
    """The server class of *made* for them, with these methods and attributes before all others; None without one."""
    plain, mixin = made.server(transport), made.mixin(concurrency)
    if plain is None or not methods:
        return plain
    bases = (plain,) if mixin is None else (mixin, plain)
    return _derived(bases, f"Probing{plain.__name__}", {**methods, "_probe_base_": plain})


def _derived(bases: tuple[type, ...], name: str, body: Mapping[str, Any]) -> type:
    own = {"__module__": bases[-1].__module__, "__qualname__": name, "__doc__": None}
    return type(bases[-1])(name, bases, {**own, **body})
