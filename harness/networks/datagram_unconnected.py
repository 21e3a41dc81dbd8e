"""What the socket of a server of datagrams is not: connected, listening, a stream.

Each of these calls fails as it does on Linux. What would change what the server hears (connect, shutdown), or needs a
second descriptor, is the kernel's affair: such a handler is played in real time.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, NoReturn

from handshaker.harness.networks.bounds import stop
from handshaker.harness.networks.sockets import VirtualTimeout
from handshaker.harness.recorder import RUN

__all__ = ["Unconnected"]


class Unconnected(VirtualTimeout):
    """A bound datagram socket, as far as it only refuses."""

    exchange: Any
    """What the socket is for; None while its server is constructed."""
    _released: bool
    _serial: int

    def _kernel(self, operation: str) -> NoReturn:
        if self.exchange is None:  # some servers look for their own address with a socket that goes nowhere
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if self._serial != RUN.serial:  # kept from an earlier run
            raise OSError(errno.EBADF, "Bad file descriptor")
        stop("network.kernel", RUN.connection, operation)

    def _not_released(self) -> None:
        if self._released:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def sendmsg_afalg(self, *_: Any, **__: Any) -> int:
        """Only AF_ALG sockets can."""
        raise OSError(errno.EINVAL, "algset is only supported for AF_ALG")

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Only streams can (Lib/socket.py)."""
        raise ValueError("only SOCK_STREAM type sockets are supported")

    def getpeername(self) -> Any:
        """Nobody is connected."""
        self._not_released()
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def listen(self, *_: Any) -> None:
        """Datagram sockets do not listen."""
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def accept(self) -> tuple[socket.socket, Any]:
        """Datagram sockets do not accept."""
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _accept(self) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def connect(self, *_: Any) -> None:
        """The server would hear one peer only from then on: the kernel's affair."""
        self._kernel("connect")

    def connect_ex(self, *_: Any) -> int:
        """The server would hear one peer only from then on: the kernel's affair."""
        self._kernel("connect")

    def shutdown(self, how: int, /) -> None:
        """Whatever comes of it is the kernel's affair; it differs from family to family."""
        self._not_released()
        self._kernel("shutdown")

    def dup(self) -> NoReturn:
        """A second descriptor would be read past this socket."""
        self._kernel("dup")
