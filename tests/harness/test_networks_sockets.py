"""The request socket of both networks behaves as a kernel socket does that nobody delays: reading, writing, ending."""

from __future__ import annotations

import _socket
import errno
import gc
import socket
import threading

import pytest

from handshaker.harness.case import Fault, Step
from handshaker.harness.networks.bounds import IDLE_READS_MAX, REPLY_BYTES_MAX, SWALLOWED_STOPS_MAX, Stopped
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.listener import MemoryListener
from handshaker.harness.networks.memory import MemorySocket
from handshaker.harness.recorder import RUN
from tests.harness.wires import CLOSE, HALF_CLOSE, RESET, connected, pause, send


@pytest.fixture(params=["memory", "loopback"])
def network(request) -> str:
    return request.param


# reading


def test_a_read_brings_one_segment_and_no_more_than_it_asked_for(network):
    """Segment borders are exact, and a long segment is taken in parts."""
    with connected(network, send(b"abcdef"), send(b"gh"), HALF_CLOSE) as wire:
        assert [wire.socket.recv(4) for _ in range(5)] == [b"abcd", b"ef", b"gh", b"", b""]
        assert wire.whats("socket.recv") == [("socket",)] * 3
        assert wire.whats("socket.eof") == [("socket",)] * 2


def test_all_ways_of_receiving_take_from_the_same_stream(network):
    """recv_into, recvfrom, recvfrom_into, recvmsg and recvmsg_into take bytes as recv does."""
    with connected(network, send(b"aabbccddee"), HALF_CLOSE) as wire:
        into, from_into, first, second = bytearray(8), bytearray(2), bytearray(1), bytearray(9)
        assert wire.socket.recv_into(into, 2) == 2
        assert wire.socket.recvfrom(2) == (b"bb", None)
        assert wire.socket.recvfrom_into(from_into) == (2, None)
        assert wire.socket.recvmsg(2)[0] == b"dd"
        assert wire.socket.recvmsg_into([first, second])[0] == 2
        assert (into[:2], from_into, first, second[:1]) == (b"aa", b"cc", b"e", b"e")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda sock: sock.recv(-1), ValueError),
        (lambda sock: sock.recv_into(bytearray(2), -1), ValueError),
        (lambda sock: sock.recv_into(bytearray(2), 3), ValueError),
        (lambda sock: sock.send("text"), TypeError),
        (lambda sock: sock.settimeout(-1), ValueError),
        (lambda sock: sock.settimeout("1"), TypeError),
        (lambda sock: sock.makefile("x"), ValueError),
        (lambda sock: sock.makefile("r", 0), ValueError),
        (lambda sock: sock.shutdown(7), OSError),
        (lambda sock: sock.connect(("127.0.0.1", 1)), OSError),
        (lambda sock: sock.accept(), OSError),
    ],
)
def test_wrong_arguments_raise_what_the_kernel_socket_raises(network, call, error):
    """A handler's mistake gives the exception that it would give in production."""
    with connected(network, send(b"a")) as wire:
        with pytest.raises(error):
            call(wire.socket)
        assert not RUN.stopped


def test_reading_nothing_needs_no_peer(network):
    """recv(0) returns at once, and plays no Step."""
    with connected(network, send(b"a")) as wire:
        assert wire.socket.recv(0) == b""
        assert wire.kinds("peer.send", "socket.eof") == []


def test_a_peek_takes_nothing(network):
    """MSG_PEEK shows the bytes, which the next read takes."""
    with connected(network, send(b"abc")) as wire:
        assert wire.socket.recv(2, socket.MSG_PEEK) == b"ab"
        assert wire.kinds("socket.recv") == []
        assert wire.socket.recv(9) == b"abc"


def test_peeking_again_lets_the_peer_go_on(network):
    """A handler that peeks until there is enough gets what the peer sends next."""
    with connected(network, send(b"ab"), send(b"cd\n")) as wire:
        looks = [wire.socket.recv(9, socket.MSG_PEEK) for _ in range(3)]
        assert looks == [b"ab", b"ab", b"abcd\n"]


