"""The beginning of a campaign: what is tested, how, with which seed, and that there is something to do."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from handshaker import __version__
from handshaker.harness.errors import HandshakerError, TargetError, UsageError
from handshaker.harness.notices import CampaignStarted, Notice
from handshaker.harness.processes.results import TaskResult
from handshaker.harness.processes.stacks import users_frame
from handshaker.harness.settings import PLAYING, Settings
from handshaker.harness.verdict import Finding

__all__ = ["Listener", "require_description", "require_something", "started"]


class Listener:
    """Calls *listen* with each Notice."""

    def __init__(self, listen: Callable[[Notice], None]) -> None:
        self._listen = listen

    def __call__(self, notice: Notice) -> None:
        """Tell *notice*, now or when it is no longer held back."""
        self._listen(notice)

    @contextmanager
    def holding_back(self) -> Iterator[None]:
        """Tell nothing yet: what turns out to be no target gets one clear message and no report."""
        listen, held = self._listen, list[Notice]()
        self._listen = held.append
        try:
            yield
        except HandshakerError:
            held.clear()
            raise
        finally:
            self._listen = listen
            for notice in held:
                listen(notice)


def started(settings: Settings, network: str, about: dict[str, Any]) -> CampaignStarted:
    """The Notice that opens a campaign with *settings* on *network*; *about* is what the worker said of the target."""
    return CampaignStarted(
        target=settings.target,
        target_kind=about["kind"],
        server=about["server"],
        network=network,
        transport=settings.transport,
        seed=settings.seed,
        max_examples=settings.max_examples,
        python=platform.python_version(),
        handshaker=__version__,
        invariants=len(about["judged"]),
        concurrency=settings.concurrency,
    )


def require_description(result: TaskResult, about: dict[str, Any], settings: Settings) -> None:
    """Raise what the worker raised while it described the target; TargetError when it never came to say anything."""
    result.raise_if_failed()
    if "transport" not in about and not result.asked:
        frame = users_frame(result.stack)
        place = f", at {frame.file}:{frame.line} in {frame.function}" if frame else ""
        raise TargetError(
            f"{settings.target}: making its server and closing it again, unused, did not come to an end{place}; "
            "name a factory that returns a server which can be closed before it has served"
        )


def require_something(settings: Settings, saved: Sequence[Finding]) -> None:
    """Raise UsageError when only *saved* findings are to be played again, and there are none."""
    if not saved and set(settings.phases) & set(PLAYING) == {"regressions"}:
        raise UsageError(
            f"nothing to run: only the phase regressions is selected, and no finding of {settings.target} "
            "as it is hosted now is saved; add sweep or generate"
        )
