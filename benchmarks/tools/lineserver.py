"""The handler that all tools are given: a small line protocol, with a bug that none of them is counted for here."""

from __future__ import annotations

import io
import socketserver
from typing import Any


class Store(socketserver.StreamRequestHandler):
    """`PUT key number`, `GET key`, `QUIT`: one line each, one line of answer."""

    timeout = 5

    def handle(self) -> None:
        """Answer until the peer quits or has no more; a peer that leaves is no error."""
        self.kept: dict[bytes, int] = {}
        try:
            while line := self.rfile.readline(1_000):
                words = line.split()
                if words == [b"QUIT"]:
                    break
                self.wfile.write(self.answer(words) + b"\n")
        except OSError:
            self.kept.clear()

    def answer(self, words: list[bytes]) -> bytes:
        """The reply to one line."""
        if len(words) == 3 and words[0] == b"PUT" and words[2].isdigit():
            self.kept[words[1]] = int(words[2])
            return b"ok"
        if len(words) == 2 and words[0] == b"GET":
            return b"%d" % self.kept.get(words[1], 0)
        return b"error"


class FakeSocket:
    """What those who fuzz a handler in memory write: the input in one piece, replies thrown away."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str, buffering: int = -1) -> Any:
        """A file of the whole input."""
        return io.BytesIO(self._data)

    def sendall(self, data: Any) -> None:
        """Nobody looks."""

    def settimeout(self, value: float | None) -> None:
        """Nothing waits here."""
