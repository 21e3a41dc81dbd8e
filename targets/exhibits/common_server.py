"""The server that exhibits are derived from when it is the server that is wrong."""

from __future__ import annotations

from socketserver import ForkingMixIn, TCPServer
from typing import Any

from handshaker.targets.exhibits.common import Lines

__all__ = ["ForkingLineServer", "LineServer"]


class LineServer(TCPServer):
    """A server that brings its handler along."""

    def __init__(self, server_address: Any) -> None:
        super().__init__(server_address, Lines)


class ForkingLineServer(ForkingMixIn, LineServer):
    """The same, with a child for each peer."""
