"""A target makes a fresh server for every Case, with its handler wrapped, and says what it hosts."""

from __future__ import annotations

import functools
import gc
import http.server
import socket
import socketserver
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from handshaker.harness import codec
from handshaker.harness.errors import TargetError, UsageError
from handshaker.targets.base import LOOPBACK, TargetDescription, TargetKind
from handshaker.targets.stdlib import StdlibTarget, load_target


class Echo(socketserver.StreamRequestHandler):
    timeout = 2.5
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


class Other(socketserver.StreamRequestHandler):
    def handle(self) -> None: ...


class Home(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Beside it lies more than one handler, so it has to be told which."""


class Ready(socketserver.TCPServer):
    def __init__(self, host: str = "0.0.0.0", port: int = 8080) -> None:
        super().__init__((host, port), Echo)


class Handlerless(socketserver.TCPServer):
    def __init__(self, address: Any) -> None:
        super().__init__(address, None)  # type: ignore[arg-type]


def make_server() -> socketserver.TCPServer:
    return socketserver.ThreadingTCPServer(LOOPBACK, Echo)


def make_unbound() -> socketserver.TCPServer:
    return socketserver.TCPServer(("192.0.2.1", 80), Echo, bind_and_activate=False)


def make_new_class() -> socketserver.TCPServer:
    return socketserver.TCPServer(LOOPBACK, type("Fresh", (Echo,), {}))


def handlers(*args: Any) -> Any:
    return Echo(*args)


class Wrapped:
    """A wrapper that remembers what it wrapped."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, handler: Any) -> Any:
        self.seen.append(handler)
        return ("wrapped", handler)


def made(target: StdlibTarget, times: int = 2) -> tuple[list[Any], list[Any]]:
    """So many servers of *target*, closed, and what was wrapped on the way."""
    wrapped = Wrapped()
    make = target.maker(wrapped)
    servers = []
    for _ in range(times):
        with make(LOOPBACK) as server:
            assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            assert server.server_address[0] == "127.0.0.1"
            servers.append(server)
    return servers, wrapped.seen


@pytest.mark.parametrize(
    "target",
    [
        StdlibTarget(Echo, concurrency="plain"),
        StdlibTarget(functools.partial(Echo), concurrency="plain"),
        StdlibTarget(handlers, server=socketserver.TCPServer, concurrency="plain"),
        StdlibTarget(Echo, server=Home, concurrency="plain"),
        StdlibTarget(Echo, factory=make_server, concurrency="plain"),
        StdlibTarget(Ready, concurrency="plain"),
        StdlibTarget(make_server, concurrency="plain"),
        StdlibTarget(make_unbound, concurrency="plain"),
        StdlibTarget(functools.partial(socketserver.TCPServer, LOOPBACK, Echo), concurrency="plain"),
    ],
    ids=[
        "class",
        "partial",
        "opaque",
        "server",
        "factory",
        "own constructor",
        "threading",
        "unbound",
        "partial server",
    ],
)
def test_every_server_is_fresh_and_its_handler_is_wrapped_once(target: StdlibTarget) -> None:
    """Whatever TARGET is: new objects, listening on loopback, plain, with one and the same wrapped handler."""
    servers, seen = made(target, 3)
    assert len({id(server) for server in servers}) == 3
    assert len(seen) == 1
    assert all(server.RequestHandlerClass == ("wrapped", seen[0]) for server in servers)
    assert all(type(server).process_request is socketserver.BaseServer.process_request for server in servers)


def test_a_server_object_is_copied_and_left_alone() -> None:
    """A server made at import is never closed, bound again, or given our handler."""
    with socketserver.TCPServer(LOOPBACK, Echo) as server:
        servers, seen = made(StdlibTarget(server))
        assert server not in servers
        assert seen == [Echo]
        assert server.RequestHandlerClass is Echo
        assert server.fileno() != -1


def test_a_factory_that_returns_the_same_server_again_gives_copies() -> None:
    """The second server is a fresh one, and its handler is not wrapped twice."""
    only = socketserver.TCPServer(LOOPBACK, Echo)
    servers, seen = made(StdlibTarget(lambda: only), 3)
    assert len({id(server) for server in servers}) == 3
    assert seen == [Echo]


def test_a_new_handler_class_each_time_is_wrapped_each_time() -> None:
    """A factory may define its handler inside."""
    servers, seen = made(StdlibTarget(make_new_class))
    assert [server.RequestHandlerClass for server in servers] == [("wrapped", cls) for cls in seen]
    assert len(seen) == 2


def test_no_server_is_kept_alive() -> None:
    """A server that was closed and dropped is gone."""
    for target in (StdlibTarget(Echo), StdlibTarget(make_server)):
        make = target.maker(lambda handler: handler)
        with make(LOOPBACK) as server:
            gone = weakref.ref(server)
        del server
        gc.collect()
        assert gone() is None


def test_targets_own_handler_wins_over_the_factorys() -> None:
    """TARGET says what is tested, the factory where it lives; a subclass or partial that the factory makes is kept."""
    assert made(StdlibTarget(Other, factory=make_server))[1] == [Other]
    assert made(StdlibTarget(Echo, factory=make_new_class))[1][0].__name__ == "Fresh"


def test_the_factory_is_given_the_handler_that_it_asks_for() -> None:
    """A parameter called handler gets TARGET's."""
    got = []

    def make(handler: Any, port: int = 80) -> Any:
        got.append((handler, port))
        return socketserver.TCPServer(("127.0.0.1", port), handler)

    made(StdlibTarget(Other, factory=make), 1)
    assert got == [(Other, 0)]


def test_the_description_is_plain_data_about_the_handler() -> None:
    """Kind, names, overrides and the handler's declared attributes, with a JSON round trip."""
    told = StdlibTarget(Echo, text="app:Echo", server=Home, concurrency="plain").describe()
    assert told == TargetDescription(
        text="app:Echo",
        kind=TargetKind.HANDLER_CLASS,
        handler=f"{__name__}:Echo",
        server=f"{__name__}:Home",
        handler_kind="stream",
        overrides=("handle",),
        timeout=2.5,
        wbufsize=-1,
        nagle_disabled=True,
        home=told.home,
        where=told.where,
        beside=True,
        written="threading",
        hosted=f"hosted under {__name__}:Home, as asked for; over tcp, plain",
        remarks=told.remarks,
    )
    assert told.owns(__file__)
    assert "ThreadingMixIn" in told.remarks[0]
    assert codec.decode(TargetDescription, codec.encode(told)) == told


def test_a_factory_is_described_by_what_it_makes() -> None:
    """One server is made for it, and closed."""
    told = StdlibTarget(make_server).describe()
    assert (told.handler, told.server) == (f"{__name__}:Echo", "socketserver:ThreadingTCPServer")
    assert told.kind is TargetKind.SERVER_FACTORY


def test_an_opaque_callable_learns_its_class() -> None:
    """Until a handler was made everything may be overridden; afterwards it is known."""
    target = StdlibTarget(handlers, server=socketserver.TCPServer)
    assert target.describe().overrides == ("__init__", "setup", "handle", "finish")
    target.learn(Echo)
    assert (target.describe().overrides, target.describe().timeout) == (("handle",), 2.5)


def test_the_contract_joins_what_is_seen_and_what_is_declared() -> None:
    """Attributes of the class, and what only a user knows."""
    contract = StdlibTarget(Echo).contract(stateless=True, example=b"x\n")
    assert (contract.kind, contract.timeout, contract.wbufsize, contract.nagle_disabled) == ("stream", 2.5, -1, True)
    assert (contract.stateless, contract.example, contract.overrides) == (True, b"x\n", ("handle",))


def test_only_known_declarations_are_taken() -> None:
    """A typing error is answered with the close name."""
    with pytest.raises(UsageError, match="did you mean 'stateless'"):
        StdlibTarget(Echo).contract(statless=True)


def test_the_subjects_are_the_code_behind_the_target() -> None:
    """Handler, server class and factory, for whoever reads their constants."""
    assert set(StdlibTarget(Echo, factory=make_server).subjects()) >= {Echo, make_server}
    assert handlers in StdlibTarget(handlers, server=Home).subjects()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"thing": Echo, "server": Home, "factory": make_server}, "write one of them"),
        ({"thing": Echo, "server": make_server}, "is not a server class"),
        ({"thing": Echo, "factory": Echo}, "makes no server"),
        ({"thing": Echo, "factory": 7}, "makes no server"),
        ({"thing": Home, "server": Home}, "is a server class already"),
        ({"thing": functools.partial(Home, LOOPBACK, Echo), "server": Home}, "is a server factory already"),
        ({"thing": Home}, "Echo, Other"),
    ],
)
def test_contradictions_are_refused(arguments: dict[str, Any], said: str) -> None:
    """What does not fit together is said with what to write instead."""
    with pytest.raises(UsageError, match=said):
        StdlibTarget(**arguments)


