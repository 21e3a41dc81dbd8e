"""JSON values over a descriptor, one on each line.

A channel has one writing process at a time. A task gets a channel of its own: what is killed in the middle of a line
then spoils nobody else's.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

from handshaker.harness.errors import HarnessBug

__all__ = ["CHANNEL_LOST", "LineSplitter", "drain", "to_line", "write_all", "write_or_exit"]

CHANNEL_LOST = 97
"""The exit status of a child that can no longer be heard: its supervisor is gone, or the handler closed the channel."""

_CHUNK = 1 << 16


def to_line(value: object) -> bytes:
    """One line that `LineSplitter` turns back into an equal value."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*, blocking as long as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_or_exit(fd: int, data: bytes) -> None:
    """Write all of *data*, or end this process when nobody can hear it any more."""
    try:
        write_all(fd, data)
    except OSError:
        os._exit(CHANNEL_LOST)


class LineSplitter:
    """Collects bytes as they come and gives the values of the lines that are complete."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The values that *data* completes; raises HarnessBug for a line that is no JSON."""
        seen = len(self._rest)
        self._rest += data
        end = self._rest.rfind(b"\n", seen) + 1
        if not end:
            return []
        lines = bytes(self._rest[:end]).splitlines()
        del self._rest[:end]
        return [_from_line(line) for line in lines]


def _from_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise HarnessBug(f"a line between our processes is not JSON: {line[:80]!r}") from None


def drain(fd: int, splitter: LineSplitter, most_chunks: int | None = None) -> tuple[list[Any], bool]:
    """The values that can be read from the non-blocking *fd* now, and whether it has ended.

    With *most_chunks* it comes back also while a fast writer goes on writing.
    """
    values: list[Any] = []
    for _ in itertools.count() if most_chunks is None else range(most_chunks):
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            break
        if not data:
            return values, True
        values += splitter.feed(data)
    return values, False
