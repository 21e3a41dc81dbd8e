"""Which Cases a campaign plays, in a fixed order for a seed: the sweep's list and the generator's batches.

The order must not depend on what the Cases do: a worker that dies says only (phase, index), and the Case in flight is
made again from these.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from hypothesis.strategies import SearchStrategy

from handshaker.harness.campaign.workbench import Workbench, resolve
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.errors import UsageError
from handshaker.strategies.boundary import boundary_cases
from handshaker.strategies.cases import FastDriver, Plan, cases, family, swarm
from handshaker.strategies.crowds import beside, concurrent_faults, crowd_cases
from handshaker.strategies.datagrams import follower, truncations
from handshaker.strategies.dictionary import mine
from handshaker.strategies.faults import faults_of
from handshaker.strategies.hypothesis_bridge import pool
from handshaker.strategies.owner import OWNED, owner_cases

__all__ = ["BATCH", "Drawn", "Generator", "Traffic", "plain_exchange"]

BATCH: Final = 100
_FAULT_REPEATS_MAX: Final = 40
_POOL: Final = 200
_LINE: Final = b"hello\r\n"
_STRATEGY: Final = "name a Hypothesis strategy of bytes, or a function without arguments that returns one"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A generated Case, the choices that made it, and its number."""

    index: int
    case: Case
    tape: tuple[Any, ...]


def plain_exchange(data: bytes, *, datagram: bool = False) -> Script:
    """The well-behaved peer: one message, then half-close; or one datagram."""
    return Script((Step("send", data),) if datagram else (Step("send", data), Step("half-close")))


class Traffic:
    """All that a campaign plays against one target."""

    def __init__(self, bench: Workbench, messages: Any = None) -> None:
        settings = bench.settings
        self._seed = settings.seed
        about = bench.target.describe()
        self._plain = bench.contract.concurrency == "plain"
        self.messages = messages if messages is not None else _messages(settings.messages)
        self.pool = pool(self.messages, _POOL, settings.seed) if self.messages is not None else ()
        dictionary = mine(bench.target.subjects())
        known = self.pool[0][0] if self.pool else about.plain
        self.example = settings.example or known or self._first_words(dictionary)
        self.plan = Plan(
            dictionary=dictionary,
            example=self.example,
            timeout=bench.contract.timeout,
            messages=self.messages is not None,
            faults=faults_of(bench.contract.transport)
            if self._plain
            else concurrent_faults(bench.contract.concurrency),
            transport=bench.contract.transport,
            concurrency=bench.contract.concurrency,
            packet_bytes=bench.contract.max_packet_size,
            owned=not OWNED.isdisjoint(bench.contract.overrides),
        )
        self._overrides = bench.contract.overrides

    @staticmethod
    def _first_words(dictionary: Any) -> bytes:
        end = dictionary.terminators[0] if dictionary.terminators else b"\r\n"
        return (dictionary.tokens[0] + end) if dictionary.tokens else _LINE

    @property
    def strategy(self) -> Any:
        """The same traffic as a Hypothesis strategy: what shrinking draws from."""
        return cases(self.plan, self.messages)

    def preflight(self) -> tuple[Case, ...]:
        """Nothing and half-close; then one plain exchange. For datagrams: one, then another when it was answered."""
        plain = self.canary()
        if not self.plan.datagram:
            return self._case(Script((Step("half-close"),))), self._case(plain)
        twice = (*plain.steps, Step("expect", seconds=0.2, size=1), *plain.steps)
        return self._case(plain), self._case(Script(twice))

    def canary(self) -> Script:
        """The exchange that any living server answers."""
        return plain_exchange(self.example, datagram=self.plan.datagram)

    def _with_canary(self, case: Case) -> Case:
        """*case* and a well-behaved peer: the next one, beside the others, or when they have sent their datagrams."""
        canary = self.canary()
        return beside(case, follower(case, canary) if self._plain and self.plan.datagram else canary)

    def boundary(self) -> list[Case]:
        """The deterministic scripts of the sweep, each followed by a well-behaved peer.

        Where peers are served at the same time, it is beside them.
        """
        if not self._plain:
            return list(crowd_cases(self.plan, self.canary()))
        return list(map(self._with_canary, boundary_cases(self.plan)))

    def owned(self) -> list[Case]:
        """What the owner of the server does with it, as far as that is worth its time for this target."""
        named = owner_cases(self._overrides, self.canary(), self.plan.transport, self.plan.concurrency)
        return [case for _, case in named]

    def truncations(self) -> list[tuple[Case, Case]]:
        """Datagrams that the server cuts, each with the Case that its reply is compared with; none for streams."""
        return truncations(self.plan) if self._plain and self.plan.datagram else []

    def _faulty(self, point: str, effect: str, nth: int) -> Case:
        return self._case(self.canary(), self.canary(), faults=(Fault(point, effect, nth),))

    def _case(self, *scripts: Script, faults: tuple[Fault, ...] = ()) -> Case:
        return Case(scripts, faults, self.plan.transport, self.plan.concurrency)

    def relatives(self, case: Case) -> list[tuple[str, Case]]:
        """A generated *case*, the same with a well-behaved peer, and its variants: (relation, Case)."""
        if case.owner:
            return [("", case)]
        relatives = family(case, packet_bytes=self.plan.packet_bytes)
        return [("", case), ("canary", self._with_canary(case)), *relatives]

    def faults(self) -> Iterator[tuple[int, Case]]:
        """The plain exchange with each Fault at its k-th point, numbered.

        K starts at 1 again for each kind of Fault.
        """
        for kind, (point, effect) in enumerate(self.plan.faults):
            for nth in range(1, _FAULT_REPEATS_MAX + 1):
                yield kind * _FAULT_REPEATS_MAX + nth, self._faulty(point, effect, nth)

    def generator(self, start: int = 0) -> Generator:
        """The generated Cases from number *start* on."""
        return Generator(self, start)


class Generator:
    """Generated Cases in order; every batch has its own seed and its own selection of hardships (swarm testing)."""

    def __init__(self, traffic: Traffic, start: int = 0) -> None:
        self._traffic = traffic
        self._seed = traffic._seed
        self._index = start - start % BATCH
        self._driver: FastDriver | None = None
        deque((next(self) for _ in range(start % BATCH)), maxlen=0)

    def __iter__(self) -> Generator:
        return self

    def __next__(self) -> Drawn:
        if self._driver is None or self._index % BATCH == 0:
            source = random.Random(f"{self._seed}:{self._index // BATCH}")
            plan = self._traffic.plan if self._index == 0 else swarm(self._traffic.plan, source)
            self._driver = FastDriver(plan, source, self._traffic.pool)
        case = self._driver.next()
        drawn = Drawn(self._index, case, self._driver.tape)
        self._index += 1
        return drawn


def _messages(text: str) -> Any:
    if not text:
        return None
    found = resolve(text, "messages")
    try:
        strategy = found if isinstance(found, SearchStrategy) or not callable(found) else found()
    except Exception as error:
        raise UsageError(
            f"messages: calling {text!r} failed with {type(error).__name__}: {error}; {_STRATEGY}"
        ) from error
    if not isinstance(strategy, SearchStrategy):
        raise UsageError(f"messages: {text!r} is {strategy!r}; {_STRATEGY}")
    return strategy
