"""Hosting in a house: a server with its real class, its real threads and children, in a process of its own.

The process that plays the Case forks the house (`networks.house`) and tells it through a door what the owner of the
server does, one act after another; each act runs in a thread of its own, so that one that never returns holds nothing
up, and who waits for it is the playing process. The usual life needs less: a thread serves, at once, while the main
one waits for the end, and then shuts down and closes. A forking server is then served by the main thread itself, and
told to stop in service_actions(): its process has one thread, as it has in production, and forks as safely.

Here is what happens inside the house; when it ends, nothing of it is left, and a last look is taken at what would be.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from handshaker.harness.recorder import HERE, RUN, injected
from handshaker.targets.bases import bases
from handshaker.targets.hosting import Host
from handshaker.targets.hosting_datagram import DatagramHost, instrument_datagram_server
from handshaker.targets.hosting_realtime import Loop
from handshaker.targets.instrument import ALIVE, raised
from handshaker.targets.instrument_beside import TracedBeside, instrument_beside
from handshaker.targets.instrument_owner import TracedOwner, construct
from handshaker.targets.instrument_server import TracedServer
from handshaker.targets.testimony import hear, rebuilt, testify, told
from handshaker.targets.watching import OURS, WATCH

__all__ = ["ApartDatagramHost", "ApartHost"]

_GRACE_S: Final = 0.1
_SLICE_S: Final = 0.001
_PER_CONNECTION: Final = 1_000
_OUR_CLASSES: Final = (TracedBeside, TracedOwner, TracedServer)


class ApartHost(Host):
    """One target, hosted in a process of its own from the making of its server to its close.

    `watch_state` makes what compares the state of that process: it has `changes()`, as `probes_state.ProcessState`.
    """

    watch_state: Callable[[], Any] | None = None

    def play(self, network: Any) -> None:
        """Have the Case of *network* played around a house in which this target's server lives.

        Raises what making the server has raised there, or an exception like it.
        """
        network.host(functools.partial(self._live, network))
        for message in network.messages:
            if message[0] == "failed" and not message[1]:
                raise rebuilt(*message[2:])
            hear(message)

    def construct(self, address: Any) -> Any:
        """A fresh server at *address*, recorded from its constructor on."""
        return instrument_beside(construct(self._make, address))

    def _live(self, network: Any, door: Any) -> None:
        """In the house."""
        inside = network.inside
        inside.move_in()
        WATCH.install(network.log, inside)
        RUN.witness = testify(door) if RUN.witness is not None else None
        WATCH.born = door.send
        del ALIVE[:]
        resident = _Resident(door, inside, patient=any(act.action == "stop" for act in network.case.owner))
        try:
            resident.server = self.new_server(inside)
        except BaseException as error:
            door.send("failed", injected(error), *told(error))
        else:
            if self.watch_state is not None:
                resident.watch(self.watch_state())
            door.send("ready", resident.server.socket.getsockname())
            if not network.case.owner:
                resident.serve()
        resident.obey()
        resident.say_goodbye()


class ApartDatagramHost(ApartHost, DatagramHost):
    """The same for a target that takes datagrams."""

    def construct(self, address: Any) -> Any:
        """A fresh server at *address*, recorded from its constructor on."""
        return instrument_beside(instrument_datagram_server(construct(self._make, address)))


class _Resident:
    """The server in its house, and its owner, who does what the door says."""

    def __init__(self, door: Any, inside: Any, *, patient: bool) -> None:
        self._door = door
        self._inside = inside
        self._patient = patient
        self._descriptors = set(_open_descriptors())
        self._threads = set(threading.enumerate())
        self._state: Any = None
        self._modules = 0
        self.server: Any = None

    def watch(self, state: Any) -> None:
        """From here on what requests change in the process as a whole is news."""
        self._state, self._modules = state, len(sys.modules)

    def obey(self) -> None:
        """Do what is asked for, until a goodbye is said, or nobody is there any more."""
        while (message := self._door.receive()) is not None and message[0] == "act":
            self._begin(*message[1:])

    def serve(self) -> None:
        """Begin the usual life: serve, without having been asked."""
        if _can_be_alone(self.server):
            self._serve_alone()
        else:
            self._begin(-1, "serve", 0.0)

    def _begin(self, nth: int, action: str, seconds: float) -> None:
        body = functools.partial(self._act, nth, action, seconds)
        if nth < 0 and action != "serve":
            body()  # in the usual life nothing can be asked for meanwhile
            return
        # No daemons: a thread that a server starts without saying what it is takes that from the one that serves.
        threading.Thread(target=body, name=f"{OURS}{action}", daemon=False).start()

    def _act(self, nth: int, action: str, seconds: float) -> None:
        """One act of the owner, in a thread of its own; *nth* is -1 for those of the usual life, which is not told."""
        is_told = nth >= 0
        began = time.monotonic()
        if is_told:
            RUN.emit((("owner.enter", -1, action, nth), None))
        try:
            failure = self._do(nth, action, seconds)
        except BaseException as exception:
            failure = raised(exception)
        WATCH.release_clock()
        if is_told and failure is not None:
            RUN.emit((("owner.raise", -1, action, nth, *failure[0]), failure[1]))
        elif is_told:
            RUN.emit((("owner.leave", -1, action, nth, round(time.monotonic() - began, 1)), None))
        self._door.send("done", nth, action)

    def _do(self, nth: int, action: str, seconds: float) -> tuple[tuple[Any, ...], str] | None:
        """Gives what has ended the loop, if that was an exception."""
        server = self.server
        if action == "serve":
            return self._serve(nth)
        if action == "handle":
            self._handle(seconds)
        elif action == "shutdown":
            server.shutdown()
        elif action == "stop":
            return _begin_shutdown(server)
        elif action == "enter":
            server.__enter__()
        elif action == "exit":
            server.__exit__(None, None, None)
        else:
            server.server_close()
        if action in ("close", "exit"):
            RUN.emit((("server.closed", -1), None))
            self._note_threads()
        return None

    def _serve(self, nth: int) -> tuple[tuple[Any, ...], str] | None:
        HERE.number = 0
        WATCH.entered = functools.partial(self._door.send, "serving", nth)
        WATCH.entered_early = nth < 0  # an owner may close the listener next, which must find the loop at its wait
        loop = Loop(self.server, patient=self._patient)
        try:
            loop.run()
        finally:
            self._door.send("ended", nth)
        return loop.failure

    def _handle(self, seconds: float) -> None:
        HERE.number = 0
        own = vars(self.server)
        before = own.get("timeout", self)
        if seconds:
            own["timeout"] = seconds
        try:
            self.server.handle_request()
        finally:
            if seconds and before is self:
                own.pop("timeout", None)
            elif seconds:
                own["timeout"] = before

    def _serve_alone(self) -> None:
        """Serve in the only thread, and look at the door in every turn."""
        WATCH.service = self._look_at_the_door
        self._serve(-1)
        WATCH.service = None

    def _look_at_the_door(self) -> None:
        if os.getpid() == WATCH.house and self._door.poll():
            message = self._door.receive()
            vars(self.server)["_BaseServer__shutdown_request"] = True
            if message is not None and message[0] == "act":
                self._door.send("done", *message[1:3])

    # what is left

    def _note_threads(self) -> None:
        """Write down the threads that handlers have made and that do not end."""
        new = [thread for thread in threading.enumerate() if self._is_handlers(thread)]
        deadline = time.monotonic() + _GRACE_S
        for thread in new:
            thread.join(max(deadline - time.monotonic(), 0.0))
        left = [thread for thread in new if thread.is_alive()]
        if left:
            daemons = all(thread.daemon for thread in left)
            RUN.emit((("probe.threads-left", -1, len(left), daemons), None))

    def _is_handlers(self, thread: threading.Thread) -> bool:
        mine = thread in self._threads or thread in WATCH.threads or thread.name.startswith(OURS)
        return not mine and thread not in _executors_threads()

    def say_goodbye(self) -> None:
        """Look once more at what the server leaves behind; then nothing of it is left."""
        WATCH.reap_rest()
        RUN.connection = -1
        self._note_survivors()
        self._note_descriptors()
        self._note_state()
        self._inside.note_files()
        WATCH.children.clear()  # what is killed now has not ended by itself
        self._inside.kill_children()

    def _note_survivors(self) -> None:
        for handler in [handler for reference in list(ALIVE) if (handler := reference()) is not None]:
            number = handler.__dict__["_handshaker_"][0]
            connection = number % _PER_CONNECTION
            if self._inside.is_over(connection):
                RUN.emit((("probe.handler-alive", connection, number), None))

    def _note_descriptors(self) -> None:
        """Write down descriptors of which every request has left one: what was opened once is no leak."""
        served = self._inside.served
        if served < 2 or self.server is None or WATCH.forked:
            return
        new = Counter(map(_kind_of, set(_open_descriptors()) - self._descriptors))
        most = max((count for kind, count in new.items() if kind), default=0)
        if most >= served:
            RUN.emit((("probe.descriptors", -1, most), None))

    def _note_state(self) -> None:
        """Write down what requests have changed for the whole process; children have a state of their own.

        What the import of a module has changed is no request's doing, although one has asked for it first.
        """
        if self._state is None or WATCH.forked or len(sys.modules) != self._modules:
            return
        for what, detail in self._state.changes().items():
            RUN.emit((("probe.process-state", -1, what), detail))


def _begin_shutdown(server: Any) -> tuple[tuple[Any, ...], str] | None:
    """Call shutdown() in a thread of its own, until it has returned or waits; gives what it has raised until then."""
    failures: list[tuple[tuple[Any, ...], str]] = []

    def ask() -> None:
        try:
            server.shutdown()
        except BaseException as exception:
            failures.append(raised(exception))

    asking = threading.Thread(target=ask, name=f"{OURS}shutdown", daemon=False)
    asking.start()
    while asking.is_alive() and not _waits_in_shutdown(asking):
        asking.join(_SLICE_S)
    return failures[0] if failures else None


def _waits_in_shutdown(thread: threading.Thread) -> bool:
    """Whether *thread* waits for an event inside the shutdown() of the base class, which has set its flag by then."""
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None or (frame.f_code.co_filename, frame.f_code.co_name) != (threading.__file__, "wait"):
        return False
    asks = {vars(base)["shutdown"].__code__ for base in bases("BaseServer") if "shutdown" in vars(base)}
    while frame is not None and frame.f_code not in asks:
        frame = frame.f_back
    return frame is not None


def _can_be_alone(server: Any) -> bool:
    """Whether *server* forks, and ends its loop when it is told so in service_actions()."""
    if not isinstance(server, bases("ForkingMixIn")) or "_BaseServer__shutdown_request" not in vars(server):
        return False
    return not any(_overridden(type(server), name) for name in ("shutdown", "serve_forever"))


def _overridden(cls: type, name: str) -> bool:
    """Whether another class than the base one, or ours, says what *name* does."""
    definers = [base for base in cls.__mro__ if name in vars(base) and base not in _OUR_CLASSES]
    return definers[0] not in bases("BaseServer")


def _executors_threads() -> set[Any]:
    futures = sys.modules.get("concurrent.futures.thread")
    return set(getattr(futures, "_threads_queues", ()))


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208 - these names are only numbers


def _kind_of(descriptor: int) -> str:
    """What kind of file it is, so that equal ones can be counted: the path of a file, else the type."""
    try:
        mode = os.fstat(descriptor).st_mode
        return str(Path(f"/dev/fd/{descriptor}").readlink()) if stat.S_ISREG(mode) else oct(stat.S_IFMT(mode))
    except OSError:
        return ""
