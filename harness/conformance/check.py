"""One row of the conformance suite: which rule, by which probe, over which traffic, and on which kind of server.

A row is one item for each transport and concurrency that it names: `slug[name-transport-concurrency]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.conformance.claims import Claim
from handshaker.harness.transports import TRANSPORTS

__all__ = ["DATAGRAMS", "LINE", "STREAMS", "Check", "Item", "items_of", "peers", "sends", "struck"]

STREAMS: Final = tuple(name for name, row in TRANSPORTS.items() if not row.datagram)
DATAGRAMS: Final = tuple(name for name, row in TRANSPORTS.items() if row.datagram)

LINE: Final = Script((Step("send", b"hello\n"), Step("half-close")))
"""The well-behaved peer of a stream."""


def sends(*does: bytes | str | Step, early: int = 0) -> Script:
    """A peer that sends the bytes and does what the words say."""
    steps = [Step("send", each) if isinstance(each, bytes) else each for each in does]
    return Script(tuple(Step(each) if isinstance(each, str) else each for each in steps), early)


def peers(*scripts: Script, faults: tuple[Fault, ...] = ()) -> Case:
    """A Case of these peers, followed by a well-behaved one."""
    return Case((*scripts, LINE), faults)


def struck(point: str, effect: str, *scripts: Script) -> Case:
    """The same, under one hardship that strikes the first of them (a well-behaved one, when none is named)."""
    return peers(*(scripts or (LINE,)), faults=(Fault(point, effect),))


@dataclass(frozen=True, slots=True)
class Check:
    """A named sub-check of the rule *slug*.

    `probe` is out of `probes.PROBES`, with class attributes `handler`; `server` are attributes and methods of the
    server's class. `relation` says how a second Case is made that the first one is compared with (see `Family`).
    `known` is what CPython is known to do there, with its number, where it deviates itself. `claim` demands more than
    the rule can: what this probe must show in these Cases, also where the rule does not know.
    """

    slug: str
    name: str
    probe: str
    cases: tuple[Case, ...]
    transports: tuple[str, ...] = STREAMS
    concurrencies: tuple[str, ...] = ("plain",)
    handler: tuple[tuple[str, Any], ...] = ()
    server: tuple[tuple[str, Any], ...] = ()
    relation: str = ""
    known: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A Check on one transport and one concurrency."""

    check: Check
    transport: str
    concurrency: str

    @property
    def slug(self) -> str:
        """The rule that is judged."""
        return self.check.slug

    @property
    def id(self) -> str:
        """Its name as a pytest item, and as a key of `deviations`."""
        return f"{self.check.slug}[{self.check.name}-{self.transport}-{self.concurrency}]"

    @property
    def scene(self) -> Any:
        """The same for items whose handlers and servers are alike."""
        return self.check.probe, self.check.handler, self.check.server, self.transport, self.concurrency

    @property
    def cases(self) -> tuple[Case, ...]:
        """The Cases as they are played here."""
        return tuple(replace(case, transport=self.transport, concurrency=self.concurrency) for case in self.check.cases)


def items_of(check: Check) -> Iterator[Item]:
    """The items of one Check."""
    for transport in check.transports:
        for concurrency in check.concurrencies:
            yield Item(check, transport, concurrency)