def test_peeking_for_ever_is_spinning(network):
    """A handler that peeks for what never comes is stopped."""
    with connected(network, send(b"ab")) as wire, pytest.raises(Stopped):
        while wire.socket.recv(9, socket.MSG_PEEK) != b"abc":
            pass
    assert wire.recorder.stopped_by == ("network.spinning", 0, "recv", "open")


def test_waitall_collects_segments(network):
    """MSG_WAITALL on a blocking socket returns when all has come."""
    with connected(network, send(b"ab"), send(b"cd"), send(b"ef")) as wire:
        assert wire.socket.recv(5, socket.MSG_WAITALL) == b"abcde"
        assert wire.socket.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL | socket.MSG_DONTWAIT) == b"f"


@pytest.mark.parametrize("ending", [HALF_CLOSE, RESET])
def test_waitall_ends_early_with_the_stream(network, ending):
    """MSG_WAITALL returns what there was; the end or the reset is told by the next read."""
    with connected(network, send(b"ab"), ending) as wire:
        assert wire.socket.recv(5, socket.MSG_WAITALL | socket.MSG_PEEK) == b"ab"
        assert wire.socket.recv(5, socket.MSG_WAITALL) == b"ab"
        if ending is RESET:
            with pytest.raises(ConnectionResetError):
                wire.socket.recv(5)
        assert wire.socket.recv(5) == b""


def test_waitall_means_nothing_to_a_socket_with_a_timeout(network):
    """Underneath, such a socket is non-blocking, so MSG_WAITALL returns the first segment."""
    with connected(network, send(b"ab"), send(b"cd")) as wire:
        wire.socket.settimeout(5)
        assert wire.socket.recv(4, socket.MSG_WAITALL | socket.MSG_DONTWAIT) == b"ab"


def test_dontwait_does_not_wait(network):
    """MSG_DONTWAIT on a blocking socket raises BlockingIOError when nothing comes at once."""
    with connected(network, send(b"ab"), pause(1), send(b"cd")) as wire:
        assert wire.socket.recv(4, socket.MSG_DONTWAIT) == b"ab"
        with pytest.raises(BlockingIOError):
            wire.socket.recv(4, socket.MSG_DONTWAIT)
        assert CLOCK.now == 0


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
            lambda: wire.socket.settimeout(1), lambda: wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            lambda: wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), wire.socket.getsockname,
        ):  # fmt: skip
            with pytest.raises(OSError, match="Bad file descriptor"):
                call()
        assert wire.socket.fileno() == -1
        assert "closed" in repr(wire.socket)


# files


def test_the_descriptor_lives_as_long_as_its_files(network):
    """close() gives the descriptor back only when the last file object is closed too."""
    with connected(network, send(b"ab\ncd\n")) as wire:
        with wire.socket as sock:
            reader, writer = sock.makefile("rb"), sock.makefile("wb", 0)
            assert reader.readline() == b"ab\n"
        assert wire.kinds("socket.close", "socket.released") == ["socket.close"]
        writer.write(b"still open")
        writer.close()
        assert wire.kinds("socket.released") == []
        reader.close()
        assert wire.whats("socket.released") == [("call",)]


def test_garbage_gives_the_descriptor_back_and_is_named(network):
    """A socket that nobody closed is released by the collector."""
    with connected(network, send(b"ab")) as wire:
        reader = wire.socket.makefile("rb")
        wire.socket.close()
        wire.socket = None
        del reader
        gc.collect()
        assert wire.whats("socket.released") == [("collector",)]


@pytest.mark.parametrize(
    ("mode", "options"), [("r", {}), ("rw", {"newline": "\n"}), ("rwb", {}), ("rb", {"buffering": 0})]
)
def test_files_read_what_the_peer_sends(network, mode, options):
    """Every mode of makefile reads lines through the socket."""
    with (
        connected(network, send(b"one\ntw"), send(b"o\n"), HALF_CLOSE) as wire,
        wire.socket.makefile(mode, **options) as file,
    ):
        lines = [line if isinstance(line, str) else line.decode() for line in file]
        assert lines == ["one\n", "two\n"]
        assert set(wire.whats("socket.recv")) == {("rfile",)}


