"""Servers as others write them: their own pools of threads, their own ways of stopping."""

from __future__ import annotations

import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


class Raises(Echo):
    def handle(self):
        super().handle()
        raise ValueError("not today")


class Pool(socketserver.TCPServer):
    """Has its requests served by a pool, in a way of its own."""

    def __init__(self, *arguments, **named):
        self.pool = ThreadPoolExecutor(4)
        super().__init__(*arguments, **named)

    def process_request(self, request, client_address):
        self.pool.submit(self.serve, request, client_address)

    def serve(self, request, client_address):
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def server_close(self):
        super().server_close()
        self.pool.shutdown()


class SlowPool(Pool):
    """Its threads begin only when the request has been handed over: they never come before the serving thread."""

    def process_request(self, request, client_address):
        handed_over = threading.Event()
        self.pool.submit(self.wait_and_serve, handed_over, request, client_address)
        threading.Thread(target=handed_over.set).start()

    def wait_and_serve(self, handed_over, request, client_address):
        handed_over.wait()
        self.serve(request, client_address)


class Keeps(socketserver.BaseRequestHandler):
    """Leaves the connection to a thread, which closes it."""

    def handle(self):
        threading.Thread(target=self.converse).start()

    def converse(self):
        self.server.closing.wait(5)
        self.request.close()


class LeavesItToTheHandler(socketserver.TCPServer):
    """Has its requests handled, and does not close them."""

    def __init__(self, *arguments, **named):
        self.closing = threading.Event()
        super().__init__(*arguments, **named)

    def process_request(self, request, client_address):
        self.finish_request(request, client_address)

    def server_close(self):
        self.closing.set()
        super().server_close()


class WithoutConstructor(socketserver.TCPServer):
    """Makes its handlers without calling their constructor."""

    kept = None

    def finish_request(self, request, client_address):
        handler = self.made()
        handler.request, handler.client_address, handler.server = request, client_address, self
        handler.setup()
        try:
            handler.handle()
        finally:
            handler.finish()

    def made(self):
        return self.RequestHandlerClass.__new__(self.RequestHandlerClass)


class OneForAll(WithoutConstructor):
    """Makes one handler, and uses it for every request."""

    def made(self):
        self.kept = self.kept or super().made()
        return self.kept


class NeverCloses(Pool):
    """Forgets its requests."""

    def shutdown_request(self, request):
        """Nothing."""


class ShutsDownWhenClosed(socketserver.TCPServer):
    """Its owner need not remember to end the loop first."""

    def server_close(self):
        self.shutdown()
        super().server_close()


class ShutsDownBehindOurBack(socketserver.TCPServer):
    """The same, past every override."""

    def server_close(self):
        socketserver.BaseServer.shutdown(self)
        super().server_close()


class HandsOverToItself(socketserver.TCPServer):
    """Overrides process_request() to count, and serves in the one thread that it has."""

    counted = 0

    def process_request(self, request, client_address):
        self.counted += 1
        super().process_request(request, client_address)


def plain_server(address=("127.0.0.1", 0)):
    return socketserver.TCPServer(address, Echo)


def threading_server(address=("127.0.0.1", 0)):
    return socketserver.ThreadingTCPServer(address, Echo)


def forking_server(address=("127.0.0.1", 0)):
    return socketserver.ForkingTCPServer(address, Echo)
