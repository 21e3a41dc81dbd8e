"""Where a Case meets the world: (Case, Target, Network) -> Trace. Nothing here judges."""

from __future__ import annotations

import functools
import platform
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, Self

from handshaker import __version__
from handshaker.harness.case import Case
from handshaker.harness.networks.apart import ApartNetwork
from handshaker.harness.networks.clock import CLOCK, virtual_time
from handshaker.harness.networks.datagram_loopback import LoopbackDatagramNetwork, LoopbackDatagramSocket
from handshaker.harness.networks.datagram_memory import (
    MemoryDatagramNetwork,
    MemoryDatagramSocket,
    no_other_sockets,
)
from handshaker.harness.networks.datagram_realtime import LiveDatagramSocket, RealTimeDatagramNetwork
from handshaker.harness.networks.inside_datagrams import HouseDatagramSocket
from handshaker.harness.networks.loopback import LoopbackListener, LoopbackNetwork
from handshaker.harness.networks.memory import MemoryListener, MemoryNetwork
from handshaker.harness.networks.realtime import LIMIT_S, RealTimeNetwork
from handshaker.harness.places import keep_room
from handshaker.harness.probes import Probes
from handshaker.harness.probes_memory import sends_much, weigh
from handshaker.harness.probes_state import ProcessState, StateWatch
from handshaker.harness.recorder import HANDED_OVER, RUN, Recorder
from handshaker.harness.trace import Header, Trace
from handshaker.harness.transports import TRANSPORTS
from handshaker.targets.base import Target
from handshaker.targets.hosting import Host
from handshaker.targets.hosting_apart import ApartDatagramHost, ApartHost
from handshaker.targets.hosting_datagram import DatagramHost, RealTimeDatagramHost
from handshaker.targets.hosting_realtime import RealTimeHost
from handshaker.targets.instrument import instrument

__all__ = ["DATAGRAM_NETWORKS", "NETWORKS", "Stage"]

_REAL_TIME: Final = "real time"
_Way = tuple[type[Host], type[socket.socket], Callable[..., Any]]
NETWORKS: Final[dict[str, _Way]] = {
    "memory": (Host, MemoryListener, MemoryNetwork),
    "loopback": (Host, LoopbackListener, LoopbackNetwork),
    _REAL_TIME: (RealTimeHost, LoopbackListener, RealTimeNetwork),
}
DATAGRAM_NETWORKS: Final[dict[str, _Way]] = {
    "memory": (DatagramHost, MemoryDatagramSocket, MemoryDatagramNetwork),
    "loopback": (DatagramHost, LoopbackDatagramSocket, LoopbackDatagramNetwork),
    _REAL_TIME: (RealTimeDatagramHost, LiveDatagramSocket, RealTimeDatagramNetwork),
}
"""The same ways, where requests are datagrams."""


