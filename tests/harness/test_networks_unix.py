"""What is different on Unix streams, on both networks: no resets, no addresses of clients, EPIPE at once."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.networks.listener import MemoryListener
from handshaker.harness.networks.memory import MemoryNetwork
from handshaker.harness.places import NOWHERE, PATH_BYTES_MAX
from tests.harness.wires import CLOSE, HALF_CLOSE, RESET, Wire, connected, send

EXPECT_2 = Step("expect", size=2, seconds=1)


@pytest.fixture(params=["memory", "loopback"])
def network(request) -> str:
    return request.param


def unix(network: str, *steps: Step, early: int = 0) -> contextlib.AbstractContextManager[Wire]:
    """A Unix connection whose peer plays *steps*."""
    return connected(network, *steps, early=early, transport="unix")


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as path:
        yield path


def test_a_client_has_no_address_and_the_server_has_a_path(network):
    """getpeername() is '' whether the peer lives or not, and getsockname() is where the server listens."""
    with unix(network, CLOSE) as wire:
        assert wire.socket.family == socket.AF_UNIX
        assert wire.socket.getpeername() == ""
        assert wire.socket.getsockname() == wire.network.address
        assert wire.socket.recv(1) == b""
        assert wire.socket.getpeername() == ""
        assert wire.whats("socket.accepted") == [("AF_UNIX", "SOCK_STREAM", None, False, True)]


def test_an_ipv6_address_is_a_4_tuple(network):
    """On both ends of the connection, with flow label and scope."""
    with connected(network, HALF_CLOSE, transport="tcp6") as wire:
        assert wire.socket.family == socket.AF_INET6
        for address in (wire.socket.getpeername(), wire.socket.getsockname()):
            host, port, *rest = address
            assert (host, rest) == ("::1", [0, 0])
            assert port
        assert wire.whats("socket.accepted")[0][0] == "AF_INET6"


def test_the_first_write_to_a_closed_peer_fails_and_takes_nothing_away(network):
    """EPIPE at once, where TCP takes the first bytes; what the peer had sent can still be read."""
    with unix(network, send(b"abc"), CLOSE) as wire:
        assert wire.socket.recv(2) == b"ab"
        assert wire.socket.recv(1) == b"c"
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                wire.socket.send(b"x")
        assert wire.socket.recv(1) == b""


def test_a_peer_that_goes_before_it_is_accepted_has_sent_what_it_sent(network):
    """There is no reset that could throw it away."""
    with unix(network, send(b"hi"), RESET, early=2) as wire:
        assert wire.socket.recv(9) == b"hi"
        assert wire.socket.recv(9) == b""


def test_a_peer_that_aborts_with_its_reply_unread_leaves_an_error(network):
    """Buffered bytes first, then ECONNRESET once, then the end of the stream; writes fail with EPIPE all the time."""
    with unix(network, send(b"ab"), send(b"c"), RESET) as wire:
        assert wire.socket.recv(9) == b"ab"
        wire.socket.sendall(b"reply")
        assert wire.socket.recv(9) == b"c"
        with pytest.raises(BrokenPipeError):
            wire.socket.send(b"x")
        with pytest.raises(ConnectionResetError):
            wire.socket.recv(9)
        assert wire.socket.recv(9) == b""
        with pytest.raises(BrokenPipeError):
            wire.socket.send(b"x")
        assert wire.finish() == ("eof", False, 0, b"reply")


def test_a_peer_that_aborts_after_it_has_looked_only_closes(network):
    """What it waited for it has read, so nothing stays behind that could be told."""
    with unix(network, send(b"a"), EXPECT_2, RESET) as wire:
        assert wire.socket.recv(9) == b"a"
        wire.socket.sendall(b"ok")
        assert wire.socket.recv(9) == b""
        assert wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_the_error_of_an_aborted_connection_can_be_asked_for_once(network):
    """SO_ERROR takes it away, and reads go on to the end of the stream."""
    with unix(network, send(b"a"), send(b"b"), RESET) as wire:
        assert wire.socket.recv(9) == b"a"
        wire.socket.sendall(b"reply")
        assert wire.socket.recv(9) == b"b"
        with pytest.raises(BrokenPipeError):
            wire.socket.send(b"more")
        assert wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
        assert wire.socket.recv(9) == b""


@pytest.mark.parametrize("shut_first", [False, True])
def test_closing_with_input_unread_loses_nothing_but_the_peer_is_told(network, shut_first):
    """The whole reply arrives, and the end is a reset, also after the sending direction was shut down."""
    with unix(network, send(b"abc")) as wire:
        assert wire.socket.recv(1) == b"a"
        wire.socket.sendall(b"reply" * 1_000)
        if shut_first:
            wire.socket.shutdown(socket.SHUT_WR)
        assert wire.finish() == ("reset", True, 0, b"reply" * 1_000)


def test_after_shut_rd_nothing_more_is_taken(network):
    """The peer's next segment goes nowhere; what had arrived before is still read."""
    with unix(network, send(b"ab"), send(b"cd")) as wire:
        assert wire.socket.recv(1) == b"a"
        wire.socket.shutdown(socket.SHUT_RD)
        assert [wire.socket.recv(9), wire.socket.recv(9)] == [b"b", b""]
        wire.socket.sendall(b"still writes")


