"""A Trace: how it is made from a recorder's flat list, and how it is asked."""

from __future__ import annotations

import pytest

from handshaker.harness.trace import Event, Header, Trace, materialise

FLAT = [
    ("get_request.enter", -1), None,
    ("peer.connect", 0), "198.51.100.1:1024",
    ("handle.enter", 0, 1, "main", ()), None,
    ("socket.recv", 0, "rfile"), b"abc",
    ("peer.end", 0, "eof", False, 0), b"ABC",
    ("peer.end", 1, "reset", False, 2), b"",
]  # fmt: skip
HEADER = Header(target="m:H")


def test_flat_events_become_named_facts():
    """Fields and payload get the names of the vocabulary; the source carries the connection."""
    trace = materialise(FLAT, None, HEADER)
    assert trace.events[0] == Event(0, 0.0, "server", "get_request.enter")
    assert trace.events[1] == Event(1, 0.0, "peer#0", "peer.connect", 0, {"address": "198.51.100.1:1024"})
    assert trace.events[2].data == {"instance": 1, "thread": "main", "missing": ()}
    assert trace.events[4].data == {"end": "eof", "unread": False, "unplayed": 0, "reply": b"ABC"}


def test_times_are_kept_when_they_were_recorded():
    """Each event carries its own time."""
    assert [event.time for event in materialise(FLAT, [0.5 * n for n in range(6)], HEADER)] == [0, 0.5, 1, 1.5, 2, 2.5]


@pytest.mark.parametrize("what", [("handle.enter", 0, 1), ("handle.leave", 0, 1, "too much")])
def test_events_with_wrong_fields_are_refused(what):
    """A recorder that forgets or invents a field is found out when the Trace is made."""
    with pytest.raises(ValueError, match="zip"):
        materialise([what, None], None, HEADER)


def test_unknown_kinds_are_refused():
    """A kind that the vocabulary does not have cannot enter a Trace."""
    with pytest.raises(KeyError, match=r"peer\.waves"):
        materialise([("peer.waves", 0), None], None, HEADER)


def test_events_can_be_chosen_by_kind_and_connection():
    """`of` keeps the order, takes several kinds, and with no kind takes all."""
    trace = materialise(FLAT, None, HEADER)
    assert [event.seq for event in trace.of("peer.end", "peer.connect")] == [1, 4, 5]
    assert [event.seq for event in trace.of("peer.end", connection=1)] == [5]
    assert [event.seq for event in trace.of(connection=0)] == [1, 2, 3, 4]
    assert len(trace.of()) == len(trace) == 6


def test_connections_and_replies_are_in_order_of_the_peers():
    """The server as a whole is no connection; each peer has one reply."""
    trace = materialise(FLAT, None, HEADER)
    assert trace.connections == (0, 1)
    assert trace.replies == (b"ABC", b"")


def test_details_are_read_by_name():
    """A detail is read by its name; `get` has a default, indexing has none."""
    event = materialise(FLAT, None, HEADER).events[3]
    assert event["via"] == "rfile"
    assert event.get("absent", 7) == 7
    with pytest.raises(KeyError):
        event["absent"]


def test_reprs_stay_short():
    """A megabyte in an event or in a trace does not reach the screen."""
    event = Event(7, 1.25, "socket#0", "socket.send", 0, {"data": bytes(1_000_000), "message": "x" * 1_000})
    assert repr(event).startswith("#7 1.250 socket#0 socket.send(data=b'\\x00")
    assert len(repr(event)) < 400
    assert repr(Trace(HEADER, (event,) * 1000)) == "Trace(m:H on memory, 1000 events)"
