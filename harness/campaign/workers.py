"""Starting the worker that plays the Cases of one target, and what to say when it cannot play them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from handshaker.harness.processes.supervisor import Supervisor
from handshaker.harness.recorder import HANDED_OVER
from handshaker.harness.settings import Settings

__all__ = ["TASKS", "moved", "needs_kernel", "on_loopback", "start_worker"]

TASKS: Final = "handshaker.harness.campaign"
"""The package that tasks are named in."""

_ONE_IN: Final = 20
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


def moved(settings: Settings, operation: str) -> Settings:
    """The *settings* for a campaign that goes on over the kernel's sockets: fewer examples where each is slow."""
    if operation != HANDED_OVER:
        return settings
    return replace(settings, max_examples=settings.max_examples and max(1, settings.max_examples // _ONE_IN))


def on_loopback(operation: str) -> str:
    """Why a campaign goes on over the kernel's sockets, as a remark."""
    if operation == HANDED_OVER:
        return (
            "the server has its requests served in threads of its own: played on loopback, with all peers at the same "
            f"time, and one in {_ONE_IN} examples"
        )
    return f"the handler needs a kernel object ({operation}): played on loopback"


def needs_kernel(settings: Settings, operation: str) -> str:
    """Why the target of *settings* cannot be played in memory, although that was asked for."""
    return (
        f"{settings.target} needs a kernel object ({operation}), so memory cannot play it; leave --network away or "
        "write --network loopback"
    )
