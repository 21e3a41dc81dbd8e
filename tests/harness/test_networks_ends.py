"""How waiting and connections end on both networks: in virtual time, by resets and half-closes, and at the bounds."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from handshaker.harness.case import Step
from handshaker.harness.networks.bounds import IDLE_READS_MAX, REPLY_BYTES_MAX, SWALLOWED_STOPS_MAX, Stopped
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.recorder import RUN
from tests.harness.wires import CLOSE, HALF_CLOSE, RESET, connected, pause, run_until_stopped, send


@pytest.fixture(params=["memory", "loopback"])
def network(request) -> str:
    return request.param


# time


def test_a_timeout_happens_in_virtual_time(network):
    """The peer's pause goes on during the timeout, and what is left of it afterwards."""
    with connected(network, pause(3), send(b"late")) as wire:
        wire.socket.settimeout(2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(9)
        assert CLOCK.now == 2
        assert wire.socket.recv(9) == b"late"
        assert CLOCK.now == 3
        assert wire.whats("socket.timeout") == [("recv", False)]


def test_a_pause_goes_on_while_the_handler_does_something_else(network):
    """A peer's silence is over when its time has passed, whoever waited."""
    with connected(network, pause(1), send(b"x")) as wire:
        wire.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.socket.recv(1)
        CLOCK.move(1.5)
        with pytest.raises(BlockingIOError):  # one Step at a time: this one ended the pause
            wire.socket.recv(1)
        assert wire.socket.recv(1) == b"x"


def test_a_silent_peer_stalls_a_blocking_read_and_times_out_another(network):
    """After the last Step the peer says nothing more: for a blocking read that is for ever."""
    with connected(network, send(b"x")) as wire:
        wire.socket.recv(1)
        wire.socket.settimeout(9)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        wire.socket.settimeout(None)
        with pytest.raises(Stopped):
            wire.socket.recv(1)
        assert wire.recorder.stopped_by == ("network.stalled", 0, "recv", "open")


def test_the_timeout_can_be_asked_for(network):
    """gettimeout, getblocking and timeout agree, and setting one is written down."""
    with connected(network) as wire:
        for value, blocking in ((2.5, True), (0, False), (None, True)):
            wire.socket.settimeout(value)
            assert (wire.socket.gettimeout(), wire.socket.timeout, wire.socket.getblocking()) == (
                value,
                value,
                blocking,
            )
        wire.socket.setblocking(False)
        assert wire.whats("socket.settimeout") == [(2.5,), (0.0,), (None,), (0.0,)]


def test_a_timeout_of_the_socket_s_own_ends_a_read(network):
    """SO_RCVTIMEO makes a read without a timeout of Python's fail with EAGAIN, in virtual time; zero takes it away."""
    with connected(network, send(b"ab")) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 2, 500_000))
        assert wire.socket.recv(9) == b"ab"
        for flags in (0, socket.MSG_PEEK):
            began = CLOCK.now
            with pytest.raises(BlockingIOError):
                wire.socket.recv(9, flags)
            assert CLOCK.now - began == 2.5
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
        with pytest.raises(Stopped):
            wire.socket.recv(9)


def test_a_timeout_of_the_socket_s_own_ends_a_write(network):
    """SO_SNDTIMEO does the same to a write that nobody makes room for."""
    with connected(network, send(b"ab"), Step("stop-reading")) as wire:
        wire.socket.recv(2)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 3, 0))
        with pytest.raises(BlockingIOError):
            wire.socket.sendall(b"r" * 1_000_000)
        assert CLOCK.now == 3
        assert not RUN.stopped


def test_an_unmet_expectation_ends_with_the_peers_patience(network):
    """A peer that waits for bytes that do not come goes on after its own time."""
    with connected(network, Step("expect", size=5, seconds=2), send(b"x")) as wire:
        assert wire.socket.recv(1) == b"x"
        assert wire.whats("peer.expect") == [(False,)]
        assert CLOCK.now == 2


def test_a_met_expectation_costs_no_time(network):
    """A peer that waits for bytes goes on as soon as they have come."""
    with connected(network, Step("expect", size=5, seconds=2), send(b"x")) as wire:
        wire.socket.sendall(b"12345")
        assert wire.socket.recv(1) == b"x"
        assert wire.whats("peer.expect") == [(True,)]
        assert CLOCK.now == 0


