"""The worker's part of a campaign that makes one sighting minimal and sure: shrink, then confirm in fresh processes.

The process that runs these tasks never plays a Case itself before it has asked a fresh copy of itself (a fork)
whether the Case shows the finding there. What shows only after earlier Cases is shrunk together with them; what does
not show again is nondeterministic, and is said to be. The `seconds` that a task is given bound it, but for the Case in
flight; that something was left undone is told as `cut`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.budget import Clock
from handshaker.harness.campaign.fatal import DIED, FATAL, HUNG, quick_limits, sure_limits
from handshaker.harness.campaign.reduce import measure, reduce_case
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.campaign.traffic import Traffic
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case
from handshaker.harness.processes.limits import Limits
from handshaker.harness.settings import Settings
from handshaker.strategies.express import express
from handshaker.strategies.hypothesis_bridge import minimise

__all__ = ["confirm", "judge_once", "shrink", "trace_of"]

_SHRINK_S: Final = 10.0
_FRESH_TRIES_MAX: Final = 150
_FATAL_TRIES_MAX: Final = 80
_HISTORY_TRIES_MAX: Final = 40
_BETWEEN_TRIES: Final = Limits(cpu_seconds=1.0)

_Message = dict[str, Any]


class _Fresh:
    """Asks fresh processes whether a finding shows; the asking process stays as it was.

    With *sure*, one that is known to hang is given all the time it may take.
    """

    def __init__(self, context: Any, arguments: dict[str, Any], sighting: Sighting, *, sure: bool = False) -> None:
        self._context = context
        self._arguments = arguments
        self._sighting = sighting
        self._limit_s = codec.decode(Settings, arguments["settings"], where="settings").case_limit_s
        self._sure = sure or sighting.invariant != HUNG

    def shows(self, case: Case, history: tuple[Case, ...] = ()) -> Sighting | None:
        """The finding as *case* shows it after *history* in a fresh process; None when it does not.

        Raises what playing raises when it cannot be played at all.
        """
        outcome = self._context.fork(
            _show, self._context, self._arguments, self._sighting, history, case, limits=self._limits((*history, case))
        )
        if outcome.error is not None:
            raise outcome.error.error()
        if outcome.status in ("died", "hung"):
            return self._fatal(outcome, case)
        return None if outcome.value is None else codec.decode(Sighting, outcome.value, where="a worker's message")

    def _limits(self, cases: tuple[Case, ...]) -> Limits:
        return sure_limits(self._limit_s, *cases) if self._sure else quick_limits(self._limit_s)

    def _fatal(self, outcome: Any, case: Case) -> Sighting | None:
        wanted = DIED if outcome.status == "died" else HUNG
        return replace(self._sighting, case=case) if self._sighting.invariant == wanted else None


def _show(context: Any, arguments: dict[str, Any], wanted: Sighting, history: tuple[Case, ...], case: Case) -> Any:
    """In a fresh process: play *history*, then *case*, and return the sighting again if it shows."""

    def cornered(_: Case, recorder: Any) -> None:
        context.answer(_chosen(bench.cornered_in(recorder, case), wanted))

    with Workbench.of(context, arguments, guard=True) as bench:
        for earlier in history:
            bench.run(earlier)
        bench.cornered = cornered
        return _chosen(bench.showing(wanted, case), wanted)


def _chosen(found: Iterable[Sighting], wanted: Sighting) -> Any:
    shown = next((seen for seen in found if seen.key == wanted.key), None)
    return codec.encode(shown) if shown is not None else None


def shrink(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: make one sighting minimal, and tell it; None when it does not show in a fresh process."""
    sighting = codec.decode(Sighting, arguments["sighting"], where="sighting")
    fresh, start = _Fresh(context, arguments, sighting), sighting.subject
    clock = Clock(arguments.get("seconds"), context.stop_requested)
    context.mark(5, 0)
    with clock.rehearsal():
        shown = fresh.shows(start)
    if shown is None:
        found = _with_history(fresh, sighting, start, context, clock)
    elif clock.over():
        found = shown
    elif sighting.invariant in FATAL:
        found = _by_forks(fresh, sighting, (), _FATAL_TRIES_MAX, context, clock)
    else:
        found = _in_one_process(context, arguments, fresh, sighting, clock)
    yield {"message": "shrunk", "sighting": codec.encode(found) if found is not None else None, "cut": clock.cut}


def _in_one_process(
    context: Any, arguments: dict[str, Any], fresh: _Fresh, sighting: Sighting, clock: Clock
) -> Sighting | None:
    """Shrink in one process, which is fast; then check in a fresh one that nothing was carried over between tries."""
    outcome = context.fork(_shrink_here, context, arguments, sighting, clock, limits=_BETWEEN_TRIES)
    if outcome.error is not None:
        raise outcome.error.error()
    if outcome.status == "done":
        smallest = codec.decode(Case, outcome.value["case"], where="a worker's message")
        if (found := fresh.shows(smallest)) is not None:
            clock.cut = clock.cut or outcome.value["cut"]
            return found
    return _by_forks(fresh, sighting, (), _FRESH_TRIES_MAX, context, clock)


def _shrink_here(context: Any, arguments: dict[str, Any], sighting: Sighting, clock: Clock) -> Any:
    """The smallest Case that shows the finding in this process, which is another one's copy, and whether all was tried.

    What is left is only as small as the time allows.
    """
    start, tries, until = sighting.subject, 0, clock.moment(2 * _SHRINK_S)
    with Workbench.of(context, arguments, guard=True) as bench:

        def violates(case: Case) -> bool:
            nonlocal tries
            tries += 1
            context.mark(5, tries)
            if clock.over(until):
                return False
            with clock.rehearsal():
                return bench.shows(sighting, case) is not None

        traffic = Traffic(bench)
        context.mark(5, 0)
        smallest = _minimal(traffic, sighting, start, violates, clock, payloads=not bench.settings.messages)
    return {"case": codec.encode(smallest), "cut": clock.cut}


