"""Where a server listens: an address of its transport that nobody else uses, and what must be cleaned up after it.

Ports are chosen by the kernel. A Unix server leaves its socket file behind, and a path may be 107 bytes long, so each
gets a short folder of its own, which is removed with all that is in it. These folders lie in one room of the process,
which goes with its last user, or when the process ends. The name of the room tells whose it is: what a killed process
has left behind is removed by the process that reaps it, or by the next one that needs a room. A forked child removes
nothing of its parent's.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from handshaker.harness.transports import TRANSPORTS

__all__ = [
    "NOWHERE",
    "PATH_BYTES_MAX",
    "Place",
    "in_a_place",
    "keep_room",
    "remove_socket_file",
    "remove_socket_path",
    "shown_address",
    "sweep",
]

PATH_BYTES_MAX: Final = 107
"""The longest path of a Unix socket (Linux, `sun_path` without its final NUL)."""

NOWHERE: Final = "/handshaker/server"
"""The path of a Unix server in memory: no file is made for it."""

_HOSTS: Final[dict[int, str]] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PREFIX: Final = "hs-"
_ROOM_BYTES: Final = 40
_IN_MEMORY: Final = "/dev/shm"  # noqa: S108 - on a disk, making and removing a folder takes longer than a whole Case
_FOLDER: Final = re.compile(rf"{_PREFIX}(\d+)-\w+")


class Place:
    """One address over *transport*, free to listen on. A context manager: `close` removes what was made for it.

    Without *files* nothing is made: a path is then only a name, for servers in memory.
    """

    __slots__ = ("_beside", "_folder", "_room", "address")

    def __init__(self, transport: str, *, files: bool = True) -> None:
        row = TRANSPORTS[transport]
        self._folder = ""
        self._beside: list[str] = []
        self.address: Any = (_HOSTS[row.family], 0) if not row.unix else NOWHERE
        if row.unix and files:
            self._room = _room()
            self._folder = self._room.new_folder()
            self.address = f"{self._folder}/server"

    @property
    def folder(self) -> str:
        """The folder of a Unix place, for sockets beside the server's; "" when it has none."""
        return self._folder

    def beside(self, name: str) -> str:
        """The path of a socket file beside the server's."""
        path = f"{self._folder}/{name}"
        self._beside.append(path)
        return path

    def close(self) -> None:
        """Remove the folder, with all socket files in it; once, and only in the process that has made it."""
        folder, self._folder = self._folder, ""
        if folder and self._room.owner == os.getpid():
            self._room.remove_folder(folder, (self.address, *self._beside))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


@functools.cache
def _top() -> str:
    """A folder for temporary files whose path is short enough; swept once in a process.

    It is the one that TMPDIR names, else one in memory, if there is one.
    """
    tops = (os.environ.get("TMPDIR", ""), _IN_MEMORY, tempfile.gettempdir())
    short = [top for top in tops if top and len(os.fsencode(top)) + _ROOM_BYTES <= PATH_BYTES_MAX]
    top = next((top for top in short if os.access(top, os.W_OK | os.X_OK)), "/tmp")  # noqa: S108
    _sweep(top)
    return top


class _Room:
    """The folder of one process, in which each Place has one of its own."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._path = ""
        self._numbers = itertools.count()
        self._places = 0
        self.keepers = 0

    def new_folder(self) -> str:
        """An empty folder."""
        if not self._path:
            self._path = tempfile.mkdtemp(prefix=f"{_PREFIX}{self.owner}-", dir=_top())
        folder = f"{self._path}/{next(self._numbers):x}"
        os.mkdir(folder, 0o700)  # noqa: PTH102 - a server is made and removed for every Case
        self._places += 1
        return folder

    def remove_folder(self, folder: str, files: Iterable[str]) -> None:
        """Remove *folder*, in which there are these *files*, if nobody has removed them, and perhaps more."""
        self._places -= 1
        for path in files:
            try:  # noqa: SIM105 - contextlib.suppress takes twice as long
                os.unlink(path)  # noqa: PTH108
            except OSError:
                pass  # never made, or removed already
        try:
            os.rmdir(folder)  # noqa: PTH106
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
        self.leave()

    def leave(self) -> None:
        """Remove the room when nobody is in it any more."""
        if not (self._places or self.keepers):
            self.remove()

    def remove(self) -> None:
        """Remove the room, if it is this process's."""
        if self._path and self.owner == os.getpid():
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = ""


_rooms: Final[dict[int, _Room]] = {}


def _room() -> _Room:
    """The room of this process; a forked child has another one than its parent."""
    owner = os.getpid()
    if owner not in _rooms:
        _rooms[owner] = _Room()
    return _rooms[owner]


@contextlib.contextmanager
def keep_room() -> Iterator[None]:
    """While the block lasts, the folder in which the folders are made stays, once it is there: many will be made."""
    room = _room()
    room.keepers += 1
    try:
        yield
    finally:
        room.keepers -= 1
        room.leave()


@atexit.register
def _leave_for_good() -> None:
    for room in _rooms.values():
        room.remove()


def sweep() -> None:
    """Remove what processes that are gone have left behind, where those of this process lie."""
    _sweep(_top())


def in_a_place(path: str) -> bool:
    """Whether *path* is the folder of a Place, of whatever process, or lies in one."""
    return _PREFIX in path and any(map(_FOLDER.fullmatch, path.split("/")))


def _sweep(top: str) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(top):
            found = _FOLDER.fullmatch(entry.name)
            if found and entry.is_dir(follow_symlinks=False) and not Path(f"/proc/{found[1]}").exists():
                shutil.rmtree(entry.path, ignore_errors=True)


def remove_socket_file(listener: socket.socket) -> None:
    """Remove the file that a Unix server socket was bound to, if that file exists and is a socket."""
    with contextlib.suppress(OSError):
        path = listener.getsockname() if listener.family == socket.AF_UNIX else ""
        if isinstance(path, str) and path:
            remove_socket_path(path)


def remove_socket_path(path: str) -> None:
    """Remove the socket file *path*; anything else there is left alone."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)  # noqa: PTH108


def shown_address(address: Any) -> str:
    """An address as a person reads it: host:port, a path, @name for an abstract one, and words for none."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if isinstance(address, bytes):
        return "@" + address.lstrip(b"\0").decode(errors="backslashreplace")
    return str(address) if address else "(no address)"
