"""A campaign from the side of the person who started it: one supervisor, one worker, and Notices to whoever listens.

The worker looks, shrinks and confirms in processes of its own; this side knows what is in flight, turns a dead or hung
worker into a finding, saves each finding as soon as it is minimal, and decides the exit code.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.budget import Clock, share_s
from handshaker.harness.campaign.deaths import PASSED_OVER, Deaths
from handshaker.harness.campaign.ending import NOTHING_TESTED, cut_short, exit_code, never_began, why_nothing
from handshaker.harness.campaign.evidence import Evidence
from handshaker.harness.campaign.fatal import DIED, HUNG, LARGE_BYTES, SLOW, fatal, limits, quick_limits, sent_bytes
from handshaker.harness.campaign.findings import finding_of, ready, says_nothing_new
from handshaker.harness.campaign.messages import phase_of
from handshaker.harness.campaign.opening import Listener, require_description, require_something, started
from handshaker.harness.campaign.saved import concerns, sighting_of
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.campaign.tally import Tally
from handshaker.harness.campaign.workers import TASKS, moved, needs_kernel, on_loopback, start_worker
from handshaker.harness.case import Case
from handshaker.harness.corpus import Corpus
from handshaker.harness.errors import HarnessBug, TargetError, UsageError
from handshaker.harness.notices import (
    CampaignFinished,
    FindingFixed,
    FindingSeen,
    Notice,
    PhaseFinished,
    PhaseStarted,
    Progress,
    Question,
    Remark,
)
from handshaker.harness.processes.supervisor import Supervisor
from handshaker.harness.settings import Settings
from handshaker.harness.verdict import Finding

__all__ = ["Campaign"]

_PULSE_S: Final = 0.3


class Campaign:
    """One campaign: `run()` conducts it, tells every Notice to *listen*, and returns the exit code.

    What another campaign against the target has *shown* is not told again. `about` is what was learnt about the target.
    """

    def __init__(self, settings: Settings, listen: Callable[[Notice], None], shown: tuple[Sighting, ...] = ()) -> None:
        self.settings = settings if settings.seed else replace(settings, seed=secrets.randbits(31) or 1)
        self._listen = Listener(listen)
        self._corpus = Corpus(settings.root)
        self._network = "loopback" if settings.network == "loopback" else "memory"
        self._shown = shown
        self.sightings: list[Sighting] = []
        self.about: dict[str, Any] = {}
        self._saved: list[Finding] = []
        self.findings: list[Finding] = []
        self._gone: list[Finding] = []
        self._seconds: dict[str, float] = {}
        self._tally = Tally()
        self._deaths = Deaths()
        self._moved = self._cornered = False
        self._pause_at: tuple[int, int] | None = None
        self._settled = 0
        self._shrinking_s = 0.0
        self._hurried: list[str] = []
        self._handler = ""
        self._stopped = "done"
        self._pulsed, self._where = 0.0, ""
        self._told: set[str] = set()
        self._began, self._clock = time.monotonic(), Clock(self.settings.max_time_s)

    def run(self) -> int:
        """Conduct the campaign. Raises UsageError or TargetError when nothing could be tested."""
        if self.settings.save:
            self._corpus.prepare()
            self._saved = self._corpus.findings(self.settings.target)
        with start_worker(self.settings) as worker:
            try:
                with self._listen.holding_back():
                    self._announce(worker)
                    self._search(worker, ("preflight",), settling=False)
                self._settle(worker)
                self._look(worker)
            except KeyboardInterrupt:
                self._stopped = "interrupted"
            self._settle(worker)
            self._end_shrinking()
            self._forget_fixed()
        return self._finish()

    def _announce(self, worker: Supervisor) -> None:
        about = self.about
        told = worker.run(f"{TASKS}.search:describe", self._arguments(), on_message=about.update)
        require_description(told, about, self.settings)
        self.settings = replace(self.settings, transport=about["transport"], concurrency=about["concurrency"])
        self._network = "loopback" if about["concurrency"] != "plain" else self._network
        self._listen(started(self.settings, self._network, about))
        self._where = about["where"]
        self._saved = [found for found in self._saved if concerns(found, self.settings, frozenset(about["judged"]))]
        require_something(self.settings, self._saved)
        for text in about["remarks"]:
            self._remark("hosting", text)

    # looking for violations

    def _look(self, worker: Supervisor) -> None:
        """All phases after preflight, which always runs: what cannot be hosted cannot be tested."""
        if "regressions" in self.settings.phases:
            self._regress(worker)
            self._settle(worker)
        later = tuple(phase for phase in ("sweep", "generate") if phase in self.settings.phases)
        if later and not self._over():
            self._search(worker, later)
        if self._new_findings() >= self.settings.max_failures:
            self._remark("max-failures", f"stopped looking after {len(self.sightings)} different findings")

    def _over(self) -> bool:
        return self._stopped != "done" or self._new_findings() >= self.settings.max_failures

    @property
    def _spent_s(self) -> float:
        return time.monotonic() - self._began

    def _new_findings(self) -> int:
        """How many findings this run has that were not saved by an earlier one."""
        return len({found.fingerprint for found in self.findings} - {found.fingerprint for found in self._saved})

    def _search(self, worker: Supervisor, phases: tuple[str, ...], *, settling: bool = True) -> None:
        """Look, and make each new finding minimal before looking further, so that the first one is told soon."""
        resume: tuple[int, int] | None = (0, 0)
        while resume is not None:
            began, hung = time.monotonic(), any(sighting.invariant == HUNG for sighting in self.sightings)
            result = worker.run(
                f"{TASKS}.search:search",
                self._arguments(
                    phases=phases, resume=resume, known=[seen.key for seen in (*self._shown, *self.sightings)],
                    spent=self._spent_s, wary=bool(self._deaths),
                ),
                on_message=self._hear,
                limits=(quick_limits if hung else limits)(self.settings.case_limit_s),
            )  # fmt: skip
            if result.status in ("died", "hung"):
                phase = phase_of(result.in_flight)
                self._seconds[phase] = self._seconds.get(phase, 0.0) + time.monotonic() - began
            resume = self._after(worker, result)
            if settling:
                self._settle(worker)
            if self._over():
                return

    def _after(self, worker: Supervisor, result: Any) -> tuple[int, int] | None:
        """Where the next worker goes on, if one is needed."""
        result.raise_if_failed()
        if self._moved:
            self._moved = False
            self._tally.end_worker(0, "")
            return (0, 0)
        self._tally.end_worker(result.marks, phase_of(result.in_flight))
        if result.asked:
            self._stopped = "interrupted"
        if result.status in ("died", "hung") and result.in_flight is None:
            self._remark("never-began", never_began(result, self.settings, judged=self._tally.judged))
        if result.status not in ("died", "hung") or result.in_flight is None:
            resume, self._pause_at = self._pause_at, None
            return resume
        if not self._cornered:
            self._lost(worker, result)
        self._cornered = False
        resume = self._deaths.behind(result.in_flight, result.status, result.marks)
        if self._deaths.passed_over:
            self._remark("deaths", PASSED_OVER)
        self._pulse(phase_of(result.in_flight))
        return None if self._over() else resume

    def _pulse(self, phase: str) -> None:
        """Show progress where no worker lives long enough to tell it."""
        now = time.monotonic()
        if now - self._pulsed > _PULSE_S:
            self._pulsed = now
            self._listen(Progress(phase, self._tally.phases[phase], self._seconds[phase], len(self.sightings)))

    def _regress(self, worker: Supervisor) -> None:
        """Play every saved finding again, each in fresh processes, with what it needs before it."""
        began = time.monotonic()
        self._on_started({"phase": "regressions", "expected": len(self._saved)})
        evidence = self._evidence(worker)
        for finding in self._saved:
            if self._clock.over():
                self._stopped = "max-time"
            if self._over():
                break
            sighting = sighting_of(finding)
            if self._is_known(sighting):
                continue
            if evidence.count(sighting, finding.settings.get("network", self._network), enough=1):
                self._tally.add_lost(sighting.case, (sighting.invariant,))
                self._see(replace(sighting, phase="regressions"))
            elif not evidence.interrupted:
                self._gone.append(finding)
            self._heed(evidence)
            self._tally.finish_phase("regressions", 1)
        seconds = time.monotonic() - began
        self._on_finished({"phase": "regressions", "cases": 0, "seconds": seconds, "partly": False})
        self._tally.end_worker(0, "")

    def _arguments(self, **more: Any) -> dict[str, Any]:
        known = {"settings": codec.encode(self.settings), "network": self._network, "handler": self._handler}
        return {**known, **more}

    def _hear(self, message: dict[str, Any]) -> None:
        getattr(self, f"_on_{message['message']}")(message)

    def _on_started(self, message: dict[str, Any]) -> None:
        if message["phase"] not in self._seconds:
            self._seconds[message["phase"]] = 0.0
            self._listen(PhaseStarted(message["phase"], message["expected"]))

    def _on_finished(self, message: dict[str, Any]) -> None:
        phase = message["phase"]
        cases = self._tally.finish_phase(phase, message["cases"])
        self._seconds[phase] += message["seconds"]
        if not message["partly"]:
            self._listen(PhaseFinished(phase, cases, self._seconds[phase]))

    def _on_progress(self, message: dict[str, Any]) -> None:
        phase, found = message["phase"], len(self.sightings)
        seconds = self._seconds[phase] + message["seconds"]
        self._listen(Progress(phase, self._tally.phases[phase] + message["cases"], seconds, found, message["expected"]))

    def _on_paused(self, message: dict[str, Any]) -> None:
        phase, index = message["resume"]
        self._pause_at = (phase, index)

    def _on_seen(self, message: dict[str, Any]) -> None:
        self._see(codec.decode(Sighting, message["sighting"], where="a worker's message"))

    def _see(self, sighting: Sighting) -> None:
        """Tell and save a sighting at once, unless what is saved is already smaller."""
        self.sightings.append(sighting)
        finding = self._finding(sighting)
        if finding.fingerprint not in [saved.fingerprint for saved in self._saved]:
            self._save(finding)
        self._listen(FindingSeen(replace(finding, history=())))

    def _on_remark(self, message: dict[str, Any]) -> None:
        self._remark(message["topic"], message["text"])

    def _remark(self, topic: str, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._listen(Remark(text, topic))

    def _on_question(self, message: dict[str, Any]) -> None:
        self._listen(Question(message["text"], message["topic"]))

    def _on_kernel(self, message: dict[str, Any]) -> None:
        if self.settings.network == "memory":
            raise TargetError(needs_kernel(self.settings, message["operation"]))
        if self._network == "loopback":
            raise HarnessBug(f"a kernel object was asked for on loopback ({message['operation']})")
        self._network, self._moved = "loopback", True
        self.settings = moved(self.settings, message["operation"])
        self._remark("network", on_loopback(message["operation"]))

    def _on_summary(self, message: dict[str, Any]) -> None:
        self._tally.hear(message)
        if message["stopped"]:
            self._stopped = message["stopped"]

    def _on_learnt(self, message: dict[str, Any]) -> None:
        self._handler = message["handler"]

    def _on_cornered(self, message: dict[str, Any]) -> None:
        self._cornered = True
        self._tally.add_lost(codec.decode(Case, message["case"], where="a worker's message"), message["invariants"])

    def _lost(self, worker: Supervisor, result: Any) -> None:
        """The worker died or hangs: that is a finding about the handler, with the Case in flight."""
        found: dict[str, Any] = {}
        if result.status == "died" and self._is_known(fatal(result, Case())):
            self._tally.add_lost(None, (DIED,))
            return
        worker.run(
            f"{TASKS}.search:case_in_flight", self._arguments(mark=list(result.in_flight)), on_message=found.update
        )
        case = codec.decode(Case, found["case"], where="a worker's message") if found.get("case") else Case()
        sighting = replace(fatal(result, case), phase=phase_of(result.in_flight))
        if result.status == "hung" and sent_bytes(case) > LARGE_BYTES and not self._evidence(worker).count(sighting):
            self._remark("slow", SLOW.format(sent_bytes(case)))
            return
        self._tally.add_lost(case, (sighting.invariant,))
        if not self._is_known(sighting):
            self._see(sighting)

    def _is_known(self, sighting: Sighting) -> bool:
        return any(known.key == sighting.key for known in (*self._shown, *self.sightings))

    # making findings minimal and sure

    def _settle(self, worker: Supervisor) -> None:
        """Shrink, confirm and tell what was seen since the last time, in the time there is for each."""
        waiting = len(self.sightings) - self._settled
        if waiting and not self._settled:
            self._listen(PhaseStarted("shrink", waiting))
        for sighting in self.sightings[self._settled :]:
            began = time.monotonic()
            waiting, limit = len(self.sightings) - self._settled, self.settings.max_time_s
            share = share_s(limit, spent_s=self._spent_s, shrinking_s=self._shrinking_s, waiting=waiting)
            evidence = self._evidence(worker, share)
            self._settled += 1
            try:
                self._tell(evidence, *self._smallest(evidence, sighting))
            except KeyboardInterrupt:
                self._stopped = "interrupted"
                self._tell(evidence, sighting, shows=True)
            if evidence.hurried:
                self._hurried.append(sighting.invariant)
            self._shrinking_s += time.monotonic() - began

    def _end_shrinking(self) -> None:
        if self._settled:
            self._listen(PhaseFinished("shrink", self._settled, self._shrinking_s))
        if self._hurried and self._stopped != "interrupted":
            self._remark("shrink", cut_short(self.settings, self._hurried))

    def _smallest(self, evidence: Evidence, sighting: Sighting) -> tuple[Sighting, bool]:
        """The sighting at its minimum, and whether it shows in a fresh process at all."""
        if self._stopped == "interrupted" or "shrink" not in self.settings.phases:
            return sighting, True
        found = evidence.smallest(sighting)
        self._heed(evidence)
        return found or sighting, found is not None

    def _tell(self, evidence: Evidence, sighting: Sighting, shows: bool) -> None:
        finding = self._finding(replace(sighting, history=sighting.history if shows else ()))
        if not shows:
            finding = replace(finding, nondeterministic=True)
        elif self._stopped != "interrupted" and "confirm" in self.settings.phases:
            finding = evidence.confirmed(finding, sighting, self._network)
            self._heed(evidence)
        if says_nothing_new(finding, self.findings):
            self._corpus.remove(finding, unless=self.findings)
            return
        trace, contrast = evidence.traces(finding)
        known = any(saved.fingerprint == finding.fingerprint for saved in self._saved)
        self.findings.append(finding)
        self._listen(ready(finding, trace, contrast, saved=self._save(finding), known=known))

    def _evidence(self, worker: Supervisor, seconds: float | None = None) -> Evidence:
        return Evidence(worker, self.settings, self._network, self._handler, seconds=seconds)

    def _heed(self, evidence: Evidence) -> None:
        self._stopped = "interrupted" if evidence.interrupted else self._stopped

    def _finding(self, sighting: Sighting) -> Finding:
        return finding_of(sighting, replace(self.settings, network=self._network), where=self._where)

    def _save(self, finding: Finding) -> str:
        """Where *finding* was saved; a disk that is full by now is no reason to lose the others."""
        try:
            return str(self._corpus.save(finding)) if self.settings.save else ""
        except UsageError as error:
            self._remark("saving", str(error))
            return ""

    def _forget_fixed(self) -> None:
        """A saved finding that was played again without showing, and that nothing else has shown, is fixed."""
        now = {finding.fingerprint for finding in self.findings}
        for finding in self._gone:
            if finding.fingerprint not in now and not finding.nondeterministic:
                self._corpus.remove(finding)
                self._listen(FindingFixed(finding))

    def _finish(self) -> int:
        code = exit_code(self.settings, self.findings, self._stopped, judged=self._tally.judged)
        if code == NOTHING_TESTED:
            self._remark("nothing", why_nothing(self.settings, self._stopped, self._tally.cases))
        self._listen(
            CampaignFinished(
                code, self._stopped, self._tally.cases, self._spent_s, self.settings.seed,
                tuple(finding.id for finding in self.findings), self._tally.situations(), self._tally.verdicts(),
            )
        )  # fmt: skip
        return code
