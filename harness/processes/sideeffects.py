"""What a handler does to the world outside its connection: files, programs, outgoing connections.

A campaign calls a handler a hundred thousand times. What it does each time is said once, and connections to other
machines are refused. Noticed by an audit hook, which Python cannot take out again: it is installed once in a child
process, and `armed` only while the handler has the floor. It sees what Python itself is asked to do: a C extension that
opens a socket on its own is not seen, and `connect` has looked its host name up before it asks.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import stat
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from handshaker.harness.places import in_a_place

__all__ = ["MOST_DETAILS", "LookupRefused", "OutgoingRefused", "SideEffects", "watch_side_effects"]

MOST_DETAILS: Final = 20
"""How many different details of one action are recorded; a handler that makes up a new name each time has more."""

_DETAIL_CHARACTERS = 200
_FRAMES_MAX: Final = 12
_DEEP_FRAMES_MAX: Final = 40
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LOCAL_FAMILIES = {getattr(socket, name, None) for name in ("AF_UNIX", "AF_NETLINK")}
_IP_FAMILIES = {socket.AF_INET, socket.AF_INET6}
_LOCAL_NAMES = {"", "localhost", "ip6-localhost"}

_AUTOBOUND: Final = re.compile("\0[0-9a-f]{5}")
"""What the kernel calls a Unix socket that is bound to nothing (unix(7)): a peer, and no service that anybody knows."""

_PATHS: Final = {
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a folder",
    "os.rmdir": "removes a folder",
    "os.truncate": "truncates a file",
    "os.link": "links a file",
    "os.symlink": "links a file",
    "os.chmod": "changes permissions",
    "os.chown": "changes an owner",
    "os.chdir": "changes the working directory",
    "os.putenv": "changes the environment",
    "os.unsetenv": "changes the environment",
}
_REMOVALS: Final = {"os.remove", "os.rmdir"}
"""Their second argument may be the descriptor of the folder that the path starts from, as shutil.rmtree() has it."""

_TENDING: Final = {"server_bind", "server_close", "made_by.<locals>.make"}
"""Below these a server is made or closed, and no handler runs: of socketserver, and the one of `targets.making`."""

_OURS: Final = ("handshaker.harness.networks.", "handshaker.harness.places")
"""The modules whose own calls are the peers', or put away what a server has left behind."""

_PROGRAMS: Final = {
    "subprocess.Popen": 1,
    "os.system": 0,
    "os.exec": 1,
    "os.posix_spawn": 1,
    "os.spawn": 2,
    "pty.spawn": 0,
}
_SENDING: Final = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_NAME_LOOKUPS: Final = {"socket.getaddrinfo", "socket.gethostbyname"}
_ADDRESS_LOOKUP: Final = "socket.gethostbyaddr"


class OutgoingRefused(PermissionError):
    """What a handler is given for traffic to another machine: the harness's doing, not the handler's."""

    __handshaker_injected__ = True


class LookupRefused(socket.gaierror):
    """What a handler is given for a host name or address that only other machines could look up."""

    __handshaker_injected__ = True


