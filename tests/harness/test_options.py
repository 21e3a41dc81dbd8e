"""What people type becomes values, or a message that says what to type instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.harness.case import POINTS, Act, Fault
from handshaker.harness.errors import UsageError
from handshaker.harness.options import act, duration, escaped_bytes, fault, plain_target


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("10m", 600), ("8h", 28_800), ("1.5 s", 1.5), ("7", 7), (" 2m ", 120)],
)
def test_durations_take_units(text, seconds):
    """A duration is a number with a unit; seconds when there is none."""
    assert duration(text, "--max-time") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "1s2", "s"])
def test_other_durations_are_refused_by_name(text):
    """What is no duration is shown with the option and with examples that are."""
    with pytest.raises(UsageError, match=r"--max-time.*10m or 8h"):
        duration(text, "--max-time")


@given(st.binary())
def test_every_byte_string_can_be_typed(data):
    """The Python expression of any bytes, without its quotes, is read back as these bytes."""
    assert escaped_bytes(repr(data + b"'")[2:-1], "--send") == data + b"'"


def test_text_is_sent_as_utf_8():
    """A letter that is typed as it is stands for its UTF-8 bytes."""
    assert escaped_bytes("é\\r\\n", "--send") == b"\xc3\xa9\r\n"


@given(st.sampled_from([(point, effect) for point in POINTS for effect in POINTS[point]]), st.integers(1, 99))
def test_every_fault_can_be_typed(kind, nth):
    """POINT=EFFECT@NTH is that fault; without @NTH it is the first time."""
    point, effect = kind
    assert fault(f"{point}={effect}@{nth}") == Fault(point, effect, nth)
    assert fault(f"{point}={effect}") == Fault(point, effect)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recv", "POINT=EFFECT"),
        ("recv=short@", "POINT=EFFECT"),
        ("recv=short@0", "nth counts from 1"),
        ("rcv=short", "did you mean 'recv'"),
        ("recv=shrt", "did you mean 'short'"),
        ("setup.enter=short", "setup.enter cannot suffer 'short'"),
    ],
)
def test_other_faults_are_refused_with_what_is_allowed(text, said):
    """What is no fault is refused with the point or effect that was probably meant."""
    with pytest.raises(UsageError, match=said):
        fault(text)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("./server.py", "server.py"),
        ("./a/../server.py:Handler", "server.py:Handler"),
        ("package.module:Handler", "package.module:Handler"),
        ("/srv//app.py:make.handler", "/srv/app.py:make.handler"),
        ("server", "server"),
    ],
)
def test_one_file_is_one_target_however_its_path_is_spelt(typed: str, told: str) -> None:
    """What was saved about a file is found again when its path is typed another way."""
    assert plain_target(typed) == told


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("serve", Act("serve")),
        ("play:1", Act("play", peer=1)),
        (" begin:0 ", Act("begin")),
        ("handle", Act("handle")),
        ("handle:500ms", Act("handle", seconds=0.5)),
        ("exit", Act("exit")),
    ],
)
def test_acts_of_the_owner_are_typed_by_their_names(text, meant):
    """An act is its name, with the number of its peer or the time it may wait."""
    assert act(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serv", "did you mean 'serve'"),
        ("play", "write play:0 for the first peer"),
        ("begin:x", "write begin:0 for the first peer"),
        ("shutdown:1", "shutdown takes no value"),
        ("handle:soon", "'soon' is not a duration"),
    ],
)
def test_other_acts_are_refused_with_what_to_write(text, said):
    """What is no act is refused with what was probably meant."""
    with pytest.raises(UsageError, match=said):
        act(text)


@pytest.mark.parametrize(
    ("typed", "told"), [("play:1", Act("play", 1)), ("play(1)", Act("play", 1)), ("serve()", Act("serve"))]
)
def test_an_act_is_typed_as_it_is_shown(typed: str, told: Act) -> None:
    """What a Case shows of its owner can be typed again."""
    assert act(typed) == told
