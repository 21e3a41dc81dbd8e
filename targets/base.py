"""What a target is to the rest of handshaker: something that makes fresh servers, and a plain description of them.

A target builds and explains; it neither records nor judges. What wants to watch a handler hands in a wrapper, which
is applied to the server's `RequestHandlerClass` after the server has been constructed, whoever constructed it: so the
same code serves classes, factories and objects, and a constructor never sees anything but the user's own handler.
"""

from __future__ import annotations

import os
import socketserver
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from handshaker.harness.contract import Contract
from handshaker.harness.errors import TargetError

__all__ = [
    "LOOPBACK",
    "Address",
    "Handler",
    "HandlerWrapper",
    "ServerMaker",
    "Target",
    "TargetDescription",
    "TargetKind",
    "is_inside",
    "qualified_name",
    "spelled",
]

Address = Any
"""What a socket of the server's transport is bound to: (host, port), a 4-tuple, a path."""
Handler = Callable[..., Any]
HandlerWrapper = Callable[[Handler], Handler]
ServerMaker = Callable[[Address], socketserver.TCPServer]

LOOPBACK: Final = ("127.0.0.1", 0)

_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class TargetKind(StrEnum):
    """The five things that TARGET may name."""

    HANDLER_CLASS = "handler class"
    HANDLER_CALLABLE = "handler callable"
    SERVER_CLASS = "server class"
    SERVER_FACTORY = "server factory"
    SERVER_INSTANCE = "server instance"


@dataclass(frozen=True, slots=True)
class TargetDescription:
    """Everything about a target that can be said as plain data.

    `text` is TARGET as the user wrote it; `handler` and `server` are `module:Name` (an unknown handler is `""`).
    `handler_kind` is base, stream or datagram. `overrides` names the framework methods that are not socketserver's
    own. `timeout` is in seconds. `home` is the path prefix of the user's code; `where` is the `file:line` of the
    handler's handle(). `plain` is a message that the handler is known to understand (or `b""`). `hosted` says under
    which server the handler lives and why; `concurrency` is how that server shares its time, `written` how the one does
    that the user wrote; `beside` says that the server as it was written serves peers beside each other, in threads or
    processes; `own_path` that the server may look at the file of its Unix socket; `remarks` are the sentences that a
    user should read once.
    """

    text: str
    kind: TargetKind
    handler: str
    server: str
    handler_kind: str = "stream"
    transport: str = "tcp"
    overrides: tuple[str, ...] = ()
    timeout: float | None = None
    wbufsize: int = 0
    rbufsize: int = -1
    nagle_disabled: bool = False
    home: str = ""
    where: str = ""
    plain: bytes = b""
    hosted: str = ""
    beside: bool = False
    concurrency: str = "plain"
    written: str = "plain"
    own_path: bool = False
    remarks: tuple[str, ...] = ()

    def owns(self, filename: str) -> bool:
        """Whether *filename* is the user's code: inside `home`, and not a package installed somewhere below it."""
        return bool(self.home) and is_inside(self.home, filename)


def is_inside(home: str, filename: str) -> bool:
    """Whether *filename* lies below the path prefix *home*, and not in packages installed somewhere below it."""
    if not filename.startswith(home):
        return False
    below = os.sep + filename[len(home) :]
    return not any(marker in below for marker in _INSTALLED)


class Target(Protocol):
    """An adapter that hosts one handler under one kind of server."""

    text: str

    def describe(self) -> TargetDescription:
        """What is hosted, and how. Raises TargetError when it cannot be hosted."""

    def contract(self, **declared: Any) -> Contract:
        """What the handler promises, with what the user *declared* about it."""

    def maker(self, wrap: HandlerWrapper) -> ServerMaker:
        """A function that makes a fresh server, with its handler wrapped, for an address: for each Case once."""

    def new_server(self, wrap: HandlerWrapper, address: Address) -> socketserver.TCPServer:
        """One fresh server at *address*, bound and (for streams) listening, with its handler wrapped."""

    def learn(self, handler_class: type) -> None:
        """Take note of the class of the handler that was really made; an opaque callable does not tell it before."""

    def subjects(self) -> tuple[Any, ...]:
        """The classes and functions whose code tells what the handler understands."""

    def preflight_error(self, error: BaseException) -> TargetError:
        """Why hosting failed with *error*, and what to write instead."""


def qualified_name(thing: Any) -> str:
    """`module:Class.method` of a class or function, also below partials; of any other value, its type's."""
    while hasattr(thing, "func") and hasattr(thing, "keywords"):
        thing = thing.func
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{thing.__module__}:{thing.__qualname__}"


def spelled(thing: Any, text: str) -> str:
    """*thing* as it can be pasted by a user who wrote TARGET as *text*: what lies in the same file, by its path."""
    module, _, name = qualified_name(thing).partition(":")
    place = Path(text.rpartition(":")[0] or text)
    filename = Path(getattr(sys.modules.get(module), "__file__", None) or os.devnull)
    parts = [part for part in place.parts if part != os.pardir]
    if place.suffix == ".py" and list(filename.parts[-len(parts) :]) == parts:
        return f"{place}:{name}"
    return f"{module}:{name}"
