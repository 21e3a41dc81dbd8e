"""Lifecycles per second over every transport and kind of server, against the bare path in the same hosting mode.

    python benchmarks/transports.py [--quick]

*Ours* is `Workbench.run` and `Judge.screen`, with all default oracles on. *Bare* serves the same peer with the same
server class and handler, nothing instrumented, nothing recorded, no probes:

- datagrams in memory: on the same virtual socket, turn by turn;
- Unix streams, and datagrams of both kinds, over loopback: on kernel sockets, the client in the same thread;
- threading and forking: `serve_forever` in a thread, the client in the thread beside it, then shutdown and close. Ours
  has a server in a forked process of its own for each Case, so these are read on the wall clock.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from socketserver import ForkingTCPServer, ThreadingTCPServer, UDPServer, UnixDatagramServer, UnixStreamServer
from typing import Any

import rounds
import subjects

from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case
from handshaker.harness.networks.datagram_memory import MemoryDatagramNetwork, MemoryDatagramSocket
from handshaker.harness.places import Place
from handshaker.harness.settings import Settings
from handshaker.targets.stdlib import load_target

DATAGRAM_GOAL = 0.45
LOOPBACK_GOAL = 0.8
HOST: Any = ("127.0.0.1", 0)
POLL_S = 0.002


class _Virtual(MemoryDatagramSocket):
    """The virtual socket as a server of its own sees it: whoever reads is the server."""

    serving = True


def datagrams_in_memory(case: Case) -> Callable[[], None]:
    """One datagram on the virtual socket, with nothing else of ours."""

    def once() -> None:
        network = MemoryDatagramNetwork(case)
        before, socket.socket = socket.socket, _Virtual  # type: ignore[misc]
        try:
            server = UDPServer(network.address, subjects.Answer)
        finally:
            socket.socket = before  # type: ignore[misc]
        network.listen(server.socket)
        while network.ready():
            _turn(server)
            network.settle()
        network.settle_all()
        server.server_close()
        network.close()

    return once


def datagrams(kind: type[UDPServer], folder: Path) -> Callable[[], None]:
    """One datagram on kernel sockets: a plain client in the same thread."""
    unix = kind is UnixDatagramServer
    paths = str(folder / "server"), str(folder / "client")

    def once() -> None:
        server: Any = kind(paths[0] if unix else HOST, subjects.Answer)
        client = socket.socket(server.address_family, socket.SOCK_DGRAM)
        if unix:
            client.bind(paths[1])
        client.sendto(b"hello\n", server.server_address)
        _turn(server)
        client.recv(65_536)
        client.close()
        server.server_close()
        if unix:
            _remove(*paths)

    return once


def unix_streams(folder: Path) -> Callable[[], None]:
    """One connection over a Unix socket: a plain client in the same thread."""
    path = str(folder / "server")

    def once() -> None:
        server: Any = UnixStreamServer(path, subjects.Echo)
        client = socket.socket(socket.AF_UNIX)
        client.connect(server.server_address)
        client.sendall(b"he")
        client.sendall(b"llo\n")
        client.shutdown(socket.SHUT_WR)
        _turn(server)
        _read_to_end(client)
        server.server_close()
        _remove(path)

    return once


def beside(kind: Any) -> Callable[[], None]:
    """One connection to a server that serves in another thread, which hands it to a thread or a child."""

    def once() -> None:
        server = kind(HOST, subjects.Echo)
        serving = threading.Thread(target=server.serve_forever, args=(POLL_S,))
        serving.start()
        client = socket.create_connection(server.server_address)
        client.sendall(b"he")
        client.sendall(b"llo\n")
        client.shutdown(socket.SHUT_WR)
        _read_to_end(client)
        server.shutdown()
        serving.join()
        server.server_close()

    return once


def _turn(server: Any) -> None:
    server._handle_request_noblock()
    server.service_actions()


def _read_to_end(client: socket.socket) -> None:
    while client.recv(65_536):
        pass
    client.close()


def _remove(*paths: str) -> None:
    for path in paths:
        os.unlink(path)  # noqa: PTH108 - a Path takes longer than the call, and would count as the bare path's work


def ours(text: str, case: Case, network: str) -> tuple[Workbench, Callable[[], None]]:
    """One lifecycle with all default oracles; the Workbench must be entered meanwhile."""
    target = load_target(text, transport=case.transport, concurrency=case.concurrency)
    bench = Workbench(target, Settings(target=text), network)

    def once() -> None:
        bench.judge.screen(bench.run(case).flat)

    return bench, once


def compare(
    name: str, text: str, case: Case, network: str, bare: Callable[[], None], *, goal: float, rounds_: int, times: int
) -> Iterator[rounds.Row]:
    """Both paths in interleaved rounds, and how they compare; *goal* 0 is none."""
    bench, once = ours(text, case, network)
    clock = rounds.cpu_us if case.concurrency == "plain" else rounds.wall_us

    with bench:
        assert bench.play(case).replies == (b"hello\n",), "what is measured must be the whole exchange"

    def entered() -> float:
        with bench:
            bench.stage.state.hurry()
            return clock(once, times)

    took = rounds.medians(rounds_, ours=entered, bare=lambda: clock(bare, times))
    yield rounds.Row(f"{name}: ours", 1e6 / took["ours"], "lifecycles/s")
    yield rounds.Row(f"{name}: bare", 1e6 / took["bare"], "lifecycles/s")
    ratio, what = took["bare"] / took["ours"], f"{name}: ours / bare"
    yield rounds.at_least(what, ratio, goal) if goal else rounds.Row(what, ratio, "x")


def paths(folder: Path) -> Iterator[tuple[str, str, Case, str, Callable[[], None], float, int]]:
    """Each path: its name, the subject, the Case, the network, the bare path, the goal, and how often in a round."""
    answer, echo = subjects.ANSWER_CASE, subjects.ECHO_CASE
    unix_answer, unix_echo = replace(answer, transport="unix-dgram"), replace(echo, transport="unix")
    memory = datagrams_in_memory(answer)
    yield "udp, memory", subjects.ANSWER, answer, "memory", memory, DATAGRAM_GOAL, 4_000
    udp = datagrams(UDPServer, folder)
    yield "udp, loopback", subjects.ANSWER, answer, "loopback", udp, LOOPBACK_GOAL, 1_000
    unix = datagrams(UnixDatagramServer, folder)
    yield "unix-dgram, loopback", subjects.ANSWER, unix_answer, "loopback", unix, LOOPBACK_GOAL, 1_000
    yield "unix, loopback", subjects.ECHO, unix_echo, "loopback", unix_streams(folder), LOOPBACK_GOAL, 1_000
    for name, kind in (("threading", ThreadingTCPServer), ("forking", ForkingTCPServer)):
        case = replace(echo, concurrency=name)
        yield f"tcp, {name}", subjects.ECHO, case, "loopback", beside(kind), 0.0, 50


def main() -> None:
    """Measure and print."""
    options = rounds.parser(__doc__, rounds=9).parse_args()
    rounds_, share = (2, 100) if options.quick else (options.rounds, 1)
    rows: list[rounds.Row] = []
    with tempfile.TemporaryDirectory() as empty, open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # noqa: PTH123
        os.chdir(empty)
        with Place("unix") as place:  # socket files of both paths lie in the same file system
            for name, text, case, network, bare, goal, times in paths(Path(place.folder)):
                most = max(3, times // share)
                rows += compare(name, text, case, network, bare, goal=goal, rounds_=rounds_, times=most)
    rounds.show(__doc__, f"{rounds.CPU}; of threading and forking {rounds.WALL}", rows, options.json)


if __name__ == "__main__":
    main()
