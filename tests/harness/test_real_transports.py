"""Whole handlers over IPv6 and Unix sockets: what is said of them there is true there, and nothing else is said."""

from __future__ import annotations

import contextlib
import os
import socketserver

import pytest

from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case, Script, Step
from handshaker.harness.places import Place
from handshaker.harness.settings import Settings
from handshaker.targets.stdlib import StdlibTarget, load_target
from tests.harness.test_real_handlers import RESETS, Careful, CarefulWithSelect, NamesItsPeer, said

TALK = Script((Step("send", b"hello\n"), Step("half-close")))

everywhere = pytest.mark.parametrize(
    ("transport", "network"), [("tcp6", "memory"), ("tcp6", "loopback"), ("unix", "memory"), ("unix", "loopback")]
)


class NamesTheHost(socketserver.StreamRequestHandler):
    """Takes for granted that an address has parts."""

    def handle(self) -> None:
        self.wfile.write(self.client_address[0].encode() + self.rfile.readline(100))


class Unlinks(socketserver.UnixStreamServer):
    """Looks after the file of its socket, as many Unix servers do."""

    def server_bind(self) -> None:
        super().server_bind()
        os.chmod(self.server_address, 0o600)

    def server_close(self) -> None:
        super().server_close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.server_address)


@everywhere
def test_nothing_is_said_of_a_careful_handler(transport, network):
    """Neither MUST nor SHOULD, whatever its peers do to it."""
    assert said(StdlibTarget(Careful, transport=transport), generated=100, network=network) == (set(), set())


@everywhere
def test_an_index_into_an_empty_address_is_found_on_unix_sockets_only(transport, network):
    """A Unix client's address is the empty string, which has no first part."""
    must, should = said(StdlibTarget(NamesTheHost, transport=transport), generated=20, network=network)
    assert must == ({("handler/no-uncaught-exception", "builtins.IndexError")} if transport == "unix" else set())
    assert should == (set() if transport == "unix" else RESETS)


@everywhere
def test_http_server_is_as_good_over_ipv6_and_cannot_name_a_unix_client(transport, network):
    """Its address_string() takes the first part of the address for its log."""
    target = load_target("http.server:BaseHTTPRequestHandler", transport=transport)
    must, should = said(target, generated=20, network=network)
    assert must == ({("handler/no-uncaught-exception", "builtins.IndexError")} if transport == "unix" else set())
    assert should == (set() if transport == "unix" else RESETS)


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_unix_peer_that_is_gone_can_still_be_asked_for_its_name(network):
    """There getpeername() never fails, so a handler that asks only meets the ends of the stream."""
    must, should = said(StdlibTarget(NamesItsPeer, transport="unix"), generated=20, network=network)
    assert must == set()
    assert should <= RESETS


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_server_that_handles_its_socket_file_finds_one(network):
    """It may change and remove the file, in memory too; nothing is left over."""
    target = StdlibTarget(Careful, server=Unlinks)
    with Place("unix") as place:
        top = os.path.dirname(os.path.dirname(place.folder))  # the folder of this process lies between
    before = set(os.listdir(top))
    with Workbench(target, Settings(target=target.text, seed=1), network) as bench:
        for case in (Case((TALK,), transport="unix"), Case((TALK, TALK), transport="unix")):
            recorder = bench.run(case)
            assert not recorder.stopped_by
            assert bench.judged(recorder, case) == []
    assert not [name for name in set(os.listdir(top)) - before if f"-{os.getpid()}-" in name]


@pytest.mark.parametrize("transport", ["tcp6", "unix"])
def test_a_handler_that_reads_past_our_socket_is_played_in_real_time(transport):
    """Over every stream transport, with nothing to blame it for."""
    target = StdlibTarget(CarefulWithSelect, transport=transport)
    with Workbench(target, Settings(target=target.text, seed=1), "loopback") as bench:
        case = Case((TALK, Script((Step("send", b"a"), Step("reset")))), transport=transport)
        recorder = bench.run(case)
        assert bench.stage.in_real_time
        assert not recorder.stopped_by
        assert bench.judged(recorder, case) == []
        told = [what for what in recorder.flat[::2] if what[0] == "socket.accepted"]
        assert [what[2] for what in told] == [{"tcp6": "AF_INET6", "unix": "AF_UNIX"}[transport]] * 2
