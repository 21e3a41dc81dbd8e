"""One target over each transport: which is detected, which can be asked for, and what is said when it cannot be."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import socketserver
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.places import PATH_BYTES_MAX, Place
from handshaker.harness.transports import TRANSPORTS
from handshaker.targets.base import LOOPBACK
from handshaker.targets.loading import load, parse
from handshaker.targets.stdlib import StdlibTarget, load_target
from tests.targets.conftest import Write

STREAMS = ("tcp", "tcp6", "unix")


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


class Gram(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


class Pair(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sender = self.request
        sender.sendto(data, self.client_address)


class Nagle(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None: ...


class OwnSetup(Nagle):
    def setup(self) -> None:
        with contextlib.suppress(OSError):
            super().setup()


class Six(socketserver.ThreadingMixIn, socketserver.TCPServer):
    address_family = socket.AF_INET6


class HostAndPort(socketserver.TCPServer):
    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Echo)


class PortOnly(HostAndPort):
    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)


class Fussy(socketserver.TCPServer):
    def server_bind(self) -> None:
        super().server_bind()
        _host, _port = self.server_address


def make_unix(socket_path: str) -> socketserver.BaseServer:
    return socketserver.UnixStreamServer(socket_path, Echo)


def make_anywhere(address: Any) -> socketserver.BaseServer:
    return socketserver.TCPServer(address, Echo)


def make_nowhere() -> socketserver.BaseServer:
    return socketserver.TCPServer(LOOPBACK, Echo)


def make_datagrams(server_address: Any) -> socketserver.BaseServer:
    return socketserver.ThreadingUDPServer(server_address, Pair)


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as path:
        yield path


def hosted(target: StdlibTarget, transport: str) -> str:
    """The transport of a server that *target* makes at a place of *transport*; it is bound there, and closed."""
    with Place(transport) as place, target.new_server(lambda handler: handler, place.address) as server:
        own = server.socket.getsockname()
        assert server.server_address == own
        assert own == place.address or own[0] == place.address[0]
        assert bool(server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) is (
            server.socket_type == socket.SOCK_STREAM
        )
        return next(
            row.name
            for row in TRANSPORTS.values()
            if (row.family, row.type) == (server.socket.family, server.socket.type)
        )


@pytest.mark.parametrize(
    ("target", "transport", "concurrency"),
    [
        (lambda: StdlibTarget(Echo), "tcp", "plain"),
        (lambda: StdlibTarget(Gram), "udp", "plain"),
        (lambda: StdlibTarget(Pair), "udp", "plain"),
        (lambda: StdlibTarget(http.server.SimpleHTTPRequestHandler), "tcp", "plain"),
        (lambda: StdlibTarget(Echo, server=Six), "tcp6", "threading"),
        (lambda: StdlibTarget(Echo, server=socketserver.UnixStreamServer), "unix", "plain"),
        (lambda: StdlibTarget(Pair, server=socketserver.UnixDatagramServer), "unix-dgram", "plain"),
        (lambda: StdlibTarget(Gram, server=socketserver.ForkingUDPServer), "udp", "forking"),
        (lambda: StdlibTarget(make_unix), "unix", "plain"),
        (lambda: StdlibTarget(make_datagrams), "udp", "threading"),
        (lambda: StdlibTarget(Echo, factory=make_unix), "unix", "plain"),
    ],
)
def test_transport_and_concurrency_are_detected(
    target: Callable[[], StdlibTarget], transport: str, concurrency: str
) -> None:
    """From the server class or factory, else from the handler class or from how its handle() uses the request."""
    told = target().describe()
    assert (told.transport, told.concurrency) == (transport, concurrency)
    assert told.hosted.endswith(f"; over {transport}, {concurrency}")
    assert hosted(target(), transport) == transport


def test_a_server_object_is_copied_onto_its_own_transport(folder: str) -> None:
    """The object itself keeps its path; each copy gets another one."""
    with socketserver.ThreadingUnixStreamServer(f"{folder}/own", Echo) as server:
        target = StdlibTarget(server)
        assert (target.describe().transport, target.describe().concurrency) == ("unix", "threading")
        assert hosted(target, "unix") == "unix"
        assert server.fileno() >= 0
        assert Path(folder, "own").exists()


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"thing": Echo},
        {"thing": http.server.SimpleHTTPRequestHandler},
        {"thing": Echo, "server": Six},
        {"thing": Echo, "server": socketserver.UnixStreamServer},
        {"thing": HostAndPort},
        {"thing": PortOnly},
        {"thing": make_anywhere},
        {"thing": make_nowhere},
    ],
)
def test_a_stream_transport_can_be_asked_for(arguments: dict[str, Any], transport: str) -> None:
    """Whatever hosts the handler is moved there: classes, factories, and those that insist on a host and a port."""
    target = StdlibTarget(**arguments, transport=transport, concurrency="plain")
    assert target.describe().transport == transport
    assert hosted(target, transport) == transport
    assert hosted(target, transport) == transport


@pytest.mark.parametrize("transport", ["udp", "udp6", "unix-dgram"])
@pytest.mark.parametrize("handler", [Gram, Pair])
def test_a_datagram_transport_can_be_asked_for(handler: type, transport: str) -> None:
    """Datagram servers are bound and do not listen."""
    assert hosted(StdlibTarget(handler, transport=transport), transport) == transport


@pytest.mark.parametrize("text", ["wsgiref.simple_server:WSGIRequestHandler", "pydoc", "logging.config"])
def test_the_servers_that_we_bring_can_be_moved_too(text: str) -> None:
    """Over IPv6, where nothing in them depends on the address."""
    assert hosted(load_target(text, transport="tcp6", concurrency="plain"), "tcp6") == "tcp6"


def test_of_two_servers_beside_the_handler_the_asked_one_is_taken(write: Write, tmp_path: Path) -> None:
    """Without a transport the handler's use of its request decides, and the simplest of that type is taken."""
    write(
        "hk_two.py",
        """
        import socketserver
        class Either(socketserver.BaseRequestHandler):
            def handle(self): pass
        class Pair(socketserver.BaseRequestHandler):
            def handle(self): data, sender = self.request
        class Reads(socketserver.BaseRequestHandler):
            def handle(self): self.request.recv(1)
        class Stream(socketserver.TCPServer): pass
        class Local(socketserver.UnixStreamServer): pass
        class Grams(socketserver.ThreadingUDPServer): pass
        """,
    )

    def server(name: str, transport: str = "") -> tuple[str, str]:
        told = load_target(f"hk_two:{name}", root=tmp_path, transport=transport).describe()
        return told.server.partition(":")[2], told.transport

    assert server("Reads") == ("Stream", "tcp")
    with pytest.raises(UsageError, match="nothing in its methods says"):
        server("Either")
    assert server("Either", "unix") == ("Local", "unix")
    assert server("Either", "tcp6") == ("Stream", "tcp6")
    assert server("Either", "udp6") == ("Grams", "udp6")
    assert server("Pair") == ("Grams", "udp")


