"""Inside the house: the connections that the server accepts there, and which peer each one belongs to.

Who has connected is told through the *gate*: as soon as a peer has connected, and before the next one does, the house
is told its number and its address. Over IP the address decides; over Unix sockets clients have none, so there the order
decides, which the kernel keeps. A connection is accepted when the early Steps of its peer have been played.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import termios
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from handshaker.harness.case import Case
from handshaker.harness.eventlog import EventLog, LogRecorder
from handshaker.harness.networks.board import IN_RECV, IN_SEND, Board, Guest
from handshaker.harness.networks.bounds import EVENTS_MAX, stop
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.house import CORNERED, Door, kill_children
from handshaker.harness.networks.live import LiveSocket
from handshaker.harness.networks.loopback import named
from handshaker.harness.networks.peers import SMALL_BUFFER_BYTES
from handshaker.harness.recorder import RUN, ConcurrentRun
from handshaker.harness.transports import TRANSPORTS

__all__ = ["HouseSocket", "Inside", "ParentsCopy"]

_Kernel: Any = socket.SocketType
_STRANGER_S: Final = 0.25
_SLICE_S: Final = 0.05


class HouseSocket(LiveSocket):
    """The request socket of a server that lives in a house: what it does is noted on the board as well."""

    def __init__(self, descriptor: int, guest: Guest, log: EventLog) -> None:
        socket.socket.__init__(self, fileno=descriptor)
        if guest.small_buffers:
            _Kernel.setsockopt(self, socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
        self._peer: Any = guest
        self._log = log
        self._barren = 0
        self._begin(guest.number)
        guest.tallies = self._tallies

    def _read(self, size: int, flags: int) -> bytes:
        self._bound_events()
        try:
            data = super()._read(size, flags)
        except ConnectionError:
            self._peer.told = True
            raise
        if not data and size:
            self._peer.told = True
        return data

    def _write(self, data: memoryview, *, whole: bool) -> int:
        self._bound_events()
        return super()._write(data, whole=whole)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Hand over as many bytes as there is room for; it is told as of the moment before anybody can have them."""
        with self._log.as_it_begins():
            return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Hand over all of *data* or raise; told likewise."""
        with self._log.as_it_begins():
            super().sendall(data, flags)

    def _bound_events(self) -> None:
        if self._log.count > EVENTS_MAX:
            stop("network.limit", self.number, "events")

    def _while_waiting(self, operation: str, call: Callable[..., Any], *arguments: Any) -> Any:
        if RUN.connection != self.number:
            return call(self, *arguments)  # another thread of the handler: it says nothing about the handler itself
        reads = call is _Kernel.recv
        patience = self._patience(socket.SO_RCVTIMEO if reads else socket.SO_SNDTIMEO)
        self._peer.begin_waiting(IN_RECV if reads else IN_SEND, patience)
        try:
            return call(self, *arguments)
        finally:
            self._peer.end_waiting()

    def _release(self) -> None:
        self._peer.unread = _has_unread(_Kernel.fileno(self))
        _Kernel.close(self)
        self._peer.released = True

    def become_copy(self) -> None:
        """After a fork, in the parent: from here on this is only a copy of the child's connection."""
        self._released = True
        self.__class__ = ParentsCopy  # type: ignore[assignment]


class ParentsCopy(socket.socket):
    """What a forking parent holds of the connection that its child serves: a plain socket that nobody records."""

    was_shut = False

    @property
    def is_open(self) -> bool:
        """Whether the parent still holds the descriptor."""
        return bool(_Kernel.fileno(self) >= 0)

    def shutdown(self, how: int, /) -> None:
        """Shut down what is the child's to shut down; that fails where the child has been faster."""
        self.was_shut = True
        super().shutdown(how)


def _has_unread(descriptor: int) -> bool:
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder) > 0
    except OSError:
        return False


class _Caller:
    """Who has connected and was not accepted yet."""

    __slots__ = ("address", "number", "ready", "small_buffers")

    def __init__(self, number: int, address: Any, small_buffers: bool) -> None:
        self.number, self.address, self.small_buffers = number, address, small_buffers
        self.ready = False


