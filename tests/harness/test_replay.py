"""A saved finding can be played again, by name or by file, until it is repaired; the next run then forgets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handshaker.harness.campaign.conduct import Campaign
from handshaker.harness.corpus import Corpus
from handshaker.harness.notices import FindingFixed, FindingReady, FindingSeen, PhaseStarted
from handshaker.harness.settings import Settings
from tests.harness.command_line import BOOM, ECHO, Conducted, handler, handshaker
from tests.harness.test_campaign import COUNTS, DIES_ON_WORD, GENERATING, REMEMBERS

GOOD = handler("self.wfile.write(line)")
REGRESSIONS = ("regressions", "shrink", "confirm")


def conduct(folder, **declared):
    defaults = {"save": True, "phases": GENERATING, "max_examples": 15}
    return Conducted(folder, "subject.py:Subject", **(defaults | declared))


def saved(folder) -> dict[str, Path]:
    """The files of the saved findings, by invariant."""
    return {finding.invariant: Path(folder, ".handshaker", "findings", f"{finding.id}.json")
            for finding in Corpus(folder).findings()}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A folder with saved findings of a handler that dies at one word and raises at another."""
    folder = tmp_path_factory.mktemp("found")
    (folder / "subject.py").write_text(DIES_ON_WORD)
    conduct(folder, phases=("sweep", "generate", "shrink", "confirm"))
    return folder


@pytest.mark.parametrize("slug", ["handler/no-uncaught-exception", "liveness/process-survives"])
def test_a_finding_fails_again_by_name_and_by_file(found, slug):
    """While the handler is as it was, the replay shows the finding again and exits with 1, also when it kills."""
    path = saved(found)[slug]
    for reference in (path.stem[:6], str(path)):
        answer = handshaker(found, "replay", reference)
        assert answer.code == 1, answer
        assert "still failing (3 of 3 replays)" in answer.out
        assert slug in answer.out
        assert f"handshaker replay {reference}" in answer.out


def test_the_command_on_the_screen_shows_the_finding_again(write):
    """The replay line of a run's report, typed as it stands, shows that finding."""
    folder = write(BOOM)
    report = handshaker(folder, "run", "subject.py:Subject", "--seed", "1", "--max-examples", "15")
    assert report.code == 1
    [command] = [line.split()[1:] for line in report.out.splitlines() if line.split()[:2] == ["replay", "handshaker"]]
    answer = handshaker(folder, *command[1:])
    assert answer.code == 1
    assert "ValueError: boom" in answer.out


def test_a_repaired_handler_is_fixed_and_the_next_run_forgets(write):
    """After the repair the replay says fixed; the next run says it too, once, and forgets the finding."""
    folder = write(BOOM)
    conduct(folder)
    [(slug, path)] = saved(folder).items()
    write(GOOD)
    answer = handshaker(folder, "replay", path.stem)
    assert (answer.code, "fixed (0 of 3" in answer.out) == (0, True)
    assert path.exists()
    first, second = conduct(folder, phases=("regressions", "sweep")), conduct(folder, phases=("sweep",))
    assert [notice.finding.invariant for notice in first.all(FindingFixed)] == [slug]
    assert first.code == 0
    assert second.all(FindingFixed) == []
    assert not path.exists()


@pytest.mark.parametrize(
    ("source", "slug", "declared"),
    [
        (COUNTS, "handler/no-uncaught-exception", {}),
        (REMEMBERS, "relation/isolation", {"stateless": True}),
        (DIES_ON_WORD, "liveness/process-survives", {"phases": ("sweep", "generate", "shrink", "confirm")}),
    ],
    ids=["with history", "with contrast", "fatal"],
)
def test_every_kind_of_finding_is_checked_again(write, source, slug, declared):
    """The regressions phase alone shows a finding again that needs a history, a contrast, or its own process."""
    folder = write(source)
    conduct(folder, **declared)
    path = saved(folder)[slug]
    assert handshaker(folder, "replay", path.stem).code == 1
    only = {**declared, "phases": REGRESSIONS}
    again = conduct(folder, **only)
    assert again.code == 1
    assert [notice.known for notice in again.all(FindingReady)] == [True] * len(again.slugs)
    assert slug in again.slugs
    assert again.all(FindingFixed) == []
    write(GOOD)
    assert handshaker(folder, "replay", path.stem).code == 0
    assert slug in [notice.finding.invariant for notice in conduct(folder, **only).all(FindingFixed)]
    assert not path.exists()


def test_a_finding_that_only_its_replay_shows_is_still_failing(write):
    """What the search would not find again is told because its saved case shows it."""
    folder = write(BOOM)
    conduct(folder)
    write(BOOM.replace('line.startswith(b"BOOM")', 'line[:4] == bytes(reversed(b"MOOB"))'))
    again = conduct(folder, phases=("regressions", "confirm"), max_examples=0)
    assert again.slugs == ["handler/no-uncaught-exception"]
    assert again.code == 1
    counted = {slug: violated for slug, _, violated, *_ in again.finished.verdicts}
    assert counted["handler/no-uncaught-exception"] == 1


