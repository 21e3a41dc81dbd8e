"""What people type becomes values, or a message that says what to type instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.harness.case import POINTS, Fault
from handshaker.harness.errors import UsageError
from handshaker.harness.options import duration, escaped_bytes, fault


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
