"""A campaign finds what there is to be found, whatever the handler does to its process, and says only what is so."""

from __future__ import annotations

import pytest

from handshaker.harness.notices import (
    CampaignStarted,
    FindingReady,
    FindingSeen,
    PhaseFinished,
    PhaseStarted,
    Question,
    Remark,
)
from handshaker.harness.verdict import Level
from tests.harness.command_line import BOOM, ECHO, Conducted, handler

GENERATING = ("generate", "shrink", "confirm")
LOOKING = ("preflight", "regressions", "sweep", "generate")

DIES = handler("self.wfile.write(line)", after="    def finish(self):\n        os._exit(7)\n", before="import os")
DIES_ON_WORD = handler(
    'if line.startswith(b"BOOM"):', '    raise ValueError("boom")',
    'if line.startswith(b"EXIT"):', "    os._exit(0)", before="import os",
)  # fmt: skip
LOOPS = handler('if line.startswith(b"LOOP"):', "    while True:", "        pass", "self.wfile.write(line)")
RECURSES = handler(
    "self.wfile.write(self.again(line))", after="    def again(self, x):\n        return self.again(x)\n"
)
SWALLOWS = (
    ECHO
    + """
class Subject(Echo):
    def handle(self):
        while True:
            try:
                self.request.sendall(self.request.recv(100))
            except:
                pass
"""
)
COUNTS = handler(
    "Subject.count += 1", "if Subject.count > 3:", '    raise ValueError("too many")', "self.wfile.write(line)",
    after="    count = 0\n\ndef clear():\n    Subject.count = 0\n",
)  # fmt: skip
RANDOM = handler(
    "Subject.count += 1", "if Subject.count == 40 and os.getpid() % 2 + random.random() > 0:",
    "    if not os.path.exists(MARK):", "        open(MARK, 'w').close()", '        raise ValueError("once")',
    before="import os, random, tempfile\nMARK = os.environ['HANDSHAKER_TEST_MARK']", after="    count = 0\n",
)  # fmt: skip
REMEMBERS = (
    ECHO
    + """
class Subject(Echo):
    last = b"nothing"

    def handle(self):
        try:
            line = self.rfile.readline(200)
            self.wfile.write(Subject.last + b"\\n")
            Subject.last = line.strip()
        except OSError:
            pass

def clear():
    Subject.last = b"nothing"
"""
)
WAITS_FOR_END = (
    ECHO
    + """
class Subject(Echo):
    def handle(self):
        try:
            self.wfile.write(self.rfile.read().upper())
        except OSError:
            pass
"""
)


@pytest.fixture(scope="module")
def boom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boom")
    (folder / "boom.py").write_text(BOOM)
    return Conducted(folder, "boom.py:Subject", max_examples=20)


def test_a_campaign_tells_its_phases_in_order(boom):
    """First what is tested, then each phase from start to end, at last the outcome."""
    assert isinstance(boom.notices[0], CampaignStarted)
    begun = [notice.phase for notice in boom.all(PhaseStarted)]
    assert [phase for phase in begun if phase in LOOKING] == list(LOOKING)
    ended = [notice.phase for notice in boom.all(PhaseFinished)]
    assert [phase for phase in ended if phase in LOOKING] == list(LOOKING)
    assert boom.finished.seed == 1
    assert boom.finished.stopped == "done"
    looked = {notice.phase: notice.cases for notice in boom.all(PhaseFinished)}
    assert boom.finished.cases == sum(looked[phase] for phase in LOOKING)
    assert dict(boom.finished.situations)["several peers"] > 0


def test_a_finding_is_minimal_confirmed_and_points_at_the_line(boom):
    """The finding has the smallest traffic that shows it, was seen again on both networks, and names the line."""
    assert boom.code == 1
    ready = boom.ready("handler/no-uncaught-exception")
    finding = ready.finding
    [script] = finding.case.scripts
    assert script.payload == b"BOOM"
    assert finding.case.faults == ()
    assert {one.network: (one.seen, one.played) for one in finding.confirmations} == {
        "memory": (3, 3), "loopback": (3, 3),
    }  # fmt: skip
    assert finding.violation.frame == "boom:Subject.answer"
    assert finding.violation.location.startswith("boom.py:")
    assert ready.trace is not None
    assert not finding.nondeterministic
    assert finding.history == ()