def test_a_buffered_writer_that_is_lost_is_counted(network):
    """Bytes that a writer accepted and never passed on are told at the end."""
    with connected(network) as wire:
        writer = wire.socket.makefile("wb", 100)
        writer.write(b"never sent")
        wire.finish()
        assert ("wb", True, False) in wire.whats("socket.file-end")
        assert wire.recorder.flat[wire.recorder.flat.index(("socket.file-end", 0, "wb", True, False)) + 1] == 10
        writer.close()


def test_a_timeout_spoils_a_file_object(network):
    """As in the standard library: after a timeout, rfile cannot be read again."""
    with connected(network, send(b"par"), pause(9), send(b"t\n")) as wire:
        wire.socket.settimeout(1)
        reader = wire.socket.makefile("rb")
        with pytest.raises(TimeoutError):
            reader.readline()
        with pytest.raises(OSError, match="timed out object"):
            reader.readline()
        reader.close()


# writing


def test_all_ways_of_sending_feed_the_same_stream(network):
    """send, sendall, sendto and sendmsg hand bytes over in order; each is written down."""
    with connected(network) as wire:
        assert wire.socket.send(b"a") == 1
        assert wire.socket.sendall(memoryview(b"bc")) is None
        assert wire.socket.sendto(b"d", ("127.0.0.1", 9)) == 1
        assert wire.socket.sendmsg([b"e", b"f"]) == 2
        assert wire.whats("socket.send")[1] == ("sendall", True, False)
        assert wire.finish() == ("eof", False, 0, b"abcdef")


def test_sendfile_sends_the_file(network, tmp_path):
    """sendfile goes through send, so that it is written down."""
    (tmp_path / "file").write_bytes(b"0123456789")
    with connected(network) as wire, (tmp_path / "file").open("rb") as file:
        assert wire.socket.sendfile(file, 2, 5) == 5
        assert wire.finish()[3] == b"23456"


def test_a_peer_that_stops_reading_stalls_a_blocking_writer(network):
    """The writer fills what room there is, then waits for ever."""
    with connected(network, Step("stop-reading", size=100)) as wire, pytest.raises(Stopped):
        wire.socket.sendall(b"r" * 1_000_000)
    assert wire.recorder.stopped_by == ("network.stalled", 0, "send", "open")


def test_a_peer_that_stops_reading_times_a_writer_out(network):
    """With a timeout the writer is told, after exactly that time; send() tells how much was taken."""
    with connected(network, Step("stop-reading", size=100)) as wire:
        wire.socket.settimeout(4)
        assert 0 < wire.socket.send(b"r" * 1_000_000) < 1_000_000
        with pytest.raises(TimeoutError):
            wire.socket.sendall(b"r" * 1_000_000)
        assert CLOCK.now == 4
        assert wire.whats("socket.timeout") == [("send", False)]


def test_a_peer_that_resumes_reading_gets_everything(network):
    """A writer that had to wait goes on, and nothing is lost."""
    with connected(network, Step("stop-reading", size=10), pause(2), Step("resume-reading")) as wire:
        wire.socket.sendall(b"r" * 300_000)
        assert CLOCK.now == 2
        assert wire.finish() == ("eof", False, 0, b"r" * 300_000)


def test_short_operations_are_injected(network):
    """The fault `short` makes a read give one byte and a send take half."""
    faults = (Fault("recv", "short"), Fault("send", "short"))
    with connected(network, send(b"abcd"), faults=faults) as wire:
        assert wire.socket.recv(4) == b"a"
        assert wire.socket.send(b"1234") == 2
        assert wire.socket.send(b"34") == 2
        assert wire.whats("socket.send") == [("send", False, False), ("send", True, True)]
        assert wire.recorder.struck == 2


# bounds


