"""What changes for the whole process is noticed, told and put back; a search looks at many Cases at once."""

from __future__ import annotations

import io
import locale
import os
import signal
import socket
import sys
import warnings
from socketserver import BaseRequestHandler, StreamRequestHandler

import pytest

from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.probes_state import BATCH_CASES, PARTS, ProcessState
from handshaker.harness.runner import Stage
from handshaker.harness.settings import Settings
from handshaker.targets.stdlib import load_target
from tests.harness.command_line import Conducted, handler

NAME = "HANDSHAKER_TEST_OF_STATE"
HERE = __name__
QUIET = Case((Script((Step("half-close"),)),))


def line(data: bytes) -> Case:
    """A peer that sends one line."""
    return Case((Script((Step("send", data), Step("half-close"))),))


GUILTY = handler('if line.startswith(b"!"):', "    os.umask(0o001)", "self.wfile.write(line)", before="import os")

CHANGES = {
    "working directory": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o001),
    "environment": lambda: os.environ.update({NAME: "1"}),
    "default timeout of sockets": lambda: socket.setdefaulttimeout(17.0),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C"),
    "signal handlers": lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
    "sys.stdin": lambda: setattr(sys, "stdin", io.StringIO()),
    "sys.stdout": lambda: setattr(sys, "stdout", io.StringIO()),
    "sys.stderr": lambda: setattr(sys, "stderr", io.StringIO()),
    "sys.path": lambda: sys.path.insert(0, "/nowhere"),
    "warnings filters": lambda: warnings.simplefilter("ignore", BytesWarning),
    "recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
}


def test_every_part_is_tried():
    """No part of the state is watched without a test."""
    assert set(CHANGES) == set(PARTS)


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_is_told_and_put_back(part):
    """Each part is noticed by itself, described, and as it was again."""
    state = ProcessState()
    CHANGES[part]()
    changes = state.changes()
    assert list(changes) == [part]
    assert changes[part]
    assert state.changes() == {}


def test_a_variable_that_was_changed_or_removed_comes_back(monkeypatch):
    """Also its value; and what is told are names only, for values may be secret."""
    monkeypatch.setenv(NAME, "before")
    monkeypatch.setenv(NAME + "_2", "before")
    state = ProcessState()
    os.environ[NAME] = "secret"
    del os.environ[NAME + "_2"]
    assert state.changes() == {"environment": f"{NAME}, {NAME}_2"}
    assert (os.environ[NAME], os.environ[NAME + "_2"]) == ("before", "before")


def test_filters_that_were_put_back_are_in_force():
    """The warnings module remembers what it has decided; it is told that the filters are others."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        state = ProcessState()
        warnings.simplefilter("ignore")
        warnings.warn("unheard", UserWarning, stacklevel=1)
        assert list(state.changes()) == ["warnings filters"]
        warnings.warn("heard", UserWarning, stacklevel=1)
    assert [str(each.message) for each in told] == ["heard"]


def test_a_folder_that_is_gone_is_told_and_survived(tmp_path, monkeypatch):
    """A handler may remove the folder that the process stands in; there is no way back then."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    state = ProcessState()
    os.chdir("/")
    gone.rmdir()
    assert list(state.changes()) == ["working directory"]


def test_a_glance_tells_what_is_cheap_to_see():
    """Identities and counts are compared after each Case, the rest once for many."""
    state = ProcessState()
    assert not state.disturbed()
    sys.path.append("/nowhere")
    assert state.disturbed()
    state.changes()
    assert not state.disturbed()


class Wanders(StreamRequestHandler):
    """Goes elsewhere when it is told to."""

    def handle(self):
        if self.rfile.readline(100) == b"GO\n":
            os.chdir("/")


class Imports(BaseRequestHandler):
    """Sets something up when it is first needed."""

    ready = False

    def handle(self):
        if not Imports.ready:
            Imports.ready = True
            os.environ[NAME] = "1"


