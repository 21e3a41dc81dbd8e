"""A campaign from the side of the person who started it: one supervisor, one worker, and Notices to whoever listens.

The worker looks, shrinks and confirms in processes of its own; this side knows what is in flight, turns a dead or hung
worker into a finding, saves each finding as soon as it is minimal, and decides the exit code.
"""

from __future__ import annotations

import operator
import platform
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from handshaker import __version__
from handshaker.harness import codec
from handshaker.harness.campaign.findings import finding_of, ready
from handshaker.harness.campaign.messages import PHASE_NUMBERS
from handshaker.harness.campaign.workbench import Sighting
from handshaker.harness.case import Case
from handshaker.harness.corpus import Corpus
from handshaker.harness.errors import TargetError
from handshaker.harness.invariants.base import by_slug
from handshaker.harness.notices import (
    CampaignFinished,
    CampaignStarted,
    FindingFixed,
    FindingSeen,
    Notice,
    PhaseFinished,
    PhaseStarted,
    Progress,
    Question,
    Remark,
)
from handshaker.harness.processes.limits import Limits
from handshaker.harness.processes.supervisor import Supervisor
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Confirmation, Finding, Violation

__all__ = ["INTERRUPTED", "Campaign", "start_worker"]

INTERRUPTED: Final = 130
DEATHS_MAX: Final = 8
CONFIRMATIONS: Final = 3
PRELOAD: Final = (
    "handshaker.harness.campaign.loading",
    "handshaker.harness.campaign.search",
    "handshaker.harness.campaign.shrink",
)
TASKS: Final = "handshaker.harness.campaign"

Listener = Callable[[Notice], None]


def start_worker(settings: Settings) -> Supervisor:
    """A supervisor whose worker has imported the target. Raises UsageError or TargetError when it cannot be."""
    return Supervisor.start(
        "handshaker.harness.campaign.loading:load_for_worker",
        {
            "text": settings.target, "server": settings.server, "factory": settings.factory,
            "root": str(Path(settings.root).resolve()), **settings.loader,
        },
        preload=PRELOAD,
        path=(str(Path(settings.root).resolve()),),
        cwd=settings.cwd or None,
        import_limit_seconds=settings.import_limit_s,
    )  # fmt: skip


