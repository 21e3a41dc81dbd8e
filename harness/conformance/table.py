"""All sub-checks of the conformance suite, in the order of their rules; a new one is one line in `checks_…`."""

from __future__ import annotations

from typing import Final

from handshaker.harness.conformance import (
    checks_concurrency,
    checks_datagram,
    checks_handler,
    checks_owner,
    checks_server,
)
from handshaker.harness.conformance.check import Check, Item, items_of
from handshaker.harness.judge import select

__all__ = ["CHECKS", "ITEMS", "KNOWN_CPYTHON"]

_ORDER: Final = select()

_MODULES: Final = (checks_handler, checks_server, checks_datagram, checks_concurrency, checks_owner)
CHECKS: Final[tuple[Check, ...]] = tuple(
    sorted((check for module in _MODULES for check in module.CHECKS), key=lambda check: _ORDER.index(check.slug))
)

ITEMS: Final[tuple[Item, ...]] = tuple(item for check in CHECKS for item in items_of(check))
"""Every check on every transport and concurrency that it names."""

KNOWN_CPYTHON: Final[dict[str, str]] = {item.id: item.check.known for item in ITEMS if item.check.known}
"""What CPython's own `socketserver` is known to do where the rules say otherwise: the ids of items, with numbers.

An implementation that copies CPython faithfully may declare the same: `deviations=KNOWN_CPYTHON`.
"""
