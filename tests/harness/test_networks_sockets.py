"""The request socket of both networks does what a kernel socket does: reading, writing, files, telling about itself."""

from __future__ import annotations

import _socket
import gc
import socket
import sys
import threading

import pytest

from handshaker.harness.case import Fault, Step
from handshaker.harness.networks.bounds import Stopped
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.listener import MemoryListener
from handshaker.harness.networks.memory import MemorySocket
from handshaker.harness.recorder import RUN
from tests.harness.wires import HALF_CLOSE, RESET, connected, pause, run_until_stopped, send


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


def test_a_long_segment_is_taken_in_many_pieces(network):
    """However small the pieces, they are the segment again, also when another follows it."""
    with connected(network, send(b"0123456789", 1_000), send(b"tail", 2_000), HALF_CLOSE, early=2) as wire:
        pieces = []
        while data := wire.socket.recv(7):
            pieces.append(data)
        assert {type(piece) for piece in pieces} == {bytes}
        assert b"".join(pieces) == b"0123456789" * 1_000 + b"tail" * 2_000


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
        (lambda sock: sock.recv(2.0), TypeError),
        (lambda sock: sock.recv_into(b"ab"), TypeError),
        (lambda sock: sock.recv_into(bytearray(2), -1), ValueError),
        (lambda sock: sock.recv_into(bytearray(2), 3), ValueError),
        (lambda sock: sock.send("text"), TypeError),
        (lambda sock: sock.settimeout(-1), ValueError),
        (lambda sock: sock.settimeout("1"), TypeError),
        (lambda sock: sock.settimeout(float("nan")), ValueError),
        (lambda sock: sock.settimeout(float("inf")), OverflowError),
        (lambda sock: sock.settimeout(sys.maxsize), OverflowError),
        (lambda sock: sock.setblocking("no"), TypeError),
        (lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 5), OSError),
        (lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"1"), OSError),
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


@pytest.mark.parametrize(
    "call",
    [
        lambda sock, buffer: sock.recv_into(buffer),
        lambda sock, buffer: sock.recvfrom_into(buffer),
        lambda sock, buffer: sock.recvmsg_into([buffer, buffer]),
        lambda sock, buffer: sock.send(buffer),
        lambda sock, buffer: sock.sendall(buffer),
    ],
)
def test_a_buffer_can_be_resized_while_the_error_is_handled(network, call):
    """The exception of an operation that fails, whose traceback knows all its frames, holds no buffer fast."""
    buffer = bytearray(8)
    with connected(network, RESET) as wire:
        with pytest.raises(ConnectionResetError) as raised:
            call(wire.socket, buffer)
        buffer.extend(b"more")
        assert raised.traceback


def test_a_buffer_that_is_sent_may_change_afterwards(network):
    """What was sent is what was in the buffer then, for the peer and in what is written down."""
    with connected(network, send(b"a")) as wire:
        wire.socket.recv(1)
        buffer = bytearray(b"before")
        wire.socket.sendall(buffer)
        buffer[:] = b"after"
        assert wire.finish()[-1] == b"before"
        assert b"before" in wire.recorder.flat[1::2]


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
    with connected(network, send(b"ab")) as wire:
        run_until_stopped(lambda: wire.socket.recv(9, socket.MSG_PEEK))
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
    """A file goes through send, so that it is written down."""
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
