"""Small handlers that use a connection in the ways that real ones do; each is played on both networks."""

from __future__ import annotations

import socket
import socketserver
import time


class LineEcho(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class RecvLoop(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(5):
            self.request.sendall(data.upper())


class OneRecv(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(1024).upper())


class BufferedReply(socketserver.StreamRequestHandler):
    wbufsize = -1

    def handle(self):
        self.wfile.write(b"hello\r\n")
        self.wfile.write(self.rfile.readline(64))
        self.wfile.write(b"bye\r\n")


class ManyWrites(socketserver.StreamRequestHandler):
    """Goes on writing whatever has become of the peer."""

    def handle(self):
        self.rfile.readline(64)
        for number in range(4):
            try:
                self.wfile.write(b"line %d\n" % number)
            except OSError:
                self.rest = self.rfile.read1(10)


class Patient(socketserver.StreamRequestHandler):
    timeout = 2.0

    def handle(self):
        while line := self.rfile.readline(64):
            self.wfile.write(line)


class TimesOutOnce(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(0.5)
        for _ in range(6):
            try:
                data = self.request.recv(8)
            except TimeoutError:
                self.request.sendall(b"still there?\n")
                continue
            if not data:
                return
            self.request.sendall(data)


class Polling(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setblocking(False)
        for _ in range(20):
            try:
                data = self.request.recv(8)
            except BlockingIOError:
                time.sleep(0.1)
                continue
            if not data:
                break
            self.request.send(data)


class HalfCloses(socketserver.BaseRequestHandler):
    """Ends its own sending direction first, then reads the rest; uses the connection after it is dead."""

    def handle(self):
        self.request.sendall(b"go\n")
        self.request.shutdown(socket.SHUT_WR)
        while self.request.recv(4):
            pass
        for attempt in (self.request.getpeername, lambda: self.request.shutdown(socket.SHUT_WR), self._write):
            try:
                attempt()
            except OSError:
                continue

    def _write(self):
        self.request.sendall(b"too late")


class LooksAhead(socketserver.BaseRequestHandler):
    def handle(self):
        first = self.request.recv(3, socket.MSG_PEEK)
        self.request.sendall(b"<" + first + b">")
        whole = self.request.recv(4, socket.MSG_WAITALL)
        self.request.sendall(b"(" + whole + b")")
        try:
            self.request.sendall(self.request.recv(4, socket.MSG_DONTWAIT))
        except BlockingIOError:
            self.request.sendall(b"nothing")


class ShutsReading(socketserver.BaseRequestHandler):
    def handle(self):
        data = self.request.recv(2)
        self.request.shutdown(socket.SHUT_RD)
        data += self.request.recv(2)
        data += self.request.recv(2)
        self.request.sendall(data)


class ClosesEarly(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read(1))
        self.request.close()


class Raises(socketserver.StreamRequestHandler):
    wbufsize = -1

    def handle(self):
        line = self.rfile.readline(64)
        self.wfile.write(b"reply to " + line)
        if b"x" in line:
            raise ValueError(line)


class SpinsOnEof(socketserver.BaseRequestHandler):
    def handle(self):
        data = b""
        while not data.endswith(b"\n"):
            data += self.request.recv(4)
        self.request.sendall(data)


class TextFile(socketserver.BaseRequestHandler):
    def handle(self):
        with self.request.makefile("rw", encoding="latin-1", newline="\n") as file:
            for line in file:
                file.write(line[::-1])
                file.flush()


class NeverReads(socketserver.BaseRequestHandler):
    def handle(self):
        for part in (b"one", b"two", b"three"):
            self.request.send(part)


HANDLERS = (
    LineEcho, RecvLoop, OneRecv, BufferedReply, ManyWrites, Patient, TimesOutOnce, Polling, HalfCloses, LooksAhead,
    ShutsReading, ClosesEarly, Raises, SpinsOnEof, TextFile, NeverReads,
)  # fmt: skip
