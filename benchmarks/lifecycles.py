"""Lifecycles per second with all default oracles on, against the bare path in the same hosting mode.

    python benchmarks/lifecycles.py [--quick]

A lifecycle is one Case with one peer: a fresh server object, a connection, setup, handle, finish, the release, the
server's close. *Ours* is `Workbench.run` and `Judge.screen`: instrumented handler and server, probes, virtual time, the
verdicts of all invariants. *Bare* serves the same peer through the same request path of the same fresh server object:

- in memory: on the same virtual sockets, with nothing instrumented, nothing recorded, no probes;
- over loopback: on plain kernel sockets, the client in the same thread, its bytes sent ahead.

*Floor* is no path of ours: the least Python that can stand in for a socket under the same fresh server object. It tells
what the virtual sockets themselves cost.
"""

from __future__ import annotations

import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import rounds
import subjects

from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case
from handshaker.harness.networks.memory import MemoryListener, MemoryNetwork
from handshaker.harness.settings import Settings
from handshaker.targets.base import LOOPBACK
from handshaker.targets.stdlib import load_target

MEMORY_GOAL = 0.45
LOOPBACK_GOAL = 0.8
ADDRESS: Any = ("127.0.0.1", 40_000)


class FloorSocket:
    """The least that socketserver and a stream handler need: segments out of a list, replies into another."""

    def __init__(self, segments: list[bytes]) -> None:
        self.ahead = segments
        self.reply: list[bytes] = []

    def makefile(self, mode: str, buffering: int = -1) -> Any:
        """A buffered reader of the segments."""
        return io.BufferedReader(FloorStream(self.ahead))

    def sendall(self, data: Any) -> None:
        """Keep the reply."""
        self.reply.append(bytes(data))

    def settimeout(self, value: float | None) -> None:
        """Nothing waits here."""

    shutdown = settimeout

    def close(self) -> None:
        """Nothing to give back."""


class FloorStream(io.RawIOBase):
    """One segment a read."""

    def __init__(self, ahead: list[bytes]) -> None:
        self._ahead = ahead

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next segment; nothing once all have been read."""
        if not self._ahead:
            return 0
        data = self._ahead.pop(0)
        buffer[: len(data)] = data
        return len(data)


def _itself(handler: Any) -> Any:
    return handler


def _fqdn(name: str = "") -> str:
    return name


def _turn(server: Any) -> None:
    server._handle_request_noblock()
    server.service_actions()
    server.server_close()


@contextmanager
def _listening_on(listener: Any) -> Iterator[None]:
    before = socket.socket, socket.getfqdn
    socket.socket, socket.getfqdn = listener, _fqdn  # type: ignore[misc]
    try:
        yield
    finally:
        socket.socket, socket.getfqdn = before  # type: ignore[misc]


def bare_memory(text: str, case: Case) -> Callable[[], None]:
    """One lifecycle on the virtual sockets, with nothing else of ours."""
    make = load_target(text).maker(_itself)

    def once() -> None:
        with _listening_on(MemoryListener):
            server: Any = make(LOOPBACK)
        MemoryNetwork(case).listen(server.socket)
        _turn(server)

    return once


def floor_memory(text: str, case: Case) -> Callable[[], None]:
    """One lifecycle on the least socket."""
    make = load_target(text).maker(_itself)
    segments = [step.payload for step in case.scripts[0].steps if step.action == "send"]

    def once() -> None:
        with _listening_on(MemoryListener):
            server: Any = make(LOOPBACK)
        server.get_request = lambda: (FloorSocket(list(segments)), ADDRESS)
        _turn(server)

    return once


def bare_loopback(text: str, case: Case) -> Callable[[], None]:
    """One lifecycle on kernel sockets: a plain client in the same thread."""
    make = load_target(text).maker(_itself)
    segments = [step.payload for step in case.scripts[0].steps if step.action == "send"]

    def once() -> None:
        server: Any = make(LOOPBACK)
        client = socket.create_connection(server.server_address)
        for segment in segments:
            client.sendall(segment)
        client.shutdown(socket.SHUT_WR)
        _turn(server)
        while client.recv(65_536):
            pass
        client.close()

    return once


def ours(text: str, case: Case, network: str) -> tuple[Workbench, Callable[[], None]]:
    """One lifecycle with all default oracles; the Workbench must be entered meanwhile."""
    bench = Workbench(load_target(text), Settings(target=text), network)

    def once() -> None:
        bench.judge.screen(bench.run(case).flat)

    return bench, once


def compare(text: str, case: Case, network: str, *, rounds_: int, times: int) -> dict[str, float]:
    """Microseconds of each path on *network*; the probes are taken out while a bare path runs."""
    bench, once = ours(text, case, network)
    paths = {"bare": bare_loopback(text, case)}
    if network == "memory":
        paths = {"bare": bare_memory(text, case), "floor": floor_memory(text, case)}

    def entered() -> float:
        with bench:
            bench.stage.state.hurry()  # as a search does: the state of the process is compared once for many Cases
            return rounds.cpu_us(once, times)

    alone = {name: lambda path=path: rounds.cpu_us(path, times) for name, path in paths.items()}  # type: ignore[misc]
    return rounds.medians(rounds_, ours=entered, **alone)


def rows_of(name: str, network: str, took: dict[str, float], goal: float) -> Iterator[rounds.Row]:
    """What is told about one handler on one network."""
    yield rounds.Row(f"{name}, {network}: ours", 1e6 / took["ours"], "lifecycles/s")
    yield rounds.Row(f"{name}, {network}: bare", 1e6 / took["bare"], "lifecycles/s")
    yield rounds.at_least(f"{name}, {network}: ours / bare", took["bare"] / took["ours"], goal)
    if "floor" in took:
        yield rounds.Row(f"{name}, {network}: ours / floor", took["floor"] / took["ours"], "x")


def main() -> None:
    """Measure and print."""
    options = rounds.parser(__doc__, rounds=9).parse_args()
    rounds_, share = (2, 100) if options.quick else (options.rounds, 1)
    rows: list[rounds.Row] = []
    with tempfile.TemporaryDirectory() as empty, open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # noqa: PTH123
        os.chdir(empty)
        for name, text, case in (
            ("echo", subjects.ECHO, subjects.ECHO_CASE),
            ("http", subjects.HTTP, subjects.HTTP_CASE),
        ):
            for network, goal, times in (("memory", MEMORY_GOAL, 4_000), ("loopback", LOOPBACK_GOAL, 1_000)):
                took = compare(text, case, network, rounds_=rounds_, times=max(10, times // share))
                rows += rows_of(name, network, took, goal)
    rounds.show(__doc__, rounds.CPU, rows, options.json)


if __name__ == "__main__":
    main()
