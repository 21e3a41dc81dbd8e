"""A Case on screen."""

from __future__ import annotations

import pytest

from handshaker.harness.case import Act, Case, Script, Step
from handshaker.harness.trace import Event, Header, Trace
from handshaker.reports.steps import case_lines, inline_case
from handshaker.reports.text import lines_text


@pytest.mark.parametrize(
    ("last", "told"), [("half-close", "gets b'hi', then eof"), ("reset", "gets b'hi'"), ("close", "gets b'hi'")]
)
def test_the_end_is_told_to_those_who_wait_for_it(last: str, told: str) -> None:
    """A peer that has left by itself does not see how its stream ends."""
    end = Event(0, 0.0, "peer", "peer.end", 0, {"end": "eof", "reply": b"hi"})
    rows = lines_text(case_lines(Case((Script((Step(last),)),)), Trace(Header(), (end,)), 60), color=False).splitlines()
    assert rows[-1].strip() == told


def test_what_the_owner_does_is_told_in_order() -> None:
    """A Case whose server has an owner shows its acts below the peers, and on one line behind them."""
    case = Case((Script((Step("half-close"),)),), owner=(Act("serve"), Act("play"), Act("handle", seconds=0.5)))
    rows = lines_text(case_lines(case, None, 60), color=False).splitlines()
    assert rows[-1] == "owner   serve() · play(0) · handle(0.5 s)"
    assert inline_case(case, 100) == "connect, half-close; owner: serve(), play(0), handle(0.5 s)"


def test_an_owner_without_peers_is_no_empty_case() -> None:
    """Where nobody connects, the acts are all there is to show."""
    rows = lines_text(case_lines(Case(owner=(Act("close"),)), None, 60), color=False).splitlines()
    assert rows == ["owner   close()"]
