"""A request socket with a peer behind it, on either network, without a server: what the tests of the networks hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.networks.bounds import Stopped
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.loopback import LoopbackListener, LoopbackNetwork
from handshaker.harness.networks.memory import MemoryListener, MemoryNetwork
from handshaker.harness.recorder import RUN, Recorder
from handshaker.harness.transports import TRANSPORTS

NETWORKS = {"memory": (MemoryListener, MemoryNetwork), "loopback": (LoopbackListener, LoopbackNetwork)}


@dataclass
class Wire:
    """One connection: the socket that a handler would hold, the network behind it, and what was recorded."""

    socket: Any
    network: Any
    recorder: Recorder

    def kinds(self, *prefixes: str) -> list[str]:
        """The kinds of the recorded events that begin like this."""
        return [what[0] for what in self.recorder.flat[::2] if what[0].startswith(prefixes)]

    def whats(self, kind: str) -> list[tuple]:
        """The fields of the events of one kind."""
        return [what[2:] for what in self.recorder.flat[::2] if what[0] == kind]

    def finish(self) -> tuple:
        """Close, end the peers, and return the fields of `peer.end` and the reply."""
        if self.socket is not None:
            self.socket.close()
        self.network.finish(self.recorder.emit)
        return (*self.recorder.flat[-2][2:], self.recorder.flat[-1])


@contextlib.contextmanager
def connected(
    network: str, *steps: Step, early: int = 0, faults: tuple[Fault, ...] = (), transport: str = "tcp"
) -> Iterator[Wire]:
    """A Wire whose peer plays *steps*, during a run of its own."""
    listener_class, network_class = NETWORKS[network]
    recorder = Recorder()
    CLOCK.reset()
    RUN.begin(recorder, faults, ())
    playing = network_class(Case((Script(steps, early),), transport=transport))
    listener = listener_class(TRANSPORTS[transport].family)
    listener.bind(playing.address)
    listener.listen()
    playing.listen(listener)
    try:
        wire = Wire(listener.accept()[0], playing, recorder)
        yield wire
        RUN.stopped = False
        if wire.socket is not None:
            wire.socket.close()
    finally:
        RUN.clear()
        playing.close()
        listener.close()


def run_until_stopped(operation: Callable[[], object]) -> int:
    """Repeat *operation*, whatever errors it raises, until it is stopped; returns how often it went through."""
    for times in range(10_000):
        try:
            operation()
        except OSError:
            continue
        except Stopped:
            return times
    pytest.fail("it was never stopped")


def send(data: bytes, repeat: int = 1) -> Step:
    return Step("send", data, repeat)


def pause(seconds: float) -> Step:
    return Step("pause", seconds=seconds)


HALF_CLOSE, CLOSE, RESET = Step("half-close"), Step("close"), Step("reset")
