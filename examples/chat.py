"""A small chat: peers say `HELLO name`, then send lines; everybody who is here is listed by `WHO`.

The bug: `setup()` enters the handler in `here` before it has read the greeting. When the greeting is bad, `setup()`
raises, `finish()` never runs, and the handler, with its connection's files, stays in `here` for ever.
"""

from __future__ import annotations

import socketserver
from typing import ClassVar


class ChatHandler(socketserver.StreamRequestHandler):
    """One peer of the chat."""

    here: ClassVar[dict[str, ChatHandler]] = {}
    timeout = 30

    def setup(self) -> None:
        """Greet, and enter the peer in the list."""
        super().setup()
        self.key = f"{self.client_address[0]}:{self.client_address[1]}"
        self.here[self.key] = self
        verb, name = self.rfile.readline(200).decode("utf-8", "replace").split()
        if verb != "HELLO":
            raise ValueError(f"expected HELLO, got {verb!r}")
        self.name = name

    def handle(self) -> None:
        """Answer WHO with the names of those who are here, and everything else with ok."""
        for line in iter(lambda: self.rfile.readline(200), b""):
            if line.strip() == b"WHO":
                self.wfile.write(f"{len(self.here)} here\n".encode())
            else:
                self.wfile.write(b"ok\n")

    def finish(self) -> None:
        """Leave the list."""
        del self.here[self.key]
        super().finish()
