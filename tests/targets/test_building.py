"""How a fresh server comes into being, whatever its constructor asks for."""

from __future__ import annotations

import functools
import http.server
import socket
import socketserver
from typing import Any

import pytest

from handshaker.harness.errors import TargetError
from handshaker.targets.base import LOOPBACK
from handshaker.targets.building import activate, clone, plan, settle
from handshaker.targets.detect import overrides
from handshaker.targets.shaping import plain, plain_reason


class Echo(socketserver.StreamRequestHandler): ...


def received(function: Any, *, with_handler: bool = False) -> Any:
    """What *function*, which returns its own arguments, is given."""
    return plan(function, with_handler=with_handler)(("9.9.9.9", 5), Echo)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda: (), ()),
        (lambda server_address: server_address, ("9.9.9.9", 5)),
        (lambda bind_address=("", 80): bind_address, ("9.9.9.9", 5)),
        (lambda host, port: (host, port), ("9.9.9.9", 5)),
        (lambda address="", port=53: (address, port), ("9.9.9.9", 5)),
        (lambda debug=False, *, port=80: (debug, port), (False, 5)),
        (lambda debug=False, listenPort=80: (debug, listenPort), (False, 5)),  # noqa: N803
        (lambda reuse_port=False, transport="tcp": (reuse_port, transport), (False, "tcp")),
        (lambda *arguments, **options: (arguments, options), ((), {})),
        (functools.partial(lambda server_address, debug: (server_address, debug), debug=1), (("9.9.9.9", 5), 1)),
    ],
)
def test_arguments_follow_from_the_names_of_parameters(function: Any, expected: Any) -> None:
    """An address, a host and a port are supplied where they are asked for, also in place of a default; nothing else."""
    assert received(function) == expected


def test_a_handler_is_passed_where_one_is_asked_for() -> None:
    """With a handler to pass it replaces the default; without one the default stays."""

    def make(handler_class: Any = "default", error_handler: Any = None) -> Any:
        return handler_class, error_handler

    assert received(make, with_handler=True) == (Echo, None)
    assert received(make) == ("default", None)


def test_what_only_the_author_can_supply_is_named() -> None:
    """A required parameter of another name ends in a message that names it, and nothing is called."""

    def make(store: Any, port: int, upstream_host: str) -> None:
        raise AssertionError

    with pytest.raises(TargetError, match=r"'store' and 'upstream_host'.*store=\.\.\., upstream_host=\.\.\."):
        received(make)


