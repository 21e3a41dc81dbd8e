"""The same Scripts of datagrams give the same events on both networks: what memory says is what Linux does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.runner import Stage
from handshaker.targets.combining import unavailable
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.datagram_handlers import HANDLERS, LastSpeaker
from tests.harness.test_parity import observable

TRANSPORTS = [
    pytest.param(name, marks=pytest.mark.skipif(bool(unavailable(name)), reason=unavailable(name) or "it is there"))
    for name in ("udp", "udp6", "unix-dgram")
]
Stages = tuple[Stage, Stage]


@contextlib.contextmanager
def both(handler: type, transport: str) -> Iterator[Stages]:
    """The handler on the memory network and on loopback."""
    target = StdlibTarget(handler, transport=transport)
    with Stage(target, network="memory") as memory, Stage(target, network="loopback") as loopback:
        yield memory, loopback


def assert_same(stages: Stages, case: Case) -> None:
    """Every event is the same, in the same order, on both."""
    runs = []
    for stage in stages:
        LastSpeaker.last = None
        runs.append(observable(stage.run(case)))
    in_memory, on_loopback = runs
    assert on_loopback == in_memory
    assert not stages[1].in_real_time


payloads = st.sampled_from([b"", b"a", b"quit", b"word", b"x\xff", b"hello world"])
sends = st.one_of(
    payloads.map(lambda data: Step("send", data)),
    st.sampled_from([8_191, 8_192, 8_193, 9_000, 65_507, 65_508]).map(lambda size: Step("send", b"L", size)),
)
steps = st.one_of(
    sends,
    sends,
    st.sampled_from([0.2, 1.0, 3.0]).map(lambda seconds: Step("pause", seconds=seconds)),
    st.tuples(st.sampled_from([1, 5, 40]), st.sampled_from([0.1, 5.0])).map(
        lambda wait: Step("expect", size=wait[0], seconds=wait[1])
    ),
    st.sampled_from([0, 3, 9_000]).map(lambda room: Step("stop-reading", size=room)),
    st.sampled_from(["resume-reading", "close", "half-close", "reset"]).map(Step),
)
points = st.sampled_from(
    [
        ("deliver", "lost"), ("deliver", "twice"), ("deliver", "late"), ("recv", "short"), ("recv", "OSError"),
        ("recv", "TimeoutError"), ("send", "TimeoutError"), ("send", "short"), ("get_request", "OSError"),
        ("verify_request", "false"), ("handle.enter", "ValueError"), ("finish.leave", "SystemExit"),
    ]
)  # fmt: skip


@st.composite
def scripts(draw, forms) -> Script:
    played = tuple(draw(st.lists(steps, max_size=6)))
    early = draw(st.integers(0, min(len(played), 3))) if draw(st.booleans()) else 0
    return Script(played, early, draw(st.sampled_from(forms)))


@st.composite
def cases(draw, transport) -> Case:
    forms = ["", "", "unbound", "abstract"] if transport == "unix-dgram" else [""]
    faults = draw(st.lists(st.tuples(points, st.integers(1, 3)), max_size=2, unique=True))
    return Case(
        tuple(draw(st.lists(scripts(forms), min_size=1, max_size=3))),
        tuple(Fault(point, effect, nth) for (point, effect), nth in faults),
        transport,
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("handler", HANDLERS)
def test_generated_datagrams_give_the_same_events_on_both_networks(handler, transport):
    """Hooks, datagrams, errors, timeouts, stops and what peers saw: every event is the same, in the same order."""
    with both(handler, transport) as stages:

        @given(case=cases(transport))
        @settings(max_examples=25)
        def run(case):
            assert_same(stages, case)

        run()
