"""Datagrams on screen: who sent what to whom, in words, and nothing about connections or segments."""

from __future__ import annotations

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.trace import Header, Trace, materialise
from handshaker.reports.steps import case_lines, datagram_text, inline_case
from handshaker.reports.text import lines_text
from handshaker.reports.timeline import timeline_text

CASE = Case(
    (
        Script((Step("send"), Step("send", b"hi"), Step("close"))),
        Script((Step("send", b"a", 9_000),), 1, "unbound"),
        Script((), form="abstract"),
        Script(),
    ),
    transport="unix-dgram",
)


def _trace(*events: tuple[tuple[object, ...], object]) -> Trace:
    flat = [item for event in events for item in event]
    return materialise(flat, None, Header(transport="unix-dgram"))


TRACE = _trace(
    (("peer.datagram", -1, 0, "sent"), b""),
    (("datagram.request", 0, 0, False, "path", "server"), b""),
    (("datagram.reply", 0, "sendto", "sender", True, "same", True), b""),
    (("peer.reply", -1, 0, True), b""),
    (("peer.datagram", -1, 0, "lost"), b"hi"),
    (("peer.datagram", -1, 1, "sent"), b"a" * 9_000),
    (("datagram.request", 1, 1, True, "none", "server"), b"a" * 8_192),
    (("datagram.reply", 1, "sendto", "peer", True, "", False), b"yo"),
    (("peer.reply", -1, 0, True), b"yo"),
    (("peer.over", -1, 0, 0), b"yo"),
    (("peer.over", -1, 1, 0), b""),
    (("peer.over", -1, 2, 0), b""),
    (("peer.over", -1, 3, 0), b""),
)


def test_a_case_says_what_each_peer_sends_and_gets() -> None:
    """Peers of datagrams do not connect, and their streams do not end."""
    assert lines_text(case_lines(CASE, TRACE, 80), color=False).splitlines() == [
        "peer 0  sends one empty datagram",
        "        sends one datagram b'hi'",
        "        leaves: its socket is closed",
        "        gets 2 datagrams: b'', b'yo'",
        "peer 1  has no address",
        "        sends one datagram b'a' * 9,000 (9,000 bytes)",
        "        (served only now)",
        "        gets nothing",
        "peer 2  has an abstract address",
        "        gets nothing",
        "peer 3  does nothing",
        "        gets nothing",
    ]


def test_a_case_on_one_line_uses_the_same_words() -> None:
    """In compact findings, and for the Cases before a finding."""
    told = inline_case(Case(CASE.scripts[:1], transport="udp"), 100)
    assert told == "sends one empty datagram, sends one datagram b'hi', leaves: its socket is closed"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Step("pause", seconds=0.5), "is silent for 0.5 s"),
        (Step("expect", seconds=0.2, size=1), "waits for 1 byte of reply, at most 0.2 s"),
        (Step("stop-reading"), "takes no replies"),
        (Step("stop-reading", size=5), "takes 5 more bytes of reply, then none"),
        (Step("resume-reading"), "takes replies again"),
    ],
)
def test_every_step_is_told_in_words(step: Step, told: str) -> None:
    """A person who never saw a Script understands it."""
    assert datagram_text(step, 80) == told


def test_one_reply_that_is_empty_is_not_nothing() -> None:
    """An empty datagram is one all the same."""
    trace = _trace((("peer.reply", -1, 0, True), b""), (("peer.over", -1, 0, 0), b""))
    rows = lines_text(case_lines(Case((Script((Step("send"),)),), transport="udp"), trace, 60), color=False)
    assert rows.splitlines()[-1].strip() == "gets one empty datagram"


def test_the_timeline_tells_datagrams_without_the_usual() -> None:
    """What arrived whole, went to its sender and left from the server is not worth saying; an empty one is."""
    rows = [" ".join(row.split()[1:]) for row in timeline_text(TRACE, width=120).splitlines()[1:]]
    assert rows[:5] == [
        "datagram peer 0 sent b''",
        "#0 datagram.request peer 0 path via server b''",
        "#0 datagram.reply via sendto to sender b''",
        "reply peer 0 b''",
        "datagram peer 0 lost b'hi'",
    ]
    assert rows[6].startswith("#1 datagram.request peer 1 cut none via server b'aaaa")
    assert rows[7] == "#1 datagram.reply via sendto to peer b'yo'"