def _minimal(
    traffic: Traffic, sighting: Sighting, start: Case, violates: Callable[[Case], bool], clock: Clock, *, payloads: bool
) -> Case:
    best = start
    if sighting.tape:
        seconds = min(_SHRINK_S, clock.left_s)
        best = minimise(sighting.tape, traffic.strategy, violates, max_seconds=seconds).value or best
    if payloads:
        tape, strategy = express(best)
        smaller = minimise(tape, strategy, violates, max_seconds=min(_SHRINK_S, clock.left_s)).value
        best = smaller if smaller is not None and measure(smaller) < measure(best) else best
    return reduce_case(best, violates, payloads=payloads)[0]


def _by_forks(
    fresh: _Fresh, sighting: Sighting, history: tuple[Case, ...], tries: int, context: Any, clock: Clock
) -> Sighting | None:
    """Shrink with a fresh process for every candidate.

    Slow, and free of everything that earlier candidates left behind.
    """
    number, until, start = 0, clock.moment(_SHRINK_S), sighting.subject

    def violates(case: Case) -> bool:
        nonlocal number
        number += 1
        context.mark(5, number)
        return not clock.over(until) and fresh.shows(case, history) is not None

    if not violates(start):
        return replace(sighting, history=history) if clock.cut else None
    best, _ = reduce_case(start, violates, tries_max=tries)
    found = fresh.shows(best, history)
    return replace(found if found is not None else sighting, history=history)


def _with_history(fresh: _Fresh, sighting: Sighting, start: Case, context: Any, clock: Clock) -> Sighting | None:
    """The finding needs Cases before it: keep only those that matter, then shrink the last one."""
    history = sighting.history
    if not history or fresh.shows(start, history) is None:
        return None
    needed = _fewer(history, lambda fewer: fresh.shows(start, fewer) is not None, context, clock)
    needed = _smaller(needed, lambda smaller: fresh.shows(start, smaller) is not None, context, clock)
    return _by_forks(fresh, sighting, needed, _FRESH_TRIES_MAX, context, clock)


def _fewer(
    history: tuple[Case, ...], violates: Callable[[tuple[Case, ...]], bool], context: Any, clock: Clock
) -> tuple[Case, ...]:
    """Remove ever smaller runs of Cases from *history* while the finding stays."""
    chunk = len(history)
    while chunk:
        start = 0
        while start < len(history):
            context.mark(5, start)
            fewer = history[:start] + history[start + chunk :]
            if not clock.over() and violates(fewer):
                history = fewer
            else:
                start += chunk
        chunk //= 2
    return history


def _smaller(
    history: tuple[Case, ...], violates: Callable[[tuple[Case, ...]], bool], context: Any, clock: Clock
) -> tuple[Case, ...]:
    """Make each Case of *history* smaller while the finding stays."""
    until = clock.moment(_SHRINK_S)
    for place in range(len(history)):
        before, after = history[:place], history[place + 1 :]

        def still(case: Case, before: Any = before, after: Any = after) -> bool:
            context.mark(5, len(before))
            return not clock.over(until) and violates((*before, case, *after))

        smallest, _ = reduce_case(history[place], still, tries_max=_HISTORY_TRIES_MAX)
        history = (*before, smallest, *after)
    return history


def confirm(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: play the minimal Case in `times` fresh processes and count how often the finding shows.

    It stops when it was seen `enough` times, and when the time is over, though not before it has played it once; one
    that hangs is watched `briefly` where it was watched long before.
    """
    sighting = codec.decode(Sighting, arguments["sighting"], where="sighting")
    fresh = _Fresh(context, arguments, sighting, sure=not arguments.get("briefly", False))
    start = sighting.subject
    clock = Clock(arguments.get("seconds"))
    seen = played = 0
    while played < arguments["times"] and seen < arguments.get("enough", arguments["times"]):
        if played and clock.over():
            break
        context.mark(6, played)
        played += 1
        with clock.rehearsal():
            seen += fresh.shows(start, sighting.history) is not None
    yield {"message": "confirmed", "seen": seen, "played": played}


def trace_of(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: play Cases in this fresh process, one after another, and tell the Trace of each."""
    with Workbench.of(context, arguments, guard=True) as bench:

        def told(recorder: Any) -> _Message:
            return {"message": "trace", "trace": codec.encode(recorder.trace(bench.stage.header))}

        bench.cornered = lambda _, recorder: context.send(told(recorder))
        for number, document in enumerate(arguments["cases"]):
            context.mark(6, number)
            yield told(bench.run(codec.decode(Case, document, where="case")))


def judge_once(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: play one Case and tell its Trace and what it violates."""
    with Workbench.of(context, arguments, guard=True) as bench:
        case = bench.hosted(codec.decode(Case, arguments["case"], where="case"))

        def told(recorder: Any, found: list[Sighting]) -> _Message:
            trace = codec.encode(recorder.trace(bench.stage.header))
            return {"message": "judged", "trace": trace, "sightings": [codec.encode(each) for each in found]}

        bench.cornered = lambda _, recorder: context.send(told(recorder, bench.cornered_in(recorder, case)))
        context.mark(6, 0)
        recorder = bench.preflight(case)
        if recorder.stopped_by and recorder.stopped_by[0] == "network.kernel":
            yield {"message": "kernel", "operation": str(recorder.stopped_by[2])}
        else:
            yield told(recorder, bench.judged(recorder, case))
