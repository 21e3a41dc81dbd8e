"""Recording what a server's own methods do, from its constructor to its close: for servers that live in the house.

The house (`hosting_apart`) runs a server as its owner would, with the server's real class, in real time and in a
process of its own. There every call may cost what it likes; the servers of the memory network never come here. The
rules are those of `instrument_server`: a subclass that adds events and changes nothing else. A server is recorded from
the moment its constructor reaches `BaseServer.__init__`, so that what happens while it binds is seen as well.

A loop turns for ever, and a broken one turns a thousand times in a second. So turns are counted: service_actions() is
written down for the first turn of a loop and for each turn after a request, failing accepts only a few times in a row,
and idle turns once, if they were too many.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import SOCK_STREAM
from typing import Any, Final

from handshaker.harness.recorder import RUN
from handshaker.targets.bases import bases
from handshaker.targets.instrument import emit_raise
from handshaker.targets.instrument_server import TracedServer, placed_before, users_place, without_waiting
from handshaker.targets.owner_probes import (
    allow_descriptors,
    forbid_descriptors,
    is_open,
    said_by_fileno,
    still_bound,
)

__all__ = ["TracedOwner", "construct", "instrument_owner"]

_FAILING_ACCEPTS_MAX: Final = 20
_IDLE_TURNS_MAX: Final = 200
_IDLE_TURNS_PER_S_MAX: Final = 1_000


class _Here(threading.local):
    """What the current thread is doing with the server: how deep it is in the loop, and in a request."""

    def __init__(self) -> None:
        self.serving = 0
        self.handling = 0


class _Turns:
    """The turns of one loop: how many, how many took a request, and how many accepts have failed in a row."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.count = 0
        self.requests = 0
        self.failing = 0
        self.news = True  # nothing was written down about a turn since the loop began, or since the last request
        self._told = False

    def turn(self) -> None:
        """The loop has turned once more; now and then that is looked at."""
        self.count += 1
        if self.count % _IDLE_TURNS_PER_S_MAX == 0:
            self.note_excess()

    def note_excess(self) -> None:
        """Write down, once, how often the loop turned with nothing to do, if that is more than any wait allows."""
        idle = self.count - self.requests
        allowed = _IDLE_TURNS_MAX + int(_IDLE_TURNS_PER_S_MAX * (time.monotonic() - self.began))
        if idle > allowed and not self._told:
            self._told = True
            RUN.emit((("server.turned", -1, idle // 10, allowed // 10), None))


class _State:
    """What is known about one server beside its own attributes."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.here = _Here()
        self.loops = 0
        self.turns = _Turns()
        self.bound: tuple[Any, int, int] | None = None
        self.constructing = False
        self.handling: dict[int, bool] = {}  # the threads that handle a request, and whether they are daemons


class TracedOwner(TracedServer):
    """Placed before the server's class: writes down its own methods beside its hooks."""

    def server_bind(self) -> Any:
        """Write down the binding, or let it fail."""
        result = _recorded("server_bind", super().server_bind, fault=True)  # type: ignore[misc]
        sock: Any = getattr(self, "socket", None)
        if is_open(self):
            _state(self).bound = sock.getsockname(), sock.family, sock.type
        return result

    def server_activate(self) -> Any:
        """Write down the activation, or let it fail."""
        return _recorded("server_activate", super().server_activate, fault=True)  # type: ignore[misc]

    def serve_forever(self, *arguments: Any, **options: Any) -> Any:
        """Write down the loop from its start to its end, and count its turns."""
        state = _state(self)
        turns = state.turns = _Turns()
        serve = functools.partial(super().serve_forever, *arguments, **options)  # type: ignore[misc]
        with _deeper(state.here, "serving"):
            state.loops += 1
            try:
                return _recorded("serve_forever", serve, before_end=turns.note_excess)
            finally:
                state.loops -= 1

    def handle_request(self) -> Any:
        """Write down the one turn, and how long it may wait."""
        state = _state(self)
        if not state.loops:
            state.turns = _Turns()
        with _deeper(state.here, "serving"):
            return _recorded("handle_request", super().handle_request, _patience(self))  # type: ignore[misc]

    def handle_timeout(self) -> Any:
        """Write down that no request came."""
        return _recorded("handle_timeout", super().handle_timeout)  # type: ignore[misc]

    def service_actions(self) -> Any:
        """Count the turn, and write it down when it is the first one or the first after a request."""
        turns = _state(self).turns
        turns.turn()
        told, turns.news = turns.news, False
        return _recorded("service_actions", super().service_actions, fault=True, told=told)  # type: ignore[misc]

    def get_request(self) -> Any:
        """Write down the accepting of a request; of those that fail in a row, the first few."""
        turns = _state(self).turns
        told = turns.failing < _FAILING_ACCEPTS_MAX
        try:
            with _exhaustible(self):
                result = super().get_request() if told else super(TracedServer, self).get_request()  # type: ignore[misc]
        except BaseException:
            turns.failing += 1
            raise
        if not told:
            RUN.emit((("get_request.enter", -1), None))
            RUN.emit((("get_request.leave", RUN.connection), ""))
        turns.failing = 0
        turns.requests += 1
        turns.news = True
        return result

    def finish_request(self, request: Any, client_address: Any) -> Any:
        """Keep in mind that this thread handles a request."""
        state, thread = _state(self), threading.current_thread()
        with _deeper(state.here, "handling"):
            state.handling[threading.get_ident()] = thread.daemon
            try:
                return super().finish_request(request, client_address)
            finally:
                state.handling.pop(threading.get_ident(), None)

    def shutdown(self) -> Any:
        """Write down who wants the loop to end; the loop itself, and a child without one, would wait for ever."""
        state = _state(self)
        caller = "child" if os.getpid() != state.process else "serving" if state.here.serving else "other"
        number = _number(state)
        shutdown = super(TracedServer, self).shutdown  # type: ignore[misc]
        if caller != "other":
            # A thread beside the handler of a child ends with the child, whatever it waits for.
            shutdown = functools.partial(without_waiting, self, shutdown, stuck=caller == "serving" or number >= 0)
        place = "" if caller == "other" else users_place()
        return _recorded("shutdown", shutdown, caller, number=number, payload=place or None)

    def server_close(self) -> Any:
        """Write down the end of the server, and what is left of it."""
        state = _state(self)
        close = super(TracedServer, self).server_close  # type: ignore[misc]
        result = _recorded("server_close", close, number=_number(state))
        if os.getpid() == state.process and not state.constructing:
            _note_handlers_running(self, state)
            _note_closed(self, state, "closed")
        return result

    def __enter__(self) -> Any:
        entered = super().__enter__()  # type: ignore[misc]
        RUN.emit((("server.entered", -1, entered is self), None))
        return entered

    def __exit__(self, *exc_info: object) -> Any:
        result = super().__exit__(*exc_info)  # type: ignore[misc]
        _note_closed(self, _state(self), "exited")
        return result


def _state(server: Any) -> _State:
    state: _State | None = server.__dict__.get("_handshaker_owner_")
    if state is None:
        state = server.__dict__["_handshaker_owner_"] = _State()
    return state


def _number(state: _State) -> int:
    """The connection whose handling this thread is in; -1 outside."""
    return RUN.connection if state.here.handling else -1


@contextmanager
def _deeper(here: _Here, what: str) -> Iterator[None]:
    setattr(here, what, getattr(here, what) + 1)
    try:
        yield
    finally:
        setattr(here, what, getattr(here, what) - 1)


def _recorded(
    name: str,
    call: Callable[[], Any],
    *fields: Any,
    number: int = -1,
    fault: bool = False,
    told: bool = True,
    payload: str | None = None,
    before_end: Callable[[], None] | None = None,
) -> Any:
    """Call, and write down that it begins and how it ends (unless all is well and nobody is to be *told*)."""
    if told:
        RUN.emit(((f"{name}.enter", number, *fields), payload))
    try:
        if fault and RUN.hardships is not None:
            RUN.hardships.strike(name)
        result = call()
    except BaseException as exception:
        if before_end is not None:
            before_end()
        emit_raise((f"{name}.raise", number), exception)
        raise
    if before_end is not None:
        before_end()
    if told:
        RUN.emit(((f"{name}.leave", number), None))
    return result


def _patience(server: Any) -> float | None:
    """How long handle_request() may wait: the smaller one of the socket's timeout and the server's own."""
    sock = getattr(server, "socket", None)
    waits = [sock.gettimeout() if sock is not None and is_open(server) else None, getattr(server, "timeout", None)]
    return min((float(seconds) for seconds in waits if seconds is not None), default=None)


@contextmanager
def _exhaustible(server: Any) -> Iterator[None]:
    """Within, the hardship `exhausted` is real: the process has no descriptor to give to an accepted connection.

    accept() asks for one first, and so fails at once. A datagram needs none, and nothing happens to it.
    """
    before, undo = RUN.exhaust, []
    stream = getattr(getattr(server, "socket", None), "type", None) == SOCK_STREAM
    RUN.exhaust = (lambda: undo.append(forbid_descriptors())) if stream else (lambda: None)
    try:
        yield
    finally:
        RUN.exhaust = before
        for limits in undo[:1]:
            allow_descriptors(limits)


# looking at the server


def _note_handlers_running(server: Any, state: _State) -> None:
    if isinstance(server, bases("ThreadingMixIn")):
        me = threading.get_ident()
        alive = {thread.ident for thread in threading.enumerate()}
        running = [ident for ident, daemon in list(state.handling.items()) if not daemon and ident != me]
        RUN.emit((("probe.handlers-running", -1, len(alive.intersection(running))), None))


def _note_closed(server: Any, state: _State, moment: str) -> None:
    RUN.emit((("server.listener", -1, moment, is_open(server), state.loops > 0), None))
    RUN.emit((("server.fileno", -1, moment, said_by_fileno(server)), None))
    if moment == "closed" and state.bound is not None:
        with suppress(OSError):  # there may be no descriptor to look with
            RUN.emit((("server.address-free", -1, not still_bound(*state.bound)), None))


# making and marking servers


def instrument_owner(server: Any) -> Any:
    """The same server object, its hooks and its own methods recorded from now on."""
    return placed_before(server, TracedOwner)


def construct(make: Callable[[Any], Any], address: Any) -> Any:
    """The server that *make* makes for *address*, recorded from its constructor on.

    Raises what *make* raises, after it was written down whether the socket of the unfinished server was left open.
    """
    born: list[Any] = []
    try:
        with _births_recorded(born):
            server = instrument_owner(make(address))
    except BaseException:
        for unfinished in born:
            RUN.emit((("server.listener", -1, "failed", is_open(unfinished), False), None))
        raise
    finally:
        for each in born:
            _state(each).constructing = False
    RUN.emit((("server.listener", -1, "constructed", is_open(server), False), None))
    return server


@contextmanager
def _births_recorded(born: list[Any]) -> Iterator[None]:
    """Within, servers become recorded ones as they reach the constructor that all have in common."""
    changed: list[tuple[Any, Any]] = []
    try:
        for name, wrapper in (("BaseServer", _born_here), ("TCPServer", _constructor)):
            for base in bases(name):
                if "__init__" in vars(base):
                    changed.append((base, base.__init__))  # type: ignore[misc]
                    base.__init__ = wrapper(base.__init__, born)  # type: ignore[misc]
        yield
    finally:
        for base, original in changed:
            base.__init__ = original


def _born_here(original: Any, born: list[Any]) -> Any:
    @functools.wraps(original)
    def init(server: Any, *arguments: Any, **options: Any) -> None:
        if not isinstance(server, TracedOwner):
            instrument_owner(server)
            _state(server).constructing = True
            born.append(server)
        original(server, *arguments, **options)

    return init


def _constructor(original: Any, _born: list[Any]) -> Any:
    @functools.wraps(original)
    def init(server: Any, *arguments: Any, **options: Any) -> None:
        _recorded("constructor", functools.partial(original, server, *arguments, **options))

    return init