# the end of a connection


def test_a_reset_is_told_once(network):
    """Buffered bytes stay readable; then ECONNRESET once, then EOF, and EPIPE for writers."""
    with connected(network, send(b"ab"), RESET, early=2) as wire:
        assert wire.socket.recv(9) == b"ab"
        with pytest.raises(ConnectionResetError):
            wire.socket.recv(9)
        assert wire.socket.recv(9) == b""
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                wire.socket.sendall(b"x")
        assert wire.whats("socket.error") == [("recv", "ECONNRESET", False), *[("send", "EPIPE", False)] * 2]


def test_a_reset_between_request_and_reply_meets_the_writer(network):
    """Ends that follow the consumed input are played before the handler writes."""
    with connected(network, send(b"ab"), RESET) as wire:
        wire.socket.recv(2)
        with pytest.raises(ConnectionResetError):
            wire.socket.sendall(b"x")


def test_the_first_bytes_to_a_closed_peer_are_accepted(network):
    """The peer answers them with a reset: from then on writes give EPIPE, and the connection is dead."""
    with connected(network, CLOSE) as wire:
        assert wire.socket.recv(9) == b""
        assert wire.socket.getpeername()
        assert wire.socket.send(b"x") == 1
        for _ in range(3):
            with pytest.raises(BrokenPipeError):
                wire.socket.send(b"x")
        assert wire.socket.recv(9) == b""
        for call in (wire.socket.getpeername, lambda: wire.socket.shutdown(socket.SHUT_WR)):
            with pytest.raises(OSError, match="not connected"):
                call()


def test_a_reset_after_a_half_close_is_eof_for_readers(network):
    """The FIN came first, so reads give b""; only writers meet an error."""
    with connected(network, send(b"a"), HALF_CLOSE, RESET, early=3) as wire:
        assert [wire.socket.recv(1), wire.socket.recv(1)] == [b"a", b""]
        with pytest.raises(BrokenPipeError):
            wire.socket.send(b"x")


def test_so_error_takes_the_pending_error_away(network):
    """getsockopt(SO_ERROR) gives the number of the pending error once; after it, reads give b""."""
    with connected(network, RESET, early=1) as wire:
        assert wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
        assert wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert wire.socket.recv(1) == b""


def test_shutdown_of_writing_ends_the_reply_and_leaves_reading(network):
    """SHUT_WR: the peer sees EOF, the handler reads on, and writes give EPIPE."""
    with connected(network, send(b"ab")) as wire:
        wire.socket.sendall(b"bye")
        wire.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError):
            wire.socket.sendall(b"x")
        assert wire.socket.recv(2) == b"ab"
        assert wire.finish() == ("eof", False, 0, b"bye")


def test_shutdown_of_reading_gives_eof_after_what_is_there(network):
    """SHUT_RD: bytes that have come stay readable, and no Step is played for more."""
    with connected(network, send(b"abcd"), send(b"ef")) as wire:
        assert wire.socket.recv(2) == b"ab"
        wire.socket.shutdown(socket.SHUT_RD)
        assert [wire.socket.recv(9), wire.socket.recv(9)] == [b"cd", b""]
        assert wire.socket.send(b"x") == 1
        assert wire.finish() == ("eof", False, 1, b"x")


def test_closing_with_unread_input_resets_the_peer(network):
    """Input that nobody read turns the end into a reset; a reply that has arrived is kept."""
    with connected(network, send(b"abcd")) as wire:
        wire.socket.recv(1)
        wire.socket.sendall(b"reply")
        assert wire.finish() == ("reset", True, 0, b"reply")


def test_shutdown_before_close_hides_the_reset_behind_eof(network):
    """After SHUT_WR a short reply ends in EOF although input is unread."""
    with connected(network, send(b"abcd")) as wire:
        wire.socket.recv(1)
        wire.socket.sendall(b"reply")
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.finish() == ("eof", True, 0, b"reply")


def test_a_long_reply_is_cut_by_unread_input(network):
    """The reset overtakes what the peer's buffer could not hold."""
    with connected(network, send(b"abcd")) as wire:
        wire.socket.recv(1)
        wire.socket.sendall(b"r" * 1_000_000)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.finish()[:2] == ("reset", True)


