"""A task can fork a call that needs fresh state, and learns how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handshaker.harness.processes.stacks import stack_frames
from handshaker.harness.processes.supervisor import Supervisor

HERE = str(Path(__file__).parent)
Play = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor.start("process_tasks:nothing", {}, path=(HERE,), preload=("process_tasks",)) as supervisor:
        yield supervisor


@pytest.fixture
def play(supervisor: Supervisor) -> Play:
    def play(task: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        result = supervisor.run(f"process_tasks:{task}", {}, on_message=messages.append)
        result.raise_if_failed()
        assert result.status == "done"
        return messages

    return play


def test_each_call_starts_from_the_same_state(play: Play) -> None:
    """What one call changes, the next one does not see; each one's value comes back."""
    first, second = play("fork_calls")
    assert (first["status"], first["value"]) == ("done", {"calls": 1})
    assert second["value"] == {"calls": 2}


def test_a_call_may_die(play: Play) -> None:
    """A call that ends its process has died, also with status 0; a crash comes with its stack."""
    quiet, killed, crashed = play("fork_deaths")
    assert (quiet["status"], quiet["exit"], quiet["signal"]) == ("died", 0, "")
    assert (killed["status"], killed["signal"]) == ("died", "SIGKILL")
    assert (crashed["status"], crashed["signal"]) == ("died", "SIGSEGV")
    assert "_answer" in [frame.function for frame in stack_frames(crashed["stack"])]


def test_a_call_may_hang(play: Play) -> None:
    """A call that exceeds a limit is killed; its own stack, and only its own, is given."""
    spinning, waiting, late = play("fork_hangs")
    assert (spinning["status"], spinning["reason"]) == ("hung", "cpu")
    assert stack_frames(spinning["stack"])[0].function == "_spin"
    assert (waiting["reason"], late["reason"]) == ("silent", "total")
    assert "_wait" in waiting["stack"]
    assert "_spin" not in waiting["stack"]


def test_a_call_that_raises_or_returns_no_data_has_failed(play: Play) -> None:
    """An exception, a result that is no JSON value, and sending a message are failures; a large result is none."""
    raised, no_data, sent, big = play("fork_odd_ends")
    assert (raised["status"], raised["error"]) == ("failed", "no luck")
    assert (no_data["status"], "not JSON serializable" in no_data["error"]) == ("failed", True)
    assert (sent["status"], "cannot send messages" in sent["error"]) == ("failed", True)
    assert big == {"size": 2_000_000}


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waiting for another's process needs a pidfd (Linux)")
def test_what_a_call_started_ends_with_it(play: Play) -> None:
    """A program that a call left running is killed when the call has ended."""
    assert play("fork_leftovers") == [{"gone": True}]
