"""A server that serves already when handshaker gets it is refused, and its thread is ended."""

from __future__ import annotations

import contextlib
import functools
import queue
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handshaker.harness.errors import TargetError
from handshaker.targets import serving
from handshaker.targets.base import LOOPBACK
from handshaker.targets.stdlib import StdlibTarget


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline(100))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def serve(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.serve_forever()


class AtOnce(Server):
    """It starts to serve in its constructor."""

    def __init__(self, address: Any, handler: Any) -> None:
        super().__init__(address, handler)
        start(self.serve)


class Pooled(socketserver.TCPServer):
    """Its constructor starts workers, which wait for what they are to do; one of them is not about this server."""

    def __init__(self, address: Any, handler: Any) -> None:
        super().__init__(address, handler)
        self.tasks: queue.Queue[Any] = queue.Queue()
        self.workers = [start(self.work) for _ in range(3)]

    def work(self) -> None:
        while (task := self.tasks.get()) is not None:
            self.finish_request(*task)

    def server_close(self) -> None:
        super().server_close()
        for worker in self.workers:
            self.tasks.put(None)
            worker.join() if worker is not threading.current_thread() else None


class OwnWord(Pooled):
    """What it calls handle_request() is not socketserver's: it takes the next task."""

    def work(self) -> None:
        while self.handle_request():
            pass

    def handle_request(self) -> bool:  # type: ignore[override]
        return self.tasks.get() is not None


class Threaded(threading.Thread):
    def __init__(self, server: Any) -> None:
        super().__init__(daemon=True)
        self.server = server

    def run(self) -> None:
        self.server.serve_forever()


def start(task: Callable[[], object]) -> threading.Thread:
    """A thread that does *task*."""
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    return thread


def threaded(server: Any) -> None:
    """A thread of a class of its own."""
    Threaded(server).start()


def turn_by_turn(server: Any) -> None:
    """The loop that people write who want to end it themselves."""
    with contextlib.suppress(OSError, ValueError):
        while True:
            server.handle_request()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Whatever a test starts ends with it."""
    before = set(threading.enumerate())
    yield
    assert not [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]


@pytest.mark.parametrize(
    "begin",
    [
        lambda server: start(server.serve_forever),
        lambda server: start(functools.partial(server.serve_forever, poll_interval=0.1)),
        lambda server: start(lambda: print(server.serve_forever())),
        lambda server: start(server.serve),
        lambda server: start(lambda: turn_by_turn(server)),
        threaded,
    ],
    ids=["serve_forever", "partial", "lambda", "own method", "handle_request", "own thread"],
)
@pytest.mark.parametrize("wrap", [lambda server: server, lambda server: (server, 8000)], ids=["server", "pair"])
def test_a_factory_whose_server_serves_already_is_refused(begin: Callable[[Any], Any], wrap: Any) -> None:
    """However the loop was started, alone or in a pair: it is said, and the loop and the socket are gone."""
    made: list[Any] = []

    def factory() -> Any:
        made.append(Server(LOOPBACK, Echo))
        begin(made[0])
        return wrap(made[0])

    with pytest.raises(TargetError, match=r"factory returned a server that is serving already.*end the function with"):
        StdlibTarget(factory, factory=factory).describe()
    assert [server.fileno() for server in made] == [-1]


def test_a_server_class_that_serves_in_its_constructor_is_refused() -> None:
    """The first server that is made shows it, also where the class alone said nothing."""
    with pytest.raises(TargetError, match=r"the constructor of .*AtOnce makes a server that is serving already"):
        StdlibTarget(Echo, server=AtOnce).new_server(lambda handler: handler, LOOPBACK)


def test_a_server_that_was_serving_before_is_refused() -> None:
    """A factory that returns a server which a thread serves since the import."""
    only = Server(LOOPBACK, Echo)
    start(only.serve_forever)
    with pytest.raises(TargetError, match="serving already"):
        StdlibTarget(lambda: only).describe()


def test_a_server_in_an_object_is_found() -> None:
    """An object that holds its server, started, leaves no thread behind either."""

    class Holder:
        def __init__(self) -> None:
            self.server = Server(LOOPBACK, Echo)
            start(self.server.serve_forever)

    with pytest.raises(TargetError, match="serving already"):
        StdlibTarget(Holder, factory=Holder).describe()


def test_a_thread_that_is_on_its_way_to_the_loop_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread was started, and enters the loop only when it has been looked at: it is found all the same."""
    looked_at = threading.Event()
    leads = serving._leads_to_a_loop

    def look(*arguments: Any) -> bool:
        answer = leads(*arguments)
        looked_at.set()
        return answer

    monkeypatch.setattr(serving, "_leads_to_a_loop", look)

    def factory() -> Any:
        server = Server(LOOPBACK, Echo)

        def later() -> None:
            looked_at.wait(10)
            server.serve()

        def waiting() -> None:
            later()

        start(waiting)
        return server

    with pytest.raises(TargetError, match="serving already"):
        StdlibTarget(factory).describe()


class Lazy:
    """What must not be looked at: each look raises, as those at a framework's current request do."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"there is no {name} outside of a request")


current = Lazy()


class Holding:
    """It serves from a method of its own, by way of another one."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def serve(self) -> None:
        if current is not None:
            self._inner()

    def _inner(self) -> None:
        self.server.serve_forever()


def test_names_are_followed_and_nothing_else_is_touched() -> None:
    """Through the methods of an object that is not the server; what is no function is left alone."""
    with Server(LOOPBACK, Echo) as server:
        assert serving._leads_to_a_loop(Holding(server).serve, server)
        assert not serving._leads_to_a_loop(lambda: current, server)


@pytest.mark.parametrize("server_class", [Pooled, OwnWord])
def test_workers_that_a_constructor_starts_are_no_loop(server_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of threads that wait for requests is part of many servers; nobody waits for those that name no loop."""
    monkeypatch.setattr(serving, "_LOOK_S", "not to be waited for")
    made = StdlibTarget(Echo, server=server_class).new_server(lambda handler: handler, LOOPBACK)
    assert made.fileno() >= 0
    made.server_close()


def test_another_server_in_a_thread_is_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    """A factory may start a server beside the one that it returns, of which nothing is known here."""
    beside = Server(LOOPBACK, Echo)
    inside = threading.Event()
    monkeypatch.setattr(beside, "service_actions", inside.set)

    def factory() -> Any:
        start(functools.partial(beside.serve_forever, poll_interval=0.01))
        inside.wait(10)
        return Server(LOOPBACK, Echo)

    monkeypatch.setattr(serving, "_LOOK_S", "not to be waited for")
    try:
        with StdlibTarget(factory).new_server(lambda handler: handler, LOOPBACK) as server:
            assert server.fileno() >= 0
    finally:
        beside.shutdown()
        beside.server_close()


def test_only_the_first_server_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Case makes a server; what a factory does is known from its first."""
    looks: list[Any] = []
    monkeypatch.setattr("handshaker.targets.making.refuse_serving", lambda *arguments: looks.append(arguments))
    make = StdlibTarget(lambda: Server(LOOPBACK, Echo)).maker(lambda handler: handler)
    for _ in range(3):
        make(LOOPBACK).server_close()
    assert len(looks) == 1