class Redirects(BaseRequestHandler):
    """Changes the state and puts it back in finish()."""

    def setup(self):
        self.before = sys.stdout
        sys.stdout = io.StringIO()

    def finish(self):
        sys.stdout = self.before


def changed(stage: Stage, case: Case) -> list[str]:
    """Which parts *case* is said to have changed."""
    return [event["what"] for event in stage.play(case).of("probe.process-state")]


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_only_the_guilty_case_is_told(network):
    """What one Case has changed is no matter of the next one."""
    before = os.getcwd()
    with Stage(load_target(f"{HERE}:Wanders"), network=network) as stage:
        told = [changed(stage, case) for case in (QUIET, line(b"GO\n"), QUIET, line(b"GO\n"))]
    assert told == [[], ["working directory"], [], ["working directory"]]
    assert os.getcwd() == before


@pytest.mark.parametrize(("concurrency", "expected"), [("threading", ["working directory"]), ("forking", [])])
def test_threads_share_the_state_and_children_do_not(concurrency, expected):
    """What a request changes in a thread is changed for all requests; a child takes it along when it exits."""
    target = load_target(f"{HERE}:Wanders", concurrency=concurrency)
    case = Case(line(b"GO\n").scripts * 2, concurrency=concurrency)
    with Stage(target, network="loopback") as stage:
        assert changed(stage, case) == expected
        assert changed(stage, Case(QUIET.scripts * 2, concurrency=concurrency)) == []


def test_what_is_set_up_once_is_no_change():
    """As with descriptors: what the same Case does not do again is no damage of a request."""
    Imports.ready = False
    with Stage(load_target(f"{HERE}:Imports")) as stage:
        assert changed(stage, QUIET) == []
    assert NAME not in os.environ


def test_our_fault_in_front_of_finish_is_told_and_not_judged():
    """The event is a fact; that no code of the handler could help is the rule's affair."""
    case = Case(QUIET.scripts, (Fault("setup.leave", "ValueError"),))
    with Workbench(load_target(f"{HERE}:Redirects"), Settings(f"{HERE}:Redirects", save=False), "memory") as bench:
        assert bench.sightings(QUIET) == []
        assert [event["what"] for event in bench.play(case).of("probe.process-state")] == ["sys.stdout"]
        assert bench.sightings(case) == []


def test_a_hurried_search_compares_once_for_many_cases():
    """Nothing is told by the Cases of a batch; they are the suspects, and each of them is compared by itself then."""
    with Stage(load_target(f"{HERE}:Wanders")) as stage:
        stage.state.hurry()
        cases = [line(b"%d\n" % number) for number in range(BATCH_CASES - 2)]
        cases.insert(7, line(b"GO\n"))
        assert [changed(stage, case) for case in cases] == [[]] * len(cases)
        assert stage.state.take_suspects() == []
        assert changed(stage, QUIET) == []
        suspects = stage.state.take_suspects()
        assert suspects == [*cases, QUIET]
        assert [case for case in suspects if changed(stage, case)] == [line(b"GO\n")]
        assert stage.state.take_suspects() == []


def test_the_rest_of_a_batch_is_compared_when_a_phase_ends():
    """However few Cases there were."""
    with Stage(load_target(f"{HERE}:Wanders")) as stage:
        stage.state.hurry()
        stage.run(line(b"GO\n"))
        stage.state.end_batch()
        assert stage.state.take_suspects() == [line(b"GO\n")]


def test_a_campaign_finds_the_guilty_case_in_a_batch(tmp_path):
    """The finding is minimal, is shown again on loopback, and names the part that was changed."""
    (tmp_path / "subject.py").write_text(GUILTY, encoding="utf-8")
    campaign = Conducted(tmp_path, "subject.py:Subject", max_examples=20, phases=("generate", "shrink", "confirm"))
    finding = campaign.ready("resources/process-state").finding
    assert [script.payload for script in finding.case.scripts] == [b"!"]
    assert finding.violation.damage == "umask changed"
    assert {one.network: one.seen for one in finding.confirmations} == {"memory": 3, "loopback": 3}
