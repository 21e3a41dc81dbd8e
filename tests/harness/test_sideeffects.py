"""What a handler does to the world outside its connection is said once, and traffic to other machines is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handshaker.harness.processes.sideeffects import MOST_DETAILS
from handshaker.harness.processes.supervisor import Supervisor
from tests.harness.command_line import ECHO, handshaker

HERE = str(Path(__file__).parent)
LOCAL = f"""
import os, pathlib
{ECHO}
PATH = str(pathlib.Path(__file__).parent / "own.sock")

class Server(socketserver.UnixStreamServer):
    def server_bind(self):
        if os.path.exists(PATH):
            os.unlink(PATH)
        super().server_bind()

def server():
    return Server(PATH, Echo)
"""
Attempt = Callable[[str], tuple[list[list[str]], list[str]]]


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor.start("process_tasks:nothing", {}, path=(HERE,), preload=("sideeffect_tasks",)) as supervisor:
        yield supervisor


@pytest.fixture
def attempt(supervisor: Supervisor) -> Attempt:
    """Do something twice while armed, and other things before and after while unarmed."""

    def attempt(name: str) -> tuple[list[list[str]], list[str]]:
        messages: list[dict[str, Any]] = []
        supervisor.run("sideeffect_tasks:side_effects", {"name": name}, on_message=messages.append).raise_if_failed()
        return messages[0]["seen"], messages[0]["raised"]

    return attempt


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("write", [["writes a file", "written"]]),
        ("folder", [["makes a folder", "d"], ["removes a folder", "d"]]),
        ("rename", [["renames a file", "left-behind -> left-behind"]]),
        ("environment", [["changes the environment", "GREETING"]]),
        ("program", [["starts a program", "true --quickly"]]),
        ("shell", [["starts a program", "true"]]),
        ("service", [["connects to a local service", "no-such-socket"]]),
    ],
)
def test_a_side_effect_is_said_once(attempt: Attempt, name: str, seen: list[list[str]]) -> None:
    """Files, folders, programs and the environment are noticed while armed, once each, and are let through."""
    assert attempt(name) == (seen, ["", ""])


@pytest.mark.parametrize("name", ["read", "null", "bytecode", "loopback", "own name", "peer", "temporary", "place"])
def test_harmless_things_are_not_said(attempt: Attempt, name: str) -> None:
    """Nobody's business: reading, /dev/null, what Python itself writes, loopback, local names, nameless peers."""
    assert attempt(name) == ([], ["", ""])


@pytest.mark.parametrize("name", ["tidy server", "tidy factory"])
def test_a_server_that_clears_its_own_path_does_nothing_worth_saying(attempt: Attempt, name: str) -> None:
    """A stale socket file is removed before the server binds, and its own one when it is closed."""
    assert attempt(name) == ([], ["", ""])


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("heedless server", "left-behind"),
        ("strange factory", "left-behind"),
        ("socket file", "own"),
        ("no file", "gone"),
    ],
)
def test_any_other_removal_is_said(attempt: Attempt, name: str, seen: str) -> None:
    """Files that are no sockets, and whatever is removed while no server is made or closed, also if it is not there."""
    assert attempt(name)[0] == [["removes a file", seen]]


def test_the_traffic_of_our_own_peers_is_not_the_handlers(tmp_path: Path) -> None:
    """A Unix server at a path of its own is connected to, and its file is removed after it, by us."""
    (tmp_path / "local.py").write_text(LOCAL)
    answer = handshaker(tmp_path, "run", "local.py:server", "--phases", "sweep", "--network", "loopback", "--no-save")
    assert "hosted by the server that local:server returns" in answer.out
    assert "local service" not in answer.out
    assert "removes" not in answer.out


@pytest.mark.parametrize(
    ("name", "action", "detail", "error"),
    [
        ("other machine", "connects to another machine (refused)", "192.0.2.1:80", "OutgoingRefused"),
        ("datagram", "connects to another machine (refused)", "198.51.100.7:9", "OutgoingRefused"),
        ("name", "looks up a host (refused)", "example.invalid", "LookupRefused"),
        ("address", "looks up a host (refused)", "192.0.2.1", "LookupRefused"),
    ],
)
def test_traffic_to_other_machines_is_refused(
    attempt: Attempt, name: str, action: str, detail: str, error: str
) -> None:
    """Connections, datagrams and lookups that leave this machine raise an OSError each time, and are said once."""
    assert attempt(name) == ([[action, detail]], [error, error])


def test_new_names_each_time_are_said_a_bounded_number_of_times(attempt: Attempt) -> None:
    """A handler that writes another file each time does not flood the report."""
    seen, _ = attempt("many")
    assert len(seen) == MOST_DETAILS
