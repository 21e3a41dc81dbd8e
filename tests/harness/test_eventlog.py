"""The event log takes records of many threads and processes, tears none, and gives them back in the order of time."""

from __future__ import annotations

import enum
import os
import threading

from handshaker.harness import eventlog
from handshaker.harness.eventlog import EventLog, LogRecorder, Moment, merge
from handshaker.harness.recorder import Recorder


def logged(*writes):
    log = EventLog()
    try:
        for write in writes:
            write(log)
        return log.read()
    finally:
        log.close()


def in_a_child(body):
    pid = os.fork()
    if pid == 0:
        body()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_is_written_is_read_back():
    """Structure and payload come back as they were, with the time of each event."""
    events = [(("a", 0, ("x", None, True)), b"\0\xff"), (("b", -1, 0.5), "text")]
    moments = logged(lambda log: [log.emit(event) for event in events])
    assert [moment[1:] for moment in moments] == events
    assert 0 < moments[0].time_ns <= moments[1].time_ns


def test_no_record_of_many_writers_is_torn():
    """Four threads and two children, 200 records each of very different lengths: all of them arrive whole."""
    log = EventLog()

    def write(who):
        for number in range(200):
            log.emit((("record", who, number), bytes([who]) * (number * 37 % 5_000)))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [in_a_child(lambda who=who: write(who)) for who in (4, 5)] == [0, 0]
    moments = log.read()
    log.close()
    assert sorted(moment.what[1:] for moment in moments) == [(who, number) for who in range(6) for number in range(200)]
    assert all(moment.payload == bytes([moment.what[1]]) * (moment.what[2] * 37 % 5_000) for moment in moments)


def test_a_record_that_was_cut_short_ends_the_log():
    """A writer that was killed leaves half a record: all before it is read."""
    log = EventLog()
    log.emit((("whole", 0), None))
    os.write(log.fileno(), b"\xff\0\0\0half")
    assert [moment.what for moment in log.read()] == [("whole", 0)]
    log.close()


def test_values_that_cannot_be_marshalled_become_plain_ones():
    """An IntEnum becomes its number, a subclass of str its text, and what is unknown its repr."""

    class Colour(enum.IntEnum):
        RED = 1

    class Name(str):
        __slots__ = ()

    (moment,) = logged(lambda log: log.emit((("kind", Colour.RED, (Name("x"),)), [memoryview(b"m"), ValueError])))
    assert moment.what == ("kind", 1, ("x",))
    assert moment.payload == (b"m", "<class 'ValueError'>")


def test_pieces_of_text_are_joined_for_each_writer():
    """What one thread says in several pieces is one event, also when another thread says something in between."""
    log = EventLog()
    first, second = ("probe.stderr", 0), ("probe.stderr", 1)
    log.emit((first, "one "))
    other = threading.Thread(target=log.emit, args=((second, "other"),))
    other.start()
    other.join()
    log.emit((first, "two"))
    log.emit((("else", 0), None))
    log.emit((first, "three"))
    assert [moment[1:] for moment in log.read()] == [
        (first, "one two"), (second, "other"), (("else", 0), None), (first, "three"),
    ]  # fmt: skip
    log.close()


def test_of_what_is_said_in_one_go_a_part_is_kept():
    """A handler that prints for ever fills no memory; after another event it is heard again."""

    def write(log):
        recorder = LogRecorder(log)
        for _ in range(3):
            for _ in range(1_000):
                recorder.append_text(("probe.stderr", 0), "x" * 10, 100)
            recorder.emit((("handle.leave", 0, 0), None))

    texts = [moment.payload for moment in logged(write) if moment.what[0] == "probe.stderr"]
    assert texts == ["x" * 100] * 3


def test_who_makes_events_for_ever_is_heard_no_more(monkeypatch):
    """Beyond a bound sleeps, warnings and text are not written down; everything else is."""
    monkeypatch.setattr(eventlog, "_TALK_BYTES_MAX", 2_000)

    def write(log):
        for _ in range(1_000):
            log.emit((("network.sleep", 0, 0.1), None))
            log.emit((("probe.warning", 0, "builtins.UserWarning"), "x" * 10))
        log.emit((("handle.leave", 0, 0), None))

    moments = logged(write)
    assert len(moments) < 50
    assert moments[-1].what[0] == "handle.leave"


def test_time_can_be_held():
    """While the clock is held in a thread its events happen at that time; a send happens when it began."""
    log = EventLog()
    log.hold(5)
    log.emit((("held", 0), None))
    log.hold(0)
    with log.as_it_begins():
        inside = logged(lambda other: other.emit((("between", 0), None)))
        log.emit((("sent", 0), None))
    times = [moment.time_ns for moment in log.read()]
    log.close()
    assert times[0] == 5
    assert 5 < times[1] <= inside[0].time_ns


def test_merging_orders_by_time_and_counts_the_others_hardships():
    """Events of both sides in the order of their times, faults of the other process counted, the stop remembered."""
    fault, stall = ("network.fault", 0, "recv", "short", 1), ("network.stalled", 0, "recv", "open")
    ours = [Moment(30, ("peer.end", 0), b""), Moment(10, ("peer.connect", 0), "a"), Moment(20, fault, None)]
    theirs = [Moment(15, fault, None), Moment(25, stall, "")]
    recorder = Recorder()
    merge(recorder, ours, theirs, began_ns=10)
    assert [what[0] for what in recorder.flat[::2]] == [
        "peer.connect", "network.fault", "network.fault", "network.stalled", "peer.end",
    ]  # fmt: skip
    assert (recorder.struck, recorder.stopped_by) == (1, stall)
    assert recorder.moments[-1] == (4, 2e-8)


def test_a_log_recorder_keeps_next_to_nothing():
    """In the house the recorder passes everything on, and its mark changes only for what this thread writes.

    How far a handler's life has come is what it keeps, since that is asked when hosting fails.
    """
    log = EventLog()
    recorder = LogRecorder(log)
    before = recorder.mark()
    other = threading.Thread(target=log.emit, args=((("else", 0), None),))
    other.start()
    other.join()
    assert recorder.mark() == before
    recorder.append_text(("probe.stderr", -1), "abcdef", 3)
    assert recorder.mark() != before
    assert log.read()[-1].payload == "abc"
    for number in range(3):
        recorder.emit((("init.enter", number, 0, 0), "H"))
        recorder.emit((("socket.recv", number, "rfile"), b"x"))
        recorder.emit((("setup.enter", number, 0, 0, ()), None))
    assert [what[0] for what in recorder.flat[::2]] == ["init.enter", "setup.enter"]
    log.close()
