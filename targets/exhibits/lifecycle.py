"""Handlers that break the life of a handler: one per request, setup, handle, finish, in this order and once each."""

from __future__ import annotations

from contextlib import suppress
from socketserver import BaseRequestHandler, TCPServer
from typing import Any

from handshaker.targets.bases import Implementation, register
from handshaker.targets.exhibits.common import LINE_BYTES, Lines

__all__ = [
    "AttributesBeforeSetup",
    "AttributesBeforeSetupRepaired",
    "DefaultsDoNothing",
    "DefaultsDoNothingRepaired",
    "FilesReadyInHandle",
    "FilesReadyInHandleRepaired",
    "Busy",
    "Calm",
    "FinishAlwaysAfterSetup",
    "FinishAlwaysAfterSetupRepaired",
    "FinishDoesNotRaise",
    "FinishDoesNotRaiseRepaired",
    "FinishOnce",
    "FinishOnceRepaired",
    "FinishOnlyAfterSetup",
    "FinishOnlyAfterSetupRepaired",
    "OneHandlerPerRequest",
    "OneHandlerPerRequestRepaired",
    "Order",
    "OrderRepaired",
]


class OneHandlerPerRequest(Lines):
    """Wrong: the constructor sets up its own attributes and forgets that the base class's constructor does the work."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.greeting = b"hello "

    def answer(self, line: bytes) -> bytes:
        return self.greeting + line


class OneHandlerPerRequestRepaired(Lines):
    """Repaired: own attributes first, then the base class's constructor, which runs setup, handle and finish."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.greeting = b"hello "
        super().__init__(request, client_address, server)

    def answer(self, line: bytes) -> bytes:
        return self.greeting + line


class Order(Lines):
    """Wrong: starts a new dialogue by calling handle() inside handle()."""

    def answer(self, line: bytes) -> bytes:
        if line == b"AGAIN\n":
            self.wfile.write(b"once more\n")
            self.handle()
            return b""
        return line


class OrderRepaired(Lines):
    """Repaired: a new dialogue is another turn of the loop that handle() has anyway."""

    def answer(self, line: bytes) -> bytes:
        return b"once more\n" if line == b"AGAIN\n" else line


class FinishOnlyAfterSetup(Lines):
    """Wrong: the life of the handler is written out again, with setup() inside the try."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        try:
            self.setup()
            self.handle()
        finally:
            self.finish()


class FinishOnlyAfterSetupRepaired(Lines):
    """Repaired: when setup() fails there is nothing to finish, so it stands before the try."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()


class FinishAlwaysAfterSetup(Lines):
    """Wrong: finish() follows a handle() that returns or raises an Exception, but not one that ends in SystemExit."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        try:
            self.handle()
        except Exception:
            self.finish()
            raise
        else:
            self.finish()


class FinishAlwaysAfterSetupRepaired(Lines):
    """Repaired: `finally`, which nothing gets around."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()


class FinishOnce(Lines):
    """Wrong: calls finish() itself to say goodbye properly, and the constructor calls it once more."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                if line == b"QUIT\n":
                    self.finish()
                    return
                self.wfile.write(line)


class FinishOnceRepaired(Lines):
    """Repaired: returns, and leaves finish() to the constructor."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                if line == b"QUIT\n":
                    return
                self.wfile.write(line)


class FilesReadyInHandle(Lines):
    """Wrong: setup() is overridden without calling the base class's, which makes rfile and wfile."""

    def setup(self) -> None:
        self.count = 0

    def answer(self, line: bytes) -> bytes:
        self.count += 1
        return b"%d %b" % (self.count, line)


class FilesReadyInHandleRepaired(Lines):
    """Repaired: the base class's setup() first."""

    def setup(self) -> None:
        super().setup()
        self.count = 0

    def answer(self, line: bytes) -> bytes:
        self.count += 1
        return b"%d %b" % (self.count, line)


class AttributesBeforeSetup(Lines):
    """Wrong: the handler lives its whole life before it is told its server."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request, self.client_address = request, client_address
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()
        self.server = server


class AttributesBeforeSetupRepaired(Lines):
    """Repaired: all three attributes are there when setup() begins."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self.request, self.client_address, self.server = request, client_address, server
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()


class Busy(BaseRequestHandler):
    """The base class of somebody's own framework, whose handlers need not override every hook."""

    def setup(self) -> None:
        self.peer = self.request.getpeername()


class Calm(BaseRequestHandler):
    """The same, with a default that leaves the connection alone."""

    def setup(self) -> None:
        pass


for base in (Busy, Calm):
    register(Implementation(f"{__name__}:{base.__name__}", {"BaseRequestHandler": base, "TCPServer": TCPServer}))


class DefaultsDoNothing(Busy):
    """Wrong: its framework's setup() asks for the peer's name by default, and fails when the peer has gone already."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while data := self.request.recv(LINE_BYTES):
                self.request.sendall(data)


class DefaultsDoNothingRepaired(Calm):
    """Repaired: its framework's setup() does nothing, as everybody's who derives from it may rely on."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while data := self.request.recv(LINE_BYTES):
                self.request.sendall(data)


class FinishDoesNotRaise(Lines):
    """Wrong: a buffered wfile is flushed by finish(), which raises when the peer has reset the connection by then."""

    wbufsize = -1

    def handle(self) -> None:
        self.wfile.write(b"220 ready\n")
        super().handle()


class FinishDoesNotRaiseRepaired(Lines):
    """Repaired: finish() expects the last flush to fail, and closes rfile in any case."""

    wbufsize = -1

    def handle(self) -> None:
        self.wfile.write(b"220 ready\n")
        super().handle()

    def finish(self) -> None:
        try:
            with suppress(OSError):
                super().finish()
        finally:
            self.rfile.close()
