"""Starting the worker that plays the Cases of one target, and what to say when it cannot play them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from handshaker.harness.processes.supervisor import Supervisor
from handshaker.harness.settings import Settings

__all__ = ["TASKS", "needs_kernel", "start_worker"]

TASKS: Final = "handshaker.harness.campaign"
"""The package that tasks are named in."""

_PRELOAD: Final = (f"{TASKS}.loading", f"{TASKS}.search", f"{TASKS}.shrink")


def start_worker(settings: Settings) -> Supervisor:
    """A supervisor whose worker has imported the target. Raises UsageError or TargetError when it cannot be."""
    return Supervisor.start(
        "handshaker.harness.campaign.loading:load_for_worker",
        {
            "text": settings.target, "server": settings.server, "factory": settings.factory,
            "transport": settings.transport, "concurrency": settings.concurrency,
            "implementation": settings.implementation,
            "root": str(Path(settings.root).resolve()), **settings.loader,
        },
        preload=_PRELOAD,
        path=(str(Path(settings.root).resolve()),),
        cwd=settings.cwd or None,
        import_limit_seconds=settings.import_limit_s,
    )  # fmt: skip


def needs_kernel(settings: Settings, operation: str) -> str:
    """Why the target of *settings* cannot be played in memory, although that was asked for."""
    return (
        f"{settings.target} needs a kernel object ({operation}), so memory cannot play it; leave --network away or "
        "write --network loopback"
    )
