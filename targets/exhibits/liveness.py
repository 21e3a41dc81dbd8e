"""Handlers that do not end: after the end of the stream, after an error, in silence; or that end their process."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from socketserver import BaseRequestHandler, StreamRequestHandler

from handshaker.targets.exhibits.common import LINE_BYTES, Lines

__all__ = [
    "AnswersCompleteMessage",
    "AnswersCompleteMessageRepaired",
    "EndsAfterEof",
    "EndsAfterEofRepaired",
    "EndsAfterReset",
    "EndsAfterResetRepaired",
    "NoHang",
    "NoHangRepaired",
    "NoSpin",
    "NoSpinRepaired",
    "ProcessSurvives",
    "ProcessSurvivesRepaired",
    "TimeoutRespected",
    "TimeoutRespectedRepaired",
]

_CHUNK_BYTES = 1_024


class EndsAfterEof(BaseRequestHandler):
    """Wrong: collects segments until the line is complete, and never notices that no more will come."""

    def handle(self) -> None:
        data = b""
        with suppress(ConnectionError):
            while b"\n" not in data:
                data += self.request.recv(_CHUNK_BYTES)
                if len(data) > LINE_BYTES:
                    return
            self.request.sendall(data.partition(b"\n")[0].upper())


class EndsAfterEofRepaired(BaseRequestHandler):
    """Repaired: an empty segment is the end of the stream."""

    def handle(self) -> None:
        data = b""
        with suppress(ConnectionError):
            while b"\n" not in data and len(data) <= LINE_BYTES:
                segment = self.request.recv(_CHUNK_BYTES)
                if not segment:
                    return
                data += segment
            line = data.partition(b"\n")[0]
            if len(line) <= LINE_BYTES:
                self.request.sendall(line.upper())


class EndsAfterReset(Lines):
    """Wrong: tries again whenever a reply could not be sent, also when the connection is broken for good."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                self.reply(line)

    def reply(self, data: bytes) -> None:
        while True:
            try:
                self.request.sendall(data)
                return
            except OSError:
                time.sleep(0.1)


class EndsAfterResetRepaired(Lines):
    """Repaired: tries again three times, and not at all when the connection is broken."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                self.reply(line)

    def reply(self, data: bytes) -> None:
        for _ in range(3):
            try:
                self.request.sendall(data)
                return
            except ConnectionError:
                raise
            except OSError:
                time.sleep(0.1)


class NoSpin(BaseRequestHandler):
    """Wrong: asks a socket that does not wait for input again and again."""

    def handle(self) -> None:
        self.request.setblocking(False)
        with suppress(ConnectionError):
            while True:
                try:
                    data = self.request.recv(_CHUNK_BYTES)
                except BlockingIOError:
                    continue
                if not data:
                    return


class NoSpinRepaired(BaseRequestHandler):
    """Repaired: waits for input."""

    def handle(self) -> None:
        self.request.setblocking(True)
        with suppress(ConnectionError):
            while self.request.recv(_CHUNK_BYTES):
                pass


class TimeoutRespected(StreamRequestHandler):
    """Wrong: declares a timeout, and when it strikes waits once more."""

    timeout = 5

    def handle(self) -> None:
        with suppress(ConnectionError):
            while True:
                try:
                    data = self.connection.recv(_CHUNK_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    return


class TimeoutRespectedRepaired(StreamRequestHandler):
    """Repaired: a peer that is silent for so long has lost its turn."""

    timeout = 5

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            while self.connection.recv(_CHUNK_BYTES):
                pass


class ProcessSurvives(Lines):
    """Wrong: the SHUTDOWN command ends the process, whoever sends it."""

    def answer(self, line: bytes) -> bytes:
        if line.strip() == b"SHUTDOWN":
            os._exit(0)
        return line


class ProcessSurvivesRepaired(Lines):
    """Repaired: the SHUTDOWN command is refused."""

    def answer(self, line: bytes) -> bytes:
        return b"not from here\n" if line.strip() == b"SHUTDOWN" else line


class NoHang(Lines):
    """Wrong: counts the rows that a text needs, and a row of width 0 never shortens it."""

    def answer(self, line: bytes) -> bytes:
        width, text = line[:1], line[1:]
        rows = 0
        while text and width.isdigit():
            text = text[int(width) :]
            rows += 1
        return b"%d rows\n" % rows


class NoHangRepaired(Lines):
    """Repaired: a row is at least one character wide."""

    def answer(self, line: bytes) -> bytes:
        width, text = line[:1], line[1:]
        rows = 0
        while text and width.isdigit():
            text = text[max(1, int(width)) :]
            rows += 1
        return b"%d rows\n" % rows


class AnswersCompleteMessage(StreamRequestHandler):
    """Wrong: a message is one line, but it is answered only when the peer has ended the stream."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            message = self.rfile.read(LINE_BYTES)
            self.wfile.write(message.partition(b"\n")[0].upper())


class AnswersCompleteMessageRepaired(StreamRequestHandler):
    """Repaired: reads the line, and answers it."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            message = self.rfile.readline(LINE_BYTES)
            self.wfile.write(message.partition(b"\n")[0].upper())
