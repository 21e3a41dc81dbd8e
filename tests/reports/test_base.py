"""How reports are named and opened."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from handshaker.harness.errors import UsageError
from handshaker.harness.notices import Notice, Remark
from handshaker.reports.base import REPORTS, open_report, open_reports
from handshaker.reports.jsonl import parse_notice, read_jsonl
from tests.reports import samples


def test_names() -> None:
    """The reports of this folder are known by their file names; helpers beside them are not."""
    assert {"jsonl", "terminal"} <= set(REPORTS.names())
    assert not {"base", "commands", "failure", "live", "steps", "summary", "text", "timeline"} & set(REPORTS.names())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jsnl", "no report is called 'jsnl'; did you mean 'jsonl'?"),
        ("pdf=x", "no report is called 'pdf'; allowed: .*jsonl.*terminal"),
        ("", "no report is called ''; allowed: "),
        ("jsonl=", "'jsonl=' has an empty path; write 'jsonl' or 'jsonl=PATH'"),
    ],
)
def test_bad_spec(spec: str, message: str) -> None:
    """A report that does not exist gets one message with the names that do."""
    with pytest.raises(UsageError, match=message):
        open_report(spec)


def test_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several reports hear the same Notices, and all are closed."""
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    reports = open_reports(["terminal", *(f"jsonl={path}" for path in paths)])
    for notice in samples.CAMPAIGN:
        reports.on(notice)
    reports.close()
    assert [read_jsonl(path) for path in paths] == [samples.CAMPAIGN] * 2
    assert "finding 1 of 4" in capsys.readouterr().out


def test_terminal_makes_way(capsys: pytest.CaptureFixture[str]) -> None:
    """When standard output is taken by data, the words for people go to standard error."""
    reports = open_reports(["terminal", "jsonl=-"])
    for notice in samples.CAMPAIGN:
        reports.on(notice)
    reports.close()
    out, err = capsys.readouterr()
    assert tuple(parse_notice(text, where="stdout") for text in out.splitlines()) == samples.CAMPAIGN
    assert "finding 1 of 4" in err


def test_twice_the_same(tmp_path: Path) -> None:
    """Two reports into one file would destroy each other and are refused."""
    spec = f"jsonl={tmp_path / 'a.jsonl'}"
    with pytest.raises(UsageError, match="asked for twice"):
        open_reports([spec, spec])


def test_failed_opening_closes_the_others(tmp_path: Path) -> None:
    """When a later report cannot be opened, the earlier ones are closed, and nothing is left behind open."""
    with pytest.raises(UsageError, match="no report is called"):
        open_reports([f"jsonl={tmp_path / 'a.jsonl'}", "nothing-like-it"])
    assert (tmp_path / "a.jsonl").read_text() == ""


class FullDisk(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str, /) -> int:
        """Fail as a full disk does."""
        raise OSError(28, "No space left on device")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A report whose disk fills up stops with one line; the run and the other reports go on."""
    monkeypatch.setattr(sys, "stdout", FullDisk())
    reports = open_reports([f"jsonl={tmp_path / 'a.jsonl'}", "jsonl=-"])
    notices: list[Notice] = [Remark("one"), Remark("two")]
    for notice in notices:
        reports.on(notice)
    reports.close()
    assert read_jsonl(tmp_path / "a.jsonl") == tuple(notices)
    [told] = capsys.readouterr().err.splitlines()
    assert told == "report 'jsonl=-' stopped: No space left on device; the run goes on without it"
