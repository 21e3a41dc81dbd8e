"""Handlers that mistreat their connection: its bytes, its two files, its settings."""

from __future__ import annotations

import io
from contextlib import suppress
from socketserver import BaseRequestHandler
from typing import Any

from handshaker.targets.exhibits.common import LINE_BYTES, Lines
from handshaker.targets.exhibits.common_server import LineServer

__all__ = [
    "BufferedInterface",
    "BufferedInterfaceRepaired",
    "ClientAddress",
    "ClientAddressRepaired",
    "CountedFile",
    "CountedWriter",
    "Nagle",
    "NagleRepaired",
    "NothingAfterFinish",
    "NothingAfterFinishRepaired",
    "OneReader",
    "OneReaderRepaired",
    "ReplyThenEof",
    "ReplyThenEofRepaired",
    "StreamRequest",
    "StreamRequestRepaired",
    "TimeoutApplied",
    "TimeoutAppliedRepaired",
    "WriteAll",
    "WriteAllRepaired",
    "WrittenBytesArrive",
    "WrittenBytesArriveRepaired",
]

_CATALOGUE = b"".join(b"item %d\n" % number for number in range(20_000))
_BODY_BYTES = 4_096


class ClientAddress(Lines):
    """Wrong: keeps only the host, so client_address is no longer what the server was given."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        super().__init__(request, client_address[0], server)

    def answer(self, line: bytes) -> bytes:
        return f"hello {self.client_address}\n".encode()


class ClientAddressRepaired(Lines):
    """Repaired: the address is passed on as it came, and taken apart where it is used."""

    def answer(self, line: bytes) -> bytes:
        return f"hello {self.client_address[0]}\n".encode()


class StreamRequest(LineServer):
    """Wrong: hands out connections that do not wait for input, although the handler reads them as if they did."""

    def get_request(self) -> Any:
        request, client_address = super().get_request()
        request.setblocking(False)
        return request, client_address


class StreamRequestRepaired(LineServer):
    """Repaired: connections wait."""

    def get_request(self) -> Any:
        request, client_address = super().get_request()
        request.setblocking(True)
        return request, client_address


class OneReader(Lines):
    """Wrong: reads the header through rfile and the body from the socket, past what rfile holds already."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while header := self.rfile.readline(LINE_BYTES):
                size = int(header) if header.strip().isdigit() else 0
                body = self.request.recv(min(size, _BODY_BYTES))
                self.wfile.write(b"got %d bytes\n" % len(body))


class OneReaderRepaired(Lines):
    """Repaired: header and body come out of rfile."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while header := self.rfile.readline(LINE_BYTES):
                size = int(header) if header.strip().isdigit() else 0
                body = self.rfile.read(min(size, _BODY_BYTES))
                self.wfile.write(b"got %d bytes\n" % len(body))


class CountedFile:
    """A file that counts what is written to it, and can do little else."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.count = 0

    @property
    def closed(self) -> bool:
        return bool(self.file.closed)

    def write(self, data: bytes) -> int:
        self.count += len(data)
        return int(self.file.write(data))

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


class CountedWriter(io.BufferedIOBase):
    """A file that counts what is written to it, and is a file in every other way."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.count += len(data)
        return int(self.file.write(data))

    def close(self) -> None:
        super().close()
        self.file.close()


class BufferedInterface(Lines):
    """Wrong: puts an object in the place of wfile that has only the methods this handler calls."""

    def setup(self) -> None:
        super().setup()
        self.wfile: Any = CountedFile(self.wfile)


class BufferedInterfaceRepaired(Lines):
    """Repaired: what takes the place of wfile is an io.BufferedIOBase."""

    def setup(self) -> None:
        super().setup()
        self.wfile = CountedWriter(self.wfile)


class WrittenBytesArrive(Lines):
    """Wrong: finish() is overridden and closes rfile only; nobody flushes the buffer of wfile."""

    wbufsize = -1

    def handle(self) -> None:
        self.wfile.write(b"220 ready\n")
        super().handle()

    def finish(self) -> None:
        self.rfile.close()


class WrittenBytesArriveRepaired(Lines):
    """Repaired: wfile is closed, and so flushed, as far as the peer still takes it; then rfile."""

    wbufsize = -1

    def handle(self) -> None:
        self.wfile.write(b"220 ready\n")
        super().handle()

    def finish(self) -> None:
        try:
            with suppress(OSError):
                self.wfile.close()
        finally:
            self.rfile.close()


class WriteAll(Lines):
    """Wrong: send() may take a part of the bytes only, and its result is thrown away."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                self.request.send(line)


class WriteAllRepaired(Lines):
    """Repaired: sendall()."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                self.request.sendall(line)


class ReplyThenEof(BaseRequestHandler):
    """Wrong: looks at the first byte of a request, sends a long reply and closes with the rest of the request unread."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            if self.request.recv(1):
                self.request.sendall(_CATALOGUE)


class ReplyThenEofRepaired(BaseRequestHandler):
    """Repaired: reads on until the peer has no more to say, so that closing does not cut the reply."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            if self.request.recv(1):
                self.request.sendall(_CATALOGUE)
            while self.request.recv(_BODY_BYTES):
                pass


class NothingAfterFinish(Lines):
    """Wrong: says goodbye after the base class's constructor, which has run finish() by then."""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        super().__init__(request, client_address, server)
        with suppress(OSError):
            self.wfile.write(b"goodbye\n")


class NothingAfterFinishRepaired(Lines):
    """Repaired: says goodbye at the end of handle()."""

    def handle(self) -> None:
        super().handle()
        with suppress(OSError):
            self.wfile.write(b"goodbye\n")


class TimeoutApplied(Lines):
    """Wrong: makes its own files without the base class's setup(), which would have set the timeout."""

    timeout = 5

    def setup(self) -> None:
        self.connection = self.request
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)


class TimeoutAppliedRepaired(Lines):
    """Repaired: sets the timeout, and takes it for the end of the dialogue when it strikes."""

    timeout = 5

    def setup(self) -> None:
        self.connection = self.request
        self.connection.settimeout(self.timeout)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def handle(self) -> None:
        with suppress(TimeoutError):
            super().handle()


class Nagle(Lines):
    """Wrong: makes its own files without the base class's setup(), which would have set TCP_NODELAY."""

    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.connection = self.request
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)


class NagleRepaired(Lines):
    """Repaired: the base class's setup() does all of it."""

    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
