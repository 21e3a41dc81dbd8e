"""Where a Case meets the world: (Case, Target, Network) -> Trace. Nothing here judges."""

from __future__ import annotations

import platform
from typing import Any

from handshaker import __version__
from handshaker.harness.case import Case
from handshaker.harness.networks.clock import CLOCK
from handshaker.harness.networks.memory import MemoryListener, MemoryNetwork
from handshaker.harness.recorder import RUN, Recorder
from handshaker.harness.trace import Header, Trace
from handshaker.targets.hosting import MemoryHost

__all__ = ["Stage"]


class Stage:
    """One target made ready on the memory network."""

    def __init__(self, make: Any, home: tuple[str, ...], target: str = "") -> None:
        self._host = MemoryHost(make, MemoryListener)
        self._home = home
        self.header = Header(target, "memory", "tcp", "plain", platform.python_version(), __version__)

    def run(self, case: Case) -> Recorder:
        """Play *case* and return what was recorded, not yet materialised."""
        recorder = Recorder()
        CLOCK.reset()
        RUN.begin(recorder, case.faults, self._home)
        try:
            network = MemoryNetwork(case)
            self._host.play(network)
            network.finish()
        finally:
            RUN.clear()
        return recorder

    def play(self, case: Case) -> Trace:
        """Play *case* and return its Trace."""
        return self.run(case).trace(self.header)
