"""What the playing process must know of a house beside its events: why hosting failed there, and what was born there.

An exception cannot leave the process that it was raised in. So the house tells what it is, as plain values, and here
one like it is made: it has the type, if that is a built-in one, the message, and what `advice` asks an AttributeError.
"""

from __future__ import annotations

import builtins
import errno
import socketserver
import sys
from typing import Any, Final

from handshaker.harness.recorder import RUN
from handshaker.targets.homes import innermost_user_line
from handshaker.targets.instrument import hosting_failure, note_birth

__all__ = ["hear", "rebuilt", "testify", "told"]

_MESSAGE_MAX: Final = 10_000
"""How much of a message is told: the door takes no more at once than the kernel does."""


def told(error: BaseException) -> tuple[Any, ...]:
    """*error* as plain values: its type, its message and place, the attribute that a server lacked, its number."""
    line = innermost_user_line(error.__traceback__)
    lacked = getattr(error, "name", None) if isinstance(error, AttributeError) and hosting_failure(error) else None
    number, message = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
    message = str(message or error)[:_MESSAGE_MAX]
    number = number if isinstance(number, int) else None
    return type(error).__name__, f"{message} at {line}" if line else message, lacked, number


def rebuilt(name: str, message: str, lacked: str | None, number: int | None) -> BaseException:
    """An exception like the one that *told* gave these values of."""
    kind = getattr(builtins, name, None)
    error: Any
    if lacked is not None:
        error = AttributeError(message, name=lacked, obj=socketserver.BaseServer.__new__(socketserver.BaseServer))
    elif number is not None:
        error = OSError(number, message) if number in errno.errorcode else OSError(message)
    elif isinstance(kind, type) and issubclass(kind, Exception | SystemExit) and not issubclass(kind, UnicodeError):
        error = kind(message)
    else:
        error = RuntimeError(f"{name}: {message}")
    error.__handshaker_hosting__ = True
    made: BaseException = error
    return made


def testify(door: Any) -> Any:
    """What takes the place of `RUN.witness` in a house: it keeps no exception, and tells those that matter."""

    def witness(error: BaseException) -> None:
        if hosting_failure(error) or _unborn():
            door.send("witness", *told(error))

    return witness


def _unborn() -> bool:
    """Whether a handler's own constructor is at work, before anything that a peer could have a part in."""
    kinds = {what[0] for what in RUN.recorder.flat[::2]} if RUN.recorder is not None else set()
    return "init.enter" in kinds and "setup.enter" not in kinds


def hear(message: tuple[Any, ...]) -> None:
    """Take note of what a house has told."""
    if message[0] == "witness" and RUN.witness is not None:
        RUN.witness(rebuilt(*message[1:]))
    elif message[0] == "born" and (born := _found(*message[1:])) is not None:
        note_birth(born)


def _found(module: str, name: str) -> type | None:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None
