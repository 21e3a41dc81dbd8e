"""The worker's part of a campaign that looks for violations: preflight, sweep, generate.

Violations are collected without raising or shrinking, each fingerprint once. Every Case is marked on the progress page
before it is played, so that a worker that dies can be followed by one that starts behind the guilty Case.
"""

from __future__ import annotations

import pkgutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign import messages, situations
from handshaker.harness.campaign.budget import BEFORE_SHRINKING, REAL_TIME_S
from handshaker.harness.campaign.messages import VARIANTS
from handshaker.harness.campaign.sighting import COMPLETENESS, CONCURRENT, TRUNCATION, Sighting
from handshaker.harness.campaign.traffic import Drawn, Traffic
from handshaker.harness.campaign.workbench import Workbench, left_open
from handshaker.harness.case import Case
from handshaker.harness.errors import UsageError

__all__ = ["case_in_flight", "describe", "search"]

_HISTORY: Final = 200
_PROGRESS_EVERY_S: Final = 0.2
_WARY_CASES: Final = 50
_DIFFERENCES_MAX: Final = 20
_REAL_TIME: Final = (
    "the handler is played in real time, where every silence lasts as long as it says: the search stops after "
    f"{REAL_TIME_S:.0f} seconds, unless --max-time gives it more"
)
_IDLE_PEER: Final = (
    "an idle peer holds {0} for ever: it is a plain server, and the handler declares no timeout "
    "(set `timeout` on the handler, or serve with a threading server)"
)
_HELD: Final = {
    "sendto": "a peer that never reads its replies holds {0} for ever, since a reply on a Unix socket waits for room: "
    "it is a plain server, and its socket has no timeout",
    "recvfrom": "a handler that reads the next datagram by itself holds {0} for ever when none comes: it is a plain "
    "server, and its socket has no timeout",
}

_Message = dict[str, Any]


def search(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: look for violations, from where `resume` says, and tell each once."""
    with Workbench.of(context, arguments, guard=True) as bench:
        try:
            yield from _Hunt(context, bench, arguments).run()
        except _NeedsKernel as need:
            yield {"message": "kernel", "operation": need.operation}


def describe(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: say what was found under the target's name, without playing anything."""
    about = context.target.describe()
    bench = Workbench.of(context, arguments)
    for name in bench.settings.allowed_exceptions:
        _require_exception(name)
    judged = bench.judge.slugs
    yield {
        "kind": str(about.kind), "server": about.server, "hosted": about.hosted,
        "transport": about.transport, "concurrency": about.concurrency, "written": about.written,
        "remarks": [about.hosted, *about.remarks], "judged": judged, "where": about.where,
    }  # fmt: skip


def _require_exception(name: str) -> None:
    """Raise UsageError unless *name* is an exception class, so that a slip of the pen does not go unnoticed."""
    if "<locals>" in name:
        return
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"allow-exception: {name!r} cannot be found ({error}); write it as module:Class") from None
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise UsageError(f"allow-exception: {name!r} is {found!r}, not an exception class; write it as module:Class")


def case_in_flight(context: Any, arguments: dict[str, Any]) -> Iterator[_Message]:
    """The task: make the Case again that a dead worker had in flight, without playing it."""
    with Workbench.of(context, arguments) as bench:
        phase, index = arguments["mark"]
        case = _remake(Traffic(bench), phase, index)
        yield {"message": "case", "case": codec.encode(case) if case is not None else None}


def _remake(traffic: Traffic, phase: int, index: int) -> Case | None:
    if phase == messages.PHASE_NUMBERS["preflight"]:
        return traffic.preflight()[index]
    if phase == messages.PHASE_NUMBERS["sweep"]:
        return next((case for number, case, _ in _sweep_cases(traffic) if number == index), None)
    if phase == messages.PHASE_NUMBERS["generate"]:
        number, variant = divmod(index, VARIANTS)
        return _cases_of(traffic, next(traffic.generator(number)))[variant][1]
    return None