def test_a_run_without_the_regressions_leaves_saved_findings_alone(write):
    """When they were not played again, nothing is said about saved findings, and none is forgotten."""
    folder = write(BOOM)
    conduct(folder)
    write(GOOD)
    run = conduct(folder, phases=("sweep",))
    assert run.all(FindingFixed) == []
    assert len(saved(folder)) == 1


@pytest.mark.parametrize(
    "otherwise",
    [
        {"exclude_invariants": ("handler/*",)},
        {"allowed_exceptions": ("builtins.Exception",)},
        {"server": "socketserver:TCPServer"},
    ],
    ids=["excluded", "allowed", "other server"],
)
def test_a_run_that_cannot_tell_leaves_saved_findings_alone(write, otherwise):
    """Leaving an invariant out, allowing its exception, or hosting otherwise fixes nothing."""
    folder = write(BOOM)
    conduct(folder)
    run = conduct(folder, phases=("regressions", "sweep"), **otherwise)
    assert run.all(FindingFixed) == []
    assert len(saved(folder)) == 1


def test_declarations_are_played_again_too(write):
    """The example, the reset and the exceptions that were declared come back from the file, bytes as bytes."""
    folder = write(REMEMBERS)
    conduct(folder, stateless=True, example=b"\xff\x00\n", reset="subject:clear")
    [finding] = [one for one in Corpus(folder).findings() if one.invariant == "relation/isolation"]
    assert finding.settings["example"] == b"\xff\x00\n"
    assert handshaker(folder, "replay", finding.id).code == 1


def change(path, edit):
    document = json.loads(path.read_text())
    edit(document["finding"])
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda f: f["settings"].update(mood="bad"), "field 'mood'"),
        (lambda f: f["settings"].update(stateless="yes"), "field 'stateless'"),
        (lambda f: f.update(invariant="handler/no-exception"), "'handler/no-exception'"),
        (lambda f: f["case"].update(scripts=3), "field 'case.scripts'"),
        (lambda f: f.update(target="subject.py:Nobody"), "'Nobody'"),
        (lambda f: f.update(replayable=False, replay="pytest test_x.py::test_y"), "pytest test_x.py::test_y"),
    ],
)
def test_a_finding_that_cannot_be_played_says_why(found, tmp_path, edit, said):
    """A damaged file names itself and the field; a finding of a test names its test; exit code 2."""
    path = tmp_path / "copy.json"
    path.write_text(saved(found)["handler/no-uncaught-exception"].read_text().replace('"settings": {}', ""))
    change(path, lambda finding: finding.setdefault("settings", {}))
    change(path, edit)
    answer = handshaker(found, "replay", str(path))
    assert answer.code == 2, answer
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_damaged_file_stops_a_run_before_it_starts(write):
    """A run does not go on beside a saved finding that it cannot read: it names the file, and loses nothing."""
    folder = write(BOOM)
    conduct(folder)
    [path] = saved(folder).values()
    path.write_text(path.read_text()[:100])
    answer = handshaker(folder, "run", "subject.py:Subject")
    assert answer.code == 2
    assert path.name in answer.err
    assert answer.out == ""
    assert path.exists()


def test_a_handler_that_cannot_be_hosted_any_more_is_not_fixed(write):
    """When the handler does not fit its server any more, the replay says that, and not that it is fixed."""
    folder = write(BOOM)
    conduct(folder)
    [path] = saved(folder).values()
    write(handler("self.wfile.write(self.server.greeting)"))
    answer = handshaker(folder, "replay", path.stem)
    assert answer.code == 2
    assert "self.server.greeting" in answer.err


def test_findings_are_saved_as_soon_as_they_are_seen(write):
    """A finding is on disk when it is first told, before it is minimal."""
    folder = write(BOOM)
    seen = []

    def listen(notice):
        if isinstance(notice, FindingSeen):
            seen.append(sorted(saved(folder)))

    settings = Settings("subject.py:Subject", root=str(folder), seed=1, max_examples=15, phases=GENERATING)
    Campaign(settings, listen).run()
    assert seen == [["handler/no-uncaught-exception"]]


def test_nothing_is_written_when_that_is_asked_for(write):
    """Without saving there is no folder, and no phase that needs one fails."""
    folder = write(ECHO + "\nSubject = Echo\n")
    run = Conducted(folder, "subject.py:Echo", save=False)
    assert not (folder / ".handshaker").exists()
    assert "regressions" in [notice.phase for notice in run.all(PhaseStarted)]
