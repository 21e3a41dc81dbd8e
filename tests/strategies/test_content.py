"""What peers say: every kind of content that can break a handler is drawn, and soon."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

import pytest

from handshaker.harness.case import Script, Step
from handshaker.harness.errors import UsageError
from handshaker.strategies.cases import FastDriver
from handshaker.strategies.content import damage
from handshaker.strategies.dictionary import Dictionary
from handshaker.strategies.drawing import FastSource
from handshaker.strategies.plan import CONTENTS, ENDINGS, Plan, swarm
from tests.strategies.plans import PLANS, POOL, WORDS


def _scripts(plan: Plan, count: int, seed: int = 0) -> list[Script]:
    driver = FastDriver(plan, Random(seed), POOL if plan.messages else ())
    return [script for _ in range(count) for script in driver.next().scripts]


def _says(*wanted: bytes) -> Callable[[Script], bool]:
    return lambda script: script.payload in wanted


ATOMS: dict[str, Callable[[Script], bool]] = {
    "a word alone": _says(b"PUT\r\n", b"PUT\n"),
    "a word and bad UTF-8": lambda script: script.payload.startswith(b"PUT ") and b"\xff" in script.payload,
    "a word and NUL": lambda script: script.payload.startswith(b"PUT") and b"\0" in script.payload,
    "an empty line": _says(b"\n", b"\r\n"),
    "minus one": lambda script: b" -1" in script.payload,
    "a huge number": lambda script: b"99999999999" in script.payload,
    "a number that is none": lambda script: b"PUT x" in script.payload,
    "the handler's own number and its neighbour": lambda script: b"4097" in script.payload,
    "a line over 64 KiB": lambda script: any(len(line) > 65_536 for line in script.payload.split(b"\n")),
    "a correct counted body": lambda script: script.payload in (b"1\r\n" + b"%c" % byte for byte in range(256)),
    "several lines": lambda script: script.payload.count(b"\n") > 3,
    "the example": lambda script: PLANS["example"].example == script.payload,
    "a damaged example": lambda script: script.payload.startswith(b"PUT /x 3\r\nab") and len(script.payload) != 13,
    "the example twice": lambda script: script.payload == PLANS["example"].example * 2,
}


@pytest.mark.parametrize("name", ATOMS)
def test_every_atom_of_content_is_drawn(name: str) -> None:
    """Within twenty thousand Cases, so within a second."""
    assert any(map(ATOMS[name], _scripts(PLANS["example"], 20_000)))


def test_length_fields_tell_the_truth_and_lie() -> None:
    """A field of the handler's own format: right, one more, one less, none, negative, huge."""
    plan = Plan(Dictionary(struct_formats=(">H",)), contents=("length",), endings=("half-close",), max_peers=1)
    differences = set()
    for script in _scripts(plan, 3000):
        if len(script.payload) >= 2:
            (claim,) = struct.unpack(">H", script.payload[:2])
            differences.add(claim - (len(script.payload) - 2))
    assert {0, 1, -1} <= differences
    assert any(difference > 60_000 for difference in differences)


@pytest.mark.parametrize("form", [">HB", "<IH", "!Q", "@n", "4xI"])
def test_length_formats_are_single_fields(form: str) -> None:
    """Of a format with several fields each integer field is a candidate, in the same byte order."""
    for single in Plan(Dictionary(struct_formats=(form,))).length_formats:
        assert len(struct.unpack(single, bytes(struct.calcsize(single)))) == 1


def test_users_messages_are_sent_whole_and_damaged_and_nothing_else() -> None:
    """With a strategy for messages there are no lines of our own making."""
    plan = Plan(WORDS, messages=True, endings=("half-close",))
    assert set(plan.content_options.values) == {"message", "damaged"}
    whole = {message for message, _ in POOL}
    sent = [script.payload for script in _scripts(plan, 500)]
    assert sum(payload in whole for payload in sent) > 200
    assert any(payload not in whole for payload in sent)


def test_damage_changes_most_messages() -> None:
    """Damage may by chance change nothing, but that is rare."""
    source, plan, data = FastSource(Random(1)), PLANS["example"], b"PUT /x 3\r\nabc"
    assert sum(damage(source, plan, data) != data for _ in range(500)) > 350


ENDED: dict[str, Callable[[Script], bool]] = {
    "nothing, then half-close": lambda script: script.steps == (Step("half-close"),),
    "open": lambda script: script.steps[-1:] != () and script.steps[-1].action == "send",
    "half-close": lambda script: [step.action for step in script.steps] == ["send", "half-close"],
    "close": lambda script: [step.action for step in script.steps] == ["send", "close"],
    "reset after send": lambda script: [step.action for step in script.steps] == ["send", "reset"] and not script.early,
    "reset before accept": lambda script: script.steps[-1:] == (Step("reset"),) and script.early == len(script.steps),
    "half-close before accept": lambda script: script.steps[-1:] == (Step("half-close"),) and script.early > 0,
    "reset after the reply began": lambda script: [step.action for step in script.steps][-2:] == ["expect", "reset"],
    "silence between two reads": lambda script: (
        [(s.action, s.seconds) for s in script.steps][:3:2] == [("send", 0.0)] * 2
        and script.steps[1] == Step("pause", seconds=3.0)
    ),
    "never reads": lambda script: Step("stop-reading") in script.steps,
    "slow": lambda script: Step("pause", seconds=0.01) in script.steps,
}


@pytest.mark.parametrize("name", ENDED)
def test_every_ending_and_interruption_is_drawn(name: str) -> None:
    """Within five thousand Cases of a handler with a timeout of two seconds."""
    assert any(map(ENDED[name], _scripts(PLANS["dictionary"], 5000)))


@pytest.mark.parametrize("kind", [kind for kind in CONTENTS if kind not in ("message", "example")])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_content_goes_with_every_ending(kind: str, ending: str) -> None:
    """Any combination can be asked for."""
    plan = Plan(WORDS, contents=(kind,), endings=(ending,))
    assert len(_scripts(plan, 30)) >= 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"contents": ("lnie",)}, "did you mean 'line'"),
        ({"endings": ("rest",)}, "did you mean 'reset'"),
        ({"contents": ("message",)}, "leave nothing to draw"),
        ({"endings": ()}, "leave nothing to draw"),
        ({"max_peers": 0}, "max_peers=0"),
    ],
)
def test_a_plan_that_cannot_be_drawn_is_refused(arguments: dict[str, object], said: str) -> None:
    """The error names the value and what is allowed."""
    with pytest.raises(UsageError) as refused:
        Plan(**arguments)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_swarms_differ_and_keep_to_a_few_faults() -> None:
    """Each batch has its own selection, at most four kinds of fault, and many have none."""
    random = Random(0)
    chosen = [swarm(PLANS["faults"], random).swarm for _ in range(60)]
    assert len(set(chosen)) == 60
    assert {bool(each.faults) for each in chosen if each} == {True, False}
    assert all(each is not None and len(each.faults) <= 4 and each.contents and each.endings for each in chosen)


def test_a_batch_draws_only_what_its_swarm_allows() -> None:
    """No fault and no ending from outside the selection."""
    plan = swarm(PLANS["faults"], Random(5))
    assert plan.swarm is not None
    driver = FastDriver(plan, Random(0))
    for _ in range(300):
        case = driver.next()
        assert {(fault.point, fault.effect) for fault in case.faults} <= set(plan.swarm.faults)
        assert plan.swarm.crowds or len(case.scripts) == 1
