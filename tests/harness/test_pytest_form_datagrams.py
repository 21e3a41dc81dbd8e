"""The programmable form with handlers of datagrams: Cases are drawn, played and judged like any other."""

from __future__ import annotations

from socketserver import DatagramRequestHandler

import pytest
from hypothesis import settings

import handshaker


class Upper(DatagramRequestHandler):
    """Answers in capitals; what may have been cut is refused."""

    def handle(self) -> None:
        self.wfile.write(b"too long" if len(self.packet) >= 8192 else self.packet.upper())


class Splits(DatagramRequestHandler):
    """Takes the first word, which an empty datagram lacks."""

    def handle(self) -> None:
        self.wfile.write(self.packet.split()[0][:10])


@settings(max_examples=25, deadline=None, database=None)
@handshaker.given_case(Upper)
def test_a_good_handler_holds_and_every_peer_gets_datagrams(case):
    """`replies` are what each peer got, and `datagrams` say in how many pieces."""
    trace = handshaker.play(case)
    handshaker.assert_holds(trace)
    assert [b"".join(each) for each in trace.datagrams] == list(trace.replies)
    assert len(trace.replies) == len(case.scripts)


def test_a_bad_one_fails_with_its_smallest_case():
    """Hypothesis shrinks to one empty datagram, and the failure tells it in words."""

    @settings(max_examples=100, deadline=None, database=None, print_blob=False)
    @handshaker.given_case(Splits)
    def check(case):
        handshaker.assert_holds(handshaker.play(case))

    with pytest.raises(AssertionError) as failure:
        check()
    assert "sends one empty datagram" in str(failure.value)
    assert "IndexError" in str(failure.value)
