"""Servers whose own methods are wrong, and handlers that do to their server what only its owner may do."""

from __future__ import annotations

import io
import logging
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any

from handshaker.targets.exhibits.common import LINE_BYTES, Lines
from handshaker.targets.exhibits.common_server import LineServer

__all__ = [
    "CloseIsIdempotent",
    "CloseIsIdempotentRepaired",
    "CloseWaitsForThreads",
    "CloseWaitsForThreadsRepaired",
    "ContextManager",
    "ContextManagerRepaired",
    "FailedBindCloses",
    "FailedBindClosesRepaired",
    "HandleRequestBounded",
    "HandleRequestBoundedRepaired",
    "ListenerOpenWhileServing",
    "ListenerOpenWhileServingRepaired",
    "NothingAfterShutdown",
    "NothingAfterShutdownRepaired",
    "ServiceActions",
    "ServiceActionsRepaired",
    "ShutdownReturns",
    "ShutdownReturnsRepaired",
]

_log = logging.getLogger(__name__)
_POLL_S = 0.5


class FailedBindCloses(LineServer):
    """Wrong: server_close() needs what the constructor makes after binding, so a port in use leaves a socket behind."""

    def __init__(self, server_address: Any) -> None:
        super().__init__(server_address)
        self.journal = io.StringIO()

    def server_close(self) -> None:
        self.journal.close()
        super().server_close()


class FailedBindClosesRepaired(LineServer):
    """Repaired: what server_close() needs is there before the constructor binds."""

    def __init__(self, server_address: Any) -> None:
        self.journal = io.StringIO()
        super().__init__(server_address)

    def server_close(self) -> None:
        self.journal.close()
        super().server_close()


class _Turning(LineServer):
    """A server whose loop can be written out again."""

    def take_one(self) -> None:
        """Take one request, since there is one."""
        server: Any = self
        server._handle_request_noblock()


class HandleRequestBounded(_Turning):
    """Wrong: handle_request() is written out again, and tells nobody when the timeout has passed."""

    def handle_request(self) -> None:
        if select.select([self], [], [], self.timeout)[0]:
            self.take_one()


class HandleRequestBoundedRepaired(_Turning):
    """Repaired: handle_timeout() is called when nobody came."""

    def handle_request(self) -> None:
        if select.select([self], [], [], self.timeout)[0]:
            self.take_one()
        else:
            self.handle_timeout()


class _Commands(Lines):
    """The line protocol with a command that ends the server."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                if line == b"QUIT\n":
                    self.quit()
                    return
                self.wfile.write(self.answer(line))

    def quit(self) -> None:
        """End the server."""


class ShutdownReturns(_Commands):
    """Wrong: the QUIT command calls shutdown(), which waits for the loop, which waits for this handler."""

    def quit(self) -> None:
        self.server.shutdown()


class ShutdownReturnsRepaired(_Commands):
    """Repaired: another thread calls shutdown(), and the handler goes on."""

    def quit(self) -> None:
        threading.Thread(target=self.server.shutdown, daemon=True).start()


class ListenerOpenWhileServing(_Commands):
    """Wrong: the QUIT command closes the server, whose loop goes on and spins on a socket that is no more."""

    def quit(self) -> None:
        self.server.server_close()


class ListenerOpenWhileServingRepaired(_Commands):
    """Repaired: another thread ends the loop first, and closes the server then."""

    def quit(self) -> None:
        threading.Thread(target=_end, args=(self.server,), daemon=True).start()


def _end(server: Any) -> None:
    server.shutdown()
    server.server_close()


class NothingAfterShutdown(LineServer):
    """Wrong: a loop of its own looks at the flag only when it has served somebody, and shutdown() does not wait."""

    stopping = False

    def serve_forever(self, poll_interval: float = _POLL_S) -> None:
        while not self.stopping:
            self.handle_request()
            self.service_actions()

    def shutdown(self) -> None:
        self.stopping = True


class NothingAfterShutdownRepaired(_Turning):
    """Repaired: the loop looks at the flag before it serves anybody, and shutdown() waits until it is over."""

    def __init__(self, server_address: Any) -> None:
        self.stopping = False
        self.over = threading.Event()
        super().__init__(server_address)

    def serve_forever(self, poll_interval: float = _POLL_S) -> None:
        self.over.clear()
        try:
            while not self.stopping:
                if select.select([self], [], [], poll_interval)[0] and not self.stopping:
                    self.take_one()
                self.service_actions()
        finally:
            self.stopping = False
            self.over.set()

    def shutdown(self) -> None:
        self.stopping = True
        self.over.wait()


class CloseIsIdempotent(LineServer):
    """Wrong: server_close() forgets the journal that it has closed, and fails when it is called again."""

    def __init__(self, server_address: Any) -> None:
        self.journal: Any = io.StringIO()
        super().__init__(server_address)

    def server_close(self) -> None:
        super().server_close()
        self.journal.close()
        self.journal = None


class CloseIsIdempotentRepaired(LineServer):
    """Repaired: a journal that is closed can be closed again."""

    def __init__(self, server_address: Any) -> None:
        self.journal = io.StringIO()
        super().__init__(server_address)

    def server_close(self) -> None:
        super().server_close()
        self.journal.close()


class ServiceActions(LineServer):
    """Wrong: service_actions() counts the seconds since the last denied request, and there may not have been one."""

    denied_at: Any = None
    idle_s = 0.0

    def service_actions(self) -> None:
        self.idle_s = time.monotonic() - self.denied_at


class ServiceActionsRepaired(LineServer):
    """Repaired: it counts from the beginning."""

    def __init__(self, server_address: Any) -> None:
        self.denied_at = time.monotonic()
        self.idle_s = 0.0
        super().__init__(server_address)

    def service_actions(self) -> None:
        self.idle_s = time.monotonic() - self.denied_at


class ContextManager(LineServer):
    """Wrong: leaving the with statement is written into a log, and the server is left open."""

    def __exit__(self, *exc_info: Any) -> None:
        _log.info("the server is closed")


class ContextManagerRepaired(LineServer):
    """Repaired: leaving the with statement also does what it does for every server."""

    def __exit__(self, *exc_info: Any) -> None:
        super().__exit__(*exc_info)
        _log.info("the server is closed")


class CloseWaitsForThreads(ThreadingMixIn, LineServer):
    """Wrong: the threads have names, and nobody remembers them, so that server_close() does not wait for any."""

    def process_request(self, request: Any, client_address: Any) -> None:
        work: Callable[..., None] = self.process_request_thread
        threading.Thread(target=work, args=(request, client_address), name=f"peer {client_address}").start()


class CloseWaitsForThreadsRepaired(ThreadingMixIn, LineServer):
    """Repaired: the thread takes its name itself, and is remembered like every thread of the mix-in."""

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        threading.current_thread().name = f"peer {client_address}"
        super().process_request_thread(request, client_address)
