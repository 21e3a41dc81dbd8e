"""Recording a server that serves several requests at once: which thread or child has which request, and what is left.

For servers that live in a house (`hosting_apart`). Each thread has its own connection (`ConcurrentRun`); every hook
that is given a request sets that of its thread, so it is right also where a user's own pool of threads calls
finish_request(). The rules are those of `instrument_server`: events are added, nothing else is changed.

After a fork the parent's copy of the connection is no connection any more: what the parent does with it is told by
`parent.hook` and `probe.parent-copy` only. A child that comes back from process_request() is written down and ended.
"""

from __future__ import annotations

import os
from typing import Any

from handshaker.harness.recorder import HERE, RUN
from handshaker.targets.instrument import latest_birth
from handshaker.targets.instrument_server import TracedServer, placed_before
from handshaker.targets.watching import DOING, ESCAPED, WATCH, end_child

__all__ = ["TracedBeside", "instrument_beside"]


class TracedBeside:
    """Placed before a recorded server's class: lets each thread know its connection, and watches what it starts."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Swallow the subject's own `__init_subclass__`."""

    def fileno(self) -> Any:
        """The descriptor of the server; the loop asks for it before its first turn."""
        if WATCH.entered_early:
            _enter()
        return super().fileno()  # type: ignore[misc]

    def get_request(self) -> Any:
        """Accept, in a thread that serves nobody now."""
        _enter()
        WATCH.release_clock()
        RUN.connection = -1
        result = super().get_request()  # type: ignore[misc]
        if isinstance(result, tuple) and result:
            WATCH.remember(result[0])
        return result

    def verify_request(self, request: Any, client_address: Any) -> Any:
        """Decide about *request*."""
        WATCH.place(request)
        return super().verify_request(request, client_address)  # type: ignore[misc]

    def process_request(self, request: Any, client_address: Any) -> Any:
        """Have *request* served, in this thread, another one, or a child."""
        number = WATCH.place(request)
        DOING.processing, DOING.forked, DOING.request = number, False, request
        process = os.getpid()
        try:
            result = super().process_request(request, client_address)  # type: ignore[misc]
        except BaseException:
            WATCH.release_clock()
            raise
        finally:
            DOING.processing, DOING.request = -1, None
            if os.getpid() != process:
                RUN.emit((("process.escaped", number, number + 1), None))
                end_child(ESCAPED)
            if DOING.forked:
                _note_copy(request, number)
        return result

    def finish_request(self, request: Any, client_address: Any) -> Any:
        """Have the handler serve *request*, here and now."""
        number = WATCH.place(request)
        before, DOING.processing = DOING.processing, -1  # what the handler starts is no affair of the server
        RUN.emit((("request.runs", number, RUN.thread(), WATCH.process), None))
        try:
            return super().finish_request(request, client_address)  # type: ignore[misc]
        finally:
            DOING.processing = before
            _note_birth()

    def shutdown_request(self, request: Any) -> Any:
        """End *request*."""
        number = WATCH.place(request)
        if DOING.forked and os.getpid() == WATCH.house:
            RUN.emit((("parent.hook", number, "shutdown_request"), None))
            return super(TracedServer, self).shutdown_request(request)  # type: ignore[misc]
        try:
            return super().shutdown_request(request)  # type: ignore[misc]
        finally:
            if number not in WATCH.handed_over:
                WATCH.over(number)

    def close_request(self, request: Any) -> Any:
        """Give *request* back; after a fork, the parent's copy of it."""
        number = WATCH.place(request)
        if DOING.forked and os.getpid() == WATCH.house:
            RUN.emit((("parent.hook", number, "close_request"), None))
            return super(TracedServer, self).close_request(request)  # type: ignore[misc]
        WATCH.numbers.pop(id(request), None)
        return super().close_request(request)  # type: ignore[misc]

    def service_actions(self) -> Any:
        """One turn of the loop is over."""
        _enter()
        RUN.connection = -1
        dead = WATCH.zombies() if WATCH.children else set()
        result = super().service_actions()  # type: ignore[misc]
        WATCH.release_clock()
        if WATCH.children or dead:
            WATCH.note_children("turn", dead)
        if WATCH.service is not None:
            WATCH.service()
        return result

    def handle_timeout(self) -> Any:
        """No request came."""
        dead = WATCH.zombies()
        result = super().handle_timeout()  # type: ignore[misc]
        if WATCH.forked:
            WATCH.note_children("timeout", dead)
        return result

    def server_close(self) -> Any:
        """The end of the server."""
        dead = WATCH.zombies()
        try:
            return super().server_close()  # type: ignore[misc]
        finally:
            if WATCH.forked and os.getpid() == WATCH.house:
                WATCH.note_children("closed", dead)


def _note_birth() -> None:
    """Tell the class of the first handler that an opaque callable has made; nothing else tells it."""
    born, tell = latest_birth(), WATCH.born
    if born is not None and tell is not None:
        WATCH.born = None
        tell("born", born.__module__, born.__qualname__)


def _enter() -> None:
    """The loop has begun, in this thread; who waits for that is told, once."""
    entered, WATCH.entered = WATCH.entered, None
    if entered is not None:
        entered()


def _note_copy(request: Any, number: int) -> None:
    DOING.forked = False
    if hasattr(request, "was_shut"):
        RUN.emit((("probe.parent-copy", number, request.is_open, request.was_shut), None))


def instrument_beside(server: Any) -> Any:
    """The same, already recorded server object; from now on each of its threads has a connection of its own."""
    HERE.number = 0
    return placed_before(server, TracedBeside)
