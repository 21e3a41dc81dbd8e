"""Hosting a socketserver handler for one Case: a fresh server object, the server's own request path, and its end.

The server is driven as `serve_forever` drives it, turn by turn (Lib/socketserver.py: `_handle_request_noblock`, then
`service_actions`), so that one thread is enough. What the server would do after an exception left that loop is nothing:
it is dead, and the peers that are left are abandoned.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from handshaker.harness.recorder import RUN
from handshaker.targets.instrument import ALIVE, emit_raise, raised, remembered
from handshaker.targets.instrument_server import TracedServer, instrument_server, without_waiting

__all__ = [
    "Host",
    "Listening",
    "end_server",
    "note_address",
    "note_server_stopped",
    "note_survivors",
    "serve",
]

_TURNS_PER_PEER: Final = 3
_SPARE_TURNS: Final = 10


class Listening(Protocol):
    """What hosting needs from a network: how many peers still wait to be accepted."""

    @property
    def waiting(self) -> int:
        """Peers that have not been accepted yet."""


def serve(server: Any, network: Listening) -> None:
    """Serve every waiting peer, one after another, until none is left or the server has died."""
    turns = _TURNS_PER_PEER * network.waiting + _SPARE_TURNS
    while network.waiting and turns:
        turns -= 1
        try:
            server._handle_request_noblock()
            server.service_actions()
        except BaseException as exception:
            if RUN.stopped:
                return
            note_server_stopped(exception)
            break
        if RUN.stopped:
            return
    if network.waiting:
        RUN.emit((("server.abandoned", -1, network.waiting), None))


def _note_own_loop() -> None:
    """The loop of an implementation that has no turns of the stdlib's kind is run as a whole, which takes real time."""
    what = ("network.kernel", -1, "serve_forever")
    RUN.stopped = True
    if RUN.recorder is not None:
        RUN.recorder.stopped_by = what
    RUN.emit((what, None))


def note_server_stopped(exception: BaseException) -> None:
    """Write down that *exception* has left the serving loop."""
    fields, message = raised(exception)
    RUN.emit((("server.stopped", RUN.connection, *fields), message))
    if isinstance(exception, RecursionError | MemoryError):
        exception.__traceback__ = None


@remembered
def _takes_turns(server_class: type) -> bool:
    """Whether servers of this (derived) class serve turn by turn, as the standard library's do."""
    return hasattr(super(TracedServer, server_class), "_handle_request_noblock")


@remembered
def _closes_as_usual(server_class: type) -> bool:
    """Whether nobody but the standard library says what server_close() does: that one waits for no loop."""
    definers = [cls for cls in server_class.__mro__ if "server_close" in vars(cls)]
    return all(cls is TracedServer or cls.__module__ == "socketserver" for cls in definers)


class Host:
    """One target, hosted in the thread that plays the Case, from the making of its server to its close."""

    def __init__(self, make: Callable[[Any], Any], listener: type[socket.socket]) -> None:
        self._make = make
        self._listener = listener

    def play(self, network: Any) -> None:
        """Serve all peers of *network* on a fresh server object."""
        server = self.new_server(network)
        del ALIVE[:]
        if _takes_turns(type(server)):
            self._serve(server, network)
        else:
            _note_own_loop()
        end_server(server)
        del server
        note_survivors(at_least=1)

    def _serve(self, server: Any, network: Any) -> None:
        serve(server, network)

    def construct(self, address: Any) -> Any:
        """A fresh server at *address*, its hooks recorded."""
        return instrument_server(self._make(address))

    def new_server(self, network: Any) -> Any:
        """A fresh server whose listening socket is of the network's own kind and belongs to *network*."""
        before = socket.socket, socket.getfqdn
        socket.socket, socket.getfqdn = self._listener, _no_lookup  # type: ignore[misc]
        try:
            server: Any = self.construct(network.address)
            listener = server.socket
            if isinstance(listener, self._listener):
                self._note_address(server, listener)
            else:
                listener.close()
                listener = server.socket = self._other_listener(server, network.address)
        finally:
            socket.socket, socket.getfqdn = before  # type: ignore[misc]
        network.listen(listener)
        return server

    def _other_listener(self, server: Any, address: Any) -> socket.socket:
        listener = self._listener(server.address_family)
        listener.bind(address)
        listener.listen()
        return listener

    def _note_address(self, server: Any, listener: socket.socket) -> None:
        own, said = listener.getsockname(), server.server_address
        agrees = said == own if not isinstance(own, tuple) else isinstance(said, tuple) and said[:2] == own[:2]
        note_address(own, said, agrees=agrees)


def end_server(server: Any) -> None:
    """Close *server* as its owner would, and note handlers that a whole request has outlived."""
    note_survivors(at_least=2)
    RUN.connection = -1
    server._handshaker_ends_ = True
    try:
        if _closes_as_usual(type(server)):
            server.server_close()
        else:
            without_waiting(server, server.server_close, stuck=False)  # the loop has ended, as far as its owner knows
    except Exception as exception:  # hosting has not failed by it: all peers were served
        RUN.emit((("server_close.enter", -1), None))
        emit_raise(("server_close.raise", -1), exception)
    except BaseException:
        if not RUN.stopped:
            raise
    else:
        RUN.emit((("server.closed", -1), None))


def _no_lookup(name: str = "") -> str:
    return name or "localhost"


def note_address(own: Any, said: Any, *, agrees: bool) -> None:
    """Write down what the socket's *own* address is, and what the server has *said*."""
    RUN.emit((("server.address", -1, agrees), _told(own, said) if said is not own else _told_twice(own)))


def _told(own: Any, said: Any) -> str:
    return f"server_address {said!r}, socket {own!r}"


@functools.lru_cache
def _told_twice(own: Any) -> str:
    """The same for a server that says what its socket says: in memory that is always the same."""
    return _told(own, own)


def note_survivors(at_least: int) -> None:
    """Write down the handler instances that are still alive, if there are *at_least* so many."""
    if len(ALIVE) < at_least:
        return
    alive = [handler for reference in ALIVE if (handler := reference()) is not None]
    if len(alive) >= at_least:
        for handler in alive:
            number = handler.__dict__["_handshaker_"][0]
            RUN.emit((("probe.handler-alive", RUN.connection, number), None))
        del ALIVE[:]
