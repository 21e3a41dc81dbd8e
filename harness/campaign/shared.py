"""One campaign for many pytest items, and for many pytest-xdist workers: the first conducts it, the others read.

The Notices are kept as JSON lines in a file that belongs to this pytest run (by the run's id under xdist, by the
process otherwise) and is guarded by a lock, so that no two processes conduct the same campaign.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handshaker.harness import codec
from handshaker.harness.campaign.combinations import Combinations
from handshaker.harness.campaign.ending import INTERRUPTED, NOTHING_TESTED
from handshaker.harness.errors import HandshakerError, TargetError, UsageError
from handshaker.harness.notices import CampaignFinished, FindingReady, Notice
from handshaker.harness.settings import Settings
from handshaker.reports.jsonl import JsonLines, read_jsonl

__all__ = ["Outcome", "campaign_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished campaign said."""

    notices: tuple[Notice, ...]

    @property
    def judged(self) -> tuple[str, ...]:
        """The slugs of the invariants that were judged at least once."""
        rows = [row for notice in self.notices if isinstance(notice, CampaignFinished) for row in notice.verdicts]
        return tuple(dict.fromkeys(slug for slug, *counts in rows if sum(counts[:3])))

    def failing(self, settings: Settings) -> list[FindingReady]:
        """The findings that make the run fail under *settings*."""
        found = [notice for notice in self.notices if isinstance(notice, FindingReady)]
        return [one for one in found if settings.fails(one.finding.level) and not one.finding.nondeterministic]


_outcomes: dict[str, Outcome] = {}


def campaign_of(settings: Settings, loader: dict[str, Any], config: Any) -> Outcome:
    """The outcome of the campaign with *settings* in this pytest run; conducts it when nobody has yet."""
    node = f"{_relative(loader['test_module'], config)}::{loader['test']}"
    whole = replace(settings, root=str(config.rootpath), loader=loader, replay=f"pytest {node}")
    key = codec.digest({"node": node, "settings": codec.encode(settings)})
    if key not in _outcomes:
        _outcomes[key] = _read_or_conduct(whole, _run_folder(config) / f"{key}.jsonl")
    return _outcomes[key]


def _relative(path: str, config: Any) -> str:
    return os.path.relpath(path, config.rootpath)


def _run_folder(config: Any) -> Path:
    """A folder that all processes of this pytest run share, and no other run."""
    # Not from the environment: a test may start a pytest of its own, which is another run.
    run = getattr(config, "workerinput", {}).get("testrunuid") or f"{os.getpid()}-{id(config):x}"
    folder = Path(tempfile.gettempdir()) / f"handshaker-{os.getuid()}-{run}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _read_or_conduct(settings: Settings, path: Path) -> Outcome:
    with _locked(path):
        if not path.exists():
            _conduct(settings, path)
    failure = path.with_suffix(".error")
    if failure.exists():
        kind, _, text = failure.read_text().partition("\n")
        raise {"UsageError": UsageError, "TargetError": TargetError}.get(kind, HandshakerError)(text)
    return Outcome(tuple(read_jsonl(path)))


def _conduct(settings: Settings, path: Path) -> None:
    """Write Notices beside, then rename: a reader never sees a campaign that is not finished."""
    writing = path.with_suffix(".writing")
    with writing.open("w", encoding="utf-8") as file:
        reporter = JsonLines(file)
        try:
            code = Combinations(settings, (settings.transport,), reporter.on).run()
            if code == INTERRUPTED:
                raise KeyboardInterrupt
            if code == NOTHING_TESTED:
                raise TargetError(f"{settings.target}: nothing was tested, since no invariant could be judged")
        except HandshakerError as error:
            path.with_suffix(".error").write_text(f"{type(error).__name__}\n{error}")
    writing.rename(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