class _Gate:
    """Who stands there, in the order of connecting."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._callers: list[_Caller] = []

    def first(self) -> _Caller | None:
        """The peer that has waited longest; None when none waits."""
        self._hear(0.0 if self._callers else _STRANGER_S)
        return self._callers[0] if self._callers else None

    def let_in(self, address: Any, limit_s: float) -> _Caller | None:
        """The peer with this *address* (without one: the first), once it is ready; None for a stranger."""
        caller = self._awaited(address)
        if caller is None:
            return None
        deadline = time.monotonic() + limit_s
        while not caller.ready and time.monotonic() < deadline:
            self._hear(_SLICE_S)
        self._callers.remove(caller)
        return caller

    def callers(self) -> list[tuple[int, Any]]:
        """Number and address of everybody who has come since it was asked last."""
        self._hear(0.0)
        callers, self._callers = self._callers, []
        return [(caller.number, caller.address) for caller in callers]

    def _awaited(self, address: Any) -> _Caller | None:
        deadline = time.monotonic() + _STRANGER_S
        while True:
            self._hear(0.0)
            found = next((each for each in self._callers if not address or each.address == address), None)
            if found is not None or time.monotonic() > deadline:
                return found
            self._hear(_SLICE_S)

    def _hear(self, seconds: float) -> None:
        while self._door.poll(seconds):
            seconds = 0.0
            message = self._door.receive()
            if message is None:
                return
            kind, number, *told = message
            if kind == "connected":
                self._callers.append(_Caller(number, *told))
            else:
                for caller in self._callers:
                    caller.ready = caller.ready or caller.number == number


class Inside:
    """The network as the server in the house has it: listener, accepted connections, and what they leave behind."""

    def __init__(self, case: Case, address: Any, log: EventLog, board: Board, gate: Door, limit_s: float) -> None:
        self.address = address
        self._case = case
        self._log = log
        self._board = board
        self._gate = _Gate(gate)
        self._limit_s = limit_s
        self._guests: list[Guest] = []
        self.listener: Any = None

    def move_in(self) -> None:
        """From here on this process is the house: events go to the log, time is real, each thread has a connection."""
        CLOCK.virtual = False
        RUN.__class__ = ConcurrentRun
        RUN.connection = -1
        RUN.recorder = LogRecorder(self._log)
        RUN.emit = RUN.recorder.emit
        RUN.unstoppable = _end_house

    def listen(self, listener: Any) -> None:
        """Let the peers of this Case connect to *listener*."""
        listener.network = self
        self.listener = listener

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept whoever waits longest. Who is no peer gets a plain socket."""
        first = self._gate.first()
        if first is not None:
            RUN.connection = first.number
            if RUN.hardships is not None:
                RUN.hardships.strike("get_request")
        descriptor, address = self.listener.take()
        caller = self._gate.let_in(address, self._limit_s)
        if caller is None:
            RUN.connection = -1
            return socket.socket(fileno=descriptor), address
        return self._accepted(caller, descriptor, address), address

    def _accepted(self, caller: _Caller, descriptor: int, address: Any) -> HouseSocket:
        RUN.connection = caller.number
        guest = Guest(self._board, caller.number, address, small_buffers=caller.small_buffers)
        sock = HouseSocket(descriptor, guest, self._log)
        self._guests.append(guest)
        kind = TRANSPORTS[self._case.transport]
        names = socket.AddressFamily(kind.family).name, socket.SocketKind(kind.type).name
        told = (sock.gettimeout(), False, named(sock, address))
        RUN.emit((("socket.accepted", caller.number, *names, *told), None))
        guest.row.accepted = True
        self._board.wake()
        return sock

    def as_it_begins(self) -> AbstractContextManager[None]:
        """What this thread writes down within happened when that began."""
        return self._log.as_it_begins()

    @property
    def served(self) -> int:
        """How many connections were accepted."""
        return sum(row.accepted for row in self._board.rows)

    def is_over(self, number: int) -> bool:
        """Whether the server has done with request *number*."""
        return number < len(self._board.rows) and bool(self._board.rows[number].over)

    def request_over(self, number: int, *, gone: bool) -> None:
        """The server has done with request *number*; whether the thread or child that had it is *gone*, too."""
        if 0 <= number < len(self._board.rows):
            row = self._board.rows[number]
            row.over, row.gone = True, gone
            self._board.wake()

    @staticmethod
    def kill_children() -> None:
        """Kill and reap all processes that the server has started, at whatever distance."""
        kill_children()

    def note_files(self, number: int = -1) -> None:
        """Write down how the file objects of connection *number* (-1: of all) ended; for each once."""
        for guest in self._guests:
            if number in (-1, guest.number):
                tallies, guest.tallies = list(guest.tallies), []
                for tally in tallies:
                    pending = tally.accepted - tally.passed_on
                    RUN.emit((("socket.file-end", guest.number, tally.mode, pending > 0, tally.closed), pending))


def _end_house() -> None:
    """A handler swallows every stop: nothing raised in it could end it."""
    os._exit(CORNERED)