class SideEffects:
    """The switch of the installed hook: what happens while `armed` is recorded, or refused."""

    __slots__ = ("_record", "_seen", "armed")

    def __init__(self, record: Callable[[str, str], None]) -> None:
        self.armed = False
        self._record = record
        self._seen: dict[str, set[str]] = {}

    def hear(self, flat: list[Any]) -> None:
        """Record what a handler did in another process, as the flat list of events that came from there tells it."""
        for at, what in enumerate(flat[::2]):
            if what[0] == "probe.side-effect":
                self._note(what[2], flat[2 * at + 1])

    def _note(self, action: str, detail: str) -> None:
        seen = self._seen.setdefault(action, set())
        detail = detail if len(detail) <= _DETAIL_CHARACTERS else detail[:_DETAIL_CHARACTERS] + "..."
        if detail in seen or len(seen) >= MOST_DETAILS:
            return
        seen.add(detail)
        self.armed = False  # what the recorder does is our own doing
        try:
            self._record(action, detail)
        finally:
            self.armed = True

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._open(args[0], args[2])
        elif event in _PATHS:
            self._path(event, args)
        elif event in _PROGRAMS:
            self._note("starts a program", _words(args[_PROGRAMS[event]]))
        elif event in _SENDING:
            self._send(*args)
        elif event in _NAME_LOOKUPS:
            if not _is_number(args[0]):
                self._look_up(args[0])
        elif event == _ADDRESS_LOOKUP:
            self._look_up(args[0])

    def _open(self, path: Any, flags: int) -> None:
        if flags & _WRITING and not isinstance(path, int) and path != os.devnull:
            self._touch("writes a file", _name(path))

    def _path(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename":
            self._touch(_PATHS[event], f"{_name(args[0])} -> {_name(args[1])}")
        elif event == "os.remove" and args[1] < 0 and (_is_ours() or _makes_room(args[0])):
            return
        elif event in _REMOVALS and args[1] >= 0:
            self._touch(_PATHS[event], _within(args[1], _name(args[0])))
        else:
            self._touch(_PATHS[event], _name(args[0]))

    def _touch(self, action: str, path: str) -> None:
        if "__pycache__" not in path and not in_a_place(path) and not _looks_for_a_folder():
            self._note(action, path)  # not Python's own doing, and not ours

    def _send(self, sock: socket.socket, address: Any) -> None:
        if address is None:
            return
        if sock.family in _LOCAL_FAMILIES:
            name = _name(address)
            if not in_a_place(name) and not _AUTOBOUND.fullmatch(name) and not _is_ours():
                self._note("connects to a local service", name)
        elif sock.family not in _IP_FAMILIES or not _is_here(address[0]):
            self._note("connects to another machine (refused)", _place(address))
            raise OutgoingRefused(
                errno.EPERM, f"handshaker refuses connections to other machines while it tests: {_place(address)}"
            )

    def _look_up(self, host: Any) -> None:
        if host is not None and not _is_here(host):
            self._note("looks up a host (refused)", _name(host))
            raise LookupRefused(
                socket.EAI_FAIL, f"handshaker refuses to look up other machines while it tests: {_name(host)}"
            )


def watch_side_effects(record: Callable[[str, str], None]) -> SideEffects:
    """Install the hook, unarmed; *record* is called with (action, detail), once for each that is new.

    Both are words to show a person: ("writes a file", "/tmp/upload.bin"). To be called once in a process.
    """
    effects = SideEffects(record)
    audit = effects._audit

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if effects.armed:
            audit(event, args)

    sys.addaudithook(hook)
    return effects


def _looks_for_a_folder() -> bool:
    """Whether the module tempfile tries out where it may write, once in a process, under a name it makes up."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_FRAMES_MAX):
        if frame is None:
            return False
        if frame.f_code.co_name == "_get_default_tempdir":
            return True
        frame = frame.f_back
    return False


def _is_ours() -> bool:
    """Whether the call that is heard of stands in a module of ours, and not in the handler or in what it calls."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).startswith(_OURS)


def _makes_room(path: Any) -> bool:
    """Whether a server removes its socket file as it is made or closed: a stale one, its own, or one that is gone."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        is_socket = True  # nothing is there
    frame: FrameType | None = sys._getframe(1) if is_socket else None
    for _ in range(_DEEP_FRAMES_MAX):
        if frame is None:
            return False
        if frame.f_code.co_name in _TENDING or frame.f_code.co_qualname in _TENDING:
            return True
        frame = frame.f_back
    return False


def _within(folder: int, path: str) -> str:
    try:
        return f"{os.readlink(f'/dev/fd/{folder}')}/{path}"  # noqa: PTH115 - only a name is wanted
    except OSError:
        return path


def _name(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)


def _words(command: Any) -> str:
    return " ".join(map(_name, command)) if isinstance(command, (list, tuple)) else _name(command)


def _place(address: Any) -> str:
    return ":".join(map(_name, address[:2])) if isinstance(address, tuple) else _name(address)


def _is_number(host: Any) -> bool:
    try:
        ipaddress.ip_address(_name(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _is_here(host: Any) -> bool:
    """Whether *host* is this machine: its own name for itself, a loopback address, or the address of "any"."""
    name = _name(host).lower()
    if name in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
