"""The drawing of a Trace."""

from __future__ import annotations

import pytest

from handshaker.harness.trace import Event, Header, Trace
from handshaker.harness.vocabulary import KINDS
from handshaker.reports.timeline import event_text, timeline_text
from tests.goldens import check_golden
from tests.reports import samples


def test_golden() -> None:
    """One event is one line; sources have lanes, hooks are indented."""
    check_golden("timeline.txt", timeline_text(samples.TRACE))


@pytest.mark.parametrize("width", [70, 100, 140])
def test_width_is_kept(width: int) -> None:
    """There is a heading and one line for each event, none wider than the screen."""
    rows = timeline_text(samples.TRACE, width=width).splitlines()
    assert len(rows) == len(samples.TRACE) + 1
    assert max(map(len, rows)) <= max(width, 13 + 9 * 5 + 24)


def test_hostile_trace_is_harmless() -> None:
    """Whatever bytes and messages a trace holds, every line is short and printable."""
    assert samples.HOSTILE.trace is not None
    rows = timeline_text(samples.HOSTILE.trace).splitlines()
    assert len(rows) == 5
    assert all(row.isprintable() and len(row) <= 100 for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn(kind: str) -> None:
    """An event of any kind is drawn with its name, also when it carries no details at all."""
    event = Event(0, 0.0, KINDS[kind].source, kind)
    assert event_text(event, 80) == kind
    assert kind.partition(".")[2] in timeline_text(Trace(Header(), (event,)))


def test_usual_details_are_left_out() -> None:
    """A complete send shows its bytes only; an incomplete one says so; a refused request shows the decision."""
    send = Event(0, 0.0, "socket#0", "socket.send", 0, {"complete": True, "resumes": False, "data": b"x"})
    assert event_text(send, 80) == "socket.send b'x'"
    short = Event(0, 0.0, "socket#0", "socket.send", 0, {"via": "send", "complete": False, "data": b"x"})
    assert event_text(short, 80) == "socket.send via send not complete b'x'"
    refused = Event(0, 0.0, "server#0", "verify_request.leave", 0, {"result": False})
    assert event_text(refused, 80) == "verify_request.leave result=False"


def test_exceptions_are_named_as_their_users_write_them() -> None:
    """A builtin loses its module, an injected exception says that it was ours."""
    data = {"lineage": ("builtins.OSError", "builtins.Exception"), "injected": True, "message": "gone"}
    assert event_text(Event(0, 0.0, "handler#0", "setup.raise", 0, data), 80) == "setup.raise OSError (injected): gone"


def test_an_exception_is_named_once() -> None:
    """Its message begins with its name already."""
    told = {"lineage": ("builtins.ValueError",), "injected": False, "message": "ValueError: bad @ app.py:3"}
    event = Event(0, 0.0, "handler#0", "handle.raise", 0, told)
    assert event_text(event, 80) == "handle.raise ValueError: bad @ app.py:3"


def test_acts_of_the_owner_are_drawn_around_what_the_server_does() -> None:
    """What the owner does stands in the server's lane, and what happens meanwhile is indented by it."""
    acts = [("owner.enter", {"act": "close", "nth": 0}), ("owner.leave", {"act": "close", "nth": 0, "seconds": 0.1})]
    inside = Event(1, 0.0, "server", "server_close.enter")
    events = [
        Event(0, 0.0, "owner", *acts[0][:1], -1, acts[0][1]),
        inside,
        Event(2, 0.0, "owner", acts[1][0], -1, acts[1][1]),
    ]
    rows = timeline_text(Trace(Header(), tuple(events)), width=100).splitlines()[1:]
    assert [row.split("0.000")[1].strip() for row in rows] == [
        "owner close()",
        "server_close.enter",
        "owner close() done",
    ]
    assert rows[1].index("server_close") == rows[0].index("owner") + 2


def test_an_act_that_never_returns_says_so() -> None:
    """The stacks that come with it are for the report, not for one line."""
    blocked = Event(0, 0.0, "owner", "owner.blocked", -1, {"act": "shutdown", "nth": 1, "stacks": "Thread 0x1"})
    assert event_text(blocked, 80) == "owner shutdown() has not returned"
