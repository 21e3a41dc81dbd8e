"""The JSON form of plain data: nothing is lost on the way, equal data look alike, and damage is named."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import importlib
import json
import typing
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handshaker.harness import codec
from handshaker.harness.case import ACTIONS, ACTS, POINTS, Act, Case, Fault, Script, Step
from handshaker.harness.errors import CaseFileError, UsageError
from handshaker.harness.trace import Event, Header, Trace
from handshaker.harness.transports import CONCURRENCIES, FORMS, TRANSPORTS
from handshaker.harness.verdict import Confirmation, Finding, Level, Reach, Violation

words = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.binary(max_size=8)
details = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
mappings = st.dictionaries(words, details, max_size=3)
steps = st.builds(
    Step,
    action=st.sampled_from(sorted(ACTIONS)),
    data=st.binary(max_size=20),
    repeat=st.integers(0, 10**9),
    seconds=st.floats(0, 1e6),
    size=st.integers(0, 10**9),
)


def acts(peers: int) -> st.SearchStrategy[Act]:
    """Acts that a Case with so many peers may hold."""
    named = sorted(ACTS) if peers else sorted(set(ACTS) - {"play", "begin"})
    return st.builds(Act, st.sampled_from(named), st.integers(0, max(peers - 1, 0)), st.floats(0, 1e6))


scripts = st.lists(steps, max_size=4).flatmap(
    lambda chosen: st.builds(
        Script, st.just(tuple(chosen)), st.integers(0, len(chosen)), st.sampled_from(sorted(FORMS))
    )
)
faults = st.sampled_from([(point, effect) for point in POINTS for effect in POINTS[point]]).flatmap(
    lambda pair: st.builds(Fault, st.just(pair[0]), st.just(pair[1]), st.integers(1, 99))
)
cases = st.integers(0, 2).flatmap(
    lambda peers: st.builds(
        Case,
        st.lists(scripts, min_size=peers, max_size=peers).map(tuple),
        st.lists(faults, max_size=3).map(tuple),
        st.sampled_from(sorted(TRANSPORTS)),
        st.sampled_from(sorted(CONCURRENCIES)),
        st.lists(acts(peers), max_size=3).map(tuple),
    )
)
events = st.builds(
    Event,
    seq=st.integers(),
    time=st.floats(allow_nan=False),
    source=words,
    kind=words,
    connection=st.integers(),
    data=mappings,
)
MADE_BY_HAND = {
    Step: steps,
    Script: scripts,
    Fault: faults,
    Act: acts(3),
    Case: cases,
    Event: events,
    str: words,
    float: st.floats(allow_nan=False),
}

CASE = Case((Script((Step("send", b"GET /\r\n"), Step("half-close")), early=1),), (Fault("recv", "short", 2),))
FINDING = Finding("m:H", "io/x", Level.MUST, Reach.PEER, Violation("a", "b"), CASE)


PLAIN_MODULES = ("case", "trace", "contract", "verdict", "notices")


def plain_types() -> list[type]:
    """Every dataclass that the modules of plain data define, except bases that are never sent themselves."""
    modules = [importlib.import_module(f"handshaker.harness.{name}") for name in PLAIN_MODULES]
    public = [getattr(module, name) for module in modules for name in module.__all__]
    classes = dict.fromkeys(cls for cls in public if isinstance(cls, type) and dataclasses.is_dataclass(cls))
    return [cls for cls in classes if not cls.__subclasses__()]


PLAIN_TYPES = plain_types()


def anything(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Any value that an annotation of plain data allows."""
    if hint in MADE_BY_HAND:
        return MADE_BY_HAND[hint]
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is Mapping:
        return mappings
    if typing.get_origin(hint) is tuple:
        items = st.lists(anything(inner[0]), max_size=2).map(tuple)
        return items if inner[-1] is ... else st.tuples(*map(anything, inner))
    if inner:
        return st.one_of(*map(anything, inner))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.deferred(
            lambda: st.builds(hint, **{f.name: anything(hints[f.name]) for f in dataclasses.fields(hint)})
        )
    return st.from_type(hint)


