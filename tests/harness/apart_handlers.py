"""Handlers for servers that live in a house of their own."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import struct
import threading
import time


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class EchoesDatagrams(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())


class NeedsTwo(socketserver.StreamRequestHandler):
    """Answers only if two requests are inside handle() at the same time."""

    barrier = threading.Barrier(2)

    def handle(self):
        self.barrier.wait(10)
        self.wfile.write(self.rfile.readline())


class NeedsTwoDatagrams(socketserver.BaseRequestHandler):
    barrier = threading.Barrier(2)

    def handle(self):
        data, sock = self.request
        self.barrier.wait(10)
        sock.sendto(data, self.client_address)


class Hangs(socketserver.BaseRequestHandler):
    def handle(self):
        threading.Event().wait()


class HangsWithFamily(socketserver.BaseRequestHandler):
    """Has a child in a session of its own, which has another one, and none of them ever ends."""

    def handle(self):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.fork()
            while True:
                time.sleep(60)
        threading.Event().wait()


class LeavesFamily(socketserver.BaseRequestHandler):
    """Ends at once, but a grandchild in a session of its own does not."""

    def handle(self):
        if (child := os.fork()) == 0:
            if os.fork() == 0:
                os.setsid()
                while True:
                    time.sleep(60)
            os._exit(0)
        os.waitpid(child, 0)


class Spins(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            pass


class WaitsForAllOfIt(socketserver.BaseRequestHandler):
    """Has the kernel wait until a record is complete."""

    def handle(self):
        while data := self.request.recv(4, socket.MSG_WAITALL):
            self.request.sendall(data.upper() + b";")


class IsWokenBySignals(socketserver.BaseRequestHandler):
    """Does nothing until a signal comes, whatever it is for."""

    def handle(self):
        signal.pause()
        self.request.sendall(b"woken")


class HasAPatientSocket(socketserver.BaseRequestHandler):
    """Its socket waits for a moment only, by a timeout of its own."""

    def handle(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 300_000))
        try:
            while data := self.request.recv(10):
                self.request.sendall(data.upper())
        except BlockingIOError:
            self.request.sendall(b"too late")


class SwallowsEverything(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            try:
                self.request.recv(10)
            except BaseException:
                continue


class EndsTheProcess(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(10)
        os._exit(3)


class LeavesFamilyAndEnds(socketserver.BaseRequestHandler):
    """Ends the server's process, while a child in a session of its own lives on."""

    def handle(self):
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.setsid()
            os.write(writing, b".")
            while True:
                time.sleep(60)
        os.read(reading, 1)
        self.request.sendall(str(child).encode())
        os._exit(3)


class Raises(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(10)
        raise ValueError("no")


class LeavesThreads(socketserver.BaseRequestHandler):
    def handle(self):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


class TellsWhereItRuns(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(f"{os.getpid()} {os.getsid(0)}".encode())


class WritesDown(socketserver.StreamRequestHandler):
    def handle(self):
        print("from the handler", file=__import__("sys").stderr)


class ComesBack(socketserver.ForkingMixIn, socketserver.TCPServer):
    """Its children come back out of process_request() and would go on serving."""

    def process_request(self, request, client_address):
        if os.fork() == 0:
            self.finish_request(request, client_address)
            self.shutdown_request(request)
        else:
            self.close_request(request)


class KeepsItsCopy(socketserver.ForkingMixIn, socketserver.TCPServer):
    """The parent never closes its copy of the connection, and shuts it down."""

    kept: tuple = ()

    def close_request(self, request):
        type(self).kept += (request,)
        request.shutdown(1)


class NeverReaps(socketserver.ForkingMixIn, socketserver.TCPServer):
    def collect_children(self, *, blocking=False):
        """Leaves zombies."""


class ReapsInItsOwnWay(socketserver.ForkingMixIn, socketserver.TCPServer):
    """Waits for its children by os.wait3(), which nobody watches."""

    def collect_children(self, *, blocking=False):
        while self.active_children:
            pid, _, _ = os.wait3(0 if blocking else os.WNOHANG)
            if not pid:
                return
            self.active_children.discard(pid)


class Pool(socketserver.TCPServer):
    """Hands its requests to two threads of its own, as a user's own mix-in would."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.waiting = []
        self.something = threading.Condition()
        for _ in range(2):
            threading.Thread(target=self.work, daemon=True).start()

    def process_request(self, request, client_address):
        with self.something:
            self.waiting.append((request, client_address))
            self.something.notify()

    def work(self):
        while True:
            with self.something:
                self.something.wait_for(lambda: self.waiting)
                request, client_address = self.waiting.pop()
            self.finish_request(request, client_address)
            self.shutdown_request(request)


class Threaded(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Written as a threading server, so that it need not be told."""
