"""Where a Case meets the world: (Case, Target, Network) -> Trace. Nothing here judges."""

from __future__ import annotations

import functools
import platform
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final, Self

from handshaker import __version__
from handshaker.harness.case import Case
from handshaker.harness.networks.clock import CLOCK, virtual_time
from handshaker.harness.networks.loopback import LoopbackListener, LoopbackNetwork
from handshaker.harness.networks.memory import MemoryListener, MemoryNetwork
from handshaker.harness.networks.realtime import LIMIT_S, RealTimeNetwork
from handshaker.harness.probes import Probes
from handshaker.harness.recorder import RUN, Recorder
from handshaker.harness.trace import Header, Trace
from handshaker.targets.base import Target
from handshaker.targets.hosting import Host
from handshaker.targets.hosting_realtime import RealTimeHost
from handshaker.targets.instrument import instrument

__all__ = ["NETWORKS", "Stage"]

_REAL_TIME: Final = "real time"
NETWORKS: Final[dict[str, tuple[type[Host], type[socket.socket], Callable[..., Any]]]] = {
    "memory": (Host, MemoryListener, MemoryNetwork),
    "loopback": (Host, LoopbackListener, LoopbackNetwork),
    _REAL_TIME: (RealTimeHost, LoopbackListener, RealTimeNetwork),
}


class Stage:
    """One target made ready on one network. A context manager: while entered, time is virtual and the probes watch.

    *network* is `memory` or `loopback`. On loopback a handler that turns out to read past our socket is played in real
    time from then on, and `in_real_time` says so; there *limit_s* bounds the wait for a handler. `burden` is how many
    descriptors the Cases so far have left open: a process that carries many should be replaced.
    """

    def __init__(self, target: Target, *, network: str = "memory", limit_s: float = LIMIT_S) -> None:
        told = target.describe()
        self._make = target.maker(instrument)
        self._home = (told.home,) if told.home else ()
        self._owns = told.owns
        self._loaded: tuple[int, list[str]] = (0, [])
        self.network = network
        self._limit_s = limit_s
        self.in_real_time = False
        self.burden = 0
        self.header = Header(target.text, network, told.transport, "plain", platform.python_version(), __version__)
        self._probes: Probes | None = None
        self._undo = ExitStack()
        self._choose(network)

    def _choose(self, way: str) -> None:
        host, listener, network = NETWORKS[way]
        self._network: Callable[[Case], Any] = network
        if way == _REAL_TIME:
            self._network = functools.partial(network, limit_s=self._limit_s)
        self._host: Host = host(self._make, listener)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.enter_context(virtual_time(self._users_modules()))
            self._probes = undo.enter_context(Probes())
            self._undo = undo.pop_all()
        return self

    def _users_modules(self) -> list[str]:
        """The names of the modules that were loaded from the user's code; looked for again when more were loaded."""
        if self._loaded[0] != len(sys.modules):
            self._loaded = len(sys.modules), _modules_of(self._owns)
        return self._loaded[1]

    def __exit__(self, *exc_info: object) -> None:
        self._probes = None
        self._undo.close()

    def run(self, case: Case) -> Recorder:
        """Play *case* and return what was recorded, not yet materialised."""
        if self._probes is None:
            raise RuntimeError("a Stage plays only while it is entered: write `with Stage(...) as stage:`")
        recorder = Recorder()
        network = self._perform(case, recorder)
        if recorder.stopped_by and recorder.stopped_by[0] == "network.kernel" and self.network == "loopback":
            self.in_real_time = True
            self._choose(_REAL_TIME)
            recorder = Recorder()
            network = self._perform(case, recorder)
        if self._probes.disturbed():
            self._examine(case, recorder, self._probes)
        network.finish(recorder.emit)
        return recorder

    def play(self, case: Case) -> Trace:
        """Play *case* and return its Trace."""
        return self.run(case).trace(self.header)

    def _perform(self, case: Case, recorder: Recorder) -> Any:
        CLOCK.reset()
        RUN.begin(recorder, case.faults, self._home)
        network = self._network(case)
        try:
            self._host.play(network)
        finally:
            RUN.clear()
            network.close()
        return network

    def _examine(self, case: Case, recorder: Recorder, probes: Probes) -> None:
        """Write down threads that are left, and descriptors if the same Case leaves some every time."""
        if threads := probes.new_threads():
            recorder.emit((("probe.threads", -1, threads), None))
        if (first := probes.new_descriptors()) > 0:
            before = first
            self._perform(case, Recorder())
            if (more := probes.new_descriptors() - before) > 0:
                recorder.emit((("probe.descriptors", -1, more), None))
            self.burden += probes.new_descriptors()
        probes.settle()


def _modules_of(owns: Callable[[str], bool]) -> list[str]:
    """The names of the modules that were loaded from the user's code."""
    loaded = [(name, getattr(module, "__file__", None) or "") for name, module in list(sys.modules.items())]
    return [name for name, file in loaded if owns(file)]
