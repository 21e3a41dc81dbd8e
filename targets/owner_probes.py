"""Looking at a server from outside: whether it listens, what it says of itself, and what happens without descriptors.

Used in the house only (`instrument_owner`), where the process belongs to one server and looking may cost system calls.
"""

from __future__ import annotations

import os
import resource
import socket
import stat
from typing import Any, Final

__all__ = ["allow_descriptors", "forbid_descriptors", "is_open", "said_by_fileno", "still_bound"]

_OPEN_DIRECTORY: Final = "/dev/fd"


def is_open(server: Any) -> bool:
    """Whether the server's own socket is open."""
    sock = getattr(server, "socket", None)
    return isinstance(sock, socket.socket) and sock.fileno() != -1


def said_by_fileno(server: Any) -> str:
    """What `fileno()` of the server says: open, closed (-1), or that it raises."""
    try:
        number = server.fileno()
    except Exception:
        return "raises"
    return "closed" if number == -1 else "open"


def still_bound(address: Any, family: int, kind: int) -> bool:
    """Whether this process still has a socket that takes requests for *address*, whoever holds it.

    Nobody is asked over the network: another process may have been given the same port meanwhile.
    """
    return any(_takes_requests(number, address, family, kind) for number in _sockets())


def _sockets() -> list[int]:
    numbers = [int(name) for name in os.listdir(_OPEN_DIRECTORY)]  # noqa: PTH208 - these names are only numbers
    return [number for number in numbers if _is_socket(number)]


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def _takes_requests(number: int, address: Any, family: int, kind: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as seen:
            if (seen.family, seen.type) != (family, kind) or seen.getsockname() != address:
                return False
            # The connections of a listening socket have its address, too.
            return kind == socket.SOCK_DGRAM or bool(seen.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


_Limits = tuple[int, int]


def forbid_descriptors() -> _Limits:
    """Let the process open no more descriptors; returns what `allow_descriptors` needs to undo it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0) if _exists(0) else os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    return limits


def allow_descriptors(limits: _Limits) -> None:
    """Undo `forbid_descriptors`."""
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _exists(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
