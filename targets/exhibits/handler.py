"""Handlers that let out an exception which a peer has caused."""

from __future__ import annotations

from socketserver import StreamRequestHandler

from handshaker.targets.exhibits.common import LINE_BYTES, Lines

__all__ = ["NoUncaughtException", "NoUncaughtExceptionRepaired", "ResetIsExpected", "ResetIsExpectedRepaired"]


class NoUncaughtException(Lines):
    """Wrong: takes for granted that what a peer sends is UTF-8."""

    def answer(self, line: bytes) -> bytes:
        return line.decode().title().encode()


class NoUncaughtExceptionRepaired(Lines):
    """Repaired: says what is wrong with the line instead of failing on it."""

    def answer(self, line: bytes) -> bytes:
        try:
            return line.decode().title().encode()
        except UnicodeDecodeError:
            return b"? this is not UTF-8\n"


class ResetIsExpected(StreamRequestHandler):
    """Wrong: a peer that resets the connection ends the loop with an error, which the server then reports."""

    def handle(self) -> None:
        while line := self.rfile.readline(LINE_BYTES):
            self.wfile.write(line)


class ResetIsExpectedRepaired(StreamRequestHandler):
    """Repaired: a peer that goes away is an ordinary end of the dialogue."""

    def handle(self) -> None:
        try:
            while line := self.rfile.readline(LINE_BYTES):
                self.wfile.write(line)
        except ConnectionError:
            pass
