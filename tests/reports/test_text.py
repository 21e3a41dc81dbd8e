"""Text that is safe to print."""

from __future__ import annotations

import ast
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshaker.reports.text import clean, dotted, line, paint, plural, rule, show
from tests.reports.samples import HOSTILE_TEXT


@given(st.text())
def test_clean_leaves_nothing_that_acts(text: str) -> None:
    """Whatever goes in, no control, format, surrogate or line-separating character comes out."""
    assert not {unicodedata.category(char) for char in clean(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_clean_escapes_visibly() -> None:
    """What was escaped can be read, and ordinary text of any script stays as it is."""
    assert clean(HOSTILE_TEXT).startswith("\\x1b[2J\\x1b]0;owned\\x07[bold red]\\r\\n[/]\\x9b31m\\u202e\\u2028\\ud800")
    assert clean("größe 大 [b]") == "größe 大 [b]"


def test_clean_cuts() -> None:
    """Two megabytes become one short text that says how long it was."""
    assert clean("x" * 2_000_000).endswith("xxx... (2,000,000 characters)")
    assert len(clean("x" * 2_000_000)) < 700


@given(st.binary(), st.integers(40, 120), st.integers(1, 10**6))
def test_show_fits(data: bytes, room: int, repeat: int) -> None:
    """Bytes fit their room, and what is shown is the start of the data or all of it."""
    text = show(data, room, repeat)
    assert len(text) <= room
    literal, cut, _ = text.partition("...")
    shown = ast.literal_eval(literal.partition(" * ")[0] if not cut else literal)
    assert data.startswith(shown)
    assert cut or shown == data


@pytest.mark.parametrize(
    ("data", "repeat", "room", "text"),
    [
        (b"a\n", 1, 40, "b'a\\n'"),
        (b"a", 2_000_000, 40, "b'a' * 2,000,000"),
        (b"a" * 70_000, 1, 40, "b'" + "a" * 19 + "'... (70,000 bytes)"),
        (b"a" * 70_000, 1, 20, "b'" + "a" * 14 + "'..."),
    ],
)
def test_show(data: bytes, repeat: int, room: int, text: str) -> None:
    """Bytes are shown as Python writes them, cut with their number where there is room for it."""
    assert show(data, room, repeat) == text


def test_paint() -> None:
    """Styles become colour codes only when colour is wanted."""
    spans = line("a ", ("b", "must"), ("  ", "dim"))
    assert paint(spans, color=False) == "a b"
    assert paint(spans, color=True) == "a \x1b[1;31mb\x1b[0m  "


def test_small_helpers() -> None:
    """Counts agree with their nouns, rules have the width of the screen, lists break between items."""
    assert (plural(1, "case"), plural(1200, "case")) == ("1 case", "1,200 cases")
    assert len(paint(rule("summary", 60), color=False)) == 60
    assert dotted(["a" * 10, "b" * 10, "c"], 23) == ["aaaaaaaaaa · bbbbbbbbbb", "c"]
