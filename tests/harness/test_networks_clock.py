"""Virtual time: it moves by waiting, only in the thread that plays a Case, also under names that modules imported."""

from __future__ import annotations

import sys
import threading
import time
import types
from datetime import UTC, datetime, timedelta

import pytest

from handshaker.harness.networks.bounds import Stopped
from handshaker.harness.networks.clock import CLOCK, EPOCH_S, virtual_time
from handshaker.harness.recorder import RUN, Recorder


@pytest.fixture
def recorder():
    recorder = Recorder()
    CLOCK.reset()
    with virtual_time():
        RUN.begin(recorder, (), ())
        yield recorder
        RUN.clear()


def test_sleeping_costs_nothing_and_is_written_down(recorder):
    """An hour goes by at once, for every clock."""
    before = time.monotonic(), time.time(), time.perf_counter()
    time.sleep(3600)
    after = time.monotonic(), time.time(), time.perf_counter()
    assert [round(late - early) for early, late in zip(before, after, strict=True)] == [3600] * 3
    assert recorder.flat[0] == ("network.sleep", -1, 3600)


def test_a_case_always_begins_at_the_same_time(recorder):
    """The first reading is the same in every run, in seconds and in nanoseconds."""
    assert time.time() == pytest.approx(EPOCH_S, abs=1e-3)
    assert time.time_ns() == pytest.approx(EPOCH_S * 1e9, abs=1e7)
    assert time.monotonic_ns() == pytest.approx(time.monotonic() * 1e9, abs=1e6)


def test_a_busy_wait_ends(recorder):
    """Polling the clock makes it move, the longer the faster."""
    end = time.monotonic() + 60
    polls = 0
    while time.monotonic() < end:
        polls += 1
    assert polls < 10_000


def test_a_busy_wait_by_any_name_of_the_clock_ends(recorder):
    """clock_gettime() reads the same clock; what it says of processor time is not ours."""
    end = time.clock_gettime(time.CLOCK_MONOTONIC) + 3
    turns = 0
    while time.clock_gettime(time.CLOCK_MONOTONIC) < end:
        time.sleep(0.05)
        turns += 1
    assert 55 < turns <= 60
    assert time.clock_gettime_ns(time.CLOCK_REALTIME) == pytest.approx(time.time_ns(), abs=1e6)
    assert time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) < 900


def test_who_waits_for_what_no_virtual_time_brings_needs_the_real_clock(recorder):
    """A handler that sleeps until somebody else's clock has moved, or another thread is done, is told to need it."""
    end = datetime.now(UTC) + timedelta(seconds=3)

    def waits():
        while datetime.now(UTC) < end:
            time.sleep(0.5)

    with pytest.raises(Stopped):
        waits()
    assert recorder.stopped_by == ("network.kernel", -1, "the real clock")


def test_many_short_sleeps_with_something_between_are_none_of_that(recorder):
    """Who does something between two sleeps, or looks at the time, may go on."""
    for _ in range(3_000):
        time.sleep(0.001)
        time.monotonic()
    for _ in range(3_000):
        time.sleep(0.001)
        RUN.emit((("socket.send", 0, "send", True, False), b"x"))
    assert not RUN.stopped


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (float("nan"), ValueError), (float("inf"), OverflowError),
                           (sys.maxsize, OverflowError), ("1", TypeError), (None, TypeError)],
)  # fmt: skip
def test_sleeping_backwards_or_for_ever_is_an_error(recorder, seconds, error):
    """As in the real module."""
    with pytest.raises(error):
        time.sleep(seconds)
    assert CLOCK.now == 0


def test_other_threads_see_the_real_clock(recorder):
    """A thread that a handler started lives in real time."""
    seen = []
    thread = threading.Thread(target=lambda: (time.sleep(0), seen.append(time.time())))
    thread.start()
    thread.join()
    assert seen[0] > EPOCH_S + 1e6
    assert recorder.flat == []


def test_events_carry_the_time_at_which_they_happened(recorder):
    """What is written before, between and after two sleeps has three times."""
    for seconds in (1, 2):
        recorder.emit((("network.sleep", -1, 0), None))
        time.sleep(seconds)
    recorder.emit((("network.sleep", -1, 0), None))
    assert [event.time for event in recorder.trace(None)] == [0, 0, 1, 1, 3]


def test_imported_names_are_rebound_and_put_back(monkeypatch):
    """`from time import sleep as nap` in the user's module sleeps in virtual time too, while the block lasts."""
    module = types.ModuleType("rebound")
    module.nap, module.now = time.sleep, time.monotonic
    real = module.nap, module.now
    monkeypatch.setitem(sys.modules, "rebound", module)
    with virtual_time(["rebound", "no such module"]):
        RUN.begin(Recorder(), (), ())
        CLOCK.reset()
        module.nap(500)
        assert CLOCK.now == 500
        assert module.now() > 1_500 - 1
        RUN.clear()
    assert (module.nap, module.now) == real
    assert time.sleep is real[0]


def test_without_a_run_time_is_real():
    """Between Cases the functions are the real ones in all but name."""
    with virtual_time():
        assert time.time() > EPOCH_S + 1e6
        assert time.monotonic() == pytest.approx(time.monotonic(), abs=5)
