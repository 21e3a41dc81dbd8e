"""handshaker: point it at a network request handler; it finds the smallest traffic that breaks it.

The public face is lazy: `import handshaker` loads no engine, no Hypothesis and no Scapy until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handshaker.harness.case import Act, Case, Fault, Script, Step
    from handshaker.harness.errors import HandshakerError, TargetError, UsageError
    from handshaker.harness.pytest_form import (
        InvariantViolated,
        assert_holds,
        cases,
        given_case,
        lifecycle_test,
        play,
    )
    from handshaker.harness.trace import Event, Trace

__version__ = "0.1.0"

__all__ = [
    "Act",
    "Case",
    "Event",
    "Fault",
    "HandshakerError",
    "InvariantViolated",
    "Script",
    "Step",
    "TargetError",
    "Trace",
    "UsageError",
    "__version__",
    "assert_holds",
    "cases",
    "given_case",
    "lifecycle_test",
    "play",
]

_HOMES = {
    **dict.fromkeys(("Act", "Case", "Fault", "Script", "Step"), "handshaker.harness.case"),
    **dict.fromkeys(("Event", "Trace"), "handshaker.harness.trace"),
    **dict.fromkeys(("HandshakerError", "TargetError", "UsageError"), "handshaker.harness.errors"),
    **dict.fromkeys(
        ("InvariantViolated", "assert_holds", "cases", "given_case", "lifecycle_test", "play"),
        "handshaker.harness.pytest_form",
    ),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'handshaker' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
