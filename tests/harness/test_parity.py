"""The same Scripts give the same events on both networks: what the memory network says is what Linux does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.conformance.transport import observable
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.parity_handlers import HANDLERS

Stages = tuple[Stage, Stage]


@contextlib.contextmanager
def both(handler: type, transport: str = "tcp") -> Iterator[Stages]:
    """The handler on the memory network and on loopback."""
    target = StdlibTarget(handler, transport=transport)
    with Stage(target, network="memory") as memory, Stage(target, network="loopback") as loopback:
        yield memory, loopback


def assert_same(stages: Stages, case: Case) -> None:
    in_memory, on_loopback = stages
    assert observable(on_loopback.run(case)) == observable(in_memory.run(case))
    assert not on_loopback.in_real_time


payloads = st.sampled_from([b"a", b"ab", b"abc\n", b"\n", b"x\r\ny\n", b"q" * 70, b"word\n" * 30])
endings = st.sampled_from(["half-close", "close", "reset"]).map(Step)
steps = st.one_of(
    payloads.map(lambda data: Step("send", data)),
    payloads.map(lambda data: Step("send", data)),
    st.sampled_from([0.2, 1.0, 3.0]).map(lambda seconds: Step("pause", seconds=seconds)),
    st.tuples(st.sampled_from([1, 5, 20]), st.sampled_from([0.1, 5.0])).map(
        lambda wait: Step("expect", size=wait[0], seconds=wait[1])
    ),
    endings,
)
points = st.sampled_from(
    [("recv", "short"), ("recv", "ConnectionResetError"), ("send", "short"), ("send", "TimeoutError")]
)


@st.composite
def scripts(draw) -> Script:
    played = tuple(draw(st.lists(steps, max_size=6)))
    return Script(played, early=draw(st.integers(0, min(len(played), 3))) if draw(st.booleans()) else 0)


@st.composite
def cases(draw) -> Case:
    faults = draw(st.lists(st.tuples(points, st.integers(1, 3)), max_size=1))
    return Case(
        tuple(draw(st.lists(scripts(), min_size=1, max_size=2))),
        tuple(Fault(point, effect, nth) for (point, effect), nth in faults),
    )


@pytest.mark.parametrize(("transport", "examples"), [("tcp", 40), ("tcp6", 10), ("unix", 40)])
@pytest.mark.parametrize("handler", HANDLERS)
def test_generated_scripts_give_the_same_events_on_both_networks(handler, transport, examples):
    """Every event is the same, in the same order: hooks, bytes, ends, errors, timeouts, stops, and what peers saw."""
    with both(handler, transport) as stages:

        @given(case=cases())
        @settings(max_examples=examples)
        def run(case):
            assert_same(stages, case)

        run()
