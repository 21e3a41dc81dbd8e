"""`max_time` bounds the whole run: what was found gets a share of what is left, and what stays undone is said."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from handshaker.harness import codec
from handshaker.harness.campaign import shrink
from handshaker.harness.campaign.budget import Clock, share_s, shrinking_ends_s
from handshaker.harness.campaign.conduct import Campaign
from handshaker.harness.campaign.findings import finding_of, reach_of
from handshaker.harness.campaign.messages import PHASE_NUMBERS
from handshaker.harness.campaign.search import _Hunt
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.harness.errors import TargetError
from handshaker.harness.notices import FindingFixed, FindingReady, Remark
from handshaker.harness.processes.results import TaskResult
from handshaker.harness.settings import Settings
from handshaker.harness.verdict import Reach, Violation
from handshaker.targets.stdlib import load_target
from tests.harness.command_line import BOOM, ECHO, Conducted, handler

NO_TIME = 0.001
"""So little that it is over before the first case was played, however fast the machine is."""

ALWAYS = handler("self.wfile.write(line)", after='    def handle(self):\n        raise ValueError("always")\n')
PEER = Script((Step("send", b"hello"), Step("half-close")))


class Time:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def left(*, spent: float, waiting: int, limit: float | None = 20.0, shrinking: float = 0.0) -> float:
    return share_s(limit, spent_s=spent, shrinking_s=shrinking, waiting=waiting)


def test_findings_share_what_is_left_of_the_time():
    """Each that waits gets as much as any other; a quarter is added to the limit, but never more than half a minute."""
    assert left(spent=10, waiting=1) == 15
    assert left(spent=10, waiting=3) == 5
    assert left(spent=25, waiting=1) == left(spent=99, waiting=2) == 0
    assert shrinking_ends_s(8 * 3600) == 8 * 3600 + 30


def test_without_a_limit_shrinking_is_bounded_all_the_same():
    """A minute in all, and yet some seconds for each, however many there were before."""
    assert left(limit=None, spent=500, waiting=3) == 20
    assert left(limit=None, spent=500, shrinking=30, waiting=1) == 30
    assert left(limit=None, spent=500, shrinking=900, waiting=4) == 5


def test_time_is_kept_for_what_must_be_done_again():
    """What lasted three seconds may be needed once more at the end, so the time is over three seconds sooner."""
    time = Time()
    clock = Clock(10, now=time)
    with clock.rehearsal():
        time.now += 3
    time.now += 3.9
    assert not clock.over()
    assert clock.over(until=clock.moment(-1))
    time.now += 0.2
    assert clock.over()
    assert clock.left_s == pytest.approx(2.9)


def test_what_was_left_undone_is_remembered():
    """A clock that was found to be over once, or stopped, says that something was cut."""
    time, stop = Time(), []
    clock = Clock(None, lambda: bool(stop), time)
    time.now += 1e9
    assert not clock.over()
    assert not clock.cut
    stop.append(True)
    assert clock.over()
    assert clock.cut


class Shows:
    """A finding that shows in every Case, in processes that only count."""

    def __init__(self, *_: object, **__: object) -> None:
        self.played = 0

    def shows(self, case: Case, history: tuple[Case, ...] = ()) -> Sighting:
        self.played += 1
        return replace(SEEN, case=case)


SEEN = Sighting("handler/no-uncaught-exception", Violation("none", "some"), Case((PEER, PEER)), history=(Case(),) * 9)
CONTEXT = SimpleNamespace(mark=lambda *_: None, stop_requested=lambda: False, send=None)


def test_what_there_is_no_time_to_shrink_is_still_a_finding():
    """It is told as it was seen, with all that came before it, and not as one that does not show again."""
    fresh, clock = Shows(), Clock(0)
    assert shrink._by_forks(fresh, SEEN, SEEN.history, 80, CONTEXT, clock) == SEEN
    assert shrink._fewer(SEEN.history, lambda _: True, CONTEXT, clock) == SEEN.history
    assert clock.cut
    assert fresh.played == 0


@pytest.mark.parametrize(("seconds", "played"), [(0, 1), (None, 3)])
def test_confirming_stops_when_its_time_is_over(monkeypatch, seconds, played):
    """What is confirmed at all is played once, and then only as often as there is time."""
    monkeypatch.setattr(shrink, "_Fresh", Shows)
    asked = {"sighting": codec.encode(SEEN), "times": 3, "seconds": seconds}
    [told] = shrink.confirm(CONTEXT, asked)
    assert (told["seen"], told["played"]) == (played, played)


@pytest.mark.parametrize(
    ("seconds", "smallest"), [(0, SEEN.case.scripts), (None, (Script((Step("half-close"),)),))], ids=["none", "enough"]
)
def test_shrinking_with_a_fresh_process_each_stops_when_its_time_is_over(monkeypatch, seconds, smallest):
    """The Case is shown to be guilty once, then tried to make smaller as long as there is time, which is told."""
    monkeypatch.setattr(shrink, "_Fresh", Shows)
    dies = replace(SEEN, invariant="liveness/process-survives")
    [told] = shrink.shrink(CONTEXT, {"sighting": codec.encode(dies), "seconds": seconds})
    found = codec.decode(Sighting, told["sighting"], where="a message")
    assert found.case.scripts == smallest
    assert told["cut"] is (seconds == 0)


def test_a_finding_is_told_even_when_the_time_is_over(write):
    """It is neither smaller nor confirmed then, both of which are said, and it fails the run all the same."""
    campaign = Conducted(write(ALWAYS), "subject.py:Subject", max_time_s=NO_TIME)
    ready = campaign.ready("handler/no-uncaught-exception")
    assert ready.finding.confirmations == ()
    assert ready.trace is None
    assert not ready.finding.nondeterministic
    [text] = [remark.text for remark in campaign.all(Remark) if remark.topic == "shrink"]
    assert "--max-time" in text
    assert "handler/no-uncaught-exception" in text
    assert (campaign.code, campaign.finished.stopped) == (1, "max-time")


def test_a_run_with_enough_time_says_nothing_of_it(write):
    """Nobody is told of haste where everything was done."""
    campaign = Conducted(write(ALWAYS), "subject.py:Subject", phases=("preflight", "shrink", "confirm"))
    assert campaign.code == 1
    assert "shrink" not in {remark.topic for remark in campaign.all(Remark)}


def test_saved_findings_are_not_played_again_beyond_the_time(write):
    """What was not played again is not taken for fixed."""
    folder = write(BOOM)
    assert Conducted(folder, "subject.py:Subject", save=True).all(FindingReady)
    mended = Conducted(write(ECHO + "\nSubject = Echo\n"), "subject.py:Subject", save=True, max_time_s=NO_TIME)
    assert mended.all(FindingFixed) == []
    assert mended.finished.stopped == "max-time"


def test_time_that_ends_among_the_saved_findings_ends_the_run(monkeypatch):
    """The next one is neither played nor taken for fixed."""
    campaign = Campaign(Settings("subject.py", save=False, seed=1, max_time_s=1.0), [].append)
    saved = finding_of(replace(SEEN, history=()), campaign.settings)
    monkeypatch.setattr(campaign, "_saved", [saved])
    monkeypatch.setattr(campaign, "_clock", Clock(0))
    campaign._regress(None)
    assert (campaign._gone, campaign._stopped) == ([], "max-time")


def hunted(target: str, *, limit: float, spent: float) -> list[dict]:
    """What a search in the sweep tells that has *spent* so much of its *limit* already."""
    settings = Settings(target, save=False, max_time_s=limit, seed=1)
    arguments = {"phases": ["sweep"], "resume": (PHASE_NUMBERS["sweep"], 0), "spent": spent}
    with Workbench(load_target(target), settings, "memory") as bench:
        return list(_Hunt(CONTEXT, bench, arguments).run())


@pytest.mark.parametrize(("spent", "phase"), [(100.0, "generate"), (600_000.0, "sweep")])
def test_what_was_found_does_not_wait_longer_than_half_of_the_time(spent, phase):
    """The search pauses at the first finding then, to go on behind it if there is time left; before, it plays on."""
    told = hunted("handshaker.targets.exhibits.handler:NoUncaughtException", limit=1_000_000.0, spent=spent)
    assert [message for message in told if message["message"] == "seen"]
    [paused] = [message for message in told if message["message"] == "paused"]
    assert paused["resume"][0] == PHASE_NUMBERS[phase]


@pytest.mark.parametrize("status", ["hung", "died"])
def test_a_process_that_is_lost_before_any_case_names_the_cause(tmp_path, status):
    """A server whose owner waits for ever when it is collected is no target: the place and the remedy are told."""
    owner = tmp_path / "owner.py"
    stack = f'Thread 0x00007f (most recent call first):\n  File "{owner}", line 17 in __del__\n'
    campaign = Campaign(Settings("owner.py:server", save=False, seed=1), [].append)
    with pytest.raises(TargetError, match=r"before any peer came.*owner\.py:17 in __del__.*name a factory"):
        campaign._after(None, TaskResult(status, stack=stack))


def test_a_run_that_judged_nothing_names_the_cause(write):
    """Exit code 2 never comes without a reason and something to do."""
    campaign = Conducted(
        write(ECHO), "subject.py", invariants=("relation/isolation",), phases=("preflight",), stateless=True
    )
    assert campaign.code == 2
    [text] = [remark.text for remark in campaign.all(Remark) if remark.topic == "nothing"]
    assert "handshaker play subject.py" in text


@pytest.mark.parametrize(
    ("case", "reach"),
    [
        (Case(owner=(Act("serve"), Act("shutdown"))), Reach.MISUSE),
        (Case(faults=(Fault("server_bind", "OSError"),), owner=(Act("serve"),)), Reach.INJECTED),
        (Case((PEER,), owner=(Act("serve"), Act("play"))), Reach.PEER),
    ],
)
def test_without_a_peer_it_is_the_codes_own_doing(case, reach):
    """No peer is blamed for what happens although none comes."""
    assert reach_of(case, Reach.TIMING) is reach
