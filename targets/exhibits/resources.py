"""Handlers and servers that do not give back what they took: sockets, descriptors, files, themselves."""

from __future__ import annotations

import os
from contextlib import suppress
from socketserver import BaseRequestHandler, StreamRequestHandler
from typing import Any, ClassVar

from handshaker.targets.exhibits.common import LINE_BYTES, Lines
from handshaker.targets.exhibits.common_server import LineServer

__all__ = [
    "BoundedMemory",
    "BoundedMemoryRepaired",
    "CleanRun",
    "CleanRunRepaired",
    "ClosedExplicitly",
    "ClosedExplicitlyRepaired",
    "HandlerReleased",
    "HandlerReleasedRepaired",
    "NoFdLeak",
    "NoFdLeakRepaired",
    "ProcessState",
    "ProcessStateRepaired",
    "Rejected",
    "ShutdownBeforeClose",
    "ShutdownBeforeCloseRepaired",
    "SocketClosedOnce",
    "SocketClosedOnceRepaired",
]


class SocketClosedOnce(LineServer):
    """Wrong: the request is shut down only when all went well."""

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
            self.shutdown_request(request)
        except Exception:
            self.handle_error(request, client_address)


class SocketClosedOnceRepaired(LineServer):
    """Repaired: the request is shut down on both paths."""

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        self.shutdown_request(request)


class ShutdownBeforeClose(LineServer):
    """Wrong: closes without shutting down, so that whoever else holds the connection keeps the peer waiting."""

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)


class ShutdownBeforeCloseRepaired(LineServer):
    """Repaired: shuts both directions down first; that the peer has gone already is no error."""

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            request.shutdown(1)
        self.close_request(request)


class Rejected(Exception):
    """The peer does not speak this protocol; declared, and so not an error of the handler."""


class NoFdLeak(Lines):
    """Wrong: opens a journal in setup() before the peer is known to be welcome; finish() does not run when it is not."""

    def setup(self) -> None:
        super().setup()
        self.journal = os.open(os.devnull, os.O_WRONLY)
        with suppress(ConnectionError):
            if self.rfile.readline(LINE_BYTES) not in (b"HELO\n", b""):
                raise Rejected("say HELO first")

    def finish(self) -> None:
        os.close(self.journal)
        super().finish()


class NoFdLeakRepaired(Lines):
    """Repaired: opens the journal as the last thing in setup(), when nothing can fail any more."""

    def setup(self) -> None:
        super().setup()
        with suppress(ConnectionError):
            if self.rfile.readline(LINE_BYTES) not in (b"HELO\n", b""):
                raise Rejected("say HELO first")
        self.journal = os.open(os.devnull, os.O_WRONLY)

    def finish(self) -> None:
        os.close(self.journal)
        super().finish()


class ClosedExplicitly(BaseRequestHandler):
    """Wrong: makes a file of the connection and forgets it; only the garbage collector closes it."""

    def handle(self) -> None:
        lines = self.request.makefile("rb")
        with suppress(ConnectionError):
            while line := lines.readline(LINE_BYTES):
                self.request.sendall(line)


class ClosedExplicitlyRepaired(BaseRequestHandler):
    """Repaired: the file is closed by its `with` block."""

    def handle(self) -> None:
        with self.request.makefile("rb") as lines, suppress(ConnectionError):
            while line := lines.readline(LINE_BYTES):
                self.request.sendall(line)


class HandlerReleased(Lines):
    """Wrong: a handler registers itself, and only a peer that says BYE takes it out of the register."""

    register: ClassVar[list[Any]] = []

    def handle(self) -> None:
        self.register.append(self)
        super().handle()

    def answer(self, line: bytes) -> bytes:
        if line == b"BYE\n" and self in self.register:
            self.register.remove(self)
        return b"%d\n" % len(line)


class HandlerReleasedRepaired(Lines):
    """Repaired: the handler takes itself out of the register, however the dialogue ends."""

    register: ClassVar[list[Any]] = []

    def handle(self) -> None:
        self.register.append(self)
        try:
            super().handle()
        finally:
            self.register.remove(self)

    def answer(self, line: bytes) -> bytes:
        return b"%d\n" % len(line)


class CleanRun(Lines):
    """Wrong: reads a file and leaves it to the garbage collector, which complains."""

    def handle(self) -> None:
        greeting = open(os.devnull, "rb").read() + b"welcome\n"
        with suppress(ConnectionError):
            self.wfile.write(greeting)
        super().handle()


class CleanRunRepaired(Lines):
    """Repaired: the file is closed by its `with` block."""

    def handle(self) -> None:
        with open(os.devnull, "rb") as motd:
            greeting = motd.read() + b"welcome\n"
        with suppress(ConnectionError):
            self.wfile.write(greeting)
        super().handle()


class ProcessState(Lines):
    """Wrong: changes the working directory of the whole process to look into a folder, and stays there."""

    def answer(self, line: bytes) -> bytes:
        if line == b"LIST\n":
            os.chdir("/")
            return b"%d entries\n" % len(os.listdir("."))
        return line.upper()


class ProcessStateRepaired(Lines):
    """Repaired: names the folder instead of going there."""

    def answer(self, line: bytes) -> bytes:
        if line == b"LIST\n":
            return b"%d entries\n" % len(os.listdir("/"))
        return line.upper()


class BoundedMemory(StreamRequestHandler):
    """Wrong: reads a line however long it is, so that a peer who sends no line end fills the memory."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            for line in self.rfile:
                self.wfile.write(b"%d\n" % len(line))


class BoundedMemoryRepaired(StreamRequestHandler):
    """Repaired: a line has a limit; what is longer is dealt with piece by piece."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            length = 0
            while piece := self.rfile.readline(LINE_BYTES):
                length += len(piece)
                if piece.endswith(b"\n"):
                    self.wfile.write(b"%d\n" % length)
                    length = 0
            if length:
                self.wfile.write(b"%d\n" % length)
