"""The tables that everything is built on agree with each other."""

from __future__ import annotations

import pytest

from handshaker.harness.contract import (
    BUFFERED_READER,
    BUFFERED_WRITER,
    CONCURRENT_PATH,
    LIFECYCLE,
    SERVER_PATH,
    Contract,
)
from handshaker.harness.notices import NOTICES, CampaignFinished
from handshaker.harness.vocabulary import HOOKS, KINDS, SERVER_HOOKS

TABLES = {"LIFECYCLE": LIFECYCLE, "SERVER_PATH": SERVER_PATH, "CONCURRENT_PATH": CONCURRENT_PATH}


def reachable(table: dict[str, dict[str, str]], start: str) -> set[str]:
    """The states that can be reached from *start*."""
    seen = {start}
    while new := {after for state in seen for after in table[state].values()} - seen:
        seen |= new
    return seen


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_contract_tables_speak_the_vocabulary(table):
    """Every step of a contract is a kind of Event that can be recorded."""
    assert {kind for steps in table.values() for kind in steps} <= set(KINDS)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_can_be_reached(table):
    """The first state leads to all others, and no step leads to a state that has no row."""
    assert reachable(table, next(iter(table))) == set(table)


@pytest.mark.parametrize(
    ("table", "end"), [(LIFECYCLE, "dead"), (SERVER_PATH, "stopped"), (CONCURRENT_PATH, "stopped")], ids=TABLES
)
def test_the_end_is_the_end(table, end):
    """Exactly one state has no way out."""
    assert [state for state, steps in table.items() if not steps] == [end]


@pytest.mark.parametrize("hook", [*HOOKS, *SERVER_HOOKS])
def test_every_hook_can_be_entered_left_and_fail(hook):
    """What runs user code is recorded at both edges and when it raises."""
    assert {f"{hook}.{edge}" for edge in ("enter", "leave", "raise")} <= set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_kinds_name_their_details_once_and_explain_themselves(name):
    """No field is named twice, the payload is no field, and a sentence says what happened."""
    kind = KINDS[name]
    details = [*kind.fields, *([kind.payload] if kind.payload else [])]
    assert len(details) == len(set(details))
    assert kind.source in {"peer", "handler", "server", "socket", "network", "probe", "owner"}
    assert kind.sentence


def test_notices_are_known_by_their_kind():
    """The word in JSON lines leads back to the class, and no two classes share one."""
    assert all(cls.kind == kind for kind, cls in NOTICES.items())
    assert NOTICES["campaign-finished"] is CampaignFinished
    assert "notice" not in NOTICES


def test_buffered_files_have_methods_of_their_own():
    """Readers do not write and writers do not read."""
    assert set(BUFFERED_READER) & set(BUFFERED_WRITER) == {"close", "closed"}


def test_a_contract_promises_little_by_default():
    """Nothing is assumed about a handler unless it is known or declared."""
    assert Contract() == Contract("stream", (), None, 0, -1)
    assert not Contract().stateless
    assert Contract().allowed_exceptions == ()