def test_the_same_seed_finds_the_same_and_stops_at_the_same_case(boom, write):
    """Two campaigns with one seed tell the same findings, counts and verdicts; another seed plays other cases."""
    folder = write(BOOM, "boom.py")
    again = Conducted(folder, "boom.py:Subject", max_examples=20)
    assert again.finished.findings == boom.finished.findings
    assert again.finished.cases == boom.finished.cases
    assert again.finished.verdicts == boom.finished.verdicts
    assert again.finished.situations == boom.finished.situations
    assert [ready.finding.case for ready in again.all(FindingReady)] == [
        ready.finding.case for ready in boom.all(FindingReady)
    ]
    other = Conducted(folder, "boom.py:Subject", max_examples=20, seed=2, phases=("generate",))
    assert other.finished.situations != boom.finished.situations


def test_without_a_seed_a_new_one_is_drawn_and_told(write):
    """A campaign that is given no seed chooses one, and its first and last Notice tell it."""
    folder = write(ECHO)
    campaigns = [Conducted(folder, "subject.py", seed=0, phases=("preflight",)) for _ in range(2)]
    seeds = {campaign.all(CampaignStarted)[0].seed for campaign in campaigns}
    assert len(seeds) == 2
    assert 0 not in seeds
    assert seeds == {campaign.finished.seed for campaign in campaigns}


def test_a_good_handler_has_no_finding(write):
    """Everything holds for a handler that does everything right."""
    campaign = Conducted(write(ECHO), "subject.py", max_examples=20)
    assert campaign.code == 0
    assert campaign.slugs == []
    assert any(held for _, held, *_ in campaign.finished.verdicts)


def test_a_handler_that_ends_its_process_is_a_finding_and_others_are_found_too(write):
    """os._exit at one word is one finding with the smallest case; the search goes on behind it."""
    campaign = Conducted(write(DIES_ON_WORD), "subject.py:Subject", max_examples=20)
    assert campaign.code == 1
    finding = campaign.ready("liveness/process-survives").finding
    assert [script.payload for script in finding.case.scripts] == [b"EXIT"]
    assert "exited with status 0" in finding.violation.actual
    assert [one.seen for one in finding.confirmations] == [3, 3]
    assert "handler/no-uncaught-exception" in campaign.slugs
    assert {notice.phase for notice in campaign.all(PhaseFinished)} >= {"sweep", "generate"}


def test_a_handler_that_ends_its_process_every_time_does_not_end_the_run(write):
    """When every case kills the worker there is one finding, all phases come to their end, and counts are exact."""
    runs = [Conducted(write(DIES), "subject.py:Subject", max_examples=3) for _ in range(2)]
    assert [run.slugs for run in runs] == [["liveness/process-survives"]] * 2
    assert runs[0].finished.cases == runs[1].finished.cases > 20
    assert any("passed over" in notice.text for notice in runs[0].all(Remark))
    assert dict(runs[0].finished.situations)["one peer"] > 0
    row = next(row for row in runs[0].finished.verdicts if row[0] == "liveness/process-survives")
    assert row[2] > 20


def test_a_handler_that_loops_without_its_socket_is_a_finding(write):
    """An endless loop is noticed by the processor time it burns, made minimal, and located."""
    campaign = Conducted(write(LOOPS), "subject.py:Subject", max_examples=5, phases=GENERATING, case_limit_s=0.3)
    assert campaign.code == 1
    finding = campaign.ready("liveness/no-hang").finding
    assert [script.payload for script in finding.case.scripts] == [b"LOOP"]
    assert "subject.py" in finding.violation.location
    assert not finding.nondeterministic
    assert "generate" in {notice.phase for notice in campaign.all(PhaseFinished)}


def test_a_handler_that_recurses_without_end_is_a_finding(write):
    """A RecursionError is an uncaught exception like any other; the worker lives on."""
    campaign = Conducted(write(RECURSES), "subject.py:Subject", max_examples=3, phases=GENERATING)
    finding = campaign.ready("handler/no-uncaught-exception").finding
    assert finding.violation.exception == "builtins.RecursionError"
    assert finding.violation.frame == "subject:Subject.again"
    assert not finding.nondeterministic