def test_a_server_that_expects_a_path_is_not_taken_for_a_port(write: Write, tmp_path: Path) -> None:
    """Beside it, over IPv6, the handler lives under socketserver's own server."""
    write(
        "hk_local.py",
        """
        import socketserver
        class H(socketserver.StreamRequestHandler):
            def handle(self): pass
        class Local(socketserver.UnixStreamServer): pass
        """,
    )
    assert load_target("hk_local:H", root=tmp_path).describe().server == "hk_local:Local"
    assert load_target("hk_local:H", root=tmp_path, transport="tcp6").describe().server == "socketserver:TCPServer"


def test_the_contract_knows_what_the_server_class_says() -> None:
    """Transport and concurrency, and the settings for packets, threads and children."""
    settings = {"max_packet_size": 512, "max_children": 3, "block_on_close": False}
    server = type("Own", (socketserver.ForkingUDPServer,), settings)
    contract = StdlibTarget(Gram, server=server).contract()
    assert (contract.transport, contract.concurrency, contract.kind) == ("udp", "forking", "datagram")
    assert (contract.max_packet_size, contract.max_children, contract.block_on_close) == (512, 3, False)
    threads = type("Daemons", (socketserver.ThreadingTCPServer,), {"daemon_threads": True})
    assert StdlibTarget(Echo, server=threads).contract().daemon_threads


