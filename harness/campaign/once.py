"""One Case by hand (`play`), and a saved finding once more (`replay`)."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.ending import INTERRUPTED
from handshaker.harness.campaign.evidence import Evidence, confirmations
from handshaker.harness.campaign.fatal import fatal, limits
from handshaker.harness.campaign.findings import finding_of, ready
from handshaker.harness.campaign.saved import settings_of, sighting_of
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.campaign.workers import TASKS, needs_kernel, start_worker
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.corpus import Corpus
from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.options import act, duration, escaped_bytes, fault
from handshaker.harness.processes.results import TaskResult
from handshaker.harness.processes.supervisor import Supervisor
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Finding
from handshaker.reports.failure import failure_text
from handshaker.reports.timeline import timeline_text

__all__ = ["Steps", "play_once", "replay_finding", "unstruck"]

_Echo = Callable[[str], object]

_NEEDS: Final = {
    ("server_bind", "server_activate", "service_actions"): "it is reached where the owner acts, as in --act serve",
    ("thread.start",): "it is reached with --concurrency threading",
    ("fork",): "it is reached with --concurrency forking",
    ("deliver",): "it is reached with a datagram transport, such as --transport udp",
}


class Steps:
    """The step options of `play`, in the order in which they were typed."""

    OPTIONS: Final = (
        "send",
        "pause",
        "expect",
        "half_close",
        "close",
        "reset",
        "stop_reading",
        "resume_reading",
        "peer",
        "accepted",
        "address",
    )

    def __init__(self, typed: list[tuple[str, Any]], faults: tuple[str, ...], acts: tuple[str, ...] = ()) -> None:
        self._typed = typed
        self._faults = faults
        self._acts = acts

    def case(self) -> Case:
        """The Case that the options describe; no step at all is one peer that connects and half-closes."""
        scripts: list[Script] = []
        for name, value in self._typed or [("half_close", True)]:
            if name == "peer" or not scripts:
                scripts.append(Script())
            if name != "peer":
                scripts[-1] = _grown(scripts[-1], name, value)
        try:
            return Case(tuple(scripts), tuple(map(fault, self._faults)), owner=tuple(map(act, self._acts)))
        except ValueError as error:
            raise UsageError(f"--act: {error}") from None


def _grown(script: Script, name: str, value: Any) -> Script:
    """*script* with what one more option says of its peer."""
    if name == "accepted":
        return replace(script, early=len(script.steps))
    if name == "address":
        return replace(script, form=value)
    return replace(script, steps=(*script.steps, _step(name, value)))


def _step(name: str, value: Any) -> Step:
    if name == "send":
        return Step("send", escaped_bytes(value, "--send"))
    if name == "pause":
        return _within("--pause", value, lambda: Step("pause", seconds=duration(value, "--pause")))
    if name == "expect":
        return _within("--expect", value, lambda: Step("expect", size=int(value), seconds=1.0))
    return Step(name.replace("_", "-"))


def _within(option: str, value: Any, make: Callable[[], Step]) -> Step:
    try:
        return make()
    except ValueError as error:
        raise UsageError(f"{option}: {value!r} cannot be used: {error}") from None


def play_once(settings: Settings, case: Case, echo: _Echo, *, again: str) -> int:
    """Play *case* in a worker, print the timeline and what it violates; returns the exit code.

    *again* is the command that does the same once more.
    """
    with start_worker(settings) as worker:
        result, found = _judged(worker, settings, case)
    if result.asked:
        return INTERRUPTED
    sightings = [codec.decode(Sighting, value, where="a worker's message") for value in found.get("sightings", ())]
    trace = codec.decode(Trace, found["trace"], where="a worker's message") if "trace" in found else None
    if trace is not None:
        _require_form(case, trace.header.transport)
        echo(timeline_text(trace))
        for fault in unstruck(case, trace):
            echo(_never_struck(fault))
    elif result.status in ("died", "hung"):
        sightings = [fatal(result, case)]
    findings = [finding_of(sighting, settings, replay=again) for sighting in sightings]
    for finding in findings:
        echo(failure_text(ready(finding, trace, None, saved="", known=False)))
    return 1 if any(settings.fails(finding.level) for finding in findings) else 0


def _require_form(case: Case, transport: str) -> None:
    form = next((script.form for script in case.scripts if script.form), "")
    if form and transport != "unix-dgram":
        raise UsageError(
            f"--address {form}: only peers of Unix datagrams can be {form}, and this target was served over "
            f"{transport}; write --transport unix-dgram, or leave --address away"
        )


def unstruck(case: Case, trace: Trace) -> list[Fault]:
    """The Faults of *case* that did nothing in *trace*, as their point was not reached so often."""
    struck = {(event["point"], event["nth"], event["effect"]) for event in trace.of("network.fault")}
    return [fault for fault in case.faults if (fault.point, fault.nth, fault.effect) not in struck]


def _never_struck(fault: Fault) -> str:
    often = "" if fault.nth == 1 else f" {fault.nth} times"
    needs = next((f"; {needs}" for points, needs in _NEEDS.items() if fault.point in points), "")
    return f"note: the fault {fault} never struck: {fault.point} was not reached{often} in this case{needs}"


def _judged(worker: Supervisor, settings: Settings, case: Case) -> tuple[TaskResult, dict[str, Any]]:
    """The result of playing *case*, in memory unless it is needed or asked for on loopback, and what was told."""
    apart = settings.concurrency != "plain" or case.owner
    networks = ("loopback",) if settings.network == "loopback" or apart else ("memory", "loopback")
    for network in networks:
        heard: dict[str, Any] = {}
        arguments = {"settings": codec.encode(settings), "network": network, "case": codec.encode(case)}
        task = f"{TASKS}.shrink:judge_once"
        result = worker.run(task, arguments, on_message=heard.update, limits=limits(settings.case_limit_s))
        result.raise_if_failed()
        if heard.get("message") != "kernel":
            break
        if settings.network == "memory":
            raise TargetError(needs_kernel(settings, heard["operation"]))
    return result, heard


def replay_finding(reference: str, echo: _Echo) -> int:
    """Play a saved finding again and say what became of it; returns the exit code."""
    finding = Corpus().find(reference)
    if not finding.replayable:
        raise UsageError(f"{reference!r} is not replayable from the command line; its test is: {finding.replay}")
    settings = settings_of(finding, reference)
    with start_worker(settings) as worker:
        evidence = Evidence(worker, settings, _network(worker, settings))
        seen = evidence.count(sighting_of(finding))
        if seen and not evidence.interrupted:
            told = replace(finding, replay=shlex.join(["handshaker", "replay", reference]))
            echo(failure_text(ready(told, *evidence.traces(finding), saved="", known=True)))
    if evidence.interrupted:
        return INTERRUPTED
    echo(_verdict(finding, seen))
    return 1 if seen else 0


def _network(worker: Supervisor, settings: Settings) -> str:
    """Where to play, once preflight has shown that the handler can be hosted there. Raises TargetError if it cannot."""
    if settings.network == "loopback":
        return "loopback"
    heard: list[dict[str, Any]] = []
    arguments = {"settings": codec.encode(settings), "network": "memory", "phases": ["preflight"]}
    worker.run(f"{TASKS}.search:search", arguments, on_message=heard.append).raise_if_failed()
    return "loopback" if any(message["message"] == "kernel" for message in heard) else "memory"


def _verdict(finding: Finding, seen: int) -> str:
    name = f"{finding.id[:6]} {finding.invariant}"
    played = confirmations(sighting_of(finding))
    if seen == played:
        return f"{name}: still failing ({seen} of {played} replays)"
    if seen:
        return f"{name}: still failing, not every time ({seen} of {played} replays): nondeterministic"
    return f"{name}: fixed (0 of {played} replays show it)"