def test_a_handler_that_swallows_every_stop_is_a_finding(write):
    """A bare except in an endless loop swallows our stop too; what it showed before is told, minimal and confirmed."""
    campaign = Conducted(write(SWALLOWS), "subject.py:Subject", phases=("sweep", "shrink", "confirm"))
    assert campaign.code == 1
    assert {"liveness/ends-after-eof", "liveness/ends-after-reset"} <= set(campaign.slugs)
    assert "liveness/process-survives" not in campaign.slugs
    finding = campaign.ready("liveness/ends-after-eof").finding
    assert len(finding.case.scripts) == 1
    assert finding.case.scripts[0].payload == b""
    assert all(one.seen == one.played == 3 for one in finding.confirmations)


def test_a_finding_that_needs_earlier_cases_is_told_with_them(write):
    """State that outlives a case makes a finding whose history is shrunk with it; both together show it every time."""
    campaign = Conducted(write(COUNTS), "subject.py:Subject", max_examples=5)
    finding = campaign.ready("handler/no-uncaught-exception").finding
    assert not finding.nondeterministic
    assert 1 <= len(finding.history) <= 3
    played = [script for case in (*finding.history, finding.case) for script in case.scripts]
    assert len(played) <= 4
    assert all(len(script.payload) <= 8 for script in played)
    assert all(one.seen == one.played for one in finding.confirmations)


def test_a_reset_keeps_cases_apart(write):
    """With `reset=` state does not outlive a case, so what is left needs no history."""
    campaign = Conducted(write(COUNTS), "subject.py:Subject", max_examples=5, reset="subject:clear")
    assert campaign.ready("handler/no-uncaught-exception").finding.history == ()


def test_a_finding_that_does_not_come_back_never_fails_a_run(write, monkeypatch, tmp_path):
    """What shows once and never again is told as nondeterministic, without a trace of something else; exit code 0."""
    monkeypatch.setenv("HANDSHAKER_TEST_MARK", str(tmp_path / "mark"))
    campaign = Conducted(write(RANDOM), "subject.py:Subject", max_examples=30)
    ready = campaign.ready("handler/no-uncaught-exception")
    assert ready.finding.nondeterministic
    assert ready.trace is None
    assert campaign.code == 0


def test_state_is_a_question_until_the_handler_is_declared_stateless(write):
    """A reply that depends on other peers is asked about once; for a handler declared stateless it is a finding."""
    folder = write(REMEMBERS)
    asked = Conducted(folder, "subject.py:Subject", max_examples=20)
    assert asked.code == 0
    topics = [notice.topic for notice in asked.all(Question)]
    assert "relation/isolation" in topics
    assert len(topics) == len(set(topics))
    declared = Conducted(folder, "subject.py:Subject", max_examples=20, stateless=True)
    assert declared.code == 1
    assert declared.all(Question) == []
    ready = declared.ready("relation/isolation")
    assert ready.finding.contrast is not None
    assert ready.contrast_trace is not None
    assert ready.trace.replies[-1] != ready.contrast_trace.replies[-1]


def test_an_attribute_of_another_server_is_no_finding(write):
    """What a handler asks of a server that was chosen for it may be missing there: that is said, and is no finding."""
    asks = handler(
        'if line[:1] == b"\\xff" and self.rfile.readline(9)[:1].isdigit():',
        "    self.wfile.write(self.server.greeting)", "self.wfile.write(line)",
    )  # fmt: skip
    campaign = Conducted(write(asks), "subject.py:Subject", max_examples=300)
    assert "handler/no-uncaught-exception" not in campaign.slugs
    assert "self.server.greeting" in " ".join(remark.text for remark in campaign.all(Remark))


def test_a_declared_exception_is_no_finding(write):
    """What the handler raises on purpose is accepted by name, and nothing else is."""
    folder = write(BOOM)
    allowed = Conducted(folder, "subject.py:Subject", max_examples=20, allowed_exceptions=("builtins.ValueError",))
    assert allowed.code == 0
    assert "handler/no-uncaught-exception" not in allowed.slugs
    other = Conducted(folder, "subject.py:Subject", max_examples=20, allowed_exceptions=("builtins.KeyError",))
    assert other.code == 1


