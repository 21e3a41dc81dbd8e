"""Sockets without a kernel object: what they say about themselves, and the listening socket of the memory network."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from handshaker.harness.networks.sockets import VirtualTimeout
from handshaker.harness.places import NOWHERE, PATH_BYTES_MAX, remove_socket_path

__all__ = ["SERVER_PORT", "Accepting", "KernelLess", "MemoryListener"]

SERVER_PORT: Final = 8_000
_USUAL: Final = ("127.0.0.1", 0)
_USUAL_NAME: Final = ("127.0.0.1", SERVER_PORT)
_ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - what an unbound socket says; nothing is bound here

_UNBOUND: Final[dict[Any, Any]] = {socket.AF_INET: (_ANYWHERE, 0), socket.AF_INET6: ("::", 0, 0, 0)}

# Looked up, since an enumeration that is called costs as much as the rest of making a socket.
_FAMILIES: Final[dict[int, Any]] = {-1: socket.AF_INET, **{int(each): each for each in (*_UNBOUND, socket.AF_UNIX)}}
_KINDS: Final[dict[int, Any]] = {int(each): each for each in (socket.SOCK_STREAM, socket.SOCK_DGRAM)}

_FRESH: Final = {
    (socket.SOL_SOCKET, socket.SO_TYPE): int(socket.SOCK_STREAM),
    (socket.SOL_SOCKET, socket.SO_RCVBUF): 131_072,
    (socket.SOL_SOCKET, socket.SO_SNDBUF): 2_626_560,
}
_real_socket: Final = socket.socket


def _require_unix_option(level: int, optname: int) -> None:
    """What Linux says of an option that Unix sockets do not have: Nagle's algorithm above all."""
    if level != socket.SOL_SOCKET or optname == getattr(socket, "SO_REUSEPORT", None):
        raise OSError(errno.ENOTSUP, "Operation not supported")


class Accepting(Protocol):
    """A network whose peers connect when the server accepts."""

    def accept(self) -> tuple[socket.socket, Any]:
        """The next peer: its request socket and its address."""


class KernelLess(VirtualTimeout):
    """What a socket without a kernel object answers about itself."""

    family = property(lambda self: self._family)
    type = property(lambda self: self._kind)
    proto = property(lambda _: 0)

    _family: int = socket.AF_INET
    _kind: int = socket.SOCK_STREAM
    _options: dict[tuple[int, int], Any]

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        """What `setsockopt` set, else what a fresh connection would say of what handlers ask for, else 0."""
        if self._family == socket.AF_UNIX:
            _require_unix_option(level, optname)
        value = self._options.get((level, optname), _FRESH.get((level, optname), 0))
        if buflen and isinstance(value, int):
            return value.to_bytes(4, sys.byteorder)[:buflen]
        return value

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int = 0, /) -> None:
        """Keep the option."""
        if self._family == socket.AF_UNIX:
            _require_unix_option(level, optname)
        self._options[level, optname] = value

    def get_inheritable(self) -> bool:
        """Sockets are not inheritable unless somebody asks for it (PEP 446)."""
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """Taken; there is no descriptor to inherit."""

    def ioctl(self, *_: Any) -> NoReturn:
        """Windows only."""
        raise AttributeError("ioctl")


class MemoryListener(KernelLess):
    """The listening socket of the memory network; also what `socket.socket` makes while a server is constructed."""

    network: Accepting | None = None

    def __new__(cls, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> Any:  # noqa: A002
        """A virtual socket, but a real one for a descriptor that exists already (as in `socket.socketpair`)."""
        return super().__new__(cls) if fileno is None else _real_socket(family, type, proto, fileno)

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        self._io_refs = 0
        self._closed = False
        self._timeout = None
        self._options: dict[tuple[int, int], Any] = {}
        self._family = _FAMILIES.get(family) or socket.AddressFamily(family)
        self._kind = socket.SOCK_STREAM if type == -1 else _KINDS.get(type & 0xF) or socket.SocketKind(type & 0xF)
        self._address: Any = _UNBOUND.get(self._family, "")
        self._stand_in: socket.socket | None = None
        self._file = ""

    def bind(self, address: Any, /) -> None:
        """Any address of the family will do; port 0 becomes a fixed one, and a path becomes a file."""
        if self._family == socket.AF_UNIX:
            self._address, self._file = _bound_to_path(address)
        else:
            self._address = _endpoint(self._family, address)

    def remove_file(self) -> None:
        """Remove the socket file that `bind` made, if it is still there."""
        if self._file:
            remove_socket_path(self._file)

    def listen(self, backlog: int = 0, /) -> None:
        """Ready at once."""
        self._options[socket.SOL_SOCKET, socket.SO_ACCEPTCONN] = 1

    def accept(self) -> tuple[socket.socket, Any]:
        """The next peer of the Case. Raises BlockingIOError when all have been served."""
        if self._closed:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self.network is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self.network.accept()

    def getsockname(self) -> Any:
        """The address it was bound to."""
        return self._address

    def fileno(self) -> int:
        """A descriptor that nobody connects to: some servers set flags on theirs while they are constructed."""
        if self._closed:
            return -1
        if self._stand_in is None:
            self._stand_in = _real_socket()
        return self._stand_in.fileno()

    def _real_close(self, _: Any = None) -> None:
        self._closed = True
        if self._stand_in is not None:
            self._stand_in.close()

    def shutdown(self, how: int, /) -> None:
        """A listener has nothing to shut down."""

    def detach(self) -> int:
        """There is no descriptor to give away."""
        return -1

    def __repr__(self) -> str:
        return f"<MemoryListener {self._address}>"


def _endpoint(family: int, address: Any) -> tuple[Any, ...]:
    if address == _USUAL and family == socket.AF_INET:
        return _USUAL_NAME
    if not isinstance(address, tuple):
        name = socket.AddressFamily(family).name
        raise TypeError(f"bind(): {name} address must be tuple, not {type(address).__name__}")
    host, port = address[0], address[1] or SERVER_PORT
    if family == socket.AF_INET6:
        return (host if ":" in host else "::1" if host else "::", port, *(address[2:] or (0, 0)))
    return (host or _ANYWHERE, port)


def _bound_to_path(address: Any) -> tuple[Any, str]:
    """The name of a Unix socket, and the path of the file that is made for it. Raises what bind() raises."""
    if not isinstance(address, str | bytes | bytearray | memoryview):
        raise TypeError(f"a bytes-like object is required, not '{type(address).__name__}'")
    path = os.fsencode(address) if isinstance(address, str) else bytes(address)
    if len(path) > PATH_BYTES_MAX:
        raise OSError("AF_UNIX path too long")
    if path == os.fsencode(NOWHERE):
        return NOWHERE, ""
    if path[:1] in (b"", b"\0"):
        return path or b"\00000", ""  # a name in the abstract namespace; the kernel chooses one for whoever has none
    name = os.fsdecode(path)
    try:
        os.mknod(name, stat.S_IFSOCK | 0o777)
    except FileExistsError:
        raise OSError(errno.EADDRINUSE, "Address already in use") from None
    return name, name


def _not_a_connection(name: str) -> Callable[..., NoReturn]:
    def method(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    method.__name__ = name
    method.__doc__ = "A listening socket cannot."
    return method


for _name in (
    "connect", "connect_ex", "getpeername", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into",
    "send", "sendall", "sendmsg", "sendmsg_afalg", "sendto", "dup", "_accept",
):  # fmt: skip
    setattr(MemoryListener, _name, _not_a_connection(_name))
