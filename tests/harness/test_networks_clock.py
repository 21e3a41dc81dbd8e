"""Virtual time: it moves by waiting, only in the thread that plays a Case, also under names that modules imported."""

from __future__ import annotations

import sys
import threading
import time
import types

import pytest

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


def test_sleeping_backwards_is_an_error(recorder):
    """As in the real module."""
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


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
