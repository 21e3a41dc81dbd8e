"""The pytest form, in test runs of its own: what fails, what is printed, what is left, and that one campaign does."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st

import handshaker
from handshaker.harness.corpus import Corpus
from tests.harness.command_line import BOOM
from tests.harness.command_line import handshaker as command

CONFTEST = """
import os
import pytest
from hypothesis import settings
from handshaker.harness.campaign.conduct import Campaign

settings.register_profile("few", max_examples=4, deadline=None, derandomize=True)
settings.load_profile("few")
conduct = Campaign.run

def counted(self):
    with open(os.environ["HANDSHAKER_TEST_COUNT"], "a") as file:
        file.write(self.settings.target + "\\n")
    return conduct(self)

Campaign.run = counted

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if "blanked" in item.name and report.longrepr:
        report.longrepr = "blanked by another plugin"
    return report
"""

LIFECYCLE = """
import handshaker
from hypothesis import strategies as st
from subject import Echo, Subject

test_good = handshaker.lifecycle_test(Echo, max_examples=5)
test_bad = handshaker.lifecycle_test(Subject, max_examples=5)
"""

CASES = """
import handshaker
import pytest
from hypothesis import example, given, seed, settings, strategies as st
from subject import Echo, Subject

WORDS = st.sampled_from([b"BOOM\\n", b"hi\\n"])
BAD = handshaker.Case((handshaker.Script((handshaker.Step("send", b"BOOM"), handshaker.Step("half-close"))),))
seen = []
cleared = []

@handshaker.given_case(Echo)
def test_profile(case):
    seen.append(case)
    handshaker.assert_holds(handshaker.play(case))

def test_profile_was_honoured():
    assert 0 < len(seen) <= 4

@settings(max_examples=50)
@handshaker.given_case(Subject, messages=WORDS, invariants=["handler/no-uncaught-exception"])
def test_given(case):
    handshaker.assert_holds(handshaker.play(case))

@settings(max_examples=50)
@handshaker.given_case(Subject, messages=WORDS, invariants=["handler/no-uncaught-exception"])
def test_blanked(case):
    handshaker.assert_holds(handshaker.play(case))

@settings(max_examples=50)
@handshaker.given_case(Subject, messages=WORDS, allowed_exceptions=[ValueError], reset=lambda: cleared.append(1))
def test_allowed(case):
    trace = handshaker.play(case)
    handshaker.assert_holds(trace, exclude=("handler/reset-*",))
    assert len(trace.replies) <= len(case.scripts)

def test_reset_was_called():
    assert cleared

@given(handshaker.cases(Echo))
@example(BAD)
def test_with_example(case):
    handshaker.assert_holds(handshaker.play(case, Echo))

@given(handshaker.cases(Subject))
@example(BAD)
def test_example_fails(case):
    handshaker.assert_holds(handshaker.play(case, Subject), invariants=("handler/no-*",))

@given(st.data())
def test_with_data(data):
    case = data.draw(handshaker.cases(Echo, messages=WORDS))
    handshaker.assert_holds(handshaker.play(case), invariants=("lifecycle/*", "io/*"))

def test_by_hand():
    trace = handshaker.play(handshaker.Case((handshaker.Script((handshaker.Step("send", b"hi\\n"),)),)), Echo)
    assert trace.replies == (b"hi\\n",)
"""

MORE = """
import handshaker
from hypothesis import strategies as st
from subject import Echo, Subject

class Local(Subject):
    words = 0

    def answer(self, line):
        Local.words += 1
        super().answer(line)

def clear():
    Local.words = 0

