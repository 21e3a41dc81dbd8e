"""One target under several servers: a campaign for each combination of transport and concurrency, simplest first.

Simplest means plain, on whatever transport: what needs no thread is shown without one. Threads come next, then forks.
What a simpler combination has shown is not told again by a harder one, so a finding names the simplest one that shows
it. At the end a matrix says what was judged where. A combination that this machine or this handler cannot have is
skipped, visibly and with the reason; when the only one that was asked for cannot be had, that is an error.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from handshaker.harness.campaign.conduct import Campaign
from handshaker.harness.campaign.ending import INTERRUPTED, NOTHING_TESTED
from handshaker.harness.campaign.matrix import matrix
from handshaker.harness.campaign.sighting import Sighting
from handshaker.harness.errors import TargetError
from handshaker.harness.notices import CampaignFinished, Notice
from handshaker.harness.settings import Settings
from handshaker.harness.transports import TRANSPORTS, Transport
from handshaker.harness.verdict import Finding

__all__ = ["SAMPLES", "SAMPLE_S", "Combinations"]

SAMPLES: Final = {"plain": 1, "threading": 20, "forking": 50}
"""A server that makes a thread or a process for each request is slow: only one in so many examples is played there."""

SAMPLE_S: Final = 15.0
"""How long the sample of a concurrency lasts at most that nobody asked for."""

_LEAST_S: Final = 0.1
_NO_TIME: Final = "--max-time was over before its turn came"

_Combination = tuple[str, str]


class Combinations:
    """All campaigns of one run: `run()` conducts them, tells every Notice to *listen*, and returns the exit code."""

    def __init__(self, settings: Settings, transports: tuple[str, ...], listen: Callable[[Notice], None]) -> None:
        # One seed for all, so that it repeats the whole run.
        self._settings = settings if settings.seed else replace(settings, seed=secrets.randbits(31) or 1)
        self._began = time.monotonic()
        self._transports = transports or ("",)
        self._listen = listen
        self._columns: list[tuple[str, CampaignFinished | str]] = []
        self._sightings: list[Sighting] = []
        self._finished: CampaignFinished | None = None
        self._about: dict[str, Any] = {}
        self.findings: list[Finding] = []

    def run(self) -> int:
        """Conduct them all. Raises UsageError or TargetError when nothing could be tested."""
        codes: list[int] = []
        for combination in self._all():
            several = len(self._transports) > 1 or bool(self._columns or codes)
            codes += self._try(combination, several=several)
            if codes[-1:] == [INTERRUPTED]:
                break
        code = _worst(codes)
        if len(self._columns) > 1:
            self._listen(matrix(self._columns, code))
        return code

    def _named(self) -> Iterator[str]:
        """The transports, one after another; for `all` the handler's own comes first, since it tells the others."""
        if "all" not in self._transports:
            yield from self._transports
            return
        yield ""
        told = self._about
        alike = [name for name in TRANSPORTS if told and TRANSPORTS[name].datagram == _row(told).datagram]
        yield from (name for name in alike if name != told["transport"])

    def _all(self) -> Iterator[_Combination]:
        """The combinations; those that come after plain are known when the plain ones have been tried."""
        first = "plain" if self._settings.concurrency in ("", "all") else self._settings.concurrency
        later: list[tuple[str, tuple[str, ...]]] = []
        for transport in self._named():
            before = self._about
            yield transport, first
            told = {} if self._about is before else self._about
            later.append((told.get("transport", transport), self._more(told)))
        for concurrency in SAMPLES:
            yield from ((transport, concurrency) for transport, more in later if concurrency in more)

    def _more(self, about: dict[str, Any]) -> tuple[str, ...]:
        """The concurrencies that come after plain: all of them, or the one that the server was written with."""
        if self._settings.concurrency == "all":
            return tuple(name for name in SAMPLES if name != "plain")
        written: str = about.get("written", "plain")
        return (written,) if not self._settings.concurrency and written != "plain" else ()

    def _try(self, combination: _Combination, *, several: bool) -> list[int]:
        """The exit code of one campaign; none when the combination is skipped, as it may be among *several*."""
        most = self._settings.max_time_s
        if self._columns and most is not None and time.monotonic() - self._began > most:
            self._columns.append((" ".join(filter(None, combination)), _NO_TIME))
            return []
        campaign = self._campaign(combination)
        try:
            code = campaign.run()
        except TargetError as error:
            if not several:
                raise
            self._columns.append((" ".join(filter(None, combination)), str(error)))
            return []
        self._about = campaign.about
        self._sightings += campaign.sightings
        self.findings += campaign.findings
        if self._finished is not None:
            self._columns.append((f"{self._about['transport']} {combination[1]}", self._finished))
        return [code]

    def _campaign(self, combination: _Combination) -> Campaign:
        transport, concurrency = combination
        settings = self._settings
        examples = settings.max_examples and max(1, settings.max_examples // SAMPLES[concurrency])
        chosen = replace(
            settings, transport=transport, concurrency=concurrency, max_examples=examples,
            max_time_s=self._time_for(concurrency),
        )  # fmt: skip
        return Campaign(chosen, self._hear, shown=tuple(self._sightings))

    def _time_for(self, concurrency: str) -> float | None:
        """What is left of the time for all of them; a sample that nobody asked for is a short one."""
        most = self._settings.max_time_s
        if most is not None:
            most = max(_LEAST_S, most - (time.monotonic() - self._began))
        if self._settings.concurrency or concurrency == "plain":
            return most
        return SAMPLE_S if most is None else min(most, SAMPLE_S)

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, CampaignFinished):
            self._finished = notice
        self._listen(notice)


def _row(about: dict[str, Any]) -> Transport:
    return TRANSPORTS[about["transport"]]


def _worst(codes: list[int]) -> int:
    """One exit code for all: interrupted, else violated, else held; nothing tested only when nothing was anywhere."""
    tested = [code for code in codes if code != NOTHING_TESTED]
    return max(tested, default=NOTHING_TESTED)
