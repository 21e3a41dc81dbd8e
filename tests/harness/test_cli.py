"""The command line, as a person uses it: what it prints, where it writes, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from handshaker.harness.campaign.once import Steps
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.corpus import Corpus
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.notices import CampaignFinished, CampaignStarted, FindingReady, FindingSeen, Progress
from handshaker.reports.jsonl import parse_notice, read_jsonl
from tests.harness.command_line import BOOM, ECHO, handler, handshaker
from tests.harness.test_campaign import DIES_ON_WORD

KERNEL = handler("import select", "select.select([self.connection], [], [], 0.2)", "self.wfile.write(line)")

DATAGRAMS = """
import socketserver

class Subject(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    for name, text in {"echo.py": ECHO, "boom.py": BOOM, "dies.py": DIES_ON_WORD, "kernel.py": KERNEL}.items():
        (folder / name).write_text(text)
    (folder / "datagrams.py").write_text(DATAGRAMS)
    return folder


@pytest.fixture(scope="module")
def report(folder):
    """One run, told twice."""
    arguments = ["boom.py:Subject", "--seed", "7", "--max-examples", "15", "--no-save", "--report", "terminal"]
    return handshaker(folder, "run", *arguments, "--report", "jsonl", "--report-dir", "out")


def test_a_run_prints_the_finding_and_how_to_see_it_again(report):
    """The report names the target and the seed, shows the finding's block and its commands, and the exit code."""
    assert report.code == 1
    assert report.err == ""
    for words in ("boom.py:Subject", "seed 7", "handler/no-uncaught-exception", "ValueError: boom", "smallest case",
                  "send(b'BOOM')", "handshaker run boom.py:Subject --seed 7", "--allow-exception builtins:ValueError",
                  "exit 1"):  # fmt: skip
        assert words in report.out
    assert "\x1b" not in report.out


def test_a_run_is_told_as_data_too(folder, report):
    """The JSON lines hold the same run: from what is tested to the exit code, with the finding in between."""
    notices = read_jsonl(folder / "out" / "handshaker.jsonl")
    assert isinstance(notices[0], CampaignStarted)
    assert isinstance(notices[-1], CampaignFinished)
    assert (notices[0].seed, notices[-1].exit_code) == (7, report.code)
    assert [one.finding.invariant for one in notices if isinstance(one, FindingReady)] == [
        "handler/no-uncaught-exception"
    ]


def test_a_good_handler_exits_with_0(folder):
    """When everything held, the last line says so, and the exit code is 0."""
    answer = handshaker(folder, "run", "echo:Echo", "--phases", "sweep", "--no-save")
    assert answer.code == 0
    assert "everything held" in answer.out.splitlines()[-1]


def test_a_run_can_be_kept_from_failing(folder):
    """`--fail-on never` reports all the same, and exits with 0."""
    arguments = ("--phases", "sweep", "--no-save", "--fail-on", "never", "--seed", "1")
    answer = handshaker(folder, "run", "boom.py:Subject", *arguments)
    assert answer.code == 0
    assert "ValueError: boom" in answer.out


def test_the_projects_settings_count_where_the_command_line_is_silent(tmp_path):
    """[tool.handshaker] sets what is not typed; what is typed wins."""
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.handshaker]\nseed = 5\nmax-examples = 3\nphases = ["generate"]\ncase-limit = "2s"\n'
        'invariants = ["lifecycle/*"]\nmax-time = "1m"\n'
    )
    answer = handshaker(tmp_path, "run", "echo.py", "--seed", "6", "--no-save", "--report", "jsonl=run.jsonl")
    assert answer.code == 0
    notices = read_jsonl(tmp_path / "run.jsonl")
    assert (notices[0].seed, notices[0].max_examples) == (6, 3)
    assert {slug.partition("/")[0] for slug, *_ in notices[-1].verdicts} == {"lifecycle"}
    (tmp_path / "pyproject.toml").write_text('[tool.handshaker]\nmax-time = "soon"\n')
    assert handshaker(tmp_path, "run", "echo.py").code == 2


def typed(*steps, faults=()):
    return Steps(list(steps), faults).case()