def test_a_callable_named_as_its_own_factory_is_one() -> None:
    """`TARGET --factory TARGET` decides what an unclear callable is."""

    def thing(*args: Any) -> Any:
        return make_server()

    assert StdlibTarget(thing, factory=thing).describe().kind is TargetKind.SERVER_FACTORY


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (Handlerless, "RequestHandlerClass of .*Handlerless is None"),
        (
            lambda: socketserver.UDPServer(LOOPBACK, Other),
            "is a stream handler .* allowed transports are tcp, tcp6, unix",
        ),
        (lambda: None, "returned None, not a server"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero at .*test_construction.py:"),
        (lambda: sys.exit(3), "sys.exit"),
    ],
)
def test_what_cannot_be_hosted_is_explained(thing: Any, said: str) -> None:
    """The description fails with one clear message, and leaves no socket open."""
    with pytest.raises(TargetError, match=said):
        StdlibTarget(thing, text="app:thing").describe()


def test_text_is_all_that_is_needed(tmp_path: Path) -> None:
    """TARGET, --server and --factory are imported from the given folder."""
    (tmp_path / "hk_all.py").write_text(
        "import socketserver\n"
        "class Echo(socketserver.StreamRequestHandler):\n    def handle(self): pass\n"
        "class Home(socketserver.TCPServer): pass\n"
        "def make(): return Home(('127.0.0.1', 0), None)\n"
    )
    first = load_target("hk_all:Echo", server="hk_all.py:Home", root=tmp_path).describe()
    second = load_target("hk_all:Echo", factory="hk_all:make", root=tmp_path).describe()
    assert first.server == second.server == "hk_all:Home"
    assert first.home == f"{tmp_path}/"
    assert first.owns(str(tmp_path / "hk_all.py"))
    assert not first.owns(str(tmp_path / ".venv/lib/python3.11/site-packages/x.py"))
    assert not first.owns(http.server.__file__)
