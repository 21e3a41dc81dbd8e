"""The worker's part of a campaign that makes one sighting minimal and sure: shrink, then confirm in fresh processes.

The process that runs these tasks never plays a Case itself before it has asked a fresh copy of itself (a fork)
whether the Case shows the finding there. What shows only after earlier Cases is shrunk together with them; what does
not show again is nondeterministic, and is said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.reduce import measure, reduce_case
from handshaker.harness.campaign.traffic import Traffic
from handshaker.harness.campaign.workbench import Sighting, Workbench
from handshaker.harness.case import Case
from handshaker.harness.settings import Settings
from handshaker.strategies.express import express
from handshaker.strategies.hypothesis_bridge import minimise

__all__ = ["confirm", "judge_once", "shrink", "trace_of"]

SHRINK_S: Final = 10.0
FRESH_TRIES_MAX: Final = 150
FATAL_TRIES_MAX: Final = 25

Message = dict[str, Any]


class _Fresh:
    """Asks fresh processes whether a finding shows; the asking process stays as it was."""

    def __init__(self, context: Any, settings: Settings, network: str, sighting: Sighting) -> None:
        self._context = context
        self._settings = settings
        self._network = network
        self._sighting = sighting

    def shows(self, case: Case, history: tuple[Case, ...] = ()) -> Sighting | None:
        """The finding as *case* shows it after *history* in a fresh process; None when it does not."""
        arguments = [codec.encode(self._settings), self._network, codec.encode(self._sighting)]
        cases = [codec.encode(earlier) for earlier in history], codec.encode(case)
        outcome = self._context.fork(_show, self._context.target, *arguments, *cases)
        if outcome.status in ("died", "hung"):
            return self._fatal(outcome, case)
        if outcome.status != "done" or outcome.value is None:
            return None
        return codec.decode(Sighting, outcome.value, where="a worker's message")

    def _fatal(self, outcome: Any, case: Case) -> Sighting | None:
        wanted = {"died": "liveness/process-survives", "hung": "liveness/no-hang"}[outcome.status]
        return replace(self._sighting, case=case) if self._sighting.invariant == wanted else None


def _show(target: Any, settings: Any, network: str, sighting: Any, history: list[Any], case: Any) -> Any:
    """In a fresh process: play *history*, then *case*, and return the sighting again if it shows."""
    wanted = codec.decode(Sighting, sighting, where="a worker's message")
    with Workbench(target, codec.decode(Settings, settings, where="settings"), network, guard=True) as bench:
        for earlier in history:
            bench.run(codec.decode(Case, earlier, where="a worker's message"))
        found = bench.shows(wanted, codec.decode(Case, case, where="a worker's message"))
    return codec.encode(found) if found is not None else None


def shrink(context: Any, arguments: dict[str, Any]) -> Iterator[Message]:
    """The task: make one sighting minimal. Tells `smaller` as it goes, so that a killed worker loses nothing."""
    settings = codec.decode(Settings, arguments["settings"], where="settings")
    sighting = codec.decode(Sighting, arguments["sighting"], where="sighting")
    network: str = arguments["network"]
    fresh = _Fresh(context, settings, network, sighting)
    start = sighting.contrast if sighting.relation and sighting.contrast is not None else sighting.case
    if sighting.invariant in ("liveness/process-survives", "liveness/no-hang"):
        yield _shrunk(_by_forks(fresh, sighting, start, (), FATAL_TRIES_MAX, context))
    elif arguments.get("careful"):
        yield _shrunk(_by_forks(fresh, sighting, start, (), FRESH_TRIES_MAX, context))
    elif fresh.shows(start) is not None:
        yield from _shrink_here(context, settings, network, fresh, sighting, start)
    else:
        yield _with_history(fresh, sighting, start, context)


def _shrunk(found: Sighting | None, **facts: Any) -> Message:
    return {"message": "shrunk", "sighting": codec.encode(found) if found is not None else None, **facts}


def _shrink_here(
    context: Any, settings: Settings, network: str, fresh: _Fresh, sighting: Sighting, start: Case
) -> Iterator[Message]:
    """Shrink in this process, which is fast; then check in a fresh one that nothing was carried over between tries."""
    with Workbench(context.target, settings, network, guard=True) as bench:
        tries = 0

        def violates(case: Case) -> bool:
            nonlocal tries
            tries += 1
            context.mark(5, tries)
            return not context.stop_requested() and bench.shows(sighting, case) is not None

        smallest = _minimal(Traffic(bench), sighting, start, violates, payloads=not settings.messages)
    found = fresh.shows(smallest)
    if found is None:
        found = _by_forks(fresh, sighting, start, (), FRESH_TRIES_MAX, context)
    yield _shrunk(found, tries=tries)


def _minimal(
    traffic: Traffic, sighting: Sighting, start: Case, violates: Callable[[Case], bool], *, payloads: bool
) -> Case:
    best = start
    if sighting.tape:
        best = minimise(sighting.tape, traffic.strategy, violates, max_seconds=SHRINK_S).value or best
    if payloads:
        tape, strategy = express(best)
        smaller = minimise(tape, strategy, violates, max_seconds=SHRINK_S).value
        best = smaller if smaller is not None and measure(smaller) < measure(best) else best
    return reduce_case(best, violates, payloads=payloads)[0]


def _by_forks(
    fresh: _Fresh, sighting: Sighting, start: Case, history: tuple[Case, ...], tries: int, context: Any
) -> Sighting | None:
    """Shrink with a fresh process for every candidate.

    Slow, and free of everything that earlier candidates left behind.
    """
    number = 0

    def violates(case: Case) -> bool:
        nonlocal number
        number += 1
        context.mark(5, number)
        return not context.stop_requested() and fresh.shows(case, history) is not None

    if not violates(start):
        return None
    best, _ = reduce_case(start, violates, tries_max=tries)
    found = fresh.shows(best, history)
    return replace(found, history=history) if found is not None else replace(sighting, case=start, history=history)


def _with_history(fresh: _Fresh, sighting: Sighting, start: Case, context: Any) -> Message:
    """The finding needs Cases before it: keep only those that matter, then shrink the last one."""
    history = sighting.history
    if not history or fresh.shows(start, history) is None:
        return _shrunk(None)
    needed = _fewer(history, lambda fewer: fresh.shows(start, fewer) is not None, context)
    return _shrunk(_by_forks(fresh, sighting, start, needed, FRESH_TRIES_MAX, context))


def _fewer(history: tuple[Case, ...], violates: Callable[[tuple[Case, ...]], bool], context: Any) -> tuple[Case, ...]:
    """Remove ever smaller runs of Cases from *history* while the finding stays."""
    chunk = len(history)
    while chunk:
        start = 0
        while start < len(history):
            context.mark(5, start)
            fewer = history[:start] + history[start + chunk :]
            if violates(fewer):
                history = fewer
            else:
                start += chunk
        chunk //= 2
    return history


def confirm(context: Any, arguments: dict[str, Any]) -> Iterator[Message]:
    """The task: play the minimal Case in `times` fresh processes on `network` and count how often the finding shows."""
    settings = codec.decode(Settings, arguments["settings"], where="settings")
    sighting = codec.decode(Sighting, arguments["sighting"], where="sighting")
    fresh = _Fresh(context, settings, arguments["network"], sighting)
    start = sighting.contrast if sighting.relation and sighting.contrast is not None else sighting.case
    seen = 0
    for number in range(arguments["times"]):
        context.mark(6, number)
        seen += fresh.shows(start, sighting.history) is not None
    yield {"message": "confirmed", "seen": seen, "played": arguments["times"]}


def trace_of(context: Any, arguments: dict[str, Any]) -> Iterator[Message]:
    """The task: play Cases in this fresh process, one after another, and tell the Trace of each."""
    settings = codec.decode(Settings, arguments["settings"], where="settings")
    with Workbench(context.target, settings, arguments["network"], guard=True) as bench:
        for number, document in enumerate(arguments["cases"]):
            context.mark(6, number)
            trace = bench.play(codec.decode(Case, document, where="case"))
            yield {"message": "trace", "trace": codec.encode(trace)}


def judge_once(context: Any, arguments: dict[str, Any]) -> Iterator[Message]:
    """The task: play one Case and tell its Trace and what it violates."""
    settings = codec.decode(Settings, arguments["settings"], where="settings")
    case = codec.decode(Case, arguments["case"], where="case")
    with Workbench(context.target, settings, arguments["network"], guard=True) as bench:
        context.mark(6, 0)
        recorder = bench.run(case)
        sightings = bench.judged(recorder, case)
        yield {
            "message": "judged",
            "trace": codec.encode(recorder.trace(bench.stage.header)),
            "sightings": [codec.encode(sighting) for sighting in sightings],
        }
