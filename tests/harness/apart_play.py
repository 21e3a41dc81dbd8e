"""Playing Cases around a house, and looking whether anybody of it is left: what the tests of houses share."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from handshaker.harness.case import Act, Case, Script, Step
from handshaker.harness.networks import apart, house
from handshaker.harness.runner import Stage
from handshaker.targets.stdlib import StdlibTarget
from tests.harness.wires import HALF_CLOSE, send

BOTH = pytest.mark.parametrize("concurrency", ["threading", "forking"])
STREAMS = pytest.mark.parametrize("transport", ["tcp", "tcp6", "unix"])
DATAGRAMS = pytest.mark.parametrize("transport", ["udp", "udp6", "unix-dgram"])
LINE = Script((send(b"ab\n"), send(b"cd\n"), HALF_CLOSE))
SILENT = Script((send(b"ab\n"),))
TWO_DATAGRAMS = Script((send(b"ab"), send(b"cd"), Step("expect", size=4, seconds=5)))


def stage(handler, concurrency="threading", transport="tcp", limit_s=20.0, **chosen):
    target = StdlibTarget(handler, concurrency=concurrency, transport=transport, **chosen)
    return Stage(target, network="loopback", limit_s=limit_s)


def play(handler, concurrency, *scripts, transport="tcp", faults=(), owner=(), limit_s=20.0, **chosen):
    case = Case(scripts, faults, transport, concurrency, owner)
    with stage(handler, concurrency, transport, limit_s, **chosen) as prepared:
        return prepared.play(case)


def kinds(trace, *wanted):
    return [event.kind for event in trace.of(*wanted)]


def acts(*names):
    return tuple(Act(*name) if isinstance(name, tuple) else Act(name) for name in names)


def in_session(leader):
    """The living processes of the session that *leader* leads or led, and its own descendants."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text("latin-1").rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in "ZX":
            found.append(int(folder.name))
    return found


@pytest.fixture
def houses(monkeypatch):
    """The numbers of the houses that are built, and of everything that ever lived in them when they were torn down."""
    built = []

    class Noted(house.House):
        def __init__(self, live):
            super().__init__(live)
            built.append(self.pid)
            self.inhabitants: set = set()

        def _kill(self):
            self.inhabitants = house.descendants(self.pid)
            built.extend(self.inhabitants)
            return super()._kill()

    monkeypatch.setattr(apart, "House", Noted)
    return built


def nobody_left(pids):
    """Wait for what is dying anyway; whether all of these processes, and their sessions, are gone."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(alive(pid) or in_session(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
