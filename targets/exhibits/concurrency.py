"""Servers that lose track of their children, and handlers that are in each other's way or leave threads behind."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from socketserver import ForkingMixIn, StreamRequestHandler, TCPServer
from typing import Any

from handshaker.targets.exhibits.common import LINE_BYTES, Lines
from handshaker.targets.exhibits.common_server import ForkingLineServer

__all__ = [
    "ChildExits",
    "ChildExitsRepaired",
    "ChildrenReaped",
    "ChildrenReapedRepaired",
    "ConcurrentIsolation",
    "ConcurrentIsolationRepaired",
    "HandleTimeoutReaps",
    "HandleTimeoutReapsRepaired",
    "Hurried",
    "MaxChildren",
    "MaxChildrenRepaired",
    "NoThreadLeft",
    "NoThreadLeftRepaired",
    "ParentClosesConnection",
    "ParentClosesConnectionRepaired",
]

_TURN_S = 0.2


class ParentClosesConnection(ForkingLineServer):
    """Wrong: ends the connection in close_request(), which the parent calls as soon as its child has begun to serve."""

    def close_request(self, request: Any) -> None:
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        super().close_request(request)


class ParentClosesConnectionRepaired(ForkingLineServer):
    """Repaired: ends it in shutdown_request(), which only the child calls."""

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        super().shutdown_request(request)


class ChildrenReaped(ForkingLineServer):
    """Wrong: only counts its children instead of collecting them, so each one stays as a zombie."""

    def collect_children(self, *, blocking: bool = False) -> None:
        self.children = len(self.active_children or ())


class ChildrenReapedRepaired(ForkingLineServer):
    """Repaired: counts those that are left when the dead ones have been collected."""

    def collect_children(self, *, blocking: bool = False) -> None:
        super().collect_children(blocking=blocking)
        self.children = len(self.active_children or ())


class ChildExits(ForkingLineServer):
    """Wrong: the child returns from process_request() when it has served its peer, and goes on to accept others."""

    def process_request(self, request: Any, client_address: Any) -> None:
        if pid := os.fork():
            self.active_children = {*(self.active_children or ()), pid}
            self.close_request(request)
            return
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)


class ChildExitsRepaired(ForkingLineServer):
    """Repaired: the child exits when it has served its peer, whatever happened."""

    def process_request(self, request: Any, client_address: Any) -> None:
        if pid := os.fork():
            self.active_children = {*(self.active_children or ()), pid}
            self.close_request(request)
            return
        status = 1
        try:
            self.finish_request(request, client_address)
            status = 0
        except Exception:
            self.handle_error(request, client_address)
        finally:
            try:
                self.shutdown_request(request)
            finally:
                os._exit(status)


class Hurried(Lines):
    """Does not wait long for a line, since a child that waits keeps others from being served."""

    timeout = 0.5

    def handle(self) -> None:
        with suppress(TimeoutError):
            super().handle()


class MaxChildren(ForkingMixIn, TCPServer):
    """Wrong: collects the children that have ended, but never waits for one when max_children are alive."""

    max_children = 1

    def __init__(self, server_address: Any) -> None:
        super().__init__(server_address, Hurried)

    def collect_children(self, *, blocking: bool = False) -> None:
        alive = self.active_children or set()
        for pid in tuple(alive):
            with suppress(ChildProcessError):
                if os.waitpid(pid, 0 if blocking else os.WNOHANG)[0]:
                    alive.discard(pid)


class MaxChildrenRepaired(ForkingMixIn, TCPServer):
    """Repaired: waits until fewer than max_children are alive, and then collects the others that have ended."""

    max_children = 1

    def __init__(self, server_address: Any) -> None:
        super().__init__(server_address, Hurried)

    def collect_children(self, *, blocking: bool = False) -> None:
        alive = self.active_children or set()
        with suppress(ChildProcessError):
            while alive:
                full = blocking or len(alive) >= self.max_children
                pid = os.waitpid(-1, 0 if full else os.WNOHANG)[0]
                if not pid:
                    return
                alive.discard(pid)


class HandleTimeoutReaps(ForkingLineServer):
    """Wrong: counts its idle moments in handle_timeout(), and forgets that children are collected there."""

    idle = 0

    def handle_timeout(self) -> None:
        self.idle += 1


class HandleTimeoutReapsRepaired(ForkingLineServer):
    """Repaired: counts its idle moments, and lets the children be collected."""

    idle = 0

    def handle_timeout(self) -> None:
        self.idle += 1
        super().handle_timeout()


class NoThreadLeft(Lines):
    """Wrong: starts a watch over each peer that nobody ever ends."""

    def handle(self) -> None:
        threading.Thread(target=threading.Event().wait).start()
        super().handle()


class NoThreadLeftRepaired(Lines):
    """Repaired: ends the watch with the request."""

    def handle(self) -> None:
        over = threading.Event()
        watch = threading.Thread(target=over.wait)
        watch.start()
        try:
            super().handle()
        finally:
            over.set()
            watch.join()


class ConcurrentIsolation(StreamRequestHandler):
    """Wrong: keeps its turn while it waits for its peer, so that a silent one has everybody else turned away."""

    def handle(self) -> None:
        turn = vars(self.server).setdefault("turn", threading.Lock())
        if not turn.acquire(timeout=_TURN_S):
            return
        try:
            with suppress(ConnectionError):
                self.wfile.write(self.rfile.readline(LINE_BYTES).upper())
        finally:
            turn.release()


class ConcurrentIsolationRepaired(StreamRequestHandler):
    """Repaired: takes its turn only for what is shared, when its peer has said everything."""

    def handle(self) -> None:
        turn = vars(self.server).setdefault("turn", threading.Lock())
        with suppress(ConnectionError):
            line = self.rfile.readline(LINE_BYTES)
            with turn:
                answer = line.upper()
            self.wfile.write(answer)
