"""The probes write down what a Case does to the process around the handler, and leave everything as they found it."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import sys
import threading
import warnings

import pytest

from handshaker.harness.probes import TEXT_MAX, Probes, open_descriptors
from handshaker.harness.recorder import RUN, Recorder


@contextlib.contextmanager
def watched():
    """Probes and a run; not a fixture, since pytest replaces sys.stderr between the phases of a test."""
    recorder = Recorder()
    with Probes():
        RUN.begin(recorder, (), ())
        RUN.connection = 3
        try:
            yield recorder
        finally:
            RUN.clear()


def test_stderr_becomes_one_event_per_stretch():
    """However many calls of write() it takes, what is written in one go is one event."""
    with watched() as recorder:
        print("one", "two", file=sys.stderr)
        sys.stderr.buffer.write(b"bytes \xff\n")
        sys.stderr.flush()
        RUN.emit((("network.sleep", 3, 1), None))
        print("three", file=sys.stderr)
        assert recorder.flat[::2] == [("probe.stderr", 3), ("network.sleep", 3, 1), ("probe.stderr", 3)]
        assert recorder.flat[1::2] == ["one two\nbytes \\xff\n", None, "three\n"]


def test_stderr_is_kept_from_the_terminal_and_bounded(capsys):
    """Nothing reaches the terminal, and an endless text is cut."""
    with watched() as recorder:
        for _ in range(100):
            sys.stderr.write("x" * 1_000)
        assert capsys.readouterr().err == ""
        assert TEXT_MAX <= len(recorder.flat[1]) < 3 * TEXT_MAX


def test_stderr_stands_in_for_a_text_file():
    """A program that looks sees a text file that is no terminal; only text can be written to it."""
    real = sys.stderr
    with watched():
        assert (sys.stderr.isatty(), sys.stderr.writable(), sys.stderr.buffer.writable()) == (False, True, True)
        assert sys.stderr.encoding.lower().startswith("utf")
        assert sys.stderr.name == real.name
        sys.stderr.close()
        with pytest.raises(TypeError):
            sys.stderr.write(b"bytes")


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_log_record_is_told_once_wherever_it_goes(elsewhere):
    """Who reports to a file, or to the stderr of before, has reported; who reports to stderr has not done so twice."""
    logger = logging.getLogger(f"{__name__}.{elsewhere}")
    logger.propagate = False
    with watched() as recorder:
        logger.addHandler(logging.StreamHandler(io.StringIO() if elsewhere else sys.stderr))
        logger.error("it failed")
    told = f"ERROR:{logger.name}:it failed\n" if elsewhere else "it failed\n"
    assert recorder.flat == [("probe.stderr", 3), told]


def test_a_logged_exception_is_kept_by_pytest_as_text_only(caplog):
    """An exception keeps the frames it went through, and so the handler: it would look like a leak in every test."""
    with watched():
        try:
            raise ValueError("no number")
        except ValueError:
            logging.getLogger(__name__).exception("failed")
    assert caplog.records[0].exc_info is None
    assert "ValueError: no number" in caplog.text


def test_between_cases_stderr_is_the_real_one(capsys):
    """Without a run, text goes where it went before, and afterwards sys.stderr is the same object."""
    before = sys.stderr
    with Probes():
        print("seen", file=sys.stderr)
    assert capsys.readouterr().err == "seen\n"
    assert sys.stderr is before


def test_warnings_are_written_down_every_time():
    """A filter that shows a warning once per place would make the second run of a Case another Trace."""
    with watched() as recorder:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
        for _ in range(2):
            warnings.warn("unclosed", ResourceWarning, stacklevel=1)
        assert recorder.flat[::2] == [("probe.warning", 3, "builtins.ResourceWarning")] * 2
        assert recorder.flat[1].startswith("unclosed @ ")


def test_filters_that_show_once_show_always_while_the_probes_watch():
    """`default` and the like become `always`; what ignores or raises stays, and all of it is put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("once", UserWarning)
        before = list(warnings.filters)
        with Probes():
            actions = {item[2]: item[0] for item in reversed(warnings.filters)}
            assert (actions[UserWarning], actions[Warning], actions[ResourceWarning]) == ("always", "error", "always")
        assert list(warnings.filters) == before


def test_exceptions_that_nobody_could_catch_are_written_down():
    """An exception in __del__ is an event."""
    with watched() as recorder:

        class Loud:
            def __del__(self):
                raise ValueError("too late")

        Loud()
        gc.collect()
        assert recorder.flat == [("probe.unraisable", 3, "builtins.ValueError"), "ValueError: too late"]


def test_exceptions_of_a_handlers_thread_are_written_down():
    """An exception that ends a thread is an event; sys.exit() in a thread is none, as ever."""

    def fail():
        raise ValueError("alone")

    with watched() as recorder:
        for target in (fail, sys.exit):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        assert recorder.flat == [("probe.unraisable", 3, "builtins.ValueError"), "ValueError: alone"]


def test_what_a_stopped_handler_leaves_behind_is_our_doing():
    """After a stop, exceptions that nobody could catch are not written down."""
    with watched() as recorder:

        class Loud:
            def __del__(self):
                raise ValueError("too late")

        RUN.stopped = True
        Loud()
        gc.collect()
        assert recorder.flat == []


def test_a_descriptor_that_is_left_open_is_noticed():
    """Also when it is not the lowest free one, and not when all were closed again."""
    with Probes() as probes:
        first, second = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_RDONLY)
        os.close(first)
        try:
            assert probes.disturbed()
            assert probes.new_descriptors() == 1
        finally:
            os.close(second)
        assert not probes.disturbed()
        assert probes.descriptors == open_descriptors()


def test_a_thread_that_goes_on_is_noticed():
    """One that is just ending is given a moment."""
    with Probes() as probes:
        leave = threading.Event()
        lasting = threading.Thread(target=leave.wait)
        lasting.start()
        ending = threading.Thread(target=lambda: None)
        ending.start()
        try:
            assert probes.disturbed()
            assert probes.new_threads() == 1
            probes.settle()
            assert not probes.disturbed()
        finally:
            leave.set()
            lasting.join()
