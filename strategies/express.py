"""Any Case as a tape, so that Cases which nobody drew shrink as well: of the sweep, of a family, played by hand, saved.

`express(case)` gives a strategy of all Cases that are no larger than this one, in raw bytes, and the choices which draw
exactly this one. It also ends what shrinking a drawn Case leaves undone: a description can only take away what it has
a verb for, raw bytes can lose any byte. A Case whose literal data is over 8 KiB has a tape that cannot be played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from handshaker.harness.case import ACTIONS, Act, Case, Fault, Script, Step
from handshaker.harness.errors import HarnessBug
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.drawing import Choice, HypothesisSource, Options, Source, as_choice
from handshaker.strategies.owner import sensible, within
from handshaker.strategies.scripts import CLOSE, HALF_CLOSE, RESET

__all__ = ["express"]

T = TypeVar("T")
C = TypeVar("C")

_WAITING: Final = ("expect", "pause", "stop-reading")


def express(case: Case) -> tuple[tuple[Choice, ...], st.SearchStrategy[Case]]:
    """The choices that draw *case*, and the strategy that they belong to: hand both to `minimise`."""
    case = replace(case, scripts=tuple(map(_without_empty_repeats, case.scripts)))
    extent = _extent(case)
    source = _ToldSource(_answers(case))
    _draw_case(source, extent)
    return tuple(source.tape), _neighbours(extent)


@dataclass(frozen=True, slots=True)
class _Extent:
    """The bounds of a Case: how many records of each kind it has, and which values they hold.

    `case` is itself, for what stays as it is: how it is served.
    """

    scripts: int
    steps: int
    early: int
    faults: int
    kinds: tuple[Fault, ...]
    nth: int
    actions: tuple[str, ...]
    endings: tuple[Step | None, ...]
    least: int
    most: int
    total: int
    seconds: tuple[float, ...]
    size: int
    forms: tuple[str, ...]
    case: Case

    @property
    def acts(self) -> tuple[str, ...]:
        """What the owner of the server does in this Case."""
        return tuple(dict.fromkeys(act.action for act in self.case.owner))

    @property
    def waits(self) -> tuple[float, ...]:
        """How long it lets handle_request() wait."""
        return tuple(sorted({act.seconds for act in self.case.owner if act.action == "handle"}))


def _extent(case: Case) -> _Extent:
    steps = [step for script in case.scripts for step in script.steps]
    inner = {step.action for script in case.scripts for step in _parted(script)[0]}
    last = {_parted(script)[1] for script in case.scripts}
    lengths = [len(step.data) for step in steps if step.action == "send"]
    datagram = TRANSPORTS[case.transport].datagram
    usual = (None,) if datagram else (HALF_CLOSE, None)
    return _Extent(
        scripts=len(case.scripts),
        steps=max((len(_parted(script)[0]) for script in case.scripts), default=0),
        early=max((script.early for script in case.scripts), default=0),
        faults=len(case.faults),
        kinds=tuple(dict.fromkeys(Fault(fault.point, fault.effect) for fault in case.faults)),
        nth=max((fault.nth for fault in case.faults), default=1),
        actions=("send", *(action for action in ACTIONS if action in inner and action != "send")),
        endings=(*usual, *(ending for ending in (HALF_CLOSE, CLOSE, RESET) if ending in last and ending not in usual)),
        least=0 if datagram else min((1, *lengths)),
        most=max((1, *lengths)),
        total=max((1, *(_told_total(step) for step in steps))),
        seconds=tuple(sorted({0.0, *(step.seconds for step in steps)})),
        size=max((step.size for step in steps), default=0),
        forms=tuple(dict.fromkeys(("", *(script.form for script in case.scripts)))),
        case=case,
    )


@st.composite
def _neighbours(draw: st.DrawFn, extent: _Extent) -> Case:
    return _draw_case(HypothesisSource(draw), extent)


def _draw_case(source: Source, extent: _Extent) -> Case:
    scripts = source.slots(_draw_script, extent.scripts, extent)
    faults = source.slots(_draw_fault, extent.faults, extent)
    owner = within(source.slots(_draw_act, len(extent.case.owner), extent), len(scripts))
    if sensible(extent.case.owner) == extent.case.owner:
        owner = sensible(owner)
    return replace(extent.case, scripts=tuple(scripts), faults=tuple(faults), owner=owner)


def _draw_script(source: Source, extent: _Extent) -> Script:
    steps: list[Step] = []
    for step, apart in source.slots(_draw_step, extent.steps, extent):
        if steps and not apart and steps[-1].action == "send" == step.action:
            steps[-1] = _joined(steps[-1], step)
        else:
            steps.append(step)
    ending = source.pick(extent.endings)
    if ending is not None:
        steps.append(ending)
    early = min(source.integer(0, extent.early), len(steps))
    return Script(tuple(steps), early, source.pick(extent.forms))


def _joined(first: Step, second: Step) -> Step:
    """Both in one segment; what is next to a repeated unit becomes more of that unit."""
    if first.repeat == second.repeat == 1:
        return Step("send", first.data + second.data)
    total = len(first.data) * first.repeat + len(second.data) * second.repeat
    return _send(max(first, second, key=lambda step: step.repeat).data, total)


def _send(unit: bytes, total: int) -> Step:
    """*unit* so often that it makes about *total* bytes: a shorter unit still gives a payload of that size."""
    return Step("send", unit, max(total // len(unit), 1) if unit else 1)


def _without_empty_repeats(script: Script) -> Script:
    """The same with no bytes sent once where no bytes, or bytes no times, are sent."""
    empty = Step("send")
    steps = (empty if step.action == "send" and not (step.data and step.repeat) else step for step in script.steps)
    return replace(script, steps=tuple(steps))


def _told_total(step: Step) -> int:
    return len(step.data) * step.repeat if step.repeat > 1 else 1


def _parted(script: Script) -> tuple[tuple[Step, ...], Step | None]:
    """The steps before the ending, and the ending: half-close, close, reset or none."""
    last = script.steps[-1] if script.steps else None
    return (script.steps[:-1], last) if last in (HALF_CLOSE, CLOSE, RESET) else (script.steps, None)


def _draw_step(source: Source, extent: _Extent) -> tuple[Step, bool]:
    """A Step, and whether its bytes stay apart from the segment before."""
    action = source.pick(extent.actions)
    if action == "send":
        unit = source.blob(extent.least, extent.most)
        return _send(unit, source.integer(1, extent.total)), source.flag()
    if action in _WAITING:
        return Step(action, seconds=source.pick(extent.seconds), size=source.integer(0, extent.size)), True
    return Step(action), True


def _draw_fault(source: Source, extent: _Extent) -> Fault:
    kind = source.pick(extent.kinds)
    return Fault(kind.point, kind.effect, source.integer(1, extent.nth))


def _draw_act(source: Source, extent: _Extent) -> Act:
    action = source.pick(extent.acts)
    if action in ("play", "begin"):
        return Act(action, peer=source.integer(0, max(extent.scripts - 1, 0)))
    return Act(action, seconds=source.pick(extent.waits) if action == "handle" else 0.0)


def _answers(case: Case) -> Iterator[object]:
    """What `_draw_case` must be told, in its order, to draw *case*; slots are told how many there are."""
    yield len(case.scripts)
    for script in case.scripts:
        steps, ending = _parted(script)
        yield len(steps)
        for step in steps:
            yield step.action
            if step.action == "send":
                yield from (step.data, _told_total(step), True)
            elif step.action in _WAITING:
                yield from (step.seconds, step.size)
        yield ending
        yield script.early
        yield script.form
    yield len(case.faults)
    for fault in case.faults:
        yield from (Fault(fault.point, fault.effect), fault.nth)
    yield len(case.owner)
    for act in case.owner:
        yield act.action
        if act.action in ("play", "begin"):
            yield act.peer
        elif act.action == "handle":
            yield act.seconds


class _ToldSource:
    """Is told each answer, and records the choice that gives it."""

    def __init__(self, answers: Iterator[Any]) -> None:
        self._answers = answers
        self.tape: list[Choice] = []

    def integer(self, lo: int, hi: int) -> int:
        value: int = next(self._answers)
        return self._number(value, lo, hi)

    small = integer

    def _number(self, value: int, lo: int, hi: int) -> int:
        if lo != hi:
            self.tape.append(value)
        return value

    def flag(self) -> bool:
        value: bool = next(self._answers)
        self.tape.append(value)
        return value

    def chance(self, n: int, likely: bool = True) -> bool:
        return self.integer(0, n - 1) == n - 1

    def pick(self, options: Sequence[T]) -> T:
        value: T = next(self._answers)
        self._number(options.index(value), 0, len(options) - 1)
        return value

    def choose(self, options: Options[T]) -> T:
        return self.pick(options.values)

    def blob(self, lo: int, hi: int) -> bytes:
        value: bytes = next(self._answers)
        if hi:
            self.tape.append(as_choice(value))
        return value

    def message(self) -> bytes:
        raise HarnessBug("raw Cases hold no user's messages")

    def slots(self, one: Callable[[Source, C], T], n: int, context: C) -> list[T]:
        count: int = next(self._answers)
        drawn = []
        for place in range(n):
            self.tape.append(int(place < count))
            if place < count:
                drawn.append(one(self, context))
        return drawn