class Spread(socketserver.TCPServer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize("cls", [socketserver.TCPServer, Spread, http.server.HTTPServer])
def test_server_classes_get_an_address_and_a_handler(cls: type) -> None:
    """Also when the class only hands on what it is given."""
    call = plan(cls, with_handler=True)
    for server in (call(LOOPBACK, Echo), call.bind(Echo)(LOOPBACK)):
        with server:
            assert server.RequestHandlerClass is Echo
            assert server.server_address[1] != 0


class Loud(socketserver.ThreadingMixIn, socketserver.TCPServer):
    seen: tuple[Any, ...] = ()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.seen = (*self.seen, "mine")
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.seen = (*self.seen, "finished here")

    def shutdown_request(self, request: Any) -> None:
        self.seen = (*self.seen, "shut down")


def test_a_threading_server_serves_in_the_callers_thread() -> None:
    """The plain equivalent runs the user's own override, then socketserver's plain path, without a thread."""
    with plain(Loud)(LOOPBACK, Echo) as server:
        server.process_request(None, None)
        assert server.seen == ("mine", "finished here", "shut down")
        assert isinstance(server, Loud)


@pytest.mark.parametrize("cls", [socketserver.ThreadingTCPServer, socketserver.ForkingTCPServer, Loud])
def test_the_plain_equivalent_keeps_the_name_and_overrides(cls: type) -> None:
    """Reports speak of the user's class, nothing of ours counts as an override, and it is its own equivalent."""
    same = plain(cls)
    assert (same.__module__, same.__qualname__) == (cls.__module__, cls.__qualname__)
    assert overrides(Echo, same) == overrides(Echo, cls)
    assert plain(same) is same
    assert plain(type("Derived", (same,), {})).__name__ == "Derived"
    assert "plain equivalent" in plain_reason(cls)


def test_plain_servers_are_left_alone() -> None:
    """The same class, and no remark."""
    assert plain(socketserver.TCPServer) is socketserver.TCPServer
    assert plain_reason(socketserver.TCPServer) == ""


def test_a_made_threading_server_becomes_plain_in_place() -> None:
    """A factory's server object is the one that is hosted."""
    with socketserver.ThreadingTCPServer(LOOPBACK, Echo) as server:
        assert settle(server, None) is server
        assert type(server).process_request is socketserver.BaseServer.process_request


class Holder:
    def __init__(self, server: Any) -> None:
        self.httpd = server


@pytest.mark.parametrize(
    ("made", "said"),
    [(None, "`return server`"), (7, "returned 7"), (Echo, "not a server")],
)
def test_what_is_not_a_server_is_shown(made: Any, said: str) -> None:
    """The message quotes what came back and says what to return instead."""
    with pytest.raises(TargetError, match=said):
        settle(made, test_what_is_not_a_server_is_shown)


def test_a_coroutine_is_not_a_server_and_is_closed() -> None:
    """An async factory is shown as such, without a warning that nobody awaited it."""

    async def make() -> None: ...

    with pytest.raises(TargetError, match="coroutine"):
        settle(make(), make)


def test_a_server_inside_the_result_is_pointed_at() -> None:
    """The attribute that holds the server is named."""
    with socketserver.TCPServer(LOOPBACK, Echo) as server, pytest.raises(TargetError, match=r"returns the `\.httpd`"):
        settle(Holder(server), Holder)


@pytest.mark.parametrize("bound", [False, True])
def test_an_unfinished_server_is_made_to_listen(bound: bool) -> None:
    """Neither bound nor listening, or bound only: what is missing is done."""
    with socketserver.TCPServer(("127.0.0.1", 0), Echo, bind_and_activate=False) as server:
        if bound:
            server.server_bind()
        assert activate(server, LOOPBACK) is True
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert server.server_address == server.socket.getsockname()
        assert activate(server, LOOPBACK) is False


def test_an_unbound_server_is_bound_where_we_say() -> None:
    """Its own address may be taken on this machine."""
    with socketserver.TCPServer(("192.0.2.1", 80), Echo, bind_and_activate=False) as server:
        activate(server, LOOPBACK)
        assert server.server_address[0] == "127.0.0.1"


def test_a_server_that_cannot_be_bound_is_closed() -> None:
    """No descriptor is left behind."""
    server = socketserver.TCPServer(("127.0.0.1", 0), Echo, bind_and_activate=False)
    with pytest.raises(OSError, match="assign"):
        activate(server, ("192.0.2.1", 0))
    assert server.fileno() == -1


def test_a_closed_server_is_refused() -> None:
    """A factory that ends in `with server:` returns it closed."""
    with socketserver.TCPServer(LOOPBACK, Echo) as server:
        pass
    with pytest.raises(TargetError, match="socket closed"):
        activate(server, LOOPBACK)


def test_a_clone_shares_everything_but_its_socket() -> None:
    """Same class, same attributes, another port; the original stays as it was."""
    with http.server.HTTPServer(LOOPBACK, Echo) as server:
        server.store = ["shared"]  # type: ignore[attr-defined]
        before = server.server_address
        with clone(server, LOOPBACK) as fresh:
            assert type(fresh) is http.server.HTTPServer
            assert fresh.store is server.store  # type: ignore[attr-defined]
            assert fresh.server_address != server.server_address
        assert server.server_address == before
        assert server.fileno() != -1
