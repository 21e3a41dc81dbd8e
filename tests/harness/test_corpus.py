"""Saved findings survive whole or not at all, are found by the first characters of their name, and say when damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.corpus import Corpus
from handshaker.harness.errors import CaseFileError, UsageError
from handshaker.harness.verdict import Finding, Level, Reach, Violation


def finding(target="m:H", frame="m:H.handle"):
    seen = Violation("nothing raised", "ValueError", exception="builtins.ValueError", frame=frame)
    case = Case((Script((Step("send", b"\xff\n"),)),))
    return Finding(target, "handler/no-uncaught-exception", Level.MUST, Reach.PEER, seen, case, seed=1)


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def test_a_saved_finding_comes_back_as_it_was(corpus):
    """What was saved is what is read, by target, by name, and by file."""
    saved = corpus.save(finding())
    corpus.save(finding(target="other:H"))
    assert corpus.findings("m:H") == [finding()]
    assert corpus.find(finding().id[:5]) == finding()
    assert corpus.find(str(saved)) == finding()
    assert len(corpus.findings()) == 2


def test_the_folder_ignores_itself_in_git(corpus):
    """Nobody commits saved findings by accident; a project that wants to may change that."""
    corpus.save(finding())
    ignore = corpus.folder / ".gitignore"
    assert ignore.read_text() == "*\n"
    ignore.write_text("")
    corpus.save(finding())
    assert ignore.read_text() == ""


def test_the_same_defect_replaces_its_older_case(corpus):
    """One defect has one file, whichever case shows it."""
    corpus.save(finding())
    smaller = replace(finding(), case=Case((Script(),)))
    corpus.save(smaller)
    assert corpus.findings() == [smaller]


def test_a_finding_is_never_half_written(corpus, monkeypatch):
    """When writing fails in the middle, the older file stays and nothing else is left."""
    path = corpus.save(finding())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        corpus.save(replace(finding(), seed=2))
    assert corpus.findings() == [finding()]
    assert list(path.parent.iterdir()) == [path]


def test_a_forgotten_finding_is_gone(corpus):
    """Removing a finding removes its file; removing it again does nothing."""
    corpus.save(finding())
    corpus.remove(finding())
    corpus.remove(finding())
    assert corpus.findings() == []


def test_what_is_not_one_finding_is_refused(corpus):
    """A name that no saved finding has, or that several have, is told with what there is."""
    with pytest.raises(UsageError, match="none yet"):
        corpus.find("abcd")
    for number in range(40):
        corpus.save(finding(frame=f"m:f{number}"))
    with pytest.raises(UsageError, match="saved findings begin with it"):
        corpus.find("")


def damaged(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def first_step(document):
    return document["finding"]["case"]["scripts"][0]["steps"][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format="handshaker/2"), "'handshaker/2' cannot be read by this handshaker"),
        (lambda d: d.update(kind="case"), "field 'kind'"),
        (lambda d: d["finding"].update(level="maybe"), "field 'level'"),
        (lambda d: first_step(d).update(action="sned"), "field 'case.scripts[0].steps[0]"),
        (lambda d: d["finding"].pop("violation"), "field 'violation': missing"),
        (lambda d: d["finding"].update(mood="bad"), "field 'mood': unknown"),
    ],
)
def test_a_damaged_file_is_told_by_name_and_field(corpus, change, said):
    """A damaged or newer file names itself and the field that cannot be read, also when all findings are read."""
    path = corpus.save(finding())
    damaged(path, change)
    for read in (corpus.findings, lambda: corpus.find(str(path))):
        with pytest.raises(CaseFileError) as told:
            read()
        assert said in str(told.value)
        assert path.name in str(told.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"format": "other"}'])
def test_a_file_that_handshaker_did_not_write_is_told_by_name(corpus, content):
    """What is no saved finding at all is told by the file's name."""
    path = corpus.save(finding())
    path.write_bytes(content)
    with pytest.raises(CaseFileError, match=path.name):
        corpus.find(str(path))