def test_reading_at_the_end_for_ever_is_spinning(network):
    """A handler that goes on after EOF is stopped after a bounded number of reads."""
    with connected(network, HALF_CLOSE) as wire, pytest.raises(Stopped):
        for reads in range(10_000):
            assert wire.socket.recv(1) == b""
    assert wire.recorder.stopped_by == ("network.spinning", 0, "recv", "half-closed")
    assert reads == IDLE_READS_MAX


@pytest.mark.parametrize(("operation", "step"), [("recv", pause(1e6)), ("send", CLOSE)])
def test_repeating_what_cannot_succeed_is_spinning(network, operation, step):
    """So is a handler that polls without waiting, or writes to a peer that is gone."""
    with connected(network, step) as wire, pytest.raises(Stopped):
        wire.socket.setblocking(False)
        for _ in range(10_000):
            try:
                getattr(wire.socket, operation)(1 if operation == "recv" else b"x")
            except OSError:
                continue
    assert wire.recorder.stopped_by[:3] == ("network.spinning", 0, operation)


def test_an_endless_reply_meets_a_bound(network):
    """The reply of one Case is bounded."""
    with connected(network) as wire, pytest.raises(Stopped):
        for _ in range(1_000):
            wire.socket.sendall(b"x" * (REPLY_BYTES_MAX // 100))
    assert wire.recorder.stopped_by == ("network.limit", 0, "reply")


def test_endless_events_meet_a_bound(network, monkeypatch):
    """The events of one Case are bounded."""
    monkeypatch.setattr("handshaker.harness.networks.bounds.EVENTS_MAX", 500)
    monkeypatch.setattr("handshaker.harness.networks.memory.EVENTS_MAX", 500)
    with connected(network) as wire, pytest.raises(Stopped):
        for _ in range(2_000):
            wire.socket.sendall(b"x")
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


# what needs more than one thread of ours


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("fileno", lambda sock: sock.fileno()),
        ("dup", lambda sock: sock.dup()),
        ("detach", lambda sock: sock.detach()),
        ("fileno", lambda sock: sock.makefile("rb").fileno()),
        ("sendmsg", lambda sock: sock.sendmsg([b"x"], [(socket.SOL_SOCKET, 1, b"")])),
    ],
)
def test_the_need_of_a_descriptor_is_detected(network, operation, call):
    """A handler that asks for the descriptor would read past our socket."""
    with connected(network, send(b"ab")) as wire, pytest.raises(Stopped):
        call(wire.socket)
    assert wire.recorder.stopped_by == ("network.kernel", 0, operation)


def test_another_thread_of_the_handler_is_detected(network):
    """Only the thread that plays the Case may use the socket."""
    caught = []

    def read():
        try:
            wire.socket.recv(1)
        except Stopped as stopped:
            caught.append(str(stopped))

    with connected(network, send(b"ab")) as wire:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert caught == ["network.kernel"]
        assert wire.recorder.stopped_by == ("network.kernel", 0, "thread")


def test_it_says_what_a_tcp_socket_says(network):
    """Family, type, names, options, and that it is not inheritable."""
    with connected(network) as wire:
        sock = wire.socket
        assert isinstance(sock, socket.socket)
        assert (sock.family, sock.type, sock.proto) == (socket.AF_INET, socket.SOCK_STREAM, 0)
        assert sock.getsockname()[0] == sock.getpeername()[0] == "127.0.0.1"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert len(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 4)) == 4
        assert wire.kinds("socket.setsockopt") == ["socket.setsockopt"]
        assert sock.get_inheritable() is False


@pytest.mark.parametrize("cls", [MemorySocket, MemoryListener])
def test_no_method_reaches_a_descriptor_that_does_not_exist(cls):
    """Every method and attribute of the C class is overridden, or rests on one that is."""
    resting = {"close"}  # socket.close ends in _real_close
    for name in vars(_socket.socket):
        if name.startswith("__") or name in resting:
            continue
        owner = next(base for base in cls.__mro__ if name in vars(base))
        assert owner.__module__.startswith("handshaker."), f"{name} comes from {owner}"
