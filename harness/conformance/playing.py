"""Playing one sub-check: its probe is built on the implementation, its Cases are played, its one rule is asked.

Played on loopback: there the sockets are the kernel's own, whatever the implementation does with them, and one thread
and virtual time make a Case cost less than a millisecond. What can only run as a whole is played in real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.conformance.check import Item
from handshaker.harness.conformance.probes import PROBES, handler_class, server_class
from handshaker.harness.contract import Contract
from handshaker.harness.errors import HarnessBug
from handshaker.harness.invariants.base import Family
from handshaker.harness.judge import Judge
from handshaker.harness.runner import Stage
from handshaker.harness.trace import Trace
from handshaker.harness.transports import TRANSPORTS
from handshaker.harness.verdict import Outcome, Verdict
from handshaker.targets.bases import MIXINS, Implementation
from handshaker.targets.combining import unavailable
from handshaker.targets.detect import HANDLER_METHODS, SERVER_METHODS
from handshaker.targets.stdlib import StdlibTarget

__all__ = ["Played", "Player", "why_not"]

_OF_THE_FRAMEWORK: Final = (*HANDLER_METHODS, *SERVER_METHODS)


@dataclass(frozen=True, slots=True)
class Played:
    """What one Case showed: its Trace (of a relation: the variant's), and what the rule says."""

    case: Case
    trace: Trace
    verdict: Verdict


def why_not(item: Item, made: Implementation) -> str:
    """Why *item* cannot be played with *made* here; nothing when it can."""
    base = PROBES[item.check.probe].base
    if made.named(base) is None:
        return f"{made.text} has no {base}"
    if made.server(item.transport) is None:
        return f"{made.text} has no {TRANSPORTS[item.transport].server}"
    if item.concurrency != "plain" and made.mixin(item.concurrency) is None:
        return f"{made.text} has no {MIXINS[item.concurrency]}"
    return unavailable(item.transport, item.concurrency)


class Player:
    """Plays items on one implementation. What several rules look at is played once for all of them."""

    def __init__(self, made: Implementation) -> None:
        self.made = made
        self._stages: dict[Any, tuple[Stage, Contract]] = {}
        self._traces: dict[Any, Trace] = {}

    def play(self, item: Item) -> list[Played]:
        """Play all Cases of *item* and ask its rule about each."""
        stage, contract = self._stage(item)
        judge = Judge(contract, (item.slug,))
        found = list(self._judged(item, stage, judge))
        for bug in judge.bugs.values():
            raise HarnessBug(bug)
        return found

    def _stage(self, item: Item) -> tuple[Stage, Contract]:
        key = item.scene
        if key not in self._stages:
            target = _target(item, self.made)
            contract = replace(target.contract(), overrides=_OF_THE_FRAMEWORK)
            self._stages[key] = Stage(target, network="loopback"), contract
        return self._stages[key]

    def _judged(self, item: Item, stage: Stage, judge: Judge) -> Iterator[Played]:
        for case in item.cases:
            if item.check.relation:
                yield from self._compared(item, stage, judge, case)
            else:
                trace = self._trace(item, stage, case)
                yield from (Played(case, trace, _claimed(item, trace, each)) for each in judge.verdicts(trace))

    def _trace(self, item: Item, stage: Stage, case: Case) -> Trace:
        key = (item.scene, case)
        if key not in self._traces:
            self._traces[key] = _played(stage, case)
        return self._traces[key]

    def _compared(self, item: Item, stage: Stage, judge: Judge, case: Case) -> Iterator[Played]:
        alone, variant = _RELATIVES[item.check.relation](case)
        once = self._trace(item, stage, alone)
        family = Family(item.check.relation, once, _played(stage, alone), _played(stage, variant))
        yield from (Played(variant, family.variant, verdict) for verdict in judge.relations(family))


def _claimed(item: Item, trace: Trace, verdict: Verdict) -> Verdict:
    """The verdict of the rule, and of the claim that goes beyond it."""
    claim = item.check.claim
    if claim is None or verdict.outcome is Outcome.VIOLATED:
        return verdict
    broken = tuple(claim(trace))
    return Verdict(item.slug, Outcome.VIOLATED if broken else Outcome.HOLDS, broken)


def _played(stage: Stage, case: Case) -> Trace:
    with stage:
        return stage.play(case)


def _target(item: Item, made: Implementation) -> StdlibTarget:
    handler = handler_class(item.check.probe, made, dict(item.check.handler))
    return StdlibTarget(
        handler,
        text=f"{made.text}:{item.check.probe}",
        server=server_class(made, item.transport, item.concurrency, dict(item.check.server)),
        transport=item.transport,
        concurrency=item.concurrency,
        implementation=made,
    )


def _byte_by_byte(script: Script) -> Script:
    steps: list[Step] = []
    for step in script.steps:
        steps += [Step("send", bytes([byte])) for byte in step.payload] if step.action == "send" else [step]
    return Script(tuple(steps), 0, script.form)


def _segmented(case: Case) -> tuple[Case, Case]:
    """The Case, and the same byte by byte."""
    return case, replace(case, scripts=tuple(map(_byte_by_byte, case.scripts)))


def _beside(case: Case) -> tuple[Case, Case]:
    """The last peer alone, and beside the others."""
    return replace(case, scripts=case.scripts[-1:]), case


_RELATIVES: Final = {"segmentation": _segmented, "concurrent": _beside}
"""For each relation: what is played twice, and what it is compared with."""
