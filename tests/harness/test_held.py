"""What a datagram handler has ready to send, and how its reply compares with that."""

from __future__ import annotations

import io
import threading

import pytest

from handshaker.harness.held import Held


@pytest.mark.parametrize(
    ("held", "reply", "told"),
    [
        (None, b"abc", ""),
        (b"abc", b"abc", "same"),
        (b"", b"", "same"),
        (b"abc", b"ab", "part"),
        (b"abc", b"", "part"),
        (b"abc", b"abcd", "other"),
        (b"", b"a", "other"),
    ],
)
def test_a_reply_is_the_same_a_part_or_another(held, reply, told):
    """Outside finish() nothing is held, so nothing can be said."""
    memory = Held()
    memory.data = held
    assert memory.compare(reply) == told


def _closed() -> io.BytesIO:
    file = io.BytesIO(b"abc")
    file.close()
    return file


class _Text:
    def getvalue(self) -> str:
        return "abc"


@pytest.mark.parametrize(
    ("wfile", "told"),
    [
        (io.BytesIO(b"abc"), ("standard", b"abc")),
        (None, ("none", b"")),
        (io.BufferedWriter(io.FileIO(1, "w", closefd=False)), ("own", b"")),
        (_closed(), ("own", b"")),
        (_Text(), ("own", b"")),
    ],
)
def test_a_file_is_looked_at_without_trusting_it(wfile, told):
    """A file of the handler's own may have no getvalue(), or one that raises or gives something else."""
    assert Held().look(wfile) == told


def test_each_thread_holds_its_own():
    """Two requests that finish at the same time are not compared with each other's reply."""
    memory, other = Held(), []
    memory.data = b"abc"
    thread = threading.Thread(target=lambda: other.append(memory.data))
    thread.start()
    thread.join()
    assert other == [None]
    assert memory.data == b"abc"