class Campaign:
    """One campaign: `run()` conducts it, tells every Notice to *listen*, and returns the exit code."""

    def __init__(self, settings: Settings, listen: Listener) -> None:
        self.settings = settings if settings.seed else replace(settings, seed=secrets.randbits(31) or 1)
        self._listen = listen
        self._corpus = Corpus(settings.root)
        self._network = "loopback" if settings.network == "loopback" else "memory"
        self._sightings: list[Sighting] = []
        self._saved: list[Finding] = []
        self.findings: list[Finding] = []
        self._phase = ("preflight", 0.0)
        self._cases = 0
        self._situations: Counter[str] = Counter()
        self._verdicts: dict[str, tuple[int, ...]] = {}
        self._stopped = "done"
        self._where = ""
        self._told: set[str] = set()
        self._began = time.monotonic()

    def run(self) -> int:
        """Conduct the campaign. Raises UsageError or TargetError when nothing could be tested."""
        if self.settings.save:
            self._corpus.prepare()
            self._saved = self._corpus.findings(self.settings.target)
        with start_worker(self.settings) as worker:
            self._announce(worker)
            self._search(worker)
            self._settle(worker)
        return self._finish()

    # looking for violations

    def _announce(self, worker: Supervisor) -> None:
        about: dict[str, Any] = {}
        worker.run(f"{TASKS}.search:describe", self._arguments(), on_message=about.update).raise_if_failed()
        self._listen(
            CampaignStarted(
                self.settings.target, about["kind"], about["server"], self._network, "tcp", self.settings.seed,
                self.settings.max_examples, platform.python_version(), __version__, about["invariants"],
            )
        )  # fmt: skip
        self._where = about["where"]
        for text in about["remarks"]:
            self._remark("hosting", text)

    def _search(self, worker: Supervisor) -> None:
        resume = (0, 0)
        for _ in range(DEATHS_MAX):
            self._moved = False
            result = worker.run(
                f"{TASKS}.search:search",
                self._arguments(
                    resume=resume,
                    known=[sighting.key for sighting in self._sightings],
                    saved=[codec.encode(finding.case) for finding in self._saved],
                ),
                on_message=self._hear,
                limits=self._limits(),
            )
            if self._moved:
                continue
            if result.status == "interrupted":
                self._stopped = "interrupted"
            elif result.status in ("died", "hung"):
                self._lost(worker, result)
                resume = (result.in_flight[0], result.in_flight[1] + 1) if result.in_flight else (9, 0)
                if len(self._sightings) < self.settings.max_failures and resume[0] < PHASE_NUMBERS["shrink"]:
                    continue
            result.raise_if_failed() if result.status == "failed" else None
            return
        self._remark("deaths", f"the worker died {DEATHS_MAX} times; the rest of the search was left out")

    def _limits(self) -> Limits:
        limit = self.settings.case_limit_s
        return Limits(cpu_seconds=limit, silent_seconds=max(10.0, 5 * limit))

    def _arguments(self, **more: Any) -> dict[str, Any]:
        return {"settings": codec.encode(self.settings), "network": self._network, **more}

    def _hear(self, message: dict[str, Any]) -> None:
        getattr(self, f"_on_{message['message']}")(message)

    def _on_started(self, message: dict[str, Any]) -> None:
        self._phase = (message["phase"], time.monotonic())
        self._listen(PhaseStarted(message["phase"], message["expected"]))

    def _on_finished(self, message: dict[str, Any]) -> None:
        self._listen(PhaseFinished(message["phase"], message["cases"], message["seconds"]))

    def _on_progress(self, message: dict[str, Any]) -> None:
        found = len(self._sightings)
        self._listen(Progress(message["phase"], message["cases"], message["seconds"], found, message["expected"]))

    def _on_seen(self, message: dict[str, Any]) -> None:
        self._see(codec.decode(Sighting, message["sighting"], where="a worker's message"))

    def _see(self, sighting: Sighting) -> None:
        self._sightings.append(sighting)
        self._listen(FindingSeen(finding_of(sighting, self.settings, where=self._where)))

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
            raise TargetError(
                f"{self.settings.target} needs a kernel object ({message['operation']}), so memory cannot play it; "
                "leave --network away or write --network loopback"
            )
        self._network, self._moved = "loopback", True
        self._remark("network", f"the handler needs a kernel object ({message['operation']}): played on loopback")

    def _on_summary(self, message: dict[str, Any]) -> None:
        self._cases += message["cases"]
        self._situations.update(message["situations"])
        for slug, *counts in message["verdicts"]:
            before = self._verdicts.get(slug, (0, 0, 0, 0))
            self._verdicts[slug] = tuple(map(operator.add, before, counts))

    def _lost(self, worker: Supervisor, result: Any) -> None:
        """The worker died or hangs: that is a finding about the handler, with the Case in flight."""
        found: dict[str, Any] = {}
        if result.in_flight:
            arguments = self._arguments(mark=list(result.in_flight), saved=[codec.encode(f.case) for f in self._saved])
            worker.run(f"{TASKS}.search:case_in_flight", arguments, on_message=found.update)
        case = codec.decode(Case, found["case"], where="a worker's message") if found.get("case") else Case()
        phase = next((name for name, number in PHASE_NUMBERS.items() if number == (result.in_flight or (0,))[0]), "")
        self._see(replace(fatal(result, case), phase=phase))

    # making findings minimal and sure

    def _settle(self, worker: Supervisor) -> None:
        if self._sightings:
            self._listen(PhaseStarted("shrink", len(self._sightings)))
        began = time.monotonic()
        for sighting in self._sightings:
            self._tell(worker, *self._smallest(worker, sighting))
        if self._sightings:
            self._listen(PhaseFinished("shrink", len(self._sightings), time.monotonic() - began))
        self._forget_fixed()

    def _smallest(self, worker: Supervisor, sighting: Sighting) -> tuple[Sighting, bool]:
        """The sighting at its minimum, and whether it shows in a fresh process at all."""
        if self._stopped == "interrupted" or "shrink" not in self.settings.phases:
            return sighting, True
        for careful in (False, True):
            heard: dict[str, Any] = {}
            result = worker.run(
                f"{TASKS}.shrink:shrink",
                self._arguments(sighting=codec.encode(sighting), careful=careful),
                on_message=heard.update,
                limits=self._limits(),
            )
            result.raise_if_failed() if result.status == "failed" else None
            if result.status == "interrupted":
                self._stopped = "interrupted"
                return sighting, True
            if "sighting" in heard:
                found = heard["sighting"]
                if found is None:
                    return sighting, False
                return replace(codec.decode(Sighting, found, where="a worker's message"), phase=sighting.phase), True
        return sighting, True

    def _tell(self, worker: Supervisor, sighting: Sighting, shows: bool) -> None:
        finding = finding_of(
            replace(sighting, history=sighting.history if shows else ()), self.settings, where=self._where
        )
        finding = self._confirmed(worker, sighting, finding) if shows else replace(finding, nondeterministic=True)
        trace, contrast = self._traces(worker, finding)
        known = any(saved.fingerprint == finding.fingerprint for saved in self._saved)
        saved = str(self._corpus.save(finding)) if self.settings.save else ""
        self.findings.append(finding)
        self._listen(ready(finding, trace, contrast, saved=saved, known=known))

    def _confirmed(self, worker: Supervisor, sighting: Sighting, finding: Finding) -> Finding:
        if self._stopped == "interrupted" or "confirm" not in self.settings.phases:
            return finding
        networks = ("memory", "loopback") if self._network == "memory" else ("loopback",)
        for network in networks:
            heard: dict[str, Any] = {}
            worker.run(
                f"{TASKS}.shrink:confirm",
                {**self._arguments(sighting=codec.encode(sighting), times=CONFIRMATIONS), "network": network},
                on_message=heard.update,
                limits=self._limits(),
            )
            seen = heard.get("seen", 0)
            finding = finding.with_confirmation(Confirmation(network, seen, CONFIRMATIONS))
            if network == self._network and seen < CONFIRMATIONS:
                return replace(finding, nondeterministic=True)
        return finding

    def _traces(self, worker: Supervisor, finding: Finding) -> tuple[Trace | None, Trace | None]:
        """The Traces that witness the finding: of its Case, and of the Case it is compared with."""
        cases = [*finding.history, finding.case]
        return self._trace(worker, cases), self._trace(worker, [finding.contrast]) if finding.contrast else None

    def _trace(self, worker: Supervisor, cases: list[Case]) -> Trace | None:
        traces: list[Any] = []
        worker.run(
            f"{TASKS}.shrink:trace_of",
            self._arguments(cases=[codec.encode(case) for case in cases]),
            on_message=traces.append,
            limits=self._limits(),
        )
        complete = len(traces) == len(cases)
        return codec.decode(Trace, traces[-1]["trace"], where="a worker's message") if complete else None

    def _forget_fixed(self) -> None:
        """A saved finding that the regressions phase did not see again is fixed."""
        if self._stopped == "interrupted" or "regressions" not in self.settings.phases:
            return
        now = {finding.fingerprint for finding in self.findings}
        for finding in self._saved:
            if finding.fingerprint not in now and not finding.nondeterministic:
                self._corpus.remove(finding)
                self._listen(FindingFixed(finding))

    def _finish(self) -> int:
        failing = [f for f in self.findings if self.settings.fails(f.level) and not f.nondeterministic]
        code = INTERRUPTED if self._stopped == "interrupted" else 1 if failing else 0 if self._cases else 2
        rows = tuple(
            (slug, held, broken, unknown, beside)
            for slug, (held, broken, unknown, beside) in sorted(self._verdicts.items())
        )
        self._listen(
            CampaignFinished(
                code, self._stopped, self._cases, time.monotonic() - self._began, self.settings.seed,
                tuple(finding.id for finding in self.findings), tuple(sorted(self._situations.items())), rows,
            )
        )  # fmt: skip
        return code


def fatal(result: Any, case: Case) -> Sighting:
    """The sighting that a dead or hung worker is, from how it ended."""
    slug = "liveness/process-survives" if result.status == "died" else "liveness/no-hang"
    expected = by_slug(slug).requirement
    actual = (
        f"the process {result.ending}" if result.status == "died" else "the handler made no progress and was killed"
    )
    return Sighting(slug, Violation(expected, actual, damage=result.ending if result.status == "died" else ""), case)