def test_steps_are_played_as_they_were_typed():
    """Each step option is one step, in order; `--peer` begins the next peer, also one that does nothing."""
    assert typed(("send", "a\\n"), ("pause", "2s"), ("send", "b"), ("half_close", True)) == Case((
        Script((Step("send", b"a\n"), Step("pause", seconds=2.0), Step("send", b"b"), Step("half-close"))),
    ))  # fmt: skip
    assert typed(("send", "a"), ("reset", True), ("peer", True), ("close", True)) == Case((
        Script((Step("send", b"a"), Step("reset"))), Script((Step("close"),)),
    ))  # fmt: skip
    assert typed(("peer", True), ("send", "a"), ("peer", True)) == Case((Script((Step("send", b"a"),)), Script()))
    assert typed(("stop_reading", True), ("expect", 5), ("resume_reading", True), faults=("recv=short@2",)) == Case(
        (Script((Step("stop-reading"), Step("expect", size=5, seconds=1.0), Step("resume-reading"))),),
        (Fault("recv", "short", 2),),
    )
    assert typed(("send", "a"), ("reset", True), ("accepted", True), ("peer", True), ("address", "unbound")) == Case(
        (Script((Step("send", b"a"), Step("reset")), early=2), Script(form="unbound"))
    )
    assert typed() == Case((Script((Step("half-close"),)),))


def test_play_shows_one_case_as_a_timeline(folder):
    """The events of a case that was typed are shown in order, and nothing fails for a good handler."""
    answer = handshaker(
        folder, "play", "echo.py", "--send", "one\\n", "--pause", "2s", "--send", "two\\n", "--half-close",
        "--peer", "--send", "three\\n", "--close", "--fault", "recv=short@1",
    )  # fmt: skip
    assert answer.code == 0, answer.out
    places = [answer.out.index(words) for words in ("b'one", "b'two", "half-close", "#1", "b'three")]
    assert places == sorted(places)


@pytest.mark.parametrize(("word", "slug"), [("BOOM", "no-uncaught-exception"), ("EXIT", "process-survives")])
def test_play_says_what_the_case_violates(folder, word, slug):
    """What a typed case violates is a block with the same command to see it again, also when the process ends."""
    answer = handshaker(folder, "play", "dies.py:Subject", "--send", f"{word}\\n", "--half-close")
    assert answer.code == 1
    assert slug in answer.out
    assert f"handshaker play dies.py:Subject --send '{word}\\n' --half-close" in answer.out


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("recv=short@9", "note: the fault recv #9: short never struck: recv was not reached 9 times in this case"),
        ("server_bind=OSError", "server_bind was not reached in this case; it is reached where the owner acts"),
        ("fork=OSError", "fork was not reached in this case; it is reached with --concurrency forking"),
    ],
)
def test_play_says_that_a_fault_never_struck(folder, fault, said):
    """A fault whose point is never reached, or not so often, did nothing: that is told, with what it would need."""
    answer = handshaker(folder, "play", "echo.py", "--send", "one\\n", "--fault", fault, "--fault", "recv=short@1")
    assert answer.code == 0, answer.out
    assert said in answer.out
    assert answer.out.count("never struck") == 1


def test_play_shows_peers_without_an_address(folder):
    """A peer can be typed that has no address, or an abstract one; the handler sees what the kernel gives."""
    steps = ("--send", "a", "--address", "unbound", "--peer", "--send", "b", "--address", "abstract")
    answer = handshaker(folder, "play", "datagrams.py", "--transport", "unix-dgram", *steps)
    assert "request peer 0 none" in answer.out
    assert "request peer 1 abstract" in answer.out


def test_play_shows_steps_before_the_accept(folder):
    """What a peer does before it is accepted is played before the server takes it."""
    answer = handshaker(folder, "play", "echo.py", "--send", "one\\n", "--half-close", "--accepted")
    assert answer.code == 0, answer.out
    assert answer.out.index("half-close") < answer.out.index("accepted family")


