"""Where a Case meets the world: (Case, Target, Network) -> Trace. Nothing here judges."""

from __future__ import annotations

import platform
import sys
from contextlib import ExitStack
from typing import Any

from handshaker import __version__
from handshaker.harness.case import Case
from handshaker.harness.networks.clock import CLOCK, virtual_time
from handshaker.harness.networks.loopback import LoopbackListener, LoopbackNetwork
from handshaker.harness.networks.memory import MemoryListener, MemoryNetwork
from handshaker.harness.networks.realtime import RealTimeNetwork
from handshaker.harness.probes import Probes
from handshaker.harness.recorder import RUN, Recorder
from handshaker.harness.trace import Header, Trace
from handshaker.targets.base import Target
from handshaker.targets.hosting import Host
from handshaker.targets.hosting_realtime import RealTimeHost
from handshaker.targets.instrument import instrument

__all__ = ["NETWORKS", "Stage"]

NETWORKS = {
    "memory": (Host, MemoryListener, MemoryNetwork),
    "loopback": (Host, LoopbackListener, LoopbackNetwork),
    "real time": (RealTimeHost, LoopbackListener, RealTimeNetwork),
}


class Stage:
    """One target made ready on one network. A context manager: time is virtual and the probes watch while it is entered.

    *network* is `memory` or `loopback`. On loopback a handler that turns out to read past our socket is played in real
    time from then on, and `in_real_time` says so. `burden` is how many descriptors the Cases so far have left open: a
    process that carries many should be replaced.
    """

    def __init__(self, target: Target, *, network: str = "memory") -> None:
        told = target.describe()
        self._make = target.maker(instrument)
        self._home = (told.home,) if told.home else ()
        self.network = network
        self.in_real_time = False
        self.burden = 0
        self.header = Header(target.text, network, told.transport, "plain", platform.python_version(), __version__)
        self._probes = Probes()
        self._undo = ExitStack()
        self._choose(network)

    def _choose(self, way: str) -> None:
        host, listener, self._network = NETWORKS[way]
        self._host: Host = host(self._make, listener)

    def __enter__(self) -> Stage:
        with ExitStack() as undo:
            undo.enter_context(virtual_time(_modules_below(self._home)))
            undo.enter_context(self._probes)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._undo.close()

    def run(self, case: Case) -> Recorder:
        """Play *case* and return what was recorded, not yet materialised."""
        recorder = Recorder()
        network = self._perform(case, recorder)
        if recorder.stopped_by and recorder.stopped_by[0] == "network.kernel" and self.network == "loopback":
            self.in_real_time = True
            self._choose("real time")
            recorder = Recorder()
            network = self._perform(case, recorder)
        if self._probes.disturbed():
            self._examine(case, recorder)
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

    def _examine(self, case: Case, recorder: Recorder) -> None:
        """Write down threads that are left, and descriptors if the same Case leaves some every time."""
        probes = self._probes
        if threads := probes.new_threads():
            recorder.emit((("probe.threads", -1, threads), None))
        if (first := probes.new_descriptors()) > 0:
            before = first
            self._perform(case, Recorder())
            if (more := probes.new_descriptors() - before) > 0:
                recorder.emit((("probe.descriptors", -1, more), None))
            self.burden += probes.new_descriptors()
        probes.settle()


def _modules_below(home: tuple[str, ...]) -> list[str]:
    """The names of the modules that were loaded from the user's code."""
    loaded = [(name, getattr(module, "__file__", None) or "") for name, module in list(sys.modules.items())]
    return [name for name, file in loaded if home and file.startswith(home)]
