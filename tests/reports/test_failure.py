"""The failure block."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from handshaker.harness.case import Act, Case, Script
from handshaker.harness.notices import FindingReady
from handshaker.harness.verdict import Confirmation, Level, Reach
from handshaker.reports.failure import confirmation_text, failure_text, finding_order
from tests.goldens import check_golden
from tests.reports import samples


@pytest.mark.parametrize(
    ("name", "ready", "width"),
    [
        ("failure-raised.txt", samples.RAISED, 100),
        ("failure-relation.txt", samples.RELATION, 100),
        ("failure-relation-narrow.txt", samples.RELATION, 70),
        ("failure-history.txt", samples.HISTORY, 100),
        ("failure-long.txt", samples.SETUP, 100),
    ],
)
def test_golden(name: str, ready: FindingReady, width: int) -> None:
    """The block of each kind of finding looks exactly as it was agreed."""
    check_golden(name, failure_text(ready, width=width))


def test_golden_color() -> None:
    """With colour the block holds the same words between colour codes."""
    text = failure_text(samples.RAISED, color=True)
    check_golden("failure-color.txt", text.replace("\x1b", "<ESC>"))
    assert "\x1b" not in failure_text(samples.RAISED)


def test_parts_come_in_order() -> None:
    """Every part of a block stands where the reader expects it, with and without a history."""
    ready = replace(samples.RELATION, finding=replace(samples.RAISED.finding, history=(Case(), Case())))
    text = failure_text(ready)
    parts = [
        "handler/raises", "MUST", "requirement", "source", "happened", "expected", "actual", "smallest case", "code",
        "history", "confirmation", "also breaks", "replay ", "accept ", "silence ",
    ]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_trace_is_optional() -> None:
    """A Notice that holds nothing but the finding still gives a whole block with a replay line that works."""
    text = failure_text(FindingReady(samples.RELATION.finding))
    assert "no trace was kept" in text
    assert "send(b'ing\\r\\n')" in text
    assert "replay   handshaker run myapp:Handler --seed 42" in text


def test_witness_is_short() -> None:
    """Of many witness events the first and the last are shown, with the number of those between."""
    everything = replace(samples.RAISED.finding.violation, witness=tuple(range(34)))
    text = failure_text(replace(samples.RAISED, finding=replace(samples.RAISED.finding, violation=everything)))
    happened = text[text.index("happened") : text.index("expected")]
    assert len(happened.splitlines()) == 7 + 1
    assert "get_request.enter" in happened
    assert "... 28 more events ..." in happened
    assert "server.closed" in happened


def test_replay_line_names_what_exists() -> None:
    """The replay line is the finding's own when it has one, the saved finding's id, else the run that found it."""
    finding = samples.RAISED.finding
    own = failure_text(FindingReady(replace(finding, replay="pytest tests/x.py::test")))
    assert "  replay   pytest tests/x.py::test\n" in own
    assert f"  replay   handshaker replay {finding.id}\n" in failure_text(FindingReady(finding, saved="x.json"))
    assert "  replay   handshaker run myapp:Handler --seed 42\n" in failure_text(FindingReady(finding))


def test_accept_line_is_for_exceptions() -> None:
    """Only a finding that a declared exception ends says how to declare it, in the form that the option takes."""
    assert "--allow-exception builtins:ValueError" in failure_text(samples.RAISED)
    assert "accept" not in failure_text(samples.SETUP)
    assert "accept" not in failure_text(samples.RELATION)


def test_commands_are_whole() -> None:
    """However narrow the screen, a command stays on one line, quoted for the shell."""
    lines = failure_text(samples.SETUP, width=60).splitlines()
    command = "handshaker run 'my app.py:Handler' --exclude-invariants lifecycle/setup-cleanup"
    assert f"  silence  {command}" in lines


def test_commands_repeat_what_was_declared() -> None:
    """What the target needs to be hosted and judged stands on the command line, ready for the shell."""
    settings = {
        "factory": "my app:make",
        "stateless": True,
        "example": b"ping 'x'\r\n",
        "allowed_exceptions": ("a:B", "c:D"),
        "loader": {"test": "x"},
        "reset": "",
    }
    finding = replace(samples.RAISED.finding, settings=settings)
    [silence] = [row for row in failure_text(FindingReady(finding)).splitlines() if row.startswith("  silence")]
    assert shlex.split(silence)[1:] == [
        "handshaker", "run", "myapp:Handler", "--factory", "my app:make", "--stateless", "--example",
        "ping 'x'\\r\\n", "--allow-exception", "a:B", "--allow-exception", "c:D",
        "--exclude-invariants", "handler/raises",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("ready", [samples.RAISED, samples.RELATION, samples.SETUP, samples.HISTORY])
def test_width_is_kept(ready: FindingReady, width: int) -> None:
    """No line but the commands is longer than the screen is wide."""
    for text in failure_text(ready, width=width).splitlines():
        command = text.lstrip().startswith(("replay ", "accept ", "silence "))
        assert command or len(text) <= width, text


def test_relation_shows_both_replies_side_by_side() -> None:
    """A relation finding shows both Cases on the same lines, each with its reply."""
    text = failure_text(samples.RELATION, width=120)
    [row] = [row for row in text.splitlines() if "send(b'p')" in row]
    assert "send(b'ping\\r\\n')" in row
    assert "gets b'unknown command: p\\r\\n'" in text
    assert "gets b'pong\\r\\n', then eof" in text


MEMORY = Confirmation("memory", 3, 3)


@pytest.mark.parametrize(
    ("confirmations", "nondeterministic", "text"),
    [
        ((), False, "not confirmed: it was not played again"),
        ((MEMORY, Confirmation("loopback", 3, 3)), False, "confirmed 3/3 on loopback"),
        ((MEMORY, Confirmation("loopback", 2, 3)), False, "seen 2/3 on loopback"),
        ((MEMORY, Confirmation("loopback", 0, 3, "no thread")), False, "memory only: no thread (3/3 in memory)"),
        (
            (MEMORY, Confirmation("loopback", 0, 3)),
            False,
            "memory only: it did not show in 3 replays on loopback (3/3 in memory)",
        ),
        ((MEMORY,), False, "memory only: it was not tried on loopback (3/3 in memory)"),
        ((Confirmation("memory", 0, 3),), False, "seen 0/3 on memory"),
        ((Confirmation("memory", 2, 5),), True, "nondeterministic (2 of 5); never fails a run by itself"),
        ((), True, "nondeterministic"),
    ],
)
def test_confirmation(confirmations: tuple[Confirmation, ...], nondeterministic: bool, text: str) -> None:
    """A finding says how often and where it came back."""
    finding = replace(samples.RAISED.finding, confirmations=confirmations, nondeterministic=nondeterministic)
    assert confirmation_text(finding) == text


def test_order() -> None:
    """MUST stands before SHOULD; within a level peer, timing, injected, misuse."""
    finding = samples.RAISED.finding
    wanted = [replace(finding, level=level, reach=reach) for level in Level for reach in Reach]
    shuffled = [*wanted[5:], *wanted[:2], *wanted[2:5]]
    assert sorted(shuffled, key=finding_order) == wanted


def test_hostile_text_is_harmless() -> None:
    """Escape codes, line breaks, markup and megabytes in any field leave only short printable lines."""
    text = failure_text(samples.HOSTILE)
    assert all(row.isprintable() for row in text.splitlines())
    assert "[bold red]" in text
    assert "\\x1b[2J" in text
    assert len(text) < 20_000
    assert len(text.splitlines()) < 80


@pytest.mark.parametrize(
    ("scripts", "owner", "told"),
    [((Script(),), (Act("serve"), Act("play")), True), ((), (Act("close"),), False), ((Script(),), (), False)],
)
def test_a_case_of_peers_and_an_owner_says_that_it_needs_both(scripts, owner, told) -> None:
    """Where peers alone cannot do it, the line that says who can does not read as if they could."""
    finding = replace(samples.RAISED.finding, case=Case(scripts, owner=owner))
    text = failure_text(replace(samples.RAISED, finding=finding))
    assert ("it needs what the server's owner does" in text) is told


def test_what_was_not_played_again_is_not_said_to_need_what_came_before_it() -> None:
    """Whether a finding needs the connections before it is known only once it was tried."""
    finding = replace(samples.RAISED.finding, history=(Case((Script(),)),))
    assert "needs 1 connection before it in the same process" in failure_text(FindingReady(finding))
    assert "seen after 1 connection in the same process" in failure_text(
        FindingReady(replace(finding, confirmations=()))
    )
