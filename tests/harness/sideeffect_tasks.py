"""The task that the tests of side effects run in a worker: each attempt does one thing to the world, or nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from process_tasks import Json, litter

from handshaker.harness.places import Place
from handshaker.harness.processes.context import Context
from handshaker.harness.processes.sideeffects import watch_side_effects
from handshaker.targets.building import plan
from handshaker.targets.making import Ownership, made_by


def side_effects(context: Context, arguments: Json) -> Iterator[Json]:
    seen: list[tuple[str, str]] = []
    effects = watch_side_effects(lambda action, detail: seen.append((action, detail)))
    litter(context, arguments)
    effects.armed = True
    raised = [_attempt(arguments["name"]) for _ in range(2)]
    effects.armed = False
    litter(context, arguments)
    yield {"seen": seen, "raised": raised}


def _attempt(name: str) -> str:
    try:
        _ATTEMPTS[name]()
    except OSError as error:
        return type(error).__name__
    return ""


def _write() -> None:
    with open("written", "w", encoding="ascii") as file:
        file.write("x")


def _read() -> None:
    with open("left-behind", encoding="ascii") as file:
        file.read()


def _send_to(host: str, family: int = socket.AF_INET) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (host, 9))


def _send_to_this_machine() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "localhost", ""):
        _send_to(host)
    _send_to("::1", socket.AF_INET6)
    _send_to("::ffff:127.0.0.1", socket.AF_INET6)


def _answer_a_nameless_peer() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer, socket.socket(peer.family, peer.type) as server:
        peer.bind("")
        server.sendto(b"x", peer.getsockname())


def _look_for_a_temporary_folder() -> None:
    tempfile.tempdir = None
    tempfile.gettempdir()


def _clear_a_place() -> None:
    with Place("unix-dgram") as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.bind(f"{os.path.dirname(place.address)}/stranger")


def _make_and_remove_folder() -> None:
    os.mkdir("d")
    os.rmdir("d")


def _many_names() -> None:
    for number in range(100):
        os.path.exists(f"f{number}")
        with open(f"f{number}", "w", encoding="ascii"):
            pass


def _use_local_service() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect_ex("no-such-socket")


class _Tidy(socketserver.UnixStreamServer):
    """It removes *before* as it binds its path, and *after* as it is closed."""

    before = after = "own"

    def server_bind(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.before)
        super().server_bind()

    def server_close(self) -> None:
        super().server_close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.after)


class _Heedless(_Tidy):
    after = "left-behind"


def _make_servers(server_class: Any, before: Callable[[], object] = lambda: None) -> None:
    def factory() -> Any:
        before()
        return server_class("own", socketserver.BaseRequestHandler)

    make = made_by(plan(factory, with_handler=False), None, Ownership(None, bool), lambda cls: cls)
    for _ in range(2):
        make("").server_close()


def _remove_if_there(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def _remove_socket_file() -> None:
    _remove_if_there("own")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("own")
    os.unlink("own")


def _connect_out() -> None:
    with socket.socket() as sock:
        sock.connect(("192.0.2.1", 80))


_ATTEMPTS = {
    "write": _write,
    "read": _read,
    "null": lambda: open(os.devnull, "w", encoding="ascii").close(),
    "bytecode": lambda: open("a.__pycache__", "w", encoding="ascii").close(),
    "folder": _make_and_remove_folder,
    "rename": lambda: os.rename("left-behind", "left-behind"),
    "environment": lambda: os.environ.__setitem__("GREETING", "hello"),
    "program": lambda: subprocess.run(["true", "--quickly"], check=True),
    "shell": lambda: os.system("true"),
    "many": _many_names,
    "loopback": _send_to_this_machine,
    "other machine": _connect_out,
    "datagram": lambda: _send_to("198.51.100.7"),
    "name": lambda: socket.getaddrinfo("example.invalid", 80),
    "own name": lambda: [socket.getaddrinfo(host, 80) for host in ("localhost", "192.0.2.1", "::1", None)],
    "address": lambda: socket.gethostbyaddr("192.0.2.1"),
    "service": _use_local_service,
    "peer": _answer_a_nameless_peer,
    "temporary": _look_for_a_temporary_folder,
    "place": _clear_a_place,
    "tidy server": lambda: _make_servers(_Tidy),
    "tidy factory": lambda: _make_servers(socketserver.UnixStreamServer, lambda: _remove_if_there("own")),
    "heedless server": lambda: _make_servers(_Heedless),
    "strange factory": lambda: _make_servers(_Tidy, lambda: _remove_if_there("left-behind")),
    "socket file": _remove_socket_file,
    "no file": lambda: os.path.exists("gone") or os.unlink("gone"),
}  # fmt: skip