def _sweep_cases(traffic: Traffic) -> Iterator[tuple[int, Case, bool]]:
    """The sweep's Cases, numbered, and whether each one injects a Fault."""
    bordering = [*traffic.boundary(), *traffic.owned()]
    yield from ((number, case, False) for number, case in enumerate(bordering))
    yield from ((len(bordering) + number, case, True) for number, case in traffic.faults())


def _cases_of(traffic: Traffic, drawn: Drawn) -> list[tuple[str, Case]]:
    """A generated Case and its derived variants: (relation, Case), the first is the Case itself."""
    return traffic.relatives(drawn.case)[:VARIANTS]


class _NeedsKernel(Exception):
    """The handler needs a kernel object: the campaign must be played on loopback."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


class _Hunt:
    """One pass over the phases, with what it has seen so far.

    One that comes after a dead worker tells its summary after each of its first Cases, for it may die as well.
    """

    def __init__(self, context: Any, bench: Workbench, arguments: dict[str, Any]) -> None:
        self._context = context
        self._bench = bench
        self._settings = bench.settings
        self._traffic = Traffic(bench)
        self._resume: tuple[int, int] = tuple(arguments.get("resume", (0, 0)))
        self._phases: list[str] = arguments["phases"]
        self._known = {tuple(key) for key in arguments.get("known", ())}
        self._wary_cases = _WARY_CASES if arguments.get("wary") else 0
        self._new = 0
        self._pause_at: tuple[int, int] | None = None
        self._recent: deque[Case] = deque(maxlen=_HISTORY)
        possible = situations.known(self._traffic.plan.transport, self._traffic.plan.concurrency)
        self._situations: Counter[str] = Counter(dict.fromkeys(possible, 0))
        self._asked: set[str] = set()
        self._stale: set[int] = set()
        self._differences: Counter[str] = Counter()
        self._cases = 0
        self._told = self._began = time.perf_counter()
        self._spent_s: float = arguments.get("spent", 0.0)
        bench.cornered = self._cornered
        bench.stage.state.hurry()

    def run(self) -> Iterator[_Message]:
        """The phases that were asked for, each told when it starts and ends."""
        phases = {"preflight": self._preflight, "sweep": self._sweep, "generate": self._generate}
        for name, phase in phases.items():
            if name != "preflight" and self._over():
                break
            if name in self._phases and messages.PHASE_NUMBERS[name] >= self._resume[0]:
                cases, began = self._cases, time.perf_counter()
                expected = self._settings.max_examples if name == "generate" else 0
                yield messages.started(name, expected)
                yield from phase()
                self._bench.stage.state.end_batch()
                yield from self._suspects(name)
                yield messages.finished(name, self._cases - cases, time.perf_counter() - began, partly=self._paused)
                if self._is_slow():
                    yield from self._once(messages.remark("real-time", _REAL_TIME))
            if self._pauses(messages.PHASE_NUMBERS[name] + 1, 0):
                break
        yield self._summary()
        if self._pause_at is not None:
            yield messages.paused(*self._pause_at)

    @property
    def _paused(self) -> bool:
        return self._pause_at is not None

    def _pauses(self, phase: int, index: int) -> bool:
        """Whether to stop here for now, since there is something to shrink, and go on from (phase, index) later."""
        if self._new and not self._paused:
            self._pause_at = (phase, index)
        return self._paused

    def _summary(self) -> _Message:
        counts = self._bench.judge.counts()
        return messages.summary(dict(self._situations), counts, "max-time" if self._late() else "")

    def _over(self) -> bool:
        return self._context.stop_requested() or self._new >= self._settings.max_failures or self._late()

    def _late(self, part: float = 1.0) -> bool:
        limit = self._settings.max_time_s
        if limit is None and self._bench.stage.in_real_time:
            limit = REAL_TIME_S
        return limit is not None and time.perf_counter() - self._began + self._spent_s > part * limit

    def _is_slow(self) -> bool:
        """Whether a limit of ours must be told: threads and forks are quick enough, unless it has struck."""
        if self._settings.max_time_s is not None or not self._bench.stage.in_real_time:
            return False
        return self._settings.concurrency in ("", "plain") or self._late()

    # the phases

    def _preflight(self) -> Iterator[_Message]:
        for index, case in enumerate(self._traffic.preflight()):
            if not self._skip("preflight", index):
                yield from self._examine("preflight", case, self._bench.preflight)
        yield {"message": "learnt", "handler": self._bench.learnt}

    def _sweep(self) -> Iterator[_Message]:
        if not self._skip("sweep", 0):
            yield from self._relations()
        exhausted = ("", "")
        for index, case, faulty in _sweep_cases(self._traffic):
            kind = (case.faults[0].point, case.faults[0].effect) if faulty else ("", "")
            if kind == exhausted and faulty:
                continue
            if self._over() or (self._late(BEFORE_SHRINKING) and self._pauses(messages.PHASE_NUMBERS["sweep"], index)):
                return
            if self._skip("sweep", index):
                continue
            yield from self._examine("sweep", case)
            yield from self._pulse("sweep")
            if faulty and not self._struck:
                exhausted = kind

    def _relations(self) -> Iterator[_Message]:
        """The comparisons that need nothing drawn: a complete message without its end, and datagrams that are cut."""
        pairs = [(TRUNCATION, base, variant) for base, variant in self._traffic.truncations()]
        if self._settings.example and not self._traffic.plan.datagram:
            plain = self._traffic.preflight()[1]
            pairs.append((COMPLETENESS, plain, left_open(plain)))
        for relation, base, variant in pairs:
            for sighting in self._bench.related(relation, base, variant):
                yield from self._tell(sighting, "sweep")

    def _generate(self) -> Iterator[_Message]:
        start = self._resume[1] // VARIANTS if self._resume[0] == messages.PHASE_NUMBERS["generate"] else 0
        for drawn in self._traffic.generator(start):
            if drawn.index >= self._settings.max_examples or self._over():
                return
            yield from self._family(drawn)
            if self._pauses(messages.PHASE_NUMBERS["generate"], (drawn.index + 1) * VARIANTS):
                return

    def _family(self, drawn: Drawn) -> Iterator[_Message]:
        base_flat: Any = None
        for number, (relation, case) in enumerate(_cases_of(self._traffic, drawn)):
            if self._skip("generate", drawn.index * VARIANTS + number):
                continue
            if number == 0:
                yield from self._examine("generate", case, tape=drawn.tape)
                yield from self._pulse("generate", self._settings.max_examples)
                base_flat = self._flat
            elif relation in ("", "canary"):
                yield from self._examine("generate", case)
            elif base_flat is not None and self._differences[relation] < _DIFFERENCES_MAX:
                self._note(case)
                for sighting in self._bench.related(relation, drawn.case, case, base_flat):
                    self._differences[relation] += 1
                    yield from self._tell(replace(sighting, tape=drawn.tape), "generate")
                yield from self._questions()

    # one Case

    def _suspects(self, phase: str) -> Iterator[_Message]:
        """Play the Cases again one of which has changed the state of the process; each is compared by itself now."""
        for suspect in self._bench.stage.state.take_suspects():
            yield from self._examine(phase, suspect)

    def _skip(self, phase: str, index: int) -> bool:
        """Mark the Case as in flight; true when an earlier worker has been here."""
        number = messages.PHASE_NUMBERS[phase]
        if (number, index) < self._resume:
            return True
        self._cases += 1
        self._context.mark(number, index)
        return False

    def _touched(self) -> Iterator[_Message]:
        while self._bench.touched:
            action, detail = self._bench.touched.pop()
            yield messages.remark("side-effect", f"the handler or its server {action}: {detail}")

    def _misfits(self) -> Iterator[_Message]:
        names = dict.fromkeys(self._bench.misfits)
        self._bench.misfits.clear()
        for name in names:
            text = messages.MISFIT.format(name, self._bench.server_name)
            if text not in self._asked:
                self._asked.add(text)
                yield messages.remark("misfit", text)

    def _note(self, case: Case) -> None:
        situations.count(case, self._situations)
        self._recent.append(case)

    def _examine(
        self, phase: str, case: Case, play: Callable[[Case], Any] | None = None, *, tape: tuple[Any, ...] = ()
    ) -> Iterator[_Message]:
        self._phase = phase
        recorder = (play or self._bench.run)(case)
        if self._bench.touched:
            yield from self._touched()
        if self._bench.misfits:
            yield from self._misfits()
        self._flat = recorder.flat
        self._struck = recorder.struck
        if recorder.stopped_by:
            yield from self._stopped(recorder.stopped_by)
        if not self._bench.judge.screen(recorder.flat) and (shape := recorder.shape) not in self._stale:
            for sighting in self._bench.judged(recorder, case):
                yield from self._tell(replace(sighting, tape=tape), phase)
            self._stale.add(shape)
        self._note(case)
        if case.concurrency != "plain":
            yield from self._neighbours(phase, case, recorder.flat, tape)
        yield from self._suspects(phase)

    def _neighbours(self, phase: str, case: Case, flat: list[Any], tape: tuple[Any, ...]) -> Iterator[_Message]:
        """Compare what the last peer of a crowd got with what it gets alone."""
        if self._differences[CONCURRENT] >= _DIFFERENCES_MAX:
            return
        for sighting in self._bench.neighbours(case, flat):
            self._differences[CONCURRENT] += 1
            yield from self._tell(replace(sighting, tape=tape), phase)
        yield from self._questions()

    def _questions(self) -> Iterator[_Message]:
        for topic, text in self._bench.take_questions():
            yield from self._once(messages.question(topic, text))

    def _cornered(self, case: Case, recorder: Any) -> None:
        """The handler swallows every stop, and its process ends now: tell what it showed before it was stopped."""
        found = self._bench.cornered_in(recorder, case)
        told = [message for sighting in found for message in self._tell(sighting, self._phase)]
        slugs = [sighting.invariant for sighting in found]
        ended = {"message": "cornered", "case": codec.encode(case), "invariants": slugs}
        for message in (*told, *self._stopped(recorder.stopped_by), self._summary(), ended):
            self._context.send(message)

    def _stopped(self, what: tuple[Any, ...]) -> Iterator[_Message]:
        if what[0] == "network.kernel":
            raise _NeedsKernel(str(what[2]))
        held = what[0] == "network.stalled" and what[3] == "open" and self._bench.contract.timeout is None
        if held and not self._bench.beside and not self._bench.stage.is_apart(Case()):
            text = _HELD.get(what[2], _IDLE_PEER).format(self._bench.server_name)
            yield from self._once(messages.remark("idle-peer", text))

    def _once(self, message: _Message) -> Iterator[_Message]:
        if message["topic"] not in self._asked:
            self._asked.add(message["topic"])
            yield message

    def _tell(self, sighting: Sighting, phase: str) -> Iterator[_Message]:
        if sighting.key not in self._known:
            self._known.add(sighting.key)
            self._new += 1
            yield messages.seen(replace(sighting, history=tuple(self._recent), phase=phase))

    def _pulse(self, phase: str, expected: int = 0) -> Iterator[_Message]:
        now = time.perf_counter()
        due = now - self._told >= _PROGRESS_EVERY_S
        if due:
            self._told = now
            yield messages.progress(phase, self._cases, now - self._began, expected)
        if due or self._cases < self._wary_cases:
            yield self._summary()
