"""A server that answers each line in capital letters.

The bug: it takes what one `recv()` brings for one message. TCP is a stream: a message may come in two pieces.
"""

from __future__ import annotations

import socketserver


class ShoutHandler(socketserver.BaseRequestHandler):
    """Answers one line in capital letters."""

    timeout = 30

    def handle(self) -> None:
        """Read the message, answer it."""
        self.request.settimeout(self.timeout)
        message = self.request.recv(1024)
        self.request.sendall(message.upper())