class Stage:
    """One target made ready on one network. A context manager: while entered, time is virtual and the probes watch.

    *network* is `memory` or `loopback`. Servers with threads or forks are played in real time, and so is, from then on,
    a handler that turns out to read past our socket on loopback; `in_real_time` says so, and *limit_s* bounds the wait
    for a handler. `burden` is how many descriptors the Cases so far have left open: a process that carries many should
    be replaced. `state` watches what the Cases do to the process as a whole.
    """

    def __init__(self, target: Target, *, network: str = "memory", limit_s: float = LIMIT_S) -> None:
        told = target.describe()
        self._make = target.maker(instrument)
        self._datagrams = TRANSPORTS[told.transport].datagram
        self._home = (told.home,) if told.home else ()
        self._owns = told.owns
        self._transport = told.transport
        self._files = told.own_path and told.transport == "unix"
        self._loaded: tuple[int, list[str]] = (0, [])
        self.network = network
        self._limit_s = limit_s
        self.in_real_time = told.concurrency != "plain"
        self.burden = 0
        self._beside = self.in_real_time
        self._apart: Host = (
            ApartDatagramHost(self._make, HouseDatagramSocket)
            if self._datagrams
            else ApartHost(self._make, LoopbackListener)
        )
        self._apart.watch_state = ProcessState
        versions = platform.python_version(), __version__
        self.header = Header(target.text, network, told.transport, told.concurrency, *versions)
        self._probes: Probes | None = None
        self.state = StateWatch()
        self._undo = ExitStack()
        self._choose(network)

    def _choose(self, way: str) -> None:
        host, listener, network = (DATAGRAM_NETWORKS if self._datagrams else NETWORKS)[way]
        self._network: Callable[[Case], Any] = network
        if way == _REAL_TIME:
            self._network = functools.partial(network, limit_s=self._limit_s)
        elif way == "memory" and self._files:
            self._network = functools.partial(network, files=True)
        self._host: Host = host(self._make, listener)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.enter_context(virtual_time(self._users_modules()))
            if TRANSPORTS[self._transport].unix:
                undo.enter_context(keep_room())
            if self._datagrams and self.network == "memory":
                undo.enter_context(no_other_sockets())
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
        """Play *case*, over the transport of the target, and return what was recorded, not yet materialised."""
        if self._probes is None:
            raise RuntimeError("a Stage plays only while it is entered: write `with Stage(...) as stage:`")
        if case.transport != self._transport:
            case = replace(case, transport=self._transport)
        if self._beside or case.owner:
            return self._run_apart(case)
        self.state.begin()
        large = sends_much(case)
        recorder, began = Recorder(), time.process_time() if large else 0.0
        network = self._perform(case, recorder)
        while recorder.stopped_by and recorder.stopped_by[0] == "network.kernel" and self.network == "loopback":
            if self._needs_a_house(recorder.stopped_by[2]):
                self.in_real_time = self._beside = True
                return self._run_apart(case)
            if self.in_real_time:
                break
            self.in_real_time = True
            self._choose(_REAL_TIME)
            recorder = Recorder()
            network = self._perform(case, recorder)
        took_s = time.process_time() - began if large else 0.0
        if changed := self.state.end(case):
            self._note_state(case, recorder, changed)
        if self._probes.disturbed():
            self._examine(case, recorder, self._probes)
        if large:
            self._weigh(case, recorder, took_s)
        network.finish(recorder.emit)
        return recorder

    def _needs_a_house(self, operation: str) -> bool:
        """Whether this can be told apart only there: a loop of datagrams without turns, threads of the server's own."""
        return operation == HANDED_OVER or (self._datagrams and operation == "serve_forever")

    def is_apart(self, case: Case) -> bool:
        """Whether *case* is played around a process of its own, in which the server lives."""
        return self._beside or bool(case.owner)

    def _run_apart(self, case: Case) -> Recorder:
        """Play *case* around a house of its own, with the server's real class: threads, children, an owner's acts."""
        recorder = Recorder()
        network = self._hosted(case, recorder, functools.partial(ApartNetwork, limit_s=self._limit_s), self._apart)
        network.finish(recorder.emit)
        return recorder

    def play(self, case: Case) -> Trace:
        """Play *case* and return its Trace."""
        return self.run(case).trace(self.header)

    def _perform(self, case: Case, recorder: Recorder) -> Any:
        return self._hosted(case, recorder, self._network, self._host)

    def _hosted(self, case: Case, recorder: Recorder, make: Callable[[Case], Any], host: Any) -> Any:
        """Play *case* on the network that *make* makes of it, which is closed again whatever happens."""
        CLOCK.reset()
        RUN.begin(recorder, case.faults, self._home)
        network = None
        try:
            network = make(case)
            host.play(network)
        finally:
            RUN.clear()
            if network is not None:
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

    def _note_state(self, case: Case, recorder: Recorder, changed: dict[str, str]) -> None:
        """Write down what the same Case changes every time; what is set up once, as by a first import, is no news."""
        self._perform(case, Recorder())
        for what in sorted(changed.keys() & self.state.again().keys()):
            recorder.emit((("probe.process-state", -1, what), changed[what]))

    def _weigh(self, case: Case, recorder: Recorder, took_s: float) -> None:
        """Write down how much a handler holds of a long input, where that can be weighed."""
        ended = recorder.stopped_by[:1] in ((), ("network.stalled",))
        if self.in_real_time or not ended or TRANSPORTS[case.transport].datagram:
            return
        found = weigh(case, self._perform, self._owns, took_s=took_s)
        if found is not None:
            what = ("probe.memory", found.connection, found.held, found.again, found.announced, found.where)
            recorder.emit((what, found.detail))


def _modules_of(owns: Callable[[str], bool]) -> list[str]:
    """The names of the modules that were loaded from the user's code."""
    loaded = [(name, getattr(module, "__file__", None) or "") for name, module in list(sys.modules.items())]
    return [name for name, file in loaded if owns(file)]