@pytest.mark.parametrize(("shut_first", "how"), [(False, "reset"), (True, "eof")])
def test_closing_without_lingering_resets_the_peer(network, shut_first, how):
    """SO_LINGER of no seconds: close() sends a reset, of which a peer that has seen the end before learns nothing."""
    with connected(network, send(b"ab")) as wire:
        wire.socket.recv(2)
        wire.socket.sendall(b"reply")
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if shut_first:
            wire.socket.shutdown(socket.SHUT_WR)
        assert wire.finish() == (how, False, 0, b"reply")


def test_a_handler_that_keeps_the_connection_leaves_it_open(network):
    """A peer whose connection nobody ended sees no end."""
    with connected(network, send(b"ab")) as wire:
        wire.socket.recv(2)
        wire.network.finish(wire.recorder.emit)
        assert wire.whats("peer.end") == [("open", False, 0)]


def test_a_closed_socket_is_a_bad_descriptor(network):
    """After close every operation raises EBADF, and fileno() is -1."""
    with connected(network, send(b"ab")) as wire:
        wire.socket.close()
        wire.socket.close()
        for call in (
            lambda: wire.socket.recv(1), lambda: wire.socket.send(b"x"), wire.socket.getpeername,
            lambda: wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), wire.socket.getsockname,
            lambda: wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), lambda: wire.socket.settimeout(1),
        ):  # fmt: skip
            with pytest.raises(OSError, match="Bad file descriptor"):
                call()
        assert wire.socket.fileno() == -1
        assert "closed" in repr(wire.socket)


# bounds


def test_reading_at_the_end_for_ever_is_spinning(network):
    """A handler that goes on after EOF is stopped after a bounded number of reads."""
    with connected(network, HALF_CLOSE) as wire:
        assert run_until_stopped(lambda: wire.socket.recv(1)) == IDLE_READS_MAX
    assert wire.recorder.stopped_by == ("network.spinning", 0, "recv", "half-closed")


@pytest.mark.parametrize(("operation", "step"), [("recv", pause(1e6)), ("send", CLOSE)])
def test_repeating_what_cannot_succeed_is_spinning(network, operation, step):
    """So is a handler that polls without waiting, or writes to a peer that is gone."""
    with connected(network, step) as wire:
        wire.socket.setblocking(False)
        run_until_stopped(lambda: getattr(wire.socket, operation)(1 if operation == "recv" else b"x"))
    assert wire.recorder.stopped_by[:3] == ("network.spinning", 0, operation)


def test_an_endless_reply_meets_a_bound(network):
    """The reply of one Case is bounded."""
    with connected(network) as wire:
        assert run_until_stopped(lambda: wire.socket.sendall(b"x" * (REPLY_BYTES_MAX // 100))) >= 100
    assert wire.recorder.stopped_by == ("network.limit", 0, "reply")


def test_endless_events_meet_a_bound(network, monkeypatch):
    """The events of one Case are bounded."""
    monkeypatch.setattr("handshaker.harness.networks.bounds.EVENTS_MAX", 500)
    monkeypatch.setattr("handshaker.harness.networks.memory.EVENTS_MAX", 500)
    with connected(network) as wire:
        run_until_stopped(lambda: wire.socket.sendall(b"x"))
    assert wire.recorder.stopped_by == ("network.limit", 0, "events")


def test_endless_small_reads_meet_a_bound(network, monkeypatch):
    """So are those of a handler that takes a long input byte by byte."""
    for module in ("bounds", "sockets"):
        monkeypatch.setattr(f"handshaker.harness.networks.{module}.EVENTS_MAX", 500)
    with connected(network, send(b"x" * 2_000)) as wire:
        assert run_until_stopped(lambda: wire.socket.recv(1)) < 600
    assert wire.recorder.stopped_by == ("network.limit", 0, "events")


def test_a_stopped_handler_is_stopped_again_and_at_last_ended(network, monkeypatch):
    """Each further operation raises; a handler that swallows every stop is ended by the last resort."""
    ended = []
    monkeypatch.setattr(RUN, "unstoppable", lambda: ended.append(RUN.swallowed))
    with connected(network) as wire:
        for _ in range(SWALLOWED_STOPS_MAX + 2):
            with pytest.raises(Stopped):
                wire.socket.recv(1)
        assert ended == [SWALLOWED_STOPS_MAX + 1]
        assert wire.kinds("network") == ["network.stalled"]
