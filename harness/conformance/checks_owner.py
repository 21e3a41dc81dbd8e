"""Sub-checks of a server object in the hands of its owner: scenarios of `strategies.owner`, and who judges which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.conformance.check import LINE, Check
from handshaker.strategies.owner import SCENARIOS

__all__ = ["CHECKS"]

_JUDGED: Final = {
    "resources/failed-bind-closes": ("binding fails", "listening fails"),
    "server/handle-request-bounded": (
        "one request", "one request, and nobody comes", "one request in a with statement",
    ),
    "server/shutdown-returns": (
        "a whole life", "shut down while nobody comes", "shut down twice", "served again after shutdown",
    ),
    "server/nothing-after-shutdown": (
        "a peer comes after shutdown", "a peer comes while shutdown() waits", "shut down while nobody comes",
    ),
    "server/close-is-idempotent": ("a whole life", "closed twice", "closed twice after serving"),
    "server/service-actions": ("a whole life", "service_actions() raises"),
    "server/context-manager": (
        "in a with statement", "the with statement is left while serving", "one request in a with statement",
    ),
    "server/listener-open-while-serving": ("a whole life",),
    "server/accept-errors-survived": ("no descriptor is left",),
}  # fmt: skip
_BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}


def _checks() -> Iterator[Check]:
    for slug, names in _JUDGED.items():
        for name in names:
            scenario = _BY_NAME[name]
            words = "-".join("".join(sign for sign in word if sign.isalnum() or sign == "_") for word in name.split())
            case = scenario.case(LINE, "tcp", "plain")
            yield Check(slug, words, "lines", (case,), ("tcp", "unix"), scenario.concurrencies)


CHECKS: Final = tuple(_checks())
