"""The parts that need no process: limits, lines, the progress page, captured output, stacks."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.harness import processes
from handshaker.harness.errors import CaseFileError, HarnessBug, TargetError
from handshaker.harness.processes.capture import Capture
from handshaker.harness.processes.limits import Limits, Watchdog, cpu_seconds
from handshaker.harness.processes.progress import PAGE_BYTES, ProgressPage
from handshaker.harness.processes.results import Failure, ending, signal_name
from handshaker.harness.processes.stacks import StackFrame, stack_frames, users_frame
from handshaker.harness.processes.wire import LineSplitter, to_line

LIMITS = Limits(cpu_seconds=1.0, silent_seconds=10.0)


def test_processor_time_counts_from_the_last_progress() -> None:
    """Only processor time used since the last progress is held against a task."""
    watchdog = Watchdog(LIMITS, now=0.0)
    assert watchdog.observe(1, now=1.0, cpu=5.0) == ""
    assert watchdog.observe(1, now=2.0, cpu=6.0) == ""
    assert watchdog.observe(1, now=2.1, cpu=6.1) == "cpu"


def test_silence_counts_from_the_last_progress() -> None:
    """A task that neither works nor progresses is silent once it exceeds the limit, and not when it just woke up."""
    watchdog = Watchdog(LIMITS, now=100.0)
    assert watchdog.observe(0, now=110.0, cpu=0.1) == ""
    assert watchdog.observe(0, now=110.1, cpu=0.1) == "silent"
    assert watchdog.observe(1, now=200.0, cpu=0.1) == ""


def test_processor_time_is_that_of_the_process() -> None:
    """Processor time of this process grows with its work; a process that is gone has none."""
    before = cpu_seconds(os.getpid())
    sum(range(200_000))
    assert cpu_seconds(os.getpid()) > before > 0
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 0"], {})
    os.waitpid(child, 0)
    assert cpu_seconds(child) == 0.0


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@given(values=st.lists(JSON), cuts=st.lists(st.integers(min_value=1, max_value=50)))
def test_values_survive_the_wire_however_it_is_cut(values: list[object], cuts: list[int]) -> None:
    """Any JSON values come out as they went in, whatever pieces they arrive in."""
    data = b"".join(map(to_line, values))
    splitter, received = LineSplitter(), []
    for cut in cuts:
        received += splitter.feed(data[:cut])
        data = data[cut:]
    assert received + splitter.feed(data) == values


def test_a_line_that_is_no_json_is_our_bug() -> None:
    """A damaged line between our own processes is quoted and blamed on us."""
    with pytest.raises(HarnessBug, match=r"not JSON: b'\{oops'"):
        LineSplitter().feed(b"{oops\n")


def test_both_sides_see_one_page() -> None:
    """A mark, a tick, a pulse and a request to stop made on one mapping are seen on another."""
    with tempfile.TemporaryFile() as file:
        file.truncate(PAGE_BYTES)
        task, supervisor = ProgressPage(file.fileno()), ProgressPage(file.fileno())
    assert (supervisor.in_flight, supervisor.life, task.stop_requested) == (None, 0, False)
    task.mark(3, 1_000_000_000_000)
    task.tick()
    supervisor.request_stop()
    assert (supervisor.in_flight, supervisor.marks, supervisor.life) == ((3, 1_000_000_000_000), 1, 2)
    assert task.stop_requested
    assert supervisor.progress == 1
    task.pulse()
    assert (supervisor.marks, supervisor.progress, supervisor.life) == (1, 2, 3)
    supervisor.reset()
    assert (task.in_flight, task.life, task.stop_requested) == (None, 0, False)


def test_captured_output_stays_short_and_keeps_its_tail() -> None:
    """A flood of output is cut, and the last words are still there."""
    capture = Capture()
    for line in range(400_000 // 10_000):
        os.write(capture.fileno(), b"%09d\n" % line * 20_000)
        capture.trim()
    assert os.fstat(capture.fileno()).st_size < 5 << 20
    os.write(capture.fileno(), b"last words")
    capture.trim()
    assert capture.tail().endswith("000000039\nlast words")
    assert len(capture.tail()) == 8 << 10
    capture.clear()
    assert capture.tail() == ""
    capture.close()


def test_the_running_thread_is_read_from_a_dump() -> None:
    """Of several threads the frames of the running one are given, innermost first."""
    dump = (
        'Thread 0x1 (most recent call first):\n  File "a.py", line 1 in idle\n\n'
        "Current thread 0x2 [main] (most recent call first):\n"
        '  File "b.py", line 2 in inner\n  File "b.py", line 9 in outer\n'
    )
    assert stack_frames(dump) == (StackFrame("b.py", 2, "inner"), StackFrame("b.py", 9, "outer"))
    assert stack_frames(dump.replace("Current thread", "Thread"))[0].function == "inner"
    assert stack_frames("") == ()


def test_the_users_frame_is_neither_pythons_nor_ours() -> None:
    """The innermost frame outside Python's library and handshaker is the user's; an installed package is no library."""
    lines = [
        f'  File "{socket.__file__}", line 1 in recv',
        f'  File "{processes.__file__}", line 2 in play',
        '  File "<frozen runpy>", line 3 in run',
        '  File "/srv/app.py", line 4 in handle',
        '  File "/srv/main.py", line 5 in main',
    ]
    dump = "Current thread 0x1 (most recent call first):\n"
    assert users_frame(dump + "\n".join(lines)) == StackFrame("/srv/app.py", 4, "handle")
    assert users_frame(dump + "\n".join(lines[:3])) is None
    installed = f'  File "{Path(socket.__file__).parent / "site-packages" / "tool.py"}", line 6 in work'
    assert users_frame(dump + installed + "\n" + "\n".join(lines)) == stack_frames(dump + installed)[0]


@pytest.mark.parametrize(
    ("status", "said"),
    [(0, "exited with status 0"), (-9, "was killed by SIGKILL"), (-60, "was killed by signal 60"), (None, "vanished")],
)
def test_an_exit_status_is_said_in_words(status: int | None, said: str) -> None:
    """Every exit status completes the sentence "the process ..."."""
    assert ending(status) == said
    assert (signal_name(status) == "") is (status is None or status >= 0)


def test_only_our_errors_cross_the_border_as_themselves() -> None:
    """TargetError and CaseFileError keep their type; any other exception becomes a HarnessBug with its traceback."""
    assert type(Failure.of(TargetError("x")).error()) is TargetError
    assert type(Failure(**Failure.of(CaseFileError("x")).to_json()).error()) is CaseFileError
    other = Failure.of(KeyError("k")).error()
    assert type(other) is HarnessBug
    assert "KeyError" in str(other)
