"""JSON lines."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from handshaker.harness.errors import CaseFileError, UsageError
from handshaker.harness.notices import NOTICES, Matrix
from handshaker.reports.base import open_report
from handshaker.reports.jsonl import JsonLines, parse_notice, read_jsonl
from tests.goldens import check_golden
from tests.reports import samples

MATRIX = Matrix(("tcp plain", "tcp forking"), (("io", ("1 held", "")),), (("udp plain", "no datagrams"),), 1)
EVERYTHING = (*samples.CAMPAIGN, samples.HOSTILE, MATRIX)


def test_round_trip(tmp_path: Path) -> None:
    """What was written is read back as equal Notices, whatever is in them; the sample holds every kind."""
    path = tmp_path / "run.jsonl"
    report = open_report(f"jsonl={path}")
    for notice in EVERYTHING:
        report.on(notice)
    report.close()
    assert read_jsonl(path) == EVERYTHING
    assert {notice.kind for notice in EVERYTHING} == set(NOTICES)


def test_golden() -> None:
    """The lines look exactly as they are documented."""
    stream = io.StringIO()
    report = JsonLines(stream, shared=True)
    for notice in samples.CAMPAIGN:
        report.on(notice)
    report.close()
    check_golden("campaign.jsonl", stream.getvalue())


def test_written_as_it_happens(tmp_path: Path) -> None:
    """Each Notice is in the file before the next one comes, as one document that names its format and kind."""
    path = tmp_path / "run.jsonl"
    report = open_report(f"jsonl={path}")
    for number, notice in enumerate(samples.CAMPAIGN[:3], start=1):
        report.on(notice)
        lines = path.read_text().splitlines()
        assert len(lines) == number
        assert json.loads(lines[-1]).items() >= {"format": "handshaker/1", "notice": notice.kind}.items()
    report.close()


def test_unfinished_last_line(tmp_path: Path) -> None:
    """The report of a run that was killed is read up to its last whole line."""
    path = tmp_path / "run.jsonl"
    report = open_report(f"jsonl={path}")
    for notice in samples.CAMPAIGN[:3]:
        report.on(notice)
    report.close()
    path.write_bytes(path.read_bytes()[:-5])
    assert read_jsonl(path) == samples.CAMPAIGN[:2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "run.jsonl, line 1: not JSON"),
        ("[1]", "line 1: field 'format': expected 'handshaker/1', found None"),
        ('{"format": "handshaker/9"}', "field 'format': expected 'handshaker/1', found 'handshaker/9'"),
        ('{"format": "handshaker/1", "notice": "remrk"}', "'remrk' is no kind of notice; did you mean 'remark'?"),
        ('{"format": "handshaker/1"}', "field 'notice': None is no kind of notice"),
        ('{"format": "handshaker/1", "notice": "remark"}', "line 1: field 'text': missing"),
        ('{"format": "handshaker/1", "notice": "remark", "text": 1}', "line 1: field 'text': expected str"),
    ],
)  # fmt: skip
def test_damaged_line(tmp_path: Path, text: str, message: str) -> None:
    """A damaged or newer line gives an error that names file, line and field."""
    path = tmp_path / "run.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(CaseFileError) as caught:
        read_jsonl(path)
    assert message in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is the user's error, named."""
    with pytest.raises(UsageError, match=r"cannot read the report .*nowhere"):
        read_jsonl(tmp_path / "nowhere.jsonl")


def test_unwritable_path(tmp_path: Path) -> None:
    """A path that cannot be written is refused before the run begins."""
    with pytest.raises(UsageError, match=r"cannot write the report .*no-folder.*No such file or directory"):
        open_report(f"jsonl={tmp_path / 'no-folder' / 'run.jsonl'}")


def test_default_place(tmp_path: Path) -> None:
    """Without a path the report goes into the folder of reports, which is made."""
    report = open_report("jsonl", folder=str(tmp_path / "reports" / "today"))
    report.on(samples.CAMPAIGN[0])
    report.close()
    assert read_jsonl(tmp_path / "reports" / "today" / "handshaker.jsonl") == samples.CAMPAIGN[:1]


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """`-` is standard output, which stays open."""
    report = open_report("jsonl=-")
    report.on(samples.CAMPAIGN[0])
    report.close()
    assert parse_notice(capsys.readouterr().out, where="stdout") == samples.CAMPAIGN[0]
    assert not sys.stdout.closed