def test_play_moves_to_loopback_when_it_must(folder):
    """A handler that needs a kernel object is played on loopback without being asked."""
    answer = handshaker(folder, "play", "kernel.py:Subject", "--send", "hi\\n", "--half-close")
    assert answer.code == 0, answer.out
    assert "hi" in answer.out


@pytest.mark.parametrize("what", ["invariants", "targets", "reports", "faults"])
def test_list_lists(folder, what):
    """Everything that can be chosen is listed, a line each."""
    answer = handshaker(folder, "list", what)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert len(lines) == len(set(lines)) > 1
    if what == "invariants":
        assert sorted(line.split()[0] for line in lines) == sorted(REGISTRY)


@pytest.mark.parametrize("slug", ["lifecycle/finish-only-after-setup", "relation/segmentation"])
def test_explain_explains(folder, slug):
    """An invariant is explained with its requirement and its source."""
    answer = handshaker(folder, "explain", slug)
    assert answer.code == 0
    row = REGISTRY[slug]
    assert row.title in answer.out
    assert row.source[:60] in answer.out


def test_the_version_is_told(folder):
    """`--version` prints the version and ends well."""
    answer = handshaker(folder, "--version")
    assert (answer.code, answer.out.split()[0]) == (0, "handshaker,")


@pytest.fixture
def running(folder, tmp_path):
    """A run in a process of its own that would go on for hours; whatever is left of it is killed at the end."""
    (tmp_path / "boom.py").write_text(BOOM)
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "handshaker", "run", "boom.py:Subject", "--seed", "1"]
    process = subprocess.Popen(
        [*command, "--max-examples", "100000000", "--report", "jsonl=-"],
        cwd=tmp_path, env=os.environ | {"HANDSHAKER_TEST_MARK": mark}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    yield process, mark, tmp_path
    for left in marked(mark):
        left.kill()
    process.communicate()


def marked(mark):
    """All processes that belong to the run, by a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HANDSHAKER_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def notices_until(process, wanted):
    """Read what the run tells until *wanted* says that this Notice is it."""
    seen = []
    for line in process.stdout:
        seen.append(parse_notice(line, where="the run's output"))
        if wanted(seen[-1]):
            return seen
    raise AssertionError(f"the run ended after {seen[-3:]}: {process.stderr.read()}")


def generating(notice):
    return isinstance(notice, Progress) and notice.phase == "generate"


def test_ctrl_c_and_a_killed_worker_lose_nothing(running):
    """A worker killed from outside is a finding and the run goes on; Ctrl-C ends it with 130 and keeps everything."""
    process, mark, folder = running
    notices_until(process, generating)
    [*_, task] = sorted(psutil.Process(process.pid).children(recursive=True), key=lambda child: child.create_time())
    task.kill()
    lost = notices_until(process, lambda n: isinstance(n, FindingSeen) and "SIGKILL" in n.finding.violation.actual)
    assert lost[-1].finding.invariant == "liveness/process-survives"
    notices_until(process, lambda n: isinstance(n, FindingReady) and "SIGKILL" in n.finding.violation.actual)
    notices_until(process, generating)
    process.send_signal(signal.SIGINT)
    last = notices_until(process, lambda notice: isinstance(notice, CampaignFinished))[-1]
    assert process.wait() == 130
    assert (last.exit_code, last.stopped) == (130, "interrupted")
    assert process.stderr.read() == ""
    kept = {finding.id: finding for finding in Corpus(folder).findings()}
    assert set(kept) == set(last.findings)
    assert {"handler/no-uncaught-exception", "liveness/process-survives"} <= {f.invariant for f in kept.values()}
    assert next(f for f in kept.values() if "SIGKILL" in f.violation.actual).nondeterministic
    assert marked(mark) == []


def test_ctrl_c_while_the_target_is_imported_ends_at_once(tmp_path):
    """Before anything is tested Ctrl-C is one word and exit code 130, and leaves nothing running."""
    (tmp_path / "slow.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(1000)\n")
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "handshaker", "run", "slow.py", "--import-limit", "1h"],
        cwd=tmp_path, env=os.environ | {"HANDSHAKER_TEST_MARK": mark}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not Path(tmp_path, "begun").exists() and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")
    assert marked(mark) == []