def test_shutting_down_what_is_over_is_no_error(network):
    """ENOTCONN is for TCP."""
    with unix(network, CLOSE) as wire:
        assert wire.socket.recv(1) == b""
        for _ in range(2):
            wire.socket.shutdown(socket.SHUT_RDWR)
        assert wire.kinds("socket.error") == []


def test_options_of_other_protocols_are_refused(network):
    """TCP_NODELAY on a Unix socket is what makes disable_nagle_algorithm fail there."""
    with unix(network) as wire:
        with pytest.raises(OSError, match="not supported") as caught:
            wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        assert caught.value.errno == errno.ENOTSUP
        with pytest.raises(OSError, match="not supported"):
            wire.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_no_file_is_made_in_memory():
    """The server's path is only a name, unless its code looks at the file."""
    network = MemoryNetwork(Case((Script(),), transport="unix"))
    assert network.address == NOWHERE
    with contextlib.closing(MemoryListener(socket.AF_UNIX)) as listener:
        listener.bind(network.address)
        assert listener.getsockname() == NOWHERE
        assert not Path(NOWHERE).exists()


def test_a_server_that_looks_at_its_file_has_one_as_long_as_its_case_lasts():
    """With *files*, binding makes a socket file, and closing the network removes it and its folder."""
    network = MemoryNetwork(Case((Script(),), transport="unix"), files=True)
    path = Path(network.address)
    with contextlib.closing(MemoryListener(socket.AF_UNIX)) as listener:
        listener.bind(network.address)
        network.listen(listener)
        assert stat.S_ISSOCK(path.stat().st_mode)
        network.close()
    assert not path.parent.exists()


def both_listeners(address: object) -> list[str]:
    """What binding to *address* raises in memory and in the kernel."""
    said = []
    for cls in (MemoryListener, socket.socket):
        with contextlib.closing(cls(socket.AF_UNIX)) as listener:
            try:
                listener.bind(address)
            except Exception as error:
                said.append(f"{type(error).__name__} {getattr(error, 'errno', '')} {error}")
            else:
                said.append(repr(listener.getsockname()))
                if isinstance(listener.getsockname(), str):
                    os.unlink(listener.getsockname())
    return said


def test_binding_in_memory_fails_as_the_kernel_does(folder):
    """A path that is too long, taken, below no folder, or no path at all; bytes come back as a string."""
    taken = f"{folder}/taken"
    Path(taken).touch()
    longest = f"{folder}/".ljust(PATH_BYTES_MAX, "x")
    addresses = [f"{folder}/free", longest, f"{longest}x", taken, f"{folder}/no/folder", ("127.0.0.1", 0), b"\0name"]
    for address in [*addresses, f"{folder}/bytes".encode()]:
        in_memory, in_the_kernel = both_listeners(address)
        assert in_memory == in_the_kernel


def test_an_unbound_server_has_the_empty_name():
    """As the kernel has it."""
    with contextlib.closing(MemoryListener(socket.AF_UNIX)) as listener, socket.socket(socket.AF_UNIX) as real:
        assert listener.getsockname() == real.getsockname() == ""


def test_a_removed_file_is_not_removed_twice(folder):
    """Somebody else's file of the same name is left alone."""
    path = Path(folder) / "server"
    with contextlib.closing(MemoryListener(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        path.unlink()
        path.write_text("not a socket")
        listener.remove_file()
    assert path.exists()
