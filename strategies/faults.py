"""Injected hardships: all of them in order for the sweep, one or two at random for the search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import POINTS, Fault
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.drawing import Options, Source

__all__ = ["ALL_FAULTS", "FaultKind", "draw_fault", "faults_of", "owners_faults", "sweep_faults"]

FaultKind = tuple[str, str]

_NTH_MAX: Final = 4
_FAULTS: Final[dict[tuple[str, str, int], Fault]] = {
    (point, effect, nth): Fault(point, effect, nth)
    for point, effects in POINTS.items()
    for effect in effects
    for nth in range(1, _NTH_MAX + 1)
}


def sweep_faults() -> Iterator[FaultKind]:
    """Every (point, effect), in the order of `POINTS`; count `nth` up from 1 until the fault no longer strikes."""
    return ((point, effect) for point, effects in POINTS.items() for effect in effects)


def faults_of(transport: str) -> tuple[FaultKind, ...]:
    """The kinds of fault that can strike a plain server of *transport* that is driven turn by turn.

    Only datagrams are delivered one by one, and need no descriptor; the server's own methods are recorded in a house
    only.
    """
    datagram = TRANSPORTS[transport].datagram
    never = (*_APART, *(() if datagram else ("deliver",)))
    exhausting = ("get_request", "exhausted") if datagram else ()
    return tuple(kind for kind in sweep_faults() if kind[0] not in never and kind != exhausting)


_APART: Final = ("server_bind", "server_activate", "service_actions", "thread.start", "fork")


_OWNERS: Final[tuple[FaultKind, ...]] = (
    ("service_actions", "ValueError"),
    ("server_bind", "OSError"),
    ("server_activate", "OSError"),
    ("get_request", "exhausted"),
)


def owners_faults(transport: str) -> Options[FaultKind]:
    """The kinds of fault that a server meets in the hands of its owner only, over *transport*."""
    return _OWNERS_BY_KIND[TRANSPORTS[transport].datagram]


_OWNERS_BY_KIND: Final = {
    False: Options(_OWNERS, tuple(range(len(_OWNERS)))),
    True: Options(_OWNERS[:-1], tuple(range(len(_OWNERS) - 1))),  # a datagram needs no descriptor
}

ALL_FAULTS: Final[tuple[FaultKind, ...]] = tuple(sweep_faults())


def draw_fault(source: Source, kinds: Options[FaultKind]) -> Fault:
    """One Fault, at one of the first times that its point is reached."""
    point, effect = source.choose(kinds)
    return _FAULTS[point, effect, source.small(1, _NTH_MAX)]
