"""Over which transports, and with which concurrencies, a handler can be hosted: in principle, and on this machine."""

from __future__ import annotations

import functools
import os
import socket
from typing import Final

from handshaker.harness.errors import TargetError, UsageError, did_you_mean
from handshaker.harness.transports import CONCURRENCIES, TRANSPORTS
from handshaker.targets.base import TargetDescription

__all__ = ["check_names", "combinations", "possible_transports", "require_available", "unavailable"]

_STREAMS: Final = tuple(row.name for row in TRANSPORTS.values() if not row.datagram)
_DATAGRAMS: Final = tuple(row.name for row in TRANSPORTS.values() if row.datagram)
_FAMILIES: Final[dict[int, str]] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


def possible_transports(handler_kind: str) -> tuple[str, ...]:
    """The transports that a handler of this kind (base, stream or datagram) can speak, the usual one first."""
    return {"stream": _STREAMS, "datagram": _DATAGRAMS}.get(handler_kind, (*_STREAMS, *_DATAGRAMS))


def combinations(told: TargetDescription) -> tuple[tuple[str, str], ...]:
    """The (transport, concurrency) pairs that `--concurrency all` means for a target, from the simplest on.

    What this machine cannot do is among them: `unavailable` gives the reason why it is skipped.
    """
    return tuple((told.transport, concurrency) for concurrency in CONCURRENCIES)


@functools.cache
def unavailable(transport: str, concurrency: str = "plain") -> str:
    """Why this machine cannot host over *transport* with *concurrency*; "" when it can."""
    if concurrency == "forking" and not hasattr(os, "fork"):
        return "this system cannot fork"
    row = TRANSPORTS[transport]
    if row.unix:
        return _why_no_unix(row.type)
    host = "::1" if row.family == socket.AF_INET6 else "127.0.0.1"
    try:
        with socket.socket(row.family, row.type) as probe:
            probe.bind((host, 0))
    except OSError as error:
        return (
            f"{_FAMILIES[row.family]} is not available on this machine: binding to {host} fails with {error.strerror}"
        )
    return ""


def _why_no_unix(kind: int) -> str:
    try:
        socket.socket(socket.AF_UNIX, kind).close()
    except OSError as error:
        return f"Unix sockets are not available on this machine: making one fails with {error.strerror}"
    return ""


def require_available(transport: str, concurrency: str) -> None:
    """Raise TargetError when this machine cannot host so."""
    if reason := unavailable(transport, concurrency):
        asked = (
            f"--transport {transport}" if concurrency == "plain" else f"--concurrency {concurrency} over {transport}"
        )
        raise TargetError(f"{asked}: {reason}; choose another one")


def check_names(transport: str, concurrency: str) -> None:
    """Raise UsageError unless both are known names, or "" (detected)."""
    if transport and transport not in TRANSPORTS:
        raise UsageError(f"there is no transport {transport!r}; {did_you_mean(transport, TRANSPORTS)}")
    if concurrency and concurrency not in CONCURRENCIES:
        raise UsageError(f"there is no concurrency {concurrency!r}; {did_you_mean(concurrency, CONCURRENCIES)}")
