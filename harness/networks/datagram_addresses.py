"""Where a datagram is sent to: what Python and Linux make of the address, before anything leaves.

Both networks ask here, so both give the same errors, no name is ever looked up, and nothing leaves this machine: a
server that is bound to loopback could not reach another one anyway (Linux says EINVAL, over IPv6 ENETUNREACH).
"""

from __future__ import annotations

import errno
import ipaddress
import operator
import os
import socket
from typing import Any, Final

from handshaker.harness.places import PATH_BYTES_MAX

__all__ = ["DGRAM", "DONTWAIT", "HERE", "INET", "INET6", "LONGEST", "PEEK", "TRUNC", "UNIX", "destination", "form_of"]

# Plain numbers: an enumeration is asked by its name, which costs more than all the rest of a turn.
INET: Final = int(socket.AF_INET)
INET6: Final = int(socket.AF_INET6)
UNIX: Final = int(socket.AF_UNIX)
DGRAM: Final = int(socket.SOCK_DGRAM)
PEEK: Final = int(socket.MSG_PEEK)
DONTWAIT: Final = int(socket.MSG_DONTWAIT)
TRUNC: Final = int(socket.MSG_TRUNC)

LONGEST: Final = {INET: 65_507, INET6: 65_527, UNIX: 212_960}
"""The longest datagram of each family (measured on Linux; of Unix sockets with their usual send buffer)."""

HERE: Final = {INET: "127.0.0.1", INET6: "::1"}
"""The host of every server and peer."""

_FORMS: Final = {str: "path", bytes: "abstract", type(None): "none"}
_PORT_MAX: Final = 65_535
_LENGTHS: Final = {INET: (2, 2), INET6: (2, 4)}
_LOCAL_NAMES: Final = {"", "localhost", "0.0.0.0", "::"}  # noqa: S104 - as a destination: this machine
_BROADCAST: Final = {"<broadcast>", "255.255.255.255"}


def form_of(address: Any) -> str:
    """The form of a client's address: pair, 4-tuple, path, abstract or none."""
    if type(address) is tuple:
        return "4-tuple" if len(address) == 4 else "pair"
    return _FORMS.get(type(address), "none")


def destination(family: int, address: Any) -> Any:
    """*address* in the form in which a peer of this *family* has it. Raises what `sendto` raises for one it refuses."""
    return _path(address) if family == UNIX else _endpoint(family, address)


def _path(address: Any) -> str | bytes:
    if not isinstance(address, str | bytes | bytearray | memoryview):
        raise TypeError(f"a bytes-like object is required, not '{type(address).__name__}'")
    path = os.fsencode(address) if isinstance(address, str) else bytes(address)
    if not path:
        raise OSError(errno.EINVAL, "Invalid argument")
    if len(path) > PATH_BYTES_MAX:
        raise OSError("AF_UNIX path too long")
    return path if path.startswith(b"\0") else os.fsdecode(path)


def _endpoint(family: int, address: Any) -> tuple[Any, ...]:
    name = socket.AddressFamily(family).name
    if not isinstance(address, tuple):
        raise TypeError(f"sendto(): {name} address must be tuple, not {type(address).__name__}")
    least, most = _LENGTHS[int(family)]
    if not least <= len(address) <= most:
        raise TypeError(f"{name} address must be a {'pair' if most == 2 else 'tuple'} (host, port)")
    if not isinstance(address[0], str | bytes | bytearray):
        raise TypeError(f"str, bytes or bytearray expected, not {type(address[0]).__name__}")
    host, port = os.fsdecode(bytes(address[0]) if isinstance(address[0], bytearray) else address[0]), address[1]
    port = operator.index(port)
    host = _host(family, host)
    if not 0 <= port <= _PORT_MAX:
        raise OverflowError("sendto(): port must be 0-65535.")
    if not port:
        raise OSError(errno.EINVAL, "Invalid argument")
    return (host, port) if family == INET else (host, port, *address[2:], *(0, 0)[: 4 - len(address)])


def _host(family: int, host: str) -> str:
    if host in _BROADCAST:
        raise PermissionError(errno.EACCES, "Permission denied")
    if host in _LOCAL_NAMES:
        return HERE[int(family)]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    if found.version != (4 if family == INET else 6):
        raise socket.gaierror(getattr(socket, "EAI_ADDRFAMILY", -9), "Address family for hostname not supported")
    if not found.is_loopback:
        number = errno.EINVAL if found.version == 4 else errno.ENETUNREACH
        raise OSError(number, os.strerror(number))
    return str(found)
