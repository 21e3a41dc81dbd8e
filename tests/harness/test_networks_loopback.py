"""What only loopback can show: real descriptors, finite buffers, and that all of it is given back."""

from __future__ import annotations

import contextlib
import socket
import socketserver

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.errors import HarnessBug
from handshaker.harness.networks import peers
from handshaker.harness.networks.loopback import LoopbackListener, LoopbackNetwork
from handshaker.harness.probes import open_descriptors
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.parity_handlers import HANDLERS
from tests.harness.wires import CLOSE, HALF_CLOSE, RESET, connected, pause, send

ENDINGS = (
    (), (send(b"ab"),), (send(b"x\n"), HALF_CLOSE), (send(b"ab"), CLOSE), (RESET,), (send(b"x\ny"), RESET),
    (send(b"x\n"), Step("stop-reading", size=1)), (pause(9),),
)  # fmt: skip


@pytest.mark.parametrize("handler", HANDLERS)
def test_every_descriptor_is_given_back(handler):
    """Whatever the peer and the handler do, a Case leaves no descriptor open."""
    with Stage(StdlibTarget(handler), network="loopback") as stage:
        before = open_descriptors()
        for steps in ENDINGS:
            stage.run(Case((Script(steps), Script(steps, early=len(steps)))))
            assert open_descriptors() == before, steps


class FailsToClose(socketserver.TCPServer):
    def server_close(self):
        raise RuntimeError("not today")


class FailsToListen(socketserver.TCPServer):
    def server_activate(self):
        raise RuntimeError("not today")


def test_every_descriptor_is_given_back_when_the_server_does_not_close():
    """An exception of the server's own end does not keep a descriptor."""
    with Stage(StdlibTarget(HANDLERS[0], server=FailsToClose), network="loopback") as stage:
        before = open_descriptors()
        stage.run(Case((Script((send(b"ab"),)),)))
        assert open_descriptors() == before


def test_every_descriptor_is_given_back_when_hosting_fails():
    """Nor does one of its beginning."""
    with Stage(StdlibTarget(HANDLERS[0], server=FailsToListen), network="loopback") as stage:
        before = open_descriptors()
        with pytest.raises(RuntimeError, match="not today"):
            stage.run(Case((Script((send(b"ab"),)),)))
        assert open_descriptors() == before


def test_a_server_is_bound_to_a_free_port_of_this_machine_whatever_it_asks_for():
    """Neither another interface nor a fixed port is ever used."""
    with contextlib.closing(LoopbackListener()) as listener:
        listener.bind(("0.0.0.0", 80))
        assert listener.getsockname()[0] == "127.0.0.1"
        assert listener.getsockname()[1] not in (0, 80)
    with contextlib.closing(LoopbackListener(socket.AF_INET6)) as listener:
        listener.bind(("::", 0, 0, 0))
        assert listener.getsockname()[0] == "::1"


def test_sockets_that_a_constructor_makes_for_itself_work():
    """A socketpair is a socketpair, and a listener without a Case accepts as any other."""
    left, right = LoopbackListener(socket.AF_UNIX), None
    left.close()
    with contextlib.closing(LoopbackListener()) as listener, contextlib.closing(socket.socket()) as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        right, _ = listener.accept()
        client.sendall(b"x")
        assert right.recv(1) == b"x"
        right.close()


def test_large_input_arrives_whole_through_finite_buffers():
    """What the kernel cannot take at once is sent when the handler has made room; the end comes after it."""
    with connected("loopback", send(b"0123456789", 500_000), send(b"tail"), HALF_CLOSE, early=3) as wire:
        parts = []
        while data := wire.socket.recv(1 << 20):
            parts.append(data)
        assert b"".join(parts) == b"0123456789" * 500_000 + b"tail"
        assert wire.finish()[:3] == ("eof", False, 0)


def test_large_replies_arrive_whole_through_finite_buffers():
    """A peer that reads takes what the handler writes, however much that is."""
    with connected("loopback", send(b"x")) as wire:
        wire.socket.recv(1)
        wire.socket.sendall(b"r" * 4_000_000)
        assert wire.finish() == ("eof", False, 0, b"r" * 4_000_000)


def test_a_reset_cuts_what_the_peers_buffer_cannot_hold():
    """With input unread, a long reply really is cut."""
    with connected("loopback", send(b"abcd")) as wire:
        wire.socket.recv(1)
        wire.socket.sendall(b"r" * 1_000_000)
        end, unread, _, reply = wire.finish()
        assert (end, unread) == ("reset", True)
        assert 0 < len(reply) < 1_000_000


def test_a_peer_closes_with_a_fin_and_not_with_a_reset():
    """It takes the reply first, so the handler's next read is EOF."""
    with connected("loopback", send(b"x"), Step("expect", size=4, seconds=1), CLOSE) as wire:
        wire.socket.recv(1)
        wire.socket.sendall(b"r" * 200_000)
        assert wire.socket.recv(1) == b""
        assert wire.finish() == ("eof", False, 0, b"r" * 200_000)


def test_bytes_that_do_not_arrive_are_our_own_bug(monkeypatch):
    """The wait for what is on its way is bounded, and its end blames the harness, not the handler."""
    monkeypatch.setattr("handshaker.harness.networks.loopback.ARRIVAL_S", 0.01)
    with connected("loopback", send(b"ab")) as wire:
        wire.network.peers[0].sent += 1
        with pytest.raises(HarnessBug):
            wire.socket.recv(1)
        wire.network.peers[0].sent -= 1
    assert peers.ARRIVAL_S >= 0.5


def test_a_network_without_peers_has_nobody_to_accept():
    """Accepting then says so without waiting."""
    network = LoopbackNetwork(Case(()))
    with contextlib.closing(LoopbackListener()) as listener:
        listener.bind(("127.0.0.1", 0))
        network.listen(listener)
        with pytest.raises(BlockingIOError):
            listener.accept()
        network.close()
