"""One Case by hand (`play`), and a saved finding once more (`replay`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.conduct import CONFIRMATIONS, TASKS, fatal, start_worker
from handshaker.harness.campaign.findings import finding_of, ready
from handshaker.harness.campaign.workbench import Sighting
from handshaker.harness.case import Case, Script, Step
from handshaker.harness.corpus import Corpus
from handshaker.harness.errors import UsageError
from handshaker.harness.options import duration, escaped_bytes, fault
from handshaker.harness.processes.limits import Limits
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Finding
from handshaker.reports.failure import failure_text
from handshaker.reports.timeline import timeline_text

__all__ = ["Steps", "play_once", "replay_finding"]

Echo = Callable[[str], object]


class Steps:
    """The step options of `play`, in the order in which they were typed."""

    OPTIONS: Final = ("send", "pause", "expect", "half_close", "close", "reset", "stop_reading", "peer")

    def __init__(self, typed: list[tuple[str, Any]], faults: tuple[str, ...]) -> None:
        self._typed = typed
        self._faults = faults

    def case(self) -> Case:
        """The Case that the options describe; no step at all is one peer that connects and half-closes."""
        scripts: list[list[Step]] = [[]]
        for name, value in self._typed:
            if name == "peer":
                scripts.append([])
            else:
                scripts[-1].append(_step(name, value))
        if scripts == [[]]:
            scripts = [[Step("half-close")]]
        return Case(tuple(Script(tuple(steps)) for steps in scripts if steps), tuple(map(fault, self._faults)))


def _step(name: str, value: Any) -> Step:
    if name == "send":
        return Step("send", escaped_bytes(value, "--send"))
    if name == "pause":
        return Step("pause", seconds=duration(value, "--pause"))
    if name == "expect":
        return Step("expect", size=value, seconds=1.0)
    return Step(name.replace("_", "-"))


def play_once(settings: Settings, case: Case, echo: Echo) -> int:
    """Play *case* in a worker, print the timeline and what it violates; returns the exit code."""
    network = "loopback" if settings.network == "loopback" else "memory"
    found: list[dict[str, Any]] = []
    arguments = {"settings": codec.encode(settings), "network": network, "case": codec.encode(case)}
    with start_worker(settings) as worker:
        result = worker.run(f"{TASKS}.shrink:judge_once", arguments, on_message=found.append, limits=_limits(settings))
    result.raise_if_failed() if result.status == "failed" else None
    if result.status in ("died", "hung"):
        echo(failure_text(_ready(fatal(result, case), settings, None)))
        return 1
    trace = codec.decode(Trace, found[0]["trace"], where="a worker's message")
    echo(timeline_text(trace))
    sightings = [codec.decode(Sighting, value, where="a worker's message") for value in found[0]["sightings"]]
    for sighting in sightings:
        echo(failure_text(_ready(sighting, settings, trace)))
    return 1 if sightings else 0


def _limits(settings: Settings) -> Limits:
    return Limits(cpu_seconds=settings.case_limit_s, silent_seconds=max(10.0, 5 * settings.case_limit_s))


def _ready(sighting: Sighting, settings: Settings, trace: Trace | None) -> Any:
    return ready(finding_of(sighting, settings), trace, None, saved="", known=False)


def replay_finding(reference: str, echo: Echo) -> int:
    """Play a saved finding again and say what became of it; returns the exit code."""
    finding = Corpus().find(reference)
    if not finding.replayable:
        raise UsageError(f"{reference!r} cannot be played from the command line; its test can: {finding.replay}")
    settings = _settings_of(finding)
    sighting = _sighting_of(finding)
    network = finding.confirmations[0].network if finding.confirmations else "memory"
    heard: dict[str, Any] = {}
    base = {"settings": codec.encode(settings), "network": network}
    with start_worker(settings) as worker:
        arguments = {**base, "sighting": codec.encode(sighting), "times": CONFIRMATIONS}
        result = worker.run(f"{TASKS}.shrink:confirm", arguments, on_message=heard.update, limits=_limits(settings))
        result.raise_if_failed() if result.status == "failed" else None
        seen = heard.get("seen", 0)
        if seen:
            echo(failure_text(ready(finding, _trace(worker, base, finding), None, saved="", known=True)))
    echo(_verdict(finding, seen))
    return 1 if seen else 0


def _trace(worker: Any, base: dict[str, Any], finding: Finding) -> Trace | None:
    cases = [codec.encode(case) for case in (*finding.history, finding.case)]
    traces: list[Any] = []
    worker.run(f"{TASKS}.shrink:trace_of", {**base, "cases": cases}, on_message=traces.append)
    return codec.decode(Trace, traces[-1]["trace"], where="a worker's message") if len(traces) == len(cases) else None


def _verdict(finding: Finding, seen: int) -> str:
    name = f"{finding.id[:6]} {finding.invariant}"
    if seen == CONFIRMATIONS:
        return f"{name}: still failing ({seen} of {CONFIRMATIONS} replays)"
    if seen:
        return f"{name}: still failing, not every time ({seen} of {CONFIRMATIONS} replays): nondeterministic"
    return f"{name}: fixed (0 of {CONFIRMATIONS} replays show it)"


def _settings_of(finding: Finding) -> Settings:
    declared = dict(finding.settings)
    return replace(Settings(target=finding.target), **declared)


def _sighting_of(finding: Finding) -> Sighting:
    relation = finding.invariant.partition("/")[2] if finding.contrast is not None else ""
    return Sighting(
        finding.invariant, finding.violation, finding.case, finding.folded, finding.contrast, relation, finding.history
    )
