"""A server's own loop in a thread, beside the thread that plays the peers: how it is begun, asked to end, and ended.

What a network adds is how its peers are played, what is told of a loop that does not end in time, and how its
connections are taken away from a handler that must be ended by force. Every wait is bounded.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from handshaker.harness.networks.bounds import Stopped
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.recorder import RUN, Emit, Recorder

__all__ = ["BUSY_SHARE", "QUIET_S", "SLICE_S", "ServedInThread", "stamped"]

QUIET_S: Final = 0.25
SLICE_S: Final = 0.002
BUSY_SHARE: Final = 0.2
"""Of one processor; a waiting handler uses next to nothing, whatever else the machine does."""

_GRACE_S: Final = 1.0


class ServedInThread(ABC):
    """A network whose server runs in a thread; `_over` is set when that thread has ended."""

    __slots__ = ()

    _limit_s: float
    _over: threading.Event

    @abstractmethod
    def _play_all(self) -> None:
        """Play all peers, in this thread."""

    @abstractmethod
    def _stall(self, busy: float) -> None:
        """Write down what did not end in time; *busy* is the share of a processor that it used."""

    @abstractmethod
    def _take_away(self) -> None:
        """Take from a handler that was stopped what it may be waiting for."""

    @abstractmethod
    def _account(self) -> None:
        """Write down who was left, when the loop is over."""

    def serve(self, serve_forever: Callable[[], None], shutdown: Callable[[], None]) -> None:
        """Run *serve_forever* in a thread, play all peers, and end it by *shutdown*, or by force when it must be."""
        owner, CLOCK.virtual = RUN.owner, False
        if RUN.recorder is not None:
            RUN.emit = stamped(RUN.recorder)
        thread = threading.Thread(target=self._run, args=(serve_forever,), name="handshaker-server", daemon=True)
        thread.start()
        try:
            self._play_all()
            if not RUN.stopped:
                self._shut_down(shutdown)
        finally:
            self._end(thread)
            RUN.owner = owner
        self._account()

    def _run(self, serve_forever: Callable[[], None]) -> None:
        RUN.owner, RUN.threads = threading.get_ident(), threading.active_count()
        try:
            serve_forever()
        except Stopped:
            pass  # it has done its work
        finally:
            RUN.owner = 0  # the next thread may be given this one's number
            self._over.set()

    def _shut_down(self, shutdown: Callable[[], None]) -> None:
        def ask() -> None:
            with contextlib.suppress(Exception):
                shutdown()

        if self._over.is_set():
            return
        asking = threading.Thread(target=ask, name="handshaker-shutdown", daemon=True)
        asking.start()
        began, busy = time.monotonic(), time.process_time()
        if self._over.wait(self._limit_s):
            asking.join(_GRACE_S)
        else:
            self._stall((time.process_time() - busy) / (time.monotonic() - began))

    def _end(self, thread: threading.Thread) -> None:
        """End what was stopped: what it waits for comes first, then an exception, at last the end of the process."""
        if RUN.stopped and not self._over.wait(0):
            self._take_away()
            if not self._over.wait(_GRACE_S):
                _throw(thread)
            if not self._over.wait(_GRACE_S):
                RUN.unstoppable()
        thread.join(_GRACE_S)


def _throw(thread: threading.Thread) -> None:
    """End what runs in *thread* by an exception, as soon as it runs Python code again."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped))


def stamped(recorder: Recorder) -> Emit:
    """A function that writes events of several threads to *recorder*, with the real time of each."""
    began = time.monotonic()
    lock = threading.Lock()

    def emit(event: tuple[object, object]) -> None:
        with lock:
            recorder.moved(time.monotonic() - began)
            recorder.emit(event)

    return emit
