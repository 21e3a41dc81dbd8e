"""Small handlers of datagrams that use the shared socket as real ones do; each is played on both networks."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import time


class Echo(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())


class BaseEcho(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data.upper(), self.client_address)


class Silent(socketserver.BaseRequestHandler):
    def handle(self):
        pass


class ManyReplies(socketserver.BaseRequestHandler):
    """Goes on sending whatever has become of the peer."""

    def handle(self):
        data, sock = self.request
        for number in range(4):
            with contextlib.suppress(OSError, TypeError):
                sock.sendto(data[:9] + b"%d" % number, 0, self.client_address)


class Floods(socketserver.BaseRequestHandler):
    """More replies than a Unix peer that does not read has room for."""

    def handle(self):
        for number in range(13):
            self.request[1].sendto(b"%d" % number, self.client_address)


class FloodsPatiently(Floods):
    def setup(self):
        self.request[1].settimeout(2.0)

    def finish(self):
        self.request[1].settimeout(None)


class LastSpeaker(socketserver.DatagramRequestHandler):
    """Answers the one before, and says so to the one who asked."""

    last = None

    def handle(self):
        before, LastSpeaker.last = LastSpeaker.last, self.client_address
        with contextlib.suppress(OSError):
            self.socket.sendto(b"news", before or self.client_address)
        self.wfile.write(b"thanks")


class Transfers(socketserver.BaseRequestHandler):
    """As TFTP does it: every block is acknowledged, or sent again."""

    def handle(self):
        _, sock = self.request
        sock.settimeout(1.0)
        try:
            for block in range(3):
                for _ in range(2):
                    sock.sendto(b"block %d" % block, self.client_address)
                    with contextlib.suppress(TimeoutError):
                        sock.recvfrom(64)
                        break
        finally:
            sock.settimeout(None)


class WaitsForEver(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        more, address = sock.recvfrom(4)
        if address is not None:
            sock.sendto(data[:2] + more, address)


class Polling(socketserver.BaseRequestHandler):
    def handle(self):
        _, sock = self.request
        sock.setblocking(False)
        for _ in range(5):
            try:
                data = sock.recv(8)
            except BlockingIOError:
                time.sleep(0.4)
                continue
            with contextlib.suppress(OSError, TypeError):
                sock.sendto(data, self.client_address)
        sock.setblocking(True)


class LooksAhead(socketserver.BaseRequestHandler):
    def handle(self):
        _, sock = self.request
        try:
            ahead, _, flags, _ = sock.recvmsg(3, 0, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            ahead, flags = b"nothing", 0
        with contextlib.suppress(OSError, TypeError):
            sock.sendmsg([ahead, b"+" if flags & socket.MSG_TRUNC else b"."], (), 0, self.client_address)


class EveryWay(socketserver.BaseRequestHandler):
    """Receives in all ways that there are."""

    def handle(self):
        sock = self.request[1]
        sock.settimeout(0.5)
        buffer, first, second = bytearray(6), bytearray(2), bytearray(9)
        with contextlib.suppress(TimeoutError):
            sock.recv_into(buffer)
            sock.recvfrom_into(buffer, 3)
            sock.recvmsg_into([first, second])
            sock.recvfrom(0)
            sock.recv(0)
            sock.recv(2)
        with contextlib.suppress(OSError, TypeError):
            sock.sendto(bytes(buffer + first + second), self.client_address)
        sock.settimeout(None)


class ClosesTheServer(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        if data.startswith(b"q"):
            sock.close()
        else:
            sock.sendto(data, self.client_address)


class Raises(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(b"half of ")
        self.wfile.write(self.packet.decode("ascii").encode())
        if b"x" in self.packet:
            raise ValueError(self.packet)


class SetupRaises(socketserver.DatagramRequestHandler):
    def setup(self):
        super().setup()
        if not self.packet:
            raise ValueError("empty")


class Exits(socketserver.BaseRequestHandler):
    def handle(self):
        if self.request[0].startswith(b"q"):
            raise SystemExit


class Astray(socketserver.BaseRequestHandler):
    """Sends to whatever is no address of a peer."""

    PLACES = (
        None, "", 5, (), ("127.0.0.1",), ("127.0.0.1", "1"), ("127.0.0.1", 70_000), ("127.0.0.1", 0), (None, 5),
        ("192.0.2.1", 9), ("2001:db8::1", 9), ("255.255.255.255", 9), ("no.such.name.invalid", 9), ["127.0.0.1", 9],
        "no-such-path", b"\0no-such-name", "x" * 200, b"",
    )  # fmt: skip

    def handle(self):
        sock = self.request[1]
        for place in self.PLACES:
            with contextlib.suppress(OSError, TypeError, OverflowError):
                sock.sendto(b"hello", place)
        for wrong in (lambda: sock.sendto(b"a"), lambda: sock.sendto("a", self.client_address), lambda: sock.send(b"a"),
                      sock.getpeername, sock.accept, sock.listen, lambda: sock.sendall(b"a"),
                      lambda: sock.bind(sock.getsockname()), lambda: sock.sendfile(None),
                      lambda: sock.sendmsg([b"a"]), lambda: sock.recvfrom(-1)):  # fmt: skip
            with contextlib.suppress(OSError, TypeError, ValueError):
                wrong()


class TooLong(socketserver.BaseRequestHandler):
    SIZES = (65_507, 65_508, 65_527, 65_528, 212_960, 212_961)

    def handle(self):
        data, sock = self.request
        for size in self.SIZES:
            with contextlib.suppress(OSError, TypeError):
                sock.sendto(data[:1] * size, self.client_address)


class TalksToItself(socketserver.BaseRequestHandler):
    """Gives itself a second turn."""

    def handle(self):
        data, sock = self.request
        if len(data) < 4:
            sock.sendto(data * 2 or b"a", sock.getsockname())


class Retransmits(socketserver.BaseRequestHandler):
    """Never gives up."""

    def handle(self):
        sock = self.request[1]
        sock.settimeout(1)
        while True:
            with contextlib.suppress(OSError, TypeError):
                sock.sendto(b"?", self.client_address)
            with contextlib.suppress(TimeoutError):
                if sock.recv(9) == b"word":
                    return


HANDLERS = (
    Echo, BaseEcho, Silent, ManyReplies, Floods, FloodsPatiently, LastSpeaker, Transfers, WaitsForEver, Polling,
    LooksAhead, EveryWay, ClosesTheServer, Raises, SetupRaises, Exits, Astray, TooLong, TalksToItself, Retransmits,
)  # fmt: skip
