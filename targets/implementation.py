"""Other implementations of the contract: modules that offer the names of `socketserver`, with code of their own.

The least that an implementation must offer is BaseRequestHandler and one server class. What else is missing is no
error: whoever needs it says so and leaves out what depends on it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from handshaker.harness.errors import UsageError
from handshaker.targets.bases import NAMES, SERVERS, Implementation, register
from handshaker.targets.loading import load_module

__all__ = ["implementation"]

_MAKES_SERVERS: Final = tuple(name for name in NAMES if name.endswith("Server") and name != "BaseServer")


def implementation(wanted: Any, root: str | os.PathLike[str] = ".") -> Implementation:
    """The implementation that *wanted* is, or that its text names: `mypkg.my_socketserver`, `path/to/file.py`.

    It is known from now on (`bases`). *root* is made importable for a text. Raises UsageError when it lacks
    BaseRequestHandler or has no server class, or when what it offers under one of the names is no class; TargetError
    when importing it fails.
    """
    offered = load_module(wanted, root) if isinstance(wanted, str) else wanted
    text = wanted if isinstance(wanted, str) else getattr(offered, "__name__", "") or type(offered).__name__
    found = {name: _class(text, name, getattr(offered, name)) for name in NAMES if hasattr(offered, name)}
    _require(text, offered, found)
    made = Implementation(text, found)
    register(made)
    return made


def _class(text: str, name: str, offered: Any) -> type:
    if not isinstance(offered, type):
        raise UsageError(
            f"implementation {text!r}: {name} is {offered!r:.80}, not a class; an implementation offers classes under "
            f"the names of socketserver: define it as a class, or leave the name away"
        )
    return offered


def _require(text: str, offered: Any, found: Mapping[str, type]) -> None:
    lacks = [] if "BaseRequestHandler" in found else ["BaseRequestHandler"]
    lacks += [] if set(found).intersection(_MAKES_SERVERS) else ["a server class"]
    if not lacks:
        return
    named = [name for name in dir(offered) if not name.startswith("_") and isinstance(getattr(offered, name), type)]
    there = f"the classes in it are {', '.join(named[:8])}" if named else "there is no class in it"
    raise UsageError(
        f"implementation {text!r} lacks {' and '.join(lacks)}; {there}; needed are BaseRequestHandler and one of "
        f"{', '.join(SERVERS[1:])}, under these names; if yours are called otherwise, name a module of your own that "
        f"imports them `as` these"
    )
