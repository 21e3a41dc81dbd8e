"""What a kind of Event is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["RAISED", "Kind"]

RAISED: Final = ("lineage", "injected", "frame")
"""The structural fields of every event that tells an exception."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of Event: its source, the names of its structural fields, the name of its payload, and one sentence."""

    source: str
    fields: tuple[str, ...]
    payload: str
    sentence: str
