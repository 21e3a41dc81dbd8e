"""A Case on screen."""

from __future__ import annotations

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.trace import Event, Header, Trace
from handshaker.reports.steps import case_lines
from handshaker.reports.text import lines_text


@pytest.mark.parametrize(
    ("last", "told"), [("half-close", "gets b'hi', then eof"), ("reset", "gets b'hi'"), ("close", "gets b'hi'")]
)
def test_the_end_is_told_to_those_who_wait_for_it(last: str, told: str) -> None:
    """A peer that has left by itself does not see how its stream ends."""
    end = Event(0, 0.0, "peer", "peer.end", 0, {"end": "eof", "reply": b"hi"})
    rows = lines_text(case_lines(Case((Script((Step(last),)),)), Trace(Header(), (end,)), 60), color=False).splitlines()
    assert rows[-1].strip() == told