def test_messages_come_from_the_users_strategy_and_shrink_within_it(write, tmp_path):
    """Traffic is made of the strategy's messages, and the smallest case holds one that the strategy can give."""
    (tmp_path / "words.py").write_text(
        "from hypothesis import strategies as st\n"
        "def queries():\n    return st.integers(10, 99).map(lambda n: b'Q%d\\n' % n)\n"
    )
    folder = write(handler('if line.startswith(b"Q") and int(line[1:] or 0) > 41:', '    raise ValueError("query")'))
    campaign = Conducted(folder, "subject.py:Subject", max_examples=60, messages="words:queries", phases=GENERATING)
    finding = campaign.ready("handler/no-uncaught-exception").finding
    assert [script.payload for script in finding.case.scripts] == [b"Q42\n"]


def test_an_example_shows_a_handler_that_waits_for_the_end(write):
    """With an example exchange, a handler that answers only after the peer's end is told, as robustness."""
    folder = write(WAITS_FOR_END)
    phases = ("sweep", "shrink", "confirm")
    campaign = Conducted(folder, "subject.py:Subject", max_examples=5, example=b"hello\n", phases=phases)
    ready = campaign.ready("liveness/answers-complete-message")
    assert ready.finding.level is Level.SHOULD
    assert [one.seen for one in ready.finding.confirmations] == [3, 3]


def test_phases_that_are_not_named_are_left_out(write):
    """Only the phases that were named are told, besides preflight, without which nothing can be tested."""
    campaign = Conducted(write(BOOM), "subject.py:Subject", max_examples=5, phases=("generate",))
    assert {notice.phase for notice in campaign.all(PhaseStarted)} <= {"preflight", "generate", "shrink"}
    assert all(ready.finding.confirmations == () for ready in campaign.all(FindingReady))


def test_the_search_stops_after_enough_findings(write):
    """`max_failures` different findings end the search."""
    campaign = Conducted(write(DIES_ON_WORD), "subject.py:Subject", max_examples=20, max_failures=1)
    assert len(campaign.all(FindingReady)) == 1
    assert len(campaign.all(FindingSeen)) == 1
    assert "generate" not in {notice.phase for notice in campaign.all(PhaseStarted)}


def test_the_search_stops_when_its_time_is_over(write):
    """`max_time` ends a search that would go on for hours, and says so."""
    campaign = Conducted(write(ECHO), "subject.py", max_examples=10_000_000, max_time_s=0.6)
    assert campaign.finished.stopped == "max-time"
    assert campaign.finished.seconds < 30
    assert campaign.code == 0


def test_only_the_chosen_invariants_are_judged(write):
    """Globs choose and exclude what is judged."""
    folder = write(BOOM)
    chosen = ("lifecycle/*", "handler/*")
    campaign = Conducted(
        folder, "subject.py:Subject", max_examples=5, invariants=chosen, exclude_invariants=("handler/no-*",)
    )
    assert campaign.code == 0
    areas = {slug.partition("/")[0] for slug, *_ in campaign.finished.verdicts}
    assert areas == {"lifecycle", "handler"}
    assert "handler/no-uncaught-exception" not in {slug for slug, *_ in campaign.finished.verdicts}


@pytest.mark.parametrize(("fail_on", "code"), [("must", 0), ("should", 1), ("never", 0)])
def test_what_fails_a_run_can_be_chosen(write, fail_on, code):
    """A finding of level SHOULD fails a run only when that is asked for."""
    bad = ECHO + "\nclass Subject(Echo):\n    def handle(self):\n        self.rfile.readline(100)\n"
    campaign = Conducted(
        write(bad), "subject.py:Subject", fail_on=fail_on, phases=("sweep",), invariants=("handler/reset-*",)
    )
    assert set(campaign.slugs) == {"handler/reset-is-expected"}
    assert campaign.code == code


def test_a_relation_that_holds_is_counted_as_held(write):
    """Equal replies show that a relation holds: a run of nothing else has tested something, and says so."""
    run = Conducted(write(ECHO), "subject.py:Echo", invariants=("relation/*",), max_examples=20)
    held = {slug: holds for slug, holds, *_ in run.finished.verdicts}
    assert held["relation/segmentation"] > 0
    assert run.code == 0
