"""What is shown is small: bytes are cut together with the number that says how many they are, in few tries."""

from __future__ import annotations

import pytest

from handshaker.harness.campaign.reduce import reduce_case
from handshaker.harness.case import Case, Script, Step

HALF_CLOSE = Step("half-close")


def modbus(data: bytes) -> bool:
    """A length of two bytes, that many bytes, and an answer to a function above 127 that cannot be packed."""
    length = int.from_bytes(data[4:6], "big")
    return length >= 2 and len(data) >= 6 + length and data[7] >= 0x80


def little(data: bytes) -> bool:
    """A length of four bytes in little-endian order, at the very beginning."""
    length = int.from_bytes(data[:4], "little")
    return length >= 3 and len(data) >= 4 + length


def reduced(step: Step, shows) -> tuple[bytes, int]:
    """All that is sent in the smallest Case whose bytes *show* it, and after how many tries."""

    def violates(case: Case) -> bool:
        return shows(b"".join(each.data * each.repeat for script in case.scripts for each in script.steps))

    smallest, tried = reduce_case(Case((Script((step, HALF_CLOSE)),)), violates)
    [script] = smallest.scripts
    return script.payload, tried


@pytest.mark.parametrize(
    ("step", "shows", "smallest"),
    [
        (Step("send", b"\x80", 32_902), modbus, b"aaaa\x00\x02a\x80"),
        (Step("send", b"\x80" * 32_902), modbus, b"aaaa\x00\x02a\x80"),
        (Step("send", b"\xff", 65_541), modbus, b"aaaa\x00\x02a\xff"),
        (Step("send", b"\x00\x01\x00\x00\x01\x00\x03" + b"\x90" * 255), modbus, b"aaaa\x00\x02a\x90"),
        (Step("send", b"\x10\x27\x00\x00" + b"data" * 2_500), little, b"\x03\x00\x00\x00aaa"),
    ],
)
def test_bytes_are_cut_together_with_their_length(step, shows, smallest):
    """A message whose length field says how long it is comes out as its shortest form, written once or repeated."""
    found, tried = reduced(step, shows)
    assert found == smallest
    assert tried < 400


def test_a_long_payload_is_not_cut_byte_by_byte_before_anything_else_was_tried():
    """The tries are few: of what is long large pieces go first, so its beginning is still made simple."""
    start = Step("send", b"\x01\x02\x03" + bytes(range(1, 251)) * 40)
    found, tried = reduced(start, lambda data: len(data) >= 10_000 and data[2:3] == b"\x03")
    assert found[:8] == b"aa\x03aaaaa"
    assert tried <= 600
    assert len(found) < 10_200


@pytest.mark.parametrize("payload", [b"\x00", b"\x00\x00", b"\x01a", b"\x00\x01a", b"a" * 16])
def test_a_payload_that_cannot_be_smaller_stays(payload):
    """A length of nothing has nothing to lower."""
    assert reduced(Step("send", payload), lambda data: data == payload)[0] == payload