test_words = handshaker.lifecycle_test(
    Local, max_examples=10, messages=st.just(b"hi\\n"), reset=clear, phases=["generate", "shrink", "confirm"],
    invariants=["handler/*"],
)
test_none = handshaker.lifecycle_test(Echo, max_examples=3, phases=["generate"], invariants=["relation/isolation"])
"""


@dataclass(frozen=True)
class TestRun:
    """One run of pytest, with what it printed."""

    __test__ = False

    code: int
    out: str
    campaigns: list[str]
    left: list[str]
    folder: Path

    def outcome(self, test: str) -> str:
        """PASSED, FAILED or SKIPPED."""
        found = re.findall(rf"^(PASSED|FAILED|SKIPPED|ERROR) \S*::{re.escape(test)}(?: |$)", self.out, re.MULTILINE)
        return found[0] if found else "MISSING"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    def run(text: str, *options: str) -> TestRun:
        folder = tmp_path_factory.mktemp("form")
        count, temporary = folder / "count", folder / "temporary"
        temporary.mkdir()
        for name, content in {"subject.py": BOOM, "conftest.py": CONFTEST, "test_it.py": text, "count": ""}.items():
            (folder / name).write_text(content)
        (folder / "pytest.ini").write_text("[pytest]\n")
        environment = {"HANDSHAKER_TEST_COUNT": str(count), "TMPDIR": str(temporary), "COLUMNS": "200"}
        command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *options]
        # In CI pytest repeats each whole message in its short summary.
        environment = {
            name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")
        } | environment
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        left = sorted(set(os.listdir(temporary)) - {f"pytest-of-{getpass.getuser()}"})
        return TestRun(ended.returncode, ended.stdout + ended.stderr, count.read_text().split(), left, folder)

    return run


@pytest.fixture(scope="module")
def lifecycle(run):
    return run(LIFECYCLE, "-n", "2")


@pytest.fixture(scope="module")
def with_cases(run):
    return run(CASES)


def test_one_item_for_each_group_of_invariants(lifecycle):
    """A good handler passes in every group; a bad one fails in the group of what it breaks, and only there."""
    assert lifecycle.code == 1
    for group in ("lifecycle", "handler", "io", "server"):
        assert lifecycle.outcome(f"test_good[{group}]") == "PASSED", lifecycle.out
    assert lifecycle.outcome("test_bad[handler]") == "FAILED"
    assert lifecycle.outcome("test_bad[lifecycle]") == "PASSED"


def test_the_failing_group_prints_the_block_with_a_replay_line_for_pytest(lifecycle):
    """The failure is our own block, once, with a pytest command to see it again and what to declare."""
    assert lifecycle.out.count("smallest case") == 1
    for words in ("handler/no-uncaught-exception", "ValueError: boom", "send(b'BOOM')", "pytest test_it.py::test_bad",
                  "lifecycle_test(..., allowed_exceptions=['builtins:ValueError'])"):  # fmt: skip
        assert words in lifecycle.out, lifecycle.out
    assert "lifecycle_test" not in lifecycle.out.partition("smallest case")[0]


def test_one_campaign_serves_all_items_and_all_workers(lifecycle):
    """Under pytest-xdist each campaign is conducted once, and nothing of it is left behind."""
    assert sorted(lifecycle.campaigns) == ["subject:Echo", "subject:Subject"]
    assert lifecycle.left == []


def test_a_declaration_reaches_the_worker(run):
    """Strategy, reset and choice of invariants hold where the campaign is conducted; one that judges nothing fails."""
    told = run(MORE, "-k", "words or none")
    assert told.outcome("test_words[handler]") == "PASSED", told.out
    assert "no invariant of io applies to this handler" in told.out
    assert told.outcome("test_none[relation]") == "FAILED"
    assert "nothing was tested" in told.out
    assert told.left == []


def test_a_lifecycle_test_that_the_worker_cannot_find_says_so(run):
    """A test that is not a name at the top level of its module says what to write."""
    hidden = LIFECYCLE + "\nclass TestIt:\n    test_inner = staticmethod(handshaker.lifecycle_test(Echo))\n"
    told = run(hidden, "-k", "inner and handler")
    assert told.code == 1
    assert "assign it to a name at the top level" in told.out


def test_the_users_settings_and_asserts_count(with_cases):
    """given_case and cases obey the loaded Hypothesis profile, and take @example, st.data() and one's own asserts."""
    good = ("test_profile", "test_profile_was_honoured", "test_allowed", "test_reset_was_called", "test_with_example",
            "test_with_data", "test_by_hand")  # fmt: skip
    assert {test: with_cases.outcome(test) for test in good} == dict.fromkeys(good, "PASSED"), with_cases.out
    assert with_cases.outcome("test_given") == "FAILED"
    assert with_cases.outcome("test_example_fails") == "FAILED"
    assert with_cases.left == []


def block_of(out, test):
    """What pytest printed about one failing test."""
    return next(part for part in re.split(r"(?m)^_{3,} ", out) if part.startswith(f"{test} _"))


