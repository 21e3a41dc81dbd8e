"""The report a person reads."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.text import Text

from handshaker.harness.notices import (
    CampaignFinished,
    CampaignStarted,
    FindingFixed,
    FindingReady,
    FindingSeen,
    Notice,
    PhaseFinished,
    PhaseStarted,
    Progress,
    Question,
    Remark,
)
from handshaker.reports.base import open_report
from handshaker.reports.terminal import Terminal
from tests.goldens import check_golden
from tests.reports import samples

STARTED = samples.CAMPAIGN[0]
INTERRUPTED = CampaignFinished(130, "interrupted", 10, 1.0, 42)
EVIL = samples.HOSTILE_TEXT
EVIL_CAMPAIGN: tuple[Notice, ...] = (
    CampaignStarted(EVIL, EVIL, EVIL, EVIL, EVIL, 1, 1, EVIL, EVIL, 1),
    PhaseStarted(EVIL, 10),
    Progress(EVIL, 5, 31.0, 1, 10),
    FindingSeen(samples.HOSTILE.finding),
    FindingFixed(samples.HOSTILE.finding),
    samples.HOSTILE,
    PhaseFinished(EVIL, 10, 1.0),
    Question(EVIL * 100_000, EVIL),
    Remark(EVIL, EVIL),
    CampaignFinished(1, EVIL, 10, 1.0, 1, (EVIL,), ((EVIL, 3), (EVIL, 0)), ((EVIL, 0, 1, 0, 0), (EVIL, 0, 0, 1, 0))),
)


def printed(notices: Iterable[Notice], *, close: bool = True, live: bool = False, color: bool = False) -> str:
    """What the report writes to a stream."""
    stream = io.StringIO()
    report = Terminal(stream, live=live, color=color, width=100)
    for notice in notices:
        report.on(notice)
    if close:
        report.close()
    return stream.getvalue()


def on_screen(notices: Iterable[Notice]) -> str:
    """What the report writes to a real pseudo-terminal."""
    master, slave = pty.openpty()
    written = b""
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        report = Terminal(stream)
        for notice in notices:
            report.on(notice)
            os.set_blocking(master, False)
            written += _drain(master)
        report.close()
        written += _drain(master)
    os.close(master)
    return written.decode()


def _drain(descriptor: int) -> bytes:
    chunks = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            return chunks
        chunks += chunk


def test_golden() -> None:
    """A whole campaign in a pipe looks exactly as it was agreed."""
    check_golden("terminal.txt", printed(samples.CAMPAIGN))


def test_piped_output_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe there is no control character, and the width does not depend on any screen."""
    monkeypatch.setenv("COLUMNS", "61")
    stream = io.StringIO()
    report = Terminal(stream)
    for notice in samples.CAMPAIGN:
        report.on(notice)
    assert stream.getvalue() == printed(samples.CAMPAIGN)
    assert all(row.isprintable() for row in stream.getvalue().split("\n"))


def test_findings_come_sorted_and_last() -> None:
    """Blocks stand at the end, MUST before SHOULD and peer first, whatever the order in which they were found."""
    text = printed(samples.CAMPAIGN)
    order = ["handler/raises  ", "relation/segmentation  ", "lifecycle/released  ", "lifecycle/setup-cleanup  "]
    places = [text.rindex(slug, 0, text.index("── summary")) for slug in order]
    assert places == sorted(places)
    assert text.index("generate    1,000 cases") < places[0]
    assert places[-1] < text.index("robustness: 1 finding of level SHOULD") < text.index("── summary")


def test_robustness_is_short() -> None:
    """A finding of level SHOULD is one short block that still says how to replay and to silence it."""
    text = printed((STARTED, samples.ROBUSTNESS, INTERRUPTED))
    block = text[text.index("── robustness") : text.index("── summary")]
    assert len(block.rstrip().splitlines()) <= 10
    assert f"handshaker replay {samples.ROBUSTNESS.finding.id}" in block
    assert "--exclude-invariants liveness/silent-peer" in block


