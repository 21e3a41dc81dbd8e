"""The network between a house and the crowd around it: kernel sockets between two processes, everything in real time.

The server lives in a house of its own (`house`, `inside`), its peers are played here (`crowd`). What both must know at
once stands on a board in shared memory; what both have to tell goes to one log and one list, which are merged by time
when the Case is over. Here is the conductor: it tells the house what the owner of the server does, lets the peers play,
and waits, always bounded and always for something that happens.
"""

from __future__ import annotations

import functools
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.case import Act, Case
from handshaker.harness.eventlog import EventLog, Moment, merge
from handshaker.harness.networks.board import Board
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.crowd import Crowd
from handshaker.harness.networks.crowd_datagrams import DatagramCrowd, datagrams_max
from handshaker.harness.networks.crowd_streams import StreamCrowd
from handshaker.harness.networks.house import CORNERED, Door, House, cpu_seconds
from handshaker.harness.networks.inside import Inside
from handshaker.harness.networks.inside_datagrams import DatagramsInside
from handshaker.harness.places import Place, remove_socket_path
from handshaker.harness.recorder import RUN, Emit
from handshaker.harness.transports import TRANSPORTS

__all__ = ["ApartNetwork"]

_START_S: Final = 10.0
_LAST_ACTS: Final = ("shutdown", "close")
_QUICK_S: Final = 0.1  # until then nobody asks how busy the house is, which takes a while
_BUSY_SHARE: Final = 0.1  # of one processor: an idle loop uses a few hundredths, a spinning one all that is left
_TAKEN_S: Final = 0.1
_PLAYING_S: Final = 60.0
_QUIET_ACT_S: Final = 1.0
_ACT_S: Final = 3.0
_AFTER_S: Final = 0.5
_STRAYS: Final = 16  # datagrams that no peer has sent, and the row of the socket itself
_REFUSED: Final = tuple(f"{cls.__module__}.{cls.__qualname__}" for cls in ConnectionRefusedError.__mro__[:-1])