def parts(value: object) -> typing.Iterator[object]:
    """The value and everything inside it, with sequences and dataclasses taken apart."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from parts(item)


@pytest.mark.parametrize("cls", PLAIN_TYPES, ids=lambda cls: cls.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_round_trip(cls, data):
    """Every plain value comes back from its document equal, and with the same types inside."""
    value = data.draw(anything(cls))
    back = codec.loads(cls, codec.dumps(value), where="here")
    assert back == value
    assert [type(part) for part in parts(back)] == [type(part) for part in parts(value)]


@pytest.mark.parametrize("cls", PLAIN_TYPES, ids=lambda cls: cls.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_digest_survives_the_round_trip(cls, data):
    """A value read back from a file has the digest of the value that was written."""
    value = data.draw(anything(cls))
    digest = codec.digest(value)
    assert codec.digest(codec.loads(cls, codec.dumps(value), where="here")) == digest
    assert len(digest) == 12
    assert int(digest, 16) >= 0


def test_every_plain_type_is_covered():
    """The types named by the design are all among those that are tried here."""
    names = {cls.__name__ for cls in PLAIN_TYPES}
    assert names >= {"Step", "Script", "Fault", "Case", "Event", "Header", "Trace", "Contract", "Violation", "Verdict"}
    assert names >= {"Confirmation", "Finding", "CampaignStarted", "CampaignFinished", "FindingReady", "Progress"}


@pytest.mark.parametrize("cls", PLAIN_TYPES, ids=lambda cls: cls.__name__)
def test_plain_types_are_frozen_and_slotted(cls):
    """Plain data cannot be changed after it was made, and carries nothing but its fields."""
    assert cls.__dataclass_params__.frozen
    assert "__slots__" in vars(cls)


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (Step("send", b"abc"), "f64180586b6f"),
        (CASE, "cfdac4a8442f"),
        (FINDING, "bbf34fcf0012"),
        (Header("m:H"), "0f0d356e48ba"),
    ],
    ids=["Step", "Case", "Finding", "Header"],
)
def test_digests_are_pinned(value, digest):
    """Digests name saved files, so they stay what they were in every version."""
    assert codec.digest(value) == digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Step("pause", seconds=2), Step("pause", seconds=2.0)),
        (Step("pause", seconds=0), Step("pause")),
        (Step("pause", seconds=-0.0), Step("pause", seconds=0.0)),
        (Confirmation("memory", seen=3, played=3), Confirmation("memory", 3, 3, "")),
    ],
)
def test_equal_values_have_equal_digests(one, other):
    """How a value was spelt (2 or 2.0, given or left to the default) does not show in its digest."""
    assert one == other
    assert codec.digest(one) == codec.digest(other)


@given(steps, steps)
def test_different_steps_have_different_digests(one, other):
    """Two Steps share a digest exactly when they are equal."""
    assert (codec.digest(one) == codec.digest(other)) == (one == other)


def test_case_documents_can_be_read_by_people():
    """A saved Case shows its bytes as text and leaves out what is default."""
    assert json.loads(codec.dumps(CASE)) == {
        "format": "handshaker/1",
        "kind": "case",
        "case": {
            "scripts": [{"steps": [{"action": "send", "data": "GET /\r\n"}, {"action": "half-close"}], "early": 1}],
            "faults": [{"point": "recv", "effect": "short", "nth": 2}],
        },
    }


def test_documents_are_plain_ascii():
    """A document survives every editor and every locale: bytes above 127 and signs are written as escapes."""
    text = codec.dumps(
        Case(
            (Script((Step("send", bytes(range(256))),)),),
        )
    )
    assert text.isascii()
    assert codec.loads(Case, text, where="here").scripts[0].payload == bytes(range(256))


def document(**changes: object) -> str:
    """A document of CASE with some of its envelope or fields replaced."""
    whole = json.loads(codec.dumps(CASE))
    envelope = {name: changes.pop(name) for name in tuple(changes) if name in whole}
    whole["case"].update(changes)
    return json.dumps(whole | envelope)


def one_step(**changes: object) -> str:
    """A document with a single Step, some of whose fields are replaced."""
    return document(scripts=[{"steps": [{"action": "send"} | changes]}])


THERE = "field 'scripts[0].steps[0]"
DAMAGED = {
    "no JSON": ("{", "not JSON"),
    "cut short": (codec.dumps(CASE)[:-20], "not JSON"),
    "no object": ("[1]", "field 'format'"),
    "another program's file": ('{"format": "other/1"}', "field 'format'"),
    "newer": (document(format="handshaker/2"), "field 'format': 'handshaker/2' cannot be read"),
    "another kind": (document(kind="finding"), "field 'kind': expected 'case', found 'finding'"),
    "no body": ('{"format": "handshaker/1", "kind": "case"}', "field 'kind'"),
    "body no object": (document(case=[1]), "field '(the whole document)': expected an object for Case, found [1]"),
    "unknown field": (document(colour="red"), "field 'colour': unknown; Case has scripts, faults, transport"),
    "wrong type": (document(transport=6), "field 'transport': expected str, found 6"),
    "no list": (document(scripts={}), "field 'scripts': expected a list, found {}"),
    "missing": (document(scripts=[{"steps": [{}]}]), f"{THERE}.action': missing; Step needs it"),
    "unknown action": (one_step(action="sent"), f"{THERE}': unknown action 'sent'; did you mean 'send'"),
    "no byte": (one_step(data="a€"), f"{THERE}.data': character '€' is not a byte (0 to 255)"),
    "no text": (one_step(data=1), f"{THERE}.data': expected text, one character per byte, found 1"),
    "true is no int": (document(scripts=[{"early": True}]), "field 'scripts[0].early': expected int, found True"),
    "too early": (document(scripts=[{"early": 1}]), "field 'scripts[0]': early must lie between 0 and 0"),
    "not a number": (one_step(seconds=float("nan")), f"{THERE}': repeat, size and seconds of 'send' must not be"),
    "unknown point": (document(faults=[{"point": "recv", "effect": "x"}]), "field 'faults[0]': recv cannot suffer 'x'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_named_with_their_field(text, problem):
    """A file that cannot be read gives one line with the file, the field, and what is wrong with it."""
    with pytest.raises(CaseFileError) as caught:
        codec.loads(Case, text, where="saved/9f3a.json")
    assert str(caught.value).startswith(f"saved/9f3a.json: {problem}")
    assert "\n" not in str(caught.value)


def one_event(data: object) -> dict[str, object]:
    """The JSON value of a Trace with a single Event."""
    return {"header": {}, "events": [{"seq": 0, "time": 0.0, "source": "s", "kind": "k", "data": data}]}


@pytest.mark.parametrize(
    ("cls", "value", "problem"),
    [
        (Finding, codec.encode(FINDING) | {"level": "x"}, "field 'level': expected one of 'must', 'should'; found 'x'"),
        (Finding, codec.encode(FINDING) | {"contrast": 1}, "field 'contrast': expected an object for Case, found 1"),
        (Trace, one_event(1), "field 'events[0].data': expected an object, found 1"),
        (Trace, one_event({"d": {"bytes": "€"}}), "field 'events[0].data.d': character '€' is not a byte"),
    ],
)
def test_damage_inside_other_types_is_named_too(cls, value, problem):
    """Choices, optional fields and open details say what they expect, and where."""
    with pytest.raises(CaseFileError, match=r"^trace\.json: ") as caught:
        codec.decode(cls, value, where="trace.json")
    assert problem in str(caught.value)


def test_endless_nesting_is_damage():
    """A document that is nested thousands of levels deep is refused like any other damage."""
    deep: object = ()
    for _ in range(5000):
        deep = [deep]
    event = {"seq": 0, "time": 0, "source": "s", "kind": "k", "data": {"d": deep}}
    with pytest.raises(CaseFileError, match="nested more deeply"):
        codec.decode(Event, event, where="x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(sorted(ACTIONS)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["steps", "action", "bytes"]) | words, inner)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("cls", PLAIN_TYPES, ids=lambda cls: cls.__name__)
@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_one_error(cls, data):
    """Whatever stands in a field, reading gives a value or a CaseFileError, never another exception."""
    fields = st.sampled_from([field.name for field in dataclasses.fields(cls)])
    body = data.draw(st.dictionaries(fields, json_values, max_size=3) | json_values)
    with contextlib.suppress(CaseFileError):
        assert isinstance(codec.decode(cls, body, where="here"), cls)


def test_damage_is_the_users_to_repair():
    """A damaged file is a usage error, so the command line answers with one message and exit code 2."""
    assert issubclass(CaseFileError, UsageError)


def test_only_plain_data_is_written():
    """An object that is no plain data is refused loudly instead of being written as its repr."""
    with pytest.raises(TypeError, match="is not plain data"):
        codec.encode({"x": object()})


def test_enumerations_come_back_as_enumerations():
    """A level read from a file is a Level, not a text that happens to be equal to one."""
    back = codec.loads(Finding, codec.dumps(FINDING), where="here")
    assert isinstance(back.level, enum.Enum)
    assert back.reach is Reach.PEER