def test_overrides_of_the_mixins_count_where_they_are_in_force() -> None:
    """A plain equivalent never calls process_request_thread."""

    class Own(socketserver.ThreadingTCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            super().process_request_thread(request, client_address)

        def handle_timeout(self) -> None: ...

    told = StdlibTarget(Echo, server=Own).describe()
    assert told.overrides == ("handle", "handle_timeout", "process_request_thread")
    assert StdlibTarget(Echo, server=Own, concurrency="plain").describe().overrides == ("handle", "handle_timeout")


def test_only_servers_with_code_of_their_own_look_at_their_socket_file() -> None:
    """The standard library's never touch it, so in memory they need none."""
    own = type("Own", (socketserver.UnixStreamServer,), {"__module__": __name__})
    assert StdlibTarget(Echo, server=own).describe().own_path
    assert StdlibTarget(make_unix).describe().own_path
    assert not StdlibTarget(Echo, transport="unix").describe().own_path
    assert not StdlibTarget(http.server.SimpleHTTPRequestHandler, transport="unix").describe().own_path


def make_bound_to(path: str) -> Callable[[], Any]:
    """A factory that insists on its own path."""
    return lambda: socketserver.UnixStreamServer(path, Echo)


def test_looking_at_a_target_leaves_no_socket_file(folder: str) -> None:
    """A factory with a path of its own can be asked again and again."""
    for _ in range(2):
        assert StdlibTarget(make_bound_to(f"{folder}/own")).describe().transport == "unix"
    assert os.listdir(folder) == []


def test_a_taken_path_is_said(folder: str) -> None:
    """With the path, and what to write instead; whatever lies there stays."""
    path = Path(folder, "taken")
    path.touch()
    with pytest.raises(TargetError, match=rf"the path '{path}' is taken: .*a parameter socket_path"):
        StdlibTarget(make_bound_to(str(path)), text="app:make").describe()
    assert path.exists()


def test_a_path_that_is_too_long_is_said(folder: str) -> None:
    """With its length and the longest that is allowed."""
    path = f"{folder}/".ljust(PATH_BYTES_MAX + 1, "x")
    with pytest.raises(TargetError, match=r"is too long for a Unix socket \(108 bytes, at most 107 are allowed\)"):
        StdlibTarget(make_bound_to(path)).describe()


def test_a_missing_folder_is_said(folder: str) -> None:
    """The kernel's reason is passed on."""
    with pytest.raises(TargetError, match=r"/no/own' cannot be bound: No such file or directory"):
        StdlibTarget(make_bound_to(f"{folder}/no/own")).describe()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"thing": Gram, "transport": "tcp"}, r"is a datagram handler .* allowed transports are udp, udp6, unix-dgram"),
        ({"thing": Echo, "transport": "udp"}, r"is a stream handler .* allowed transports are tcp, tcp6, unix"),
        (
            {"thing": Echo, "server": socketserver.UDPServer},
            r"is a stream handler .*:UDPServer serves datagrams over udp",
        ),
        ({"thing": Echo, "server": Six, "transport": "unix-dgram"}, r"Six serves streams .* allowed for it are tcp"),
        ({"thing": Nagle, "transport": "unix"}, r"declares disable_nagle_algorithm, .* test it over tcp"),
        (
            {"thing": Echo, "server": Fussy, "transport": "unix"},
            r"cannot listen over unix: its server_bind\(\) failed with ValueError",
        ),
        (
            {"thing": make_unix, "transport": "tcp"},
            r"make_unix asks for the path of a Unix socket.*parameter server_address",
        ),
    ],
)
def test_what_cannot_be_hosted_over_a_transport_is_said(arguments: dict[str, Any], said: str) -> None:
    """One clear message: what, why, and what to write."""
    with pytest.raises(TargetError, match=said) as caught:
        StdlibTarget(text="app:Target", **arguments).describe()
    assert "\n" not in str(caught.value).partition(";")[0]


def test_a_handler_that_copes_without_nagle_is_not_refused() -> None:
    """Its own setup() may know what to do on a Unix socket."""
    assert StdlibTarget(OwnSetup, transport="unix").describe().transport == "unix"
    assert StdlibTarget(Nagle, transport="tcp6").describe().transport == "tcp6"


def test_what_the_user_names_is_loaded_over_the_transport(write: Write, tmp_path: Path) -> None:
    """load_target passes everything on."""
    write(
        "hk_named.py", "import socketserver\nclass H(socketserver.StreamRequestHandler):\n    def handle(self): pass\n"
    )
    told = load_target("hk_named:H", root=tmp_path, transport="unix", concurrency="threading").describe()
    assert (told.transport, told.concurrency, told.server) == ("unix", "threading", "socketserver:UnixStreamServer")
    assert load(parse("hk_named:H"), tmp_path) is sys.modules["hk_named"].H