class ApartNetwork:
    """One Case between a house and a crowd. *limit_s* bounds the wait for a handler."""

    def __init__(self, case: Case, *, limit_s: float) -> None:
        self.case = case
        self.log = EventLog()
        datagrams = TRANSPORTS[case.transport].datagram
        self.board = Board(2 * datagrams_max(case) + _STRAYS if datagrams else len(case.scripts))
        self.place = Place(case.transport)
        self._limit_s = limit_s
        self._thread = threading.get_ident()
        self._moments: list[Moment] = []
        self._gate, self._gate_inside = Door.pair()
        inside = DatagramsInside if datagrams else Inside
        self.inside = inside(case, self.place.address, self.log, self.board, self._gate_inside, limit_s)
        self._began_ns = 0
        self.messages: list[tuple[Any, ...]] = []
        """What the house has said through its door."""
        self._ended = False  # the serving loop has ended, or the house
        self._address: Any = None
        self.crowd: Crowd = (
            DatagramCrowd(case, self.board, self._gate.send, self.place.folder)
            if datagrams
            else StreamCrowd(case, self.board, self._gate.send)
        )
        self._finished = False

    @property
    def address(self) -> Any:
        """Where the server is to listen."""
        return self.place.address

    # in the process that plays the Case

    def host(self, live: Callable[[Door], None]) -> None:
        """Fork the house, which runs *live*, and play the Case around it until both are over."""
        CLOCK.virtual = False
        RUN.emit = self._note
        recorder = RUN.recorder
        assert recorder is not None
        self._began_ns = time.monotonic_ns()
        self._house = House(live)
        self._clocks = time.monotonic(), 0.0
        try:
            self._gate_inside.close()
            self.crowd.watch(self._house.door.fileno(), self._hear)
            self.crowd.watch(self._house.exit_fd, self._gone)
            self._conduct()
        finally:
            self._house.end()
        merge(recorder, self._moments, self.log.read(), self._began_ns)

    def _note(self, event: tuple[Any, Any]) -> None:
        if threading.get_ident() != self._thread:
            return  # a thread that a server has left in this process tells of an earlier life
        self._moments.append(Moment(self.crowd.stamp_ns or time.monotonic_ns(), *event))

    def _hear(self) -> None:
        message = self._house.door.receive()
        if message is None:
            self.crowd.unwatch(self._house.door.fileno())
            return
        self.messages.append(message)
        self._ended = self._ended or message[0] == "ended"

    def _gone(self) -> None:
        """The house has ended before it was asked to."""
        if self._house.reap() and not self._finished:
            status = self._house.status or 0
            self._ended = self._finished = True
            if status != CORNERED:
                told = f"exit {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
                RUN.emit((("probe.process-gone", -1, told), None))
        self.crowd.unwatch(self._house.exit_fd)

    def _told(self, *beginning: Any) -> tuple[Any, ...] | None:
        """The first message that begins so, if it has come."""
        return next((message for message in self.messages if message[: len(beginning)] == beginning), None)

    def _conduct(self) -> None:
        if not self.crowd.wait(lambda: self._told("ready") or self._told("failed") or self._finished, _START_S):
            self._stall("constructor")
            return
        ready = self._told("ready")
        if ready is None:
            return
        self._address = ready[1]
        if self.case.owner:
            for nth, act in enumerate(self.case.owner):
                self._perform(nth, act)
            self._end_acts()
        else:
            self._usual_life()
        self._take_leave()

    # the usual life

    def _usual_life(self) -> None:
        # The house serves by itself; what comes then it is told at once, so that it need not ask.
        self.crowd.wait(lambda: self._told("serving", -1) or self._ended, self._limit_s)
        self.crowd.connect_all(self._address, lambda: self._ended, self._limit_s)
        if not self._until_over():
            self._stall("handle")
            return
        for act in _LAST_ACTS:
            self._house.door.send("act", -1, act, 0.0)
        for act in _LAST_ACTS:
            if not self._wait(functools.partial(self._answered, -1, act)):
                self._stall(act)
                return

    def _until_over(self) -> bool:
        """Wait until every request is over; false when a handler does not come to an end."""
        crowd = self.crowd
        crowd.wait(lambda: self._finished or not crowd.playing(), _PLAYING_S)  # all that peers do is bounded
        while not self._is_over():
            self._wait(lambda: self._is_over() or crowd.at_rest())
            if not self._is_over() and not (crowd.at_rest() and crowd.give_up()):
                return False
        crowd.wait(self._is_done, _AFTER_S)
        return True

    def _is_over(self) -> bool:
        return self._finished or (self.crowd.over() if not self._ended else not list(self.crowd.hung()))

    def _is_done(self) -> bool:
        # Nobody will do with a request that was in a loop which has died.
        return self._finished or self._ended or self.crowd.done()

    def _answered(self, nth: int, act: str) -> Any:
        return self._told("done", nth, act) or self._finished

    def _wait(self, until: Callable[[], Any]) -> bool:
        """Wait for the house, and count what it uses of the processor unless it is quick."""
        if self.crowd.wait(until, _QUICK_S):
            return True
        self._look_at_the_clocks()
        return self.crowd.wait(until, self._limit_s - _QUICK_S)

    def _look_at_the_clocks(self) -> None:
        """From here on it is counted how much of the processor the house uses."""
        self._clocks = time.monotonic(), cpu_seconds(self._house.pid)

    def _stall(self, operation: str) -> None:
        """Something does not end: say what, and what all threads of the house were doing; the house dies of it."""
        if self._finished:
            return
        began, before = self._clocks
        busy = (cpu_seconds(self._house.pid) - before) / (time.monotonic() - began)
        kind = "network.spinning" if busy > _BUSY_SHARE else "network.stalled"
        stacks = self._stacks()
        hung = list(self.crowd.hung()) or list(self.crowd.unfinished())
        for number, waits, state in hung:
            told = ("network.stalled", number, waits) if waits else (kind, number, operation)
            RUN.emit(((*told, state), stacks))
        if not hung:
            RUN.emit(((kind, -1, operation, "open"), stacks))
        self.crowd.stamp_ns = 0
        self._finished = True

    def _stacks(self) -> str:
        """What all threads are doing. To be asked interrupts them: what follows is told as of the moment before."""
        self.crowd.stamp_ns = time.monotonic_ns()
        return self._house.stacks()

    # the owner's acts

    def _perform(self, nth: int, act: Act) -> None:
        if act.action in ("play", "begin"):
            self._play(nth, act)
            return
        self._house.door.send("act", nth, act.action, act.seconds)

        answered = functools.partial(self._answered, nth, act.action)
        if act.action == "serve":
            # A loop of another kind may never say that it turns; it is running all the same.
            self.crowd.wait(lambda: self._told("serving", nth) or answered(), _TAKEN_S)
        elif not self._bounded(answered, act.seconds):
            self._blocked(nth, act)

    def _play(self, nth: int, act: Act) -> None:
        began = time.monotonic()
        RUN.emit((("owner.enter", -1, act.action, nth), None))
        if not self.crowd.connect(act.peer, self._address):
            RUN.emit((("owner.raise", -1, act.action, nth, _REFUSED, False, ""), "nobody listens there"))
            return
        self.crowd.let_play(act.peer)
        if act.action == "begin" and self._told("serving") and not self._ended:
            # So that it has been taken, if anybody takes it.
            self.crowd.wait(lambda: self.crowd.at_rest() or self.crowd.is_served(act.peer), _TAKEN_S)
        if act.action == "play" and not self._bounded(lambda: self._finished or self.crowd.is_served(act.peer), 0.0):
            self._blocked(nth, act)
            return
        RUN.emit((("owner.leave", -1, act.action, nth, round(time.monotonic() - began, 1)), None))

    def _bounded(self, until: Callable[[], Any], seconds: float) -> bool:
        """Wait for an act: not long after the last thing has moved, nor after the peers have done their part."""
        slice_s = _QUIET_ACT_S + seconds
        waited_s = 0.0
        while waited_s < min(_ACT_S, self._limit_s) + seconds:
            size, cpu = self.log.size, cpu_seconds(self._house.pid)
            if self.crowd.wait(until, slice_s):
                return True
            if self.crowd.playing():
                continue  # all that peers do is bounded
            waited_s += slice_s
            still = self.crowd.quiet(_QUIET_ACT_S) and size == self.log.size
            if still and cpu_seconds(self._house.pid) - cpu < _BUSY_SHARE * slice_s:
                break
        return bool(until())

    def _blocked(self, nth: int, act: Act) -> None:
        RUN.emit((("owner.blocked", -1, act.action, nth), self._stacks()))
        self.crowd.stamp_ns = 0

    def _end_acts(self) -> None:
        """What was begun may come to its end, but nobody insists."""
        crowd = self.crowd
        crowd.wait(lambda: self._finished or (crowd.over() and crowd.done()) or crowd.at_rest(), _AFTER_S)

    # the end

    def _take_leave(self) -> None:
        if self._ended and (waiting := self.crowd.waiting()) and not self.case.owner:
            RUN.emit((("server.abandoned", -1, waiting), None))
        self.crowd.leave()
        if not self._finished:
            self._finished = True
            self._house.door.send("bye")
            self._house.reap(self._limit_s)

    def close(self) -> None:
        """Give everything of this Case back, whatever happened."""
        self.crowd.close()
        self.log.close()
        self.board.close()
        self._gate.close()
        self._gate_inside.close()
        if isinstance(self._address, str):
            remove_socket_path(self._address)  # a server may listen at a path of its own
        self.place.close()

    def finish(self, emit: Emit) -> None:
        """Tell *emit* how it ended for each peer."""
        self.crowd.finish(emit)
