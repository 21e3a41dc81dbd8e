"""Asking the worker about one finding at a time: its minimum, how often it shows, the Traces that witness it.

Every answer comes from processes that have played nothing else. It costs no more time than is allowed, but for the
Case in flight: then a minimum may not be one, a confirmation may count fewer replays, and a Trace may be missing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.budget import Clock
from handshaker.harness.campaign.fatal import FATAL, HUNG, limits
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.case import Case
from handshaker.harness.processes.limits import Limits
from handshaker.harness.processes.results import TaskResult
from handshaker.harness.processes.supervisor import Supervisor
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Confirmation, Finding

__all__ = ["CONFIRMATIONS", "Evidence", "confirmations"]

CONFIRMATIONS: Final = 3
_SHRINK_LIMITS: Final = Limits(cpu_seconds=10.0)
_FOR_SHRINKING: Final = 0.6
_TASKS: Final = "handshaker.harness.campaign.shrink"


def confirmations(sighting: Sighting) -> int:
    """In how many fresh processes it is played; each that hangs costs the whole limit, so one must do there."""
    return 1 if sighting.invariant == HUNG else CONFIRMATIONS


class Evidence:
    """What *worker* says about findings under *settings*, in *seconds* in all (None: as long as it takes).

    `interrupted` is true once Ctrl-C was pressed meanwhile, `hurried` once something was left out for want of time.
    """

    def __init__(
        self, worker: Supervisor, settings: Settings, network: str, handler: str = "", *, seconds: float | None = None
    ) -> None:
        self._worker = worker
        self._limits = limits(settings.case_limit_s)
        self._known = {"settings": codec.encode(settings), "network": network, "handler": handler}
        self._clock = Clock(seconds)
        self.interrupted = self.hurried = False

    def smallest(self, sighting: Sighting) -> Sighting | None:
        """The sighting at its minimum, None when it does not show in a fresh process; itself when interrupted.

        It takes a good half of the time that is left, so that some remains to confirm it.
        """
        if self._late():
            return sighting
        heard = self._ask(
            "shrink", _SHRINK_LIMITS, sighting=codec.encode(sighting), seconds=self._left_s(_FOR_SHRINKING)
        )
        if not heard or self.interrupted:
            return sighting
        self.hurried = self.hurried or heard[-1]["cut"]
        if heard[-1]["sighting"] is None:
            return None
        return replace(codec.decode(Sighting, heard[-1]["sighting"], where="a worker's message"), phase=sighting.phase)

    def count(
        self, sighting: Sighting, network: str = "", *, enough: int = CONFIRMATIONS, briefly: bool = False
    ) -> int:
        """In how many of CONFIRMATIONS fresh processes *sighting* shows; it stops at *enough*.

        A hang is watched only *briefly* where it has been watched to the limit on another network.
        """
        return self._counted(sighting, network, enough, briefly=briefly)[0]

    def _counted(self, sighting: Sighting, network: str, enough: int, *, briefly: bool) -> tuple[int, int]:
        """How often *sighting* was seen, and how often it was played."""
        more: dict[str, Any] = {"network": network} if network else {}
        more["briefly"] = briefly
        times = confirmations(sighting)
        asked = {"sighting": codec.encode(sighting), "times": times, "enough": enough, "seconds": self._left_s()}
        heard = self._ask("confirm", self._limits, **asked, **more)
        return (heard[-1]["seen"], heard[-1]["played"]) if heard else (0, times)

    def _late(self) -> bool:
        late = self._clock.over()
        self.hurried = self.hurried or late
        return late

    def _left_s(self, part: float = 1.0) -> float | None:
        return None if math.isinf(self._clock.left_s) else part * self._clock.left_s

    def confirmed(self, finding: Finding, sighting: Sighting, network: str) -> Finding:
        """*finding* with how often it shows on *network*, where it was found, and on loopback.

        It is nondeterministic when it does not show every time where it was found.
        """
        for each in ("memory", "loopback") if network == "memory" else ("loopback",):
            if self._late():
                return finding
            seen, played = self._counted(sighting, each, CONFIRMATIONS, briefly=each != network)
            if self.interrupted:
                return finding
            self.hurried = self.hurried or played < confirmations(sighting)
            finding = finding.with_confirmation(Confirmation(each, seen, played))
            if each == network and seen < played:
                return replace(finding, nondeterministic=True)
        return finding

    def traces(self, finding: Finding) -> tuple[Trace | None, Trace | None]:
        """The Traces that witness the finding: of its Case, and of the Case it is compared with.

        There is none of a finding that ends its process, and none that could be relied on of one that comes and goes.
        """
        if finding.nondeterministic or finding.invariant in FATAL or self._late():
            return None, None
        contrast = self._last_trace([finding.contrast]) if finding.contrast else None
        return self._last_trace([*finding.history, finding.case]), contrast

    def _last_trace(self, cases: list[Case]) -> Trace | None:
        heard = self._ask("trace_of", self._limits, cases=[codec.encode(case) for case in cases])
        complete = len(heard) == len(cases)
        return codec.decode(Trace, heard[-1]["trace"], where="a worker's message") if complete else None

    def _ask(self, task: str, limit: Limits, **arguments: Any) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        asked = {**self._known, **arguments}
        result: TaskResult = self._worker.run(f"{_TASKS}:{task}", asked, on_message=heard.append, limits=limit)
        result.raise_if_failed()
        self.interrupted = self.interrupted or result.asked
        return heard
