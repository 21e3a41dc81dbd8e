"""Servers that break the path of a request through them, and a handler that stops its server."""

from __future__ import annotations

import logging
import socket
import sys
from contextlib import suppress
from typing import Any

from handshaker.targets.exhibits.common import LINE_BYTES, Lines
from handshaker.targets.exhibits.common_server import LineServer

__all__ = [
    "AcceptErrorsSurvived",
    "AcceptErrorsSurvivedRepaired",
    "Address",
    "AddressRepaired",
    "BaseExceptions",
    "BaseExceptionsRepaired",
    "DeniedRequestClosed",
    "DeniedRequestClosedRepaired",
    "ErrorReport",
    "ErrorReportRepaired",
    "ErrorReportedOnce",
    "ErrorReportedOnceRepaired",
    "HandleErrorDoesNotRaise",
    "HandleErrorDoesNotRaiseRepaired",
    "HookOrder",
    "HookOrderRepaired",
    "NextRequestServed",
    "NextRequestServedRepaired",
    "VerifyRequestDoesNotRaise",
    "VerifyRequestDoesNotRaiseRepaired",
]

_log = logging.getLogger(__name__)


class Address(LineServer):
    """Wrong: binds, but never asks on which port, so server_address goes on saying port 0."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)


class AddressRepaired(LineServer):
    """Repaired: server_address is what the socket says after binding."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()


class DeniedRequestClosed(LineServer):
    """Wrong: the loop is written out again, and nobody closes a request that verify_request() refuses."""

    def _handle_request_noblock(self) -> None:
        try:
            request, client_address = self.get_request()
        except OSError:
            return
        if self.verify_request(request, client_address):
            try:
                self.process_request(request, client_address)
            except Exception:
                self.handle_error(request, client_address)
                self.shutdown_request(request)
            except:
                self.shutdown_request(request)
                raise


class DeniedRequestClosedRepaired(LineServer):
    """Repaired: a refused request is shut down as well."""

    def _handle_request_noblock(self) -> None:
        try:
            request, client_address = self.get_request()
        except OSError:
            return
        if not self.verify_request(request, client_address):
            self.shutdown_request(request)
            return
        try:
            self.process_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
            self.shutdown_request(request)
        except:
            self.shutdown_request(request)
            raise


class VerifyRequestDoesNotRaise(LineServer):
    """Wrong: asks the connection for its peer, which fails when that peer has reset it before it was accepted."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        host: str = request.getpeername()[0]
        return host.startswith("127.")


class VerifyRequestDoesNotRaiseRepaired(LineServer):
    """Repaired: the peer's address has been handed over, and nobody needs to be asked."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        host: str = client_address[0]
        return host.startswith("127.")


class AcceptErrorsSurvived(LineServer):
    """Wrong: get_request() reads a version byte and raises ValueError for an unknown one, which ends the loop."""

    def get_request(self) -> Any:
        request, client_address = super().get_request()
        try:
            if request.recv(1) not in (b"", b"1", b"2"):
                raise ValueError("unknown version")
        except (OSError, ValueError):
            request.close()
            raise
        return request, client_address


class AcceptErrorsSurvivedRepaired(LineServer):
    """Repaired: an unknown version is an OSError, the one kind of exception that get_request() may raise."""

    def get_request(self) -> Any:
        request, client_address = super().get_request()
        try:
            if request.recv(1) not in (b"", b"1", b"2"):
                raise ConnectionAbortedError("unknown version")
        except OSError:
            request.close()
            raise
        return request, client_address


class HookOrder(LineServer):
    """Wrong: process_request() makes the handler itself, past finish_request()."""

    def process_request(self, request: Any, client_address: Any) -> None:
        make_handler: Any = self.RequestHandlerClass
        make_handler(request, client_address, self)
        self.shutdown_request(request)


class HookOrderRepaired(LineServer):
    """Repaired: making the handler is the work of finish_request(), which others may have overridden."""

    def process_request(self, request: Any, client_address: Any) -> None:
        self.finish_request(request, client_address)
        self.shutdown_request(request)


class ErrorReportedOnce(LineServer):
    """Wrong: process_request() reports an error and raises it again, so that it is reported once more."""

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
            raise


class ErrorReportedOnceRepaired(LineServer):
    """Repaired: counts the error, and leaves the report to the loop."""

    errors = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except Exception:
            self.errors += 1
            raise


class BaseExceptions(LineServer):
    """Wrong: a bare `except` reports SystemExit and KeyboardInterrupt as if they were errors, and goes on."""

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except:
            self.handle_error(request, client_address)
        self.shutdown_request(request)


class BaseExceptionsRepaired(LineServer):
    """Repaired: `except Exception`; what is not an error goes up to the loop and ends it."""

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        self.shutdown_request(request)


class HandleErrorDoesNotRaise(LineServer):
    """Wrong: the report of an error asks for an errno, which most exceptions do not have."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        error: Any = sys.exc_info()[1]
        print(f"{client_address[0]}: error {error.errno}", file=sys.stderr)


class HandleErrorDoesNotRaiseRepaired(LineServer):
    """Repaired: the report says what every exception can say."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        print(f"{client_address[0]}: {type(error).__name__}: {error}", file=sys.stderr)


class ErrorReport(LineServer):
    """Wrong: handle_error() was silenced because of the noise that disconnects make, and now hides every error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class ErrorReportRepaired(LineServer):
    """Repaired: only disconnects are passed over in silence."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            _log.exception("request from %s failed", client_address)


class NextRequestServed(Lines):
    """Wrong: the QUIT command calls sys.exit(), which ends not the dialogue but the server."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                if line == b"QUIT\n":
                    sys.exit()
                self.wfile.write(line)


class NextRequestServedRepaired(Lines):
    """Repaired: the QUIT command returns."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            while line := self.rfile.readline(LINE_BYTES):
                if line == b"QUIT\n":
                    return
                self.wfile.write(line)
