"""What exhibits have in common: a line protocol that is served without any defect, so that each shows only its own."""

from __future__ import annotations

from contextlib import suppress
from socketserver import StreamRequestHandler

__all__ = ["LINE_BYTES", "Lines"]

LINE_BYTES = 1_000


class Lines(StreamRequestHandler):
    """Answers one line after another until the peer has no more; a peer that leaves is no error."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                self.wfile.write(self.answer(line))

    def answer(self, line: bytes) -> bytes:
        """The reply to one line."""
        return line.upper()
