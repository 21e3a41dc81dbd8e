"""Handlers whose replies depend on what they should not depend on: cuts, other peers, the past."""

from __future__ import annotations

from contextlib import suppress
from socketserver import BaseRequestHandler, StreamRequestHandler
from typing import Any

from handshaker.targets.exhibits.common import LINE_BYTES

__all__ = [
    "Isolation",
    "IsolationRepaired",
    "Repeatability",
    "RepeatabilityRepaired",
    "Segmentation",
    "SegmentationRepaired",
]


class Segmentation(BaseRequestHandler):
    """Wrong: takes what one recv() brings for the whole message."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            self.request.sendall(self.request.recv(1_024).upper())


class SegmentationRepaired(BaseRequestHandler):
    """Repaired: a message ends where the protocol says, at the end of the line."""

    def handle(self) -> None:
        with suppress(ConnectionError), self.request.makefile("rb") as messages:
            self.request.sendall(messages.readline(LINE_BYTES).upper())


class Isolation(StreamRequestHandler):
    """Wrong: remembers the first answer for everybody, whatever the others have asked."""

    def handle(self) -> None:
        server: Any = self.server
        with suppress(ConnectionError):
            question = self.rfile.readline(LINE_BYTES)
            if not hasattr(server, "answer"):
                server.answer = b"you asked: " + question
            self.wfile.write(server.answer)


class IsolationRepaired(StreamRequestHandler):
    """Repaired: remembers each answer under its question."""

    def handle(self) -> None:
        server: Any = self.server
        with suppress(ConnectionError):
            question = self.rfile.readline(LINE_BYTES)
            if not hasattr(server, "answers"):
                server.answers = {}
            self.wfile.write(server.answers.setdefault(question, b"you asked: " + question))


class Repeatability(StreamRequestHandler):
    """Wrong: takes a second peer with the same request for a mistake of the first."""

    def handle(self) -> None:
        server: Any = self.server
        with suppress(ConnectionError):
            request = self.rfile.readline(LINE_BYTES)
            if not hasattr(server, "seen"):
                server.seen = set()
            self.wfile.write(b"seen before\n" if request in server.seen else b"accepted\n")
            server.seen.add(request)


class RepeatabilityRepaired(StreamRequestHandler):
    """Repaired: what one peer has asked for is asked for again by the next, and granted again."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            self.rfile.readline(LINE_BYTES)
            self.wfile.write(b"accepted\n")
