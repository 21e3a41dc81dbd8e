"""The classes that make something a handler or a server: those of `socketserver`, and of every other implementation.

A handler based on somebody's own `BaseRequestHandler` is a handler all the same, although it does not inherit from
`socketserver`'s. So nobody here asks `issubclass(cls, socketserver.StreamRequestHandler)`, but
`issubclass(cls, bases("StreamRequestHandler"))`: all classes that are known under this name. An implementation becomes
known when it is loaded (`implementation`), before anything that is based on it is looked at.
"""

from __future__ import annotations

import functools
import socketserver
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.transports import TRANSPORTS

__all__ = [
    "HANDLERS",
    "MIXINS",
    "NAMES",
    "SERVERS",
    "STDLIB",
    "Implementation",
    "bases",
    "handler_bases",
    "implementations",
    "owner_of",
    "register",
    "server_bases",
]

HANDLERS: Final = ("BaseRequestHandler", "StreamRequestHandler", "DatagramRequestHandler")
SERVERS: Final = ("BaseServer", "TCPServer", "UDPServer", "UnixStreamServer", "UnixDatagramServer")
MIXINS: Final = {"threading": "ThreadingMixIn", "forking": "ForkingMixIn"}
"""The mix-in for each way of sharing the server's time, but the plain one."""

_COMBINED: Final = tuple(f"{way}{server}" for way in ("Threading", "Forking") for server in SERVERS[1:])
NAMES: Final = (*HANDLERS, *SERVERS, *MIXINS.values(), *_COMBINED)
"""Every name that the documentation of `socketserver` tells."""


@dataclass(frozen=True, slots=True, repr=False)
class Implementation:
    """What one module offers of the names of `socketserver`: `text` is its name, `classes` are those that it has."""

    text: str
    classes: Mapping[str, type] = field(hash=False)

    @property
    def lacking(self) -> tuple[str, ...]:
        """The names that it does not offer."""
        return tuple(name for name in NAMES if name not in self.classes)

    def named(self, name: str) -> type | None:
        """The class that it offers under *name*, or None."""
        return self.classes.get(name)

    def server(self, transport: str) -> type | None:
        """Its plain server class for *transport* (over IPv6 the family is still to be set), or None."""
        return self.named(TRANSPORTS[transport].server)

    def mixin(self, concurrency: str) -> type | None:
        """Its mix-in for *concurrency*, or None when there is none, or none is needed."""
        return self.named(MIXINS.get(concurrency, ""))

    def __repr__(self) -> str:
        return f"Implementation({self.text!r})"


STDLIB: Final = Implementation(
    "socketserver", {name: getattr(socketserver, name) for name in NAMES if hasattr(socketserver, name)}
)
_KNOWN: Final = [STDLIB]


def register(made: Implementation) -> None:
    """Let what is based on *made* be a handler or a server from now on."""
    if all(made.classes != known.classes for known in _KNOWN):
        _KNOWN.append(made)
        for remembering in (bases, handler_bases, server_bases):
            remembering.cache_clear()


def implementations() -> tuple[Implementation, ...]:
    """All that are known, the standard library first."""
    return tuple(_KNOWN)


@functools.cache
def bases(name: str) -> tuple[type, ...]:
    """All classes that are known under this *name* of `socketserver`, for `isinstance` and `issubclass`."""
    if name not in NAMES:
        raise UsageError(f"socketserver has no {name!r}; {did_you_mean(name, NAMES)}")
    return tuple(dict.fromkeys(made.classes[name] for made in _KNOWN if name in made.classes))


@functools.cache
def handler_bases() -> tuple[type, ...]:
    """The classes that make a class a handler."""
    return tuple(dict.fromkeys(cls for name in HANDLERS for cls in bases(name)))


@functools.cache
def server_bases() -> tuple[type, ...]:
    """The classes that make a class a server."""
    return tuple(dict.fromkeys(cls for name in (*SERVERS, *_COMBINED) for cls in bases(name)))


def owner_of(cls: type) -> Implementation:
    """The implementation that a handler or server class is based on; the standard library's for any other class."""
    for base in cls.__mro__:
        for made in _KNOWN:
            if any(base is offered for offered in made.classes.values()):
                return made
    return STDLIB
