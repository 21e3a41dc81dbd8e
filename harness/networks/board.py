"""What the server's side of each connection is doing, in memory that all processes of a Case share.

A server that lives in a house of its own has its peers in another process. What those must know at once (has my
connection been accepted, has all that I sent been taken, does anybody wait for more) stands on this board: numbers, one
row for each connection, written by the process that serves it. Every change that somebody may wait for is followed by
`wake`, which makes `waked` readable.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable
from typing import Any, Final

__all__ = ["FOREVER", "IN_RECV", "IN_SEND", "Board", "Guest", "Row"]

_WORDS: Final = 16
_BYTES: Final = 8
IN_RECV, IN_SEND = 1, 2
FOREVER: Final = -1

_ACCEPTED, _TAKEN, _HANDED, _WAITS, _PATIENCE, _RELEASED, _UNREAD, _SHUT_RD, _SHUT_WR = range(9)
_TOLD, _OVER, _GONE, _STATE = range(9, 13)
_STATES: Final = ("open", "half-closed", "closed", "reset")


class Board:
    """The rows of all connections of one Case, and the bell that is rung when one of them changes."""

    def __init__(self, connections: int) -> None:
        self._memory = mmap.mmap(-1, max(connections, 1) * _WORDS * _BYTES)
        self._words = memoryview(self._memory).cast("q")
        self.waked = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.rows = [Row(self._words, number * _WORDS) for number in range(connections)]

    def wake(self) -> None:
        """Say that something has changed."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self.waked, 1)

    def sleep(self) -> None:
        """Take notice of all changes so far."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.waked)

    def close(self) -> None:
        """Give memory and bell back."""
        for row in self.rows:
            row.forget()
        if self.waked >= 0:
            os.close(self.waked)
            self.waked = -1
            self._words.release()
            self._memory.close()


def _word(index: int, sentence: str, kind: Callable[[int], Any] = int) -> Any:
    def read(row: Row) -> Any:
        return kind(row.words[row.start + index])

    def write(row: Row, value: int) -> None:
        row.words[row.start + index] = value

    return property(read, write, doc=sentence)


class Row:
    """One connection, as its server's side says."""

    __slots__ = ("start", "words")

    def __init__(self, words: memoryview, start: int) -> None:
        self.words: Any = words
        self.start = start

    accepted = _word(_ACCEPTED, "The server has accepted it.", bool)
    taken = _word(_TAKEN, "So many bytes of the peer have been taken.")
    handed = _word(_HANDED, "So many bytes have been handed over for the peer.")
    waits = _word(_WAITS, "A call waits: IN_RECV, IN_SEND, or 0 for none.")
    patience = _word(_PATIENCE, "How long that call waits, in milliseconds, or FOREVER.")
    released = _word(_RELEASED, "The server's side has given its descriptor back.", bool)
    unread = _word(_UNREAD, "It did so with input unread.", bool)
    shut_rd = _word(_SHUT_RD, "It has shut its receiving direction down.", bool)
    shut_wr = _word(_SHUT_WR, "It has shut its sending direction down.", bool)
    told = _word(_TOLD, "It has been told that the peer has ended the stream.", bool)
    over = _word(_OVER, "The server has done with the request.", bool)
    gone = _word(_GONE, "Its thread or child, if it had one of its own, has ended and was waited for.", bool)

    @property
    def state(self) -> str:
        """What the peer is like: open, half-closed, closed, reset. Written by the peer's side."""
        return _STATES[self.words[self.start + _STATE]]

    @state.setter
    def state(self, state: str) -> None:
        self.words[self.start + _STATE] = _STATES.index(state)

    def forget(self) -> None:
        """Stay readable after the board is gone."""
        self.words, self.start = list(self.words[self.start : self.start + _WORDS]), 0


def _told_on(name: str, *, wakes: bool = False) -> Any:
    def read(guest: Guest) -> Any:
        return getattr(guest.row, name)

    def write(guest: Guest, value: Any) -> None:
        setattr(guest.row, name, value)
        if wakes:
            guest.board.wake()

    return property(read, write, doc=f"`{name}` of its row on the board.")


class Guest:
    """A peer as the house sees it: what the request socket notes about it goes to the board."""

    __slots__ = ("address", "board", "number", "row", "small_buffers", "tallies")

    def __init__(self, board: Board, number: int, address: Any, *, small_buffers: bool) -> None:
        self.board, self.row = board, board.rows[number]
        self.number, self.address = number, address
        self.small_buffers = small_buffers
        self.tallies: list[Any] = []

    taken = _told_on("taken")
    handed = _told_on("handed")
    shut_rd = _told_on("shut_rd")
    shut_wr = _told_on("shut_wr", wakes=True)
    unread = _told_on("unread")
    released = _told_on("released", wakes=True)
    told = _told_on("told")
    state = _told_on("state")

    gone = False  # nobody here can see whether the peer is still there

    @property
    def player(self) -> Guest:
        """Who knows what the peer is like; itself."""
        return self

    def begin_waiting(self, operation: int, timeout: float | None) -> None:
        """The request socket is about to wait."""
        row = self.row
        row.patience = FOREVER if timeout is None else int(timeout * 1_000)
        row.waits = operation
        self.board.wake()

    def end_waiting(self) -> None:
        """It waits no longer."""
        self.row.waits = 0