def test_interrupted_keeps_what_was_seen() -> None:
    """A finding that was seen but not yet minimal is printed when the run is cut short, and counted."""
    text = printed((STARTED, FindingSeen(samples.RAISED.finding), INTERRUPTED))
    assert "finding 1 of 1" in text
    assert "1 finding (1 must) · everything found so far is kept · exit 130: interrupted" in text


def test_seen_but_explained() -> None:
    """What another finding explains, or a finished campaign dropped, is not printed as a finding of its own."""
    folded = FindingSeen(samples.RELATION.finding)
    explained = FindingReady(samples.RAISED.finding.with_confirmation(samples.RAISED.finding.confirmations[0]))
    done = CampaignFinished(1, "done", 10, 1.0, 42)
    assert "finding 1 of 1" in printed((STARTED, folded, explained, done))


def test_campaign_without_end() -> None:
    """When the run breaks off without a last Notice, closing prints the findings and says so, once."""
    text = printed((STARTED, samples.RAISED, Remark("a remark")))
    assert "finding 1 of 1" in text
    assert "a remark\nthe campaign did not come to its end\n" in text
    assert "did not come to its end" not in printed(samples.CAMPAIGN)
    assert printed(()) == ""


def test_fixed() -> None:
    """A saved finding that no longer shows is said to be fixed, also in the last line."""
    done = CampaignFinished(0, "done", 1, 0.1, 42)
    text = printed((STARTED, FindingFixed(samples.RAISED.finding), done))
    assert f"fixed       handler/raises  {samples.RAISED.finding.id} no longer shows\n" in text
    assert text.endswith("1 earlier finding fixed · exit 0: held\n")


def test_repeated_advice_is_said_once() -> None:
    """The same remark or question, however often it comes, is printed once."""
    text = printed(samples.CAMPAIGN)
    assert text.count("the handler calls fileno()") == 1


@pytest.mark.parametrize("live", [False, True])
def test_hostile_campaign_is_harmless(live: bool) -> None:
    """Names, messages and payloads that mean harm come out escaped, in a pipe and on a live screen."""
    text = printed(EVIL_CAMPAIGN, live=live, color=live)
    if live:
        assert "\x1b]" not in text
        assert "\x1b[2J" not in text
        text = Text.from_ansi(text).plain
    assert "[bold red]" in text
    assert not {"\x00", "\x07", "\x9b", "\u202e", "\u2028", "\ud800", "😄"} & set(text)
    assert len(text) < 60_000


def test_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a line moves while the phase runs, lines have colour, and the moving line is gone at the end."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = on_screen(samples.CAMPAIGN)
    assert "400 cases (14/s), 2 findings" in text
    assert "\x1b[1;31mMUST · \x1b[0m" in text
    shown_cursor, hidden_cursor = "\x1b[?25h", "\x1b[?25l"
    assert text.rindex(shown_cursor) > text.rindex(hidden_cursor)
    assert "\x1b[" in text[: text.index("finding 1 of 4")]


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colour away and leaves the words; a dumb terminal gets plain lines."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    text = on_screen(samples.CAMPAIGN)
    assert "\x1b[1;31m" not in text
    assert "\x1b[3" not in text
    assert "400 cases (14/s), 2 findings" in text
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in on_screen(samples.CAMPAIGN)


def test_poor_encoding() -> None:
    """A stream that knows only ASCII gets the same lines with plain dashes, and no error."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as stream:
        report = Terminal(stream)
        for notice in (*samples.CAMPAIGN[:-1], Remark("größe"), samples.CAMPAIGN[-1]):
            report.on(notice)
        report.close()
        written = raw.getvalue().decode("ascii")
    assert "-- finding 1 of 4 - " in written
    assert "gr\\xf6\\xdfe" in written


def test_into_a_file(tmp_path: Path) -> None:
    """`terminal=PATH` writes the plain form to a file and closes it."""
    path = tmp_path / "report.txt"
    report = open_report(f"terminal={path}")
    for notice in samples.CAMPAIGN:
        report.on(notice)
    report.close()
    assert path.read_text(encoding="utf-8") == printed(samples.CAMPAIGN)