@pytest.mark.parametrize("test", ["test_given", "test_blanked"])
def test_a_failure_shows_our_block_whatever_other_plugins_do(with_cases, test):
    """The block is printed once, minimal and readable, also when another plugin blanks what Hypothesis shows."""
    shown = block_of(with_cases.out, test)
    assert shown.count("smallest case") == 1, shown
    assert "send(b'BOOM\\n')" in shown
    assert f"pytest test_it.py::{test}" in shown
    assert "given_case(..., allowed_exceptions=['builtins:ValueError'])" in shown
    assert "lambda" not in shown
    assert ("blanked by another plugin" in shown) == (test == "test_blanked")


def test_a_finding_of_a_test_is_not_replayable_from_the_command_line(lifecycle):
    """A finding that lifecycle_test saved names its test when it is to be replayed."""
    [finding] = Corpus(lifecycle.folder).findings()
    answer = command(lifecycle.folder, "replay", finding.id)
    assert answer.code == 2
    assert "pytest test_it.py::test_bad" in answer.err


class Plain:
    """No handler."""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: handshaker.play("x"), "'x' is not a Case"),
        (lambda: handshaker.play(handshaker.Case()), "handshaker.play(case, MyHandler)"),
        (lambda: handshaker.assert_holds("x"), "a Trace that handshaker.play returned"),
        (lambda: handshaker.cases(Plain), "neither a handler nor a server"),
        (lambda: handshaker.lifecycle_test(3), "not a handler or a server"),
        (lambda: handshaker.cases(handler(), messages=[b"x"]), "not a Hypothesis strategy of bytes"),
        (lambda: handshaker.lifecycle_test(handler(), messages=b"x"), "not a Hypothesis strategy of bytes"),
        (lambda: handshaker.given_case(handler(), exampel=b"x"), "did you mean 'example'?"),
        (lambda: handshaker.lifecycle_test(handler(), max_exampels=3), "did you mean 'max_examples'"),
        (lambda: handshaker.lifecycle_test(handler(), phases=["swep"]), "did you mean 'sweep'?"),
        (lambda: handshaker.lifecycle_test(handler(), invariants="io/*"), "write invariants=['io/*']"),
        (lambda: handshaker.cases(handler(), allowed_exceptions=[3]), "3 is not an exception class"),
        (lambda: handshaker.cases(handler(), allowed_exceptions=OSError), "write allowed_exceptions=[OSError]"),
        (lambda: handshaker.lifecycle_test(handler(), max_examples="x"), "max_examples='x': expected a whole number"),
        (lambda: handshaker.lifecycle_test(handler(), seed=True), "seed=True: expected a whole number"),
        (lambda: handshaker.lifecycle_test(handler(), max_time_s="10s"), "expected a number of seconds"),
        (lambda: handshaker.lifecycle_test(handler(), phases="sweep"), "write phases=['sweep']"),
        (lambda: handshaker.lifecycle_test(handler(), save="no"), "save='no': expected True or False"),
        (lambda: handshaker.given_case(handler(), example="PING"), "expected bytes, such as b'PING'"),
        (lambda: handshaker.cases(handler(), invariants=[3]), "3 is not a text"),
        (lambda: handshaker.cases(handler(), reset=3), "reset=3 cannot be called"),
        (lambda: handshaker.cases(handler(), messages=st.integers()), "bytes"),
        (lambda: handshaker.cases(handler(), invariants=["oi/*"]), "'oi/*'"),
    ],
)
def test_wrong_uses_are_told_where_they_are_written(wrong, said):
    """A wrong use of the pytest form says what is wrong and what to write, before anything is played."""
    with pytest.raises((handshaker.UsageError, handshaker.TargetError)) as told:
        wrong()
    assert said in str(told.value)


def handler():
    namespace = {"__name__": "subject"}
    exec(BOOM, namespace)
    return namespace["Subject"]


def test_the_plugin_is_light():
    """The plugin, which every project's pytest loads, brings neither the engine nor Hypothesis with it."""
    listing = "import sys, handshaker.harness.pytest_plugin; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    heavy = (
        "hypothesis",
        "scapy",
        "rich",
        "click",
        "handshaker.strategies",
        "handshaker.targets",
        "handshaker.reports",
    )
    assert [name for name in modules if name.startswith(heavy)] == []
    ours = [name for name in modules if name.startswith("handshaker")]
    assert ours == ["handshaker", "handshaker.harness", "handshaker.harness.pytest_plugin"]
