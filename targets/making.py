"""Making server after server: by one call of a class or a factory, or as copies of a server object.

What a call returns is made to fit (its class by *shape*, its socket by `activate`) and is given TARGET's own handler.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from socketserver import TCPServer
from typing import Any

from handshaker.targets.base import LOOPBACK, Address, Handler, ServerMaker
from handshaker.targets.building import Call, activate, clone, settle
from handshaker.targets.serving import refuse_serving

__all__ = ["Ownership", "copies_of", "made_by"]

_Shape = Callable[[Any], Any]


class Ownership:
    """TARGET's own handler (None: whatever the server brings), and which handlers pass for it."""

    def __init__(self, handler: Handler | None, is_mine: Callable[[Any], bool]) -> None:
        self.handler = handler
        self._is_mine = is_mine

    def claim(self, server: TCPServer) -> bool:
        """Give *server* TARGET's handler, if it brought another one; whether it did."""
        if self.handler is None or self._is_mine(server.RequestHandlerClass):
            return False
        server.RequestHandlerClass = self.handler
        return True


def copies_of(server: TCPServer, shape: _Shape) -> ServerMaker:
    """Servers like the server object *server*, each with a socket of its own."""
    return lambda address: clone(server, address, shape)


def made_by(call: Call, passed: Handler | None, own: Ownership, shape: _Shape) -> ServerMaker:
    """Servers made by *call*, to which the handler *passed* is passed.

    One that returns the same object again gives copies of it. Raises TargetError when the first one serves already.
    """
    previous: Callable[[], Any] = lambda: None  # noqa: E731
    previous_handler: Any = None
    # A class whose first server was ready as it came makes all its servers so.
    ready: Callable[[Address], Any] | None = None

    is_checked = False

    def make(address: Address) -> TCPServer:
        nonlocal previous, previous_handler, ready, is_checked
        if ready is not None:
            made: TCPServer = ready(address)
            return made
        before = frozenset(threading.enumerate()) if not is_checked else frozenset()
        returned = _called(call, address, passed)
        if not is_checked:
            refuse_serving(returned, call.function, before)
            is_checked = True
        made = settle(returned, call.function, shape)
        if made is previous():
            made = clone(made, address, shape)
            made.RequestHandlerClass = previous_handler
            return made
        unfinished = activate(made, address)
        if not own.claim(made) and type(made) is call.function and not unfinished:
            ready = call.bind(passed)
        previous, previous_handler = weakref.ref(made), made.RequestHandlerClass
        return made

    return make


def _called(call: Call, address: Address, handler: Handler | None) -> Any:
    """What *call* returns; a function that cannot take an address of this family gets a usual one.

    Its server is moved later; a class has the family already.
    """
    try:
        return call(address, handler)
    except (TypeError, ValueError, OSError):
        if isinstance(call.function, type) or _is_usual(address) or not call.takes("address", "host"):
            raise
    return call(LOOPBACK, handler)


def _is_usual(address: Address) -> bool:
    return isinstance(address, tuple) and address[:1] == LOOPBACK[:1]
