"""A Case and its parts: what they refuse, what they send, and how short they are on screen."""

from __future__ import annotations

import dataclasses
import re

import pytest

from handshaker.harness.case import ACTIONS, EFFECTS, EXCEPTIONS, POINTS, Case, Fault, Script, Step, show_bytes


@pytest.mark.parametrize(
    ("data", "repeat", "shown"),
    [
        (b"", 1, "b''"),
        (b"GET\r\n", 1, r"b'GET\r\n'"),
        (b"a", 2_000_000, "b'a' * 2,000,000"),
        (b"ab", 0, "b'ab' * 0"),
        (bytes(60), 1, repr(bytes(60))),
        (b"x" * 61, 1, f"b'{'x' * 60}'... (61 bytes)"),
    ],
)
def test_bytes_are_shown_as_a_short_expression(data, repeat, shown):
    """Bytes are escaped, cut after sixty, and keep their repeat count."""
    assert show_bytes(data, repeat) == shown


def test_a_step_sends_its_data_repeated():
    """The payload is the data as often as `repeat` says."""
    assert Step("send", b"ab", repeat=3).payload == b"ababab"
    assert Step("send", b"ab").payload == b"ab"
    assert Step("send", b"ab", repeat=0).payload == b""


def test_a_script_sends_only_what_its_send_steps_send():
    """Data that stands in another action is not part of what the peer sends."""
    script = Script((Step("send", b"a", 2), Step("expect", b"no", size=1), Step("half-close"), Step("send", b"b")))
    assert script.payload == b"aab"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step("sned"), "unknown action 'sned'; did you mean 'send'"),
        (lambda: Step("send", repeat=-1), "must not be negative"),
        (lambda: Step("expect", size=-1), "must not be negative"),
        (lambda: Step("pause", seconds=-0.1), "must not be negative"),
        (lambda: Step("pause", seconds=float("inf")), "or endless"),
        (lambda: Step("pause", seconds=float("nan")), "or endless"),
        (lambda: Script((Step("close"),), early=2), "early must lie between 0 and 1, the number of steps; found 2"),
        (lambda: Script(early=-1), "early must lie between 0 and 0"),
        (lambda: Fault("handle.entry", "OSError"), "unknown fault point 'handle.entry'; did you mean 'handle.enter'"),
        (lambda: Fault("recv", "fals"), "recv cannot suffer 'fals'"),
        (lambda: Fault("setup.enter", "false"), "setup.enter cannot suffer 'false'"),
        (lambda: Fault("recv", "short", 0), "nth counts from 1; found 0"),
    ],
)
def test_impossible_parts_are_refused(make, message):
    """A part that could never be played is refused with the value, the rule, and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Step("send", b"a", 3), "send(b'a' * 3)"),
        (Step("expect", size=4, seconds=0.5), "expect(4 bytes, 0.5 s)"),
        (Step("half-close"), "half-close()"),
        (Script(), "connect"),
        (Script((Step("send", b"a"), Step("reset")), early=1), "connect, send(b'a'), (accepted), reset()"),
        (Fault("recv", "short", 2), "recv #2: short"),
        (Case((Script(),), (Fault("recv", "short"),)), "Case(peer 0: connect; fault recv #1: short)"),
    ],
)
def test_reprs_read_like_sentences(value, shown):
    """What a person sees is what the peers do, in order."""
    assert repr(value) == shown


@pytest.mark.parametrize("data", [bytes(2_000_000), b"\n" * 70_000, b"x" * 61], ids=["nul", "newlines", "letters"])
@pytest.mark.parametrize("repeat", [1, 10**9])
def test_reprs_stay_short_whatever_is_sent(data, repeat):
    """Megabytes of payload add at most a few hundred characters to a screen."""
    step = Step("send", data, repeat)
    assert len(repr(step)) < 300
    assert len(repr(Case((Script((step, step)),)))) < 700


@pytest.mark.parametrize("value", [Step("send"), Script(), Fault("recv", "short"), Case()])
def test_values_can_be_hashed_and_not_changed(value):
    """Equal values count once in a set, and no field can be set."""
    assert {value, dataclasses.replace(value)} == {value}
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)


def test_every_effect_can_be_made_and_belongs_to_a_point():
    """The tables agree: each point takes each of its effects, and EFFECTS is all of them."""
    made = [Fault(point, effect) for point in POINTS for effect in POINTS[point]]
    assert {fault.effect for fault in made} == set(EFFECTS)
    assert set(EXCEPTIONS) < set(EFFECTS)


def test_every_action_has_a_sentence_and_can_be_made():
    """An action of the table is accepted and explained."""
    assert all(Step(action).action == action and sentence for action, sentence in ACTIONS.items())


def test_digest_depends_on_everything_that_is_played():
    """Two Cases share a digest only when peers, faults and transport are the same."""
    base = Case((Script((Step("send", b"a"),)),))
    others = [
        Case((Script((Step("send", b"b"),)),)),
        Case((Script((Step("send", b"a"),), early=1),)),
        dataclasses.replace(base, faults=(Fault("recv", "short"),)),
        dataclasses.replace(base, scripts=base.scripts * 2),
        dataclasses.replace(base, transport="tcp6"),
    ]
    assert len({case.digest for case in (base, *others)}) == 6
    assert dataclasses.replace(base).digest == base.digest
