"""Plans that the tests of drawing share, one for each way in which a Plan changes what is drawn."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from handshaker.harness.case import Case
from handshaker.strategies.cases import FastDriver, cases
from handshaker.strategies.dictionary import Dictionary
from handshaker.strategies.faults import ALL_FAULTS, faults_of
from handshaker.strategies.hypothesis_bridge import minimise, pool
from handshaker.strategies.plan import Plan, swarm

WORDS = Dictionary((b"PUT", b"GET"), (3, 4096), (">HB",), (b"\r\n",))
QUERIES = st.lists(st.sampled_from([b"GET", b"PUT", b"DEL"]), max_size=5).map(b" ".join)
POOL = pool(QUERIES, 50)

PLANS = {
    "plain": Plan(),
    "dictionary": Plan(WORDS, timeout=2.0),
    "example": Plan(WORDS, example=b"PUT /x 3\r\nabc"),
    "faults": Plan(WORDS, faults=ALL_FAULTS),
    "one fault": Plan(WORDS, faults=ALL_FAULTS[:1]),
    "one peer": Plan(max_peers=1),
    "one word": Plan(contents=("line",), endings=("half-close",)),
    "swarm": swarm(Plan(WORDS, faults=ALL_FAULTS), Random(3)),
    "messages": Plan(WORDS, messages=True),
    "datagrams": Plan(WORDS, example=b"PUT x", transport="udp", faults=faults_of("udp")),
    "datagrams on Unix": Plan(WORDS, transport="unix-dgram"),
    "datagrams of messages": Plan(messages=True, transport="udp", packet_bytes=512),
    "owned": Plan(WORDS, owned=True),
}


def driver(plan: Plan, seed: int) -> FastDriver:
    """A driver of *plan*, with the pool of queries where it needs one."""
    return FastDriver(plan, Random(seed), POOL if plan.messages else ())


def strategy(plan: Plan) -> st.SearchStrategy[Case]:
    """The same Cases for Hypothesis."""
    return cases(plan, QUERIES if plan.messages else None)


def played(tape: Any, of: st.SearchStrategy[Case]) -> list[Case]:
    """The Cases that Hypothesis makes of *tape*: the simplest of all, then the one on the tape."""
    seen: list[Case] = []
    minimise(tape, of, lambda case: bool(seen.append(case)))
    return seen
