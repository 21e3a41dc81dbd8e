"""The type of an error says who is to blame.

`UsageError`: you; `TargetError`: your handler could not be hosted; `HarnessBug`: us.
Every message names the offending value, the rule, what is allowed, and what to write instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["CaseFileError", "HandshakerError", "HarnessBug", "TargetError", "UsageError", "did_you_mean"]


class HandshakerError(Exception):
    """The base of every error that handshaker raises on purpose."""


class UsageError(HandshakerError):
    """A value that the user gave cannot be used; the message says which one, why, and what to write instead."""


class CaseFileError(UsageError):
    """A saved file is damaged or newer than this handshaker; the message names the file and the field."""


class TargetError(HandshakerError):
    """The handler, server or factory could not be imported or hosted; the message says what to write instead."""


class HarnessBug(HandshakerError):
    """handshaker itself is at fault; please report it with the traceback."""


def did_you_mean(wrong: str, allowed: Iterable[str]) -> str:
    """Name the allowed values that come closest to *wrong*, or all of them when none is close."""
    names = sorted(allowed)
    close = difflib.get_close_matches(wrong, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "allowed: " + (", ".join(names) if names else "(nothing)")
