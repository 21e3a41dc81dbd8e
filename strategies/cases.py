"""The one description of a Case, and the three ways to draw it: fast, through Hypothesis, or in a fixed order.

`draw_case` is the description. `FastDriver` is the hot loop of a search; `cases` is the SearchStrategy of `@given`
users and of shrinking; `boundary_cases` needs no randomness at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from hypothesis import strategies as st

from handshaker.harness.case import Case, Fault, Script
from handshaker.harness.errors import UsageError
from handshaker.strategies.boundary import boundary_cases
from handshaker.strategies.datagrams import draw_datagrams
from handshaker.strategies.drawing import Choice, FastSource, HypothesisSource, PooledMessage, Source
from handshaker.strategies.family import family
from handshaker.strategies.faults import draw_fault, owners_faults
from handshaker.strategies.owner import draw_owner
from handshaker.strategies.plan import CONTENTS, ENDINGS, Plan, swarm
from handshaker.strategies.scripts import draw_script

__all__ = ["CONTENTS", "ENDINGS", "FastDriver", "Plan", "boundary_cases", "cases", "draw_case", "family", "swarm"]


_OWNED_ONCE_IN: Final = 16  # a Case with an owner costs as much as a thousand in memory
_OWNERS_FAULT_ONCE_IN: Final = 4
_FIRST_STAYS: Final = (False, *(True,) * 7)


def draw_case(source: Source, plan: Plan) -> Case:
    """One Case; the simplest is a single peer that sends nothing and half-closes, with no faults.

    Where datagrams are sent, it sends one of no bytes.
    """
    draw_peer = draw_datagrams if plan.datagram else draw_script
    scripts = [draw_peer(source, plan)]
    if plan.max_peers > 1 and source.chance(4, plan.crowds):
        scripts = _crowd(source, plan, scripts, draw_peer)
    faults: Sequence[Fault] = ()
    if plan.faults and source.chance(2, bool(plan.fault_options.likely)):
        faults = source.slots(draw_fault, 2, plan.fault_options)
    owner = draw_owner(source, len(scripts)) if plan.owned and source.chance(_OWNED_ONCE_IN) else ()
    if owner and source.chance(_OWNERS_FAULT_ONCE_IN):
        faults = (*faults, draw_fault(source, owners_faults(plan.transport)))
    return Case(tuple(scripts), tuple(faults), plan.transport, plan.concurrency, owner)


def _crowd(
    source: Source, plan: Plan, first: list[Script], draw_peer: Callable[[Source, Plan], Script]
) -> list[Script]:
    """The *first* peer and others after it; the first may stay away, so that any one of them can remain alone."""
    others = source.slots(draw_peer, plan.max_peers - 1, plan)
    return first + others if source.pick(_FIRST_STAYS) or not others else others


def cases(plan: Plan, messages: st.SearchStrategy[bytes] | None = None) -> st.SearchStrategy[Case]:
    """All Cases of *plan*; *messages* is the user's own strategy, needed exactly when `plan.messages` is set.

    Raises UsageError when only one of the two is given.
    """
    if plan.messages != (messages is not None):
        raise UsageError(f"Plan(messages={plan.messages}) with messages={messages!r}: give both or neither")
    return _cases(plan, messages)


@st.composite
def _cases(draw: st.DrawFn, plan: Plan, messages: st.SearchStrategy[bytes] | None) -> Case:
    return draw_case(HypothesisSource(draw, messages), plan)


class FastDriver:
    """Draws Cases of *plan* from *random*, a few microseconds each; messages come from *pool*.

    Raises UsageError when `plan.messages` is set and the pool is empty.
    """

    def __init__(self, plan: Plan, random: Random, pool: Sequence[PooledMessage] = ()) -> None:
        if plan.messages and not pool:
            raise UsageError(f"Plan(messages=True) with pool={pool!r}: draw one with hypothesis_bridge.pool(strategy)")
        self.plan = plan
        self._source = FastSource(random, pool)

    def next(self) -> Case:
        """The next Case."""
        self._source.restart()
        return draw_case(self._source, self.plan)

    @property
    def tape(self) -> tuple[Choice, ...]:
        """The choices behind the last Case: `minimise` replays them on `cases(plan, messages)`."""
        return tuple(self._source.tape)
