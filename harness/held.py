"""What wfile of a datagram handler holds while its finish() runs, so that a reply can be compared with it.

A datagram handler promises one reply, and that it is what was written to wfile. Only who sends the reply sees its
bytes, and only who enters finish() sees wfile; they meet here. Each thread finishes one request at a time, so each has
a memory of its own.
"""

from __future__ import annotations

import threading
from typing import Any, Final

__all__ = ["HELD", "Held"]


class Held(threading.local):
    """The bytes that wfile held when finish() began in this thread; None outside finish(), or where nobody can tell."""

    def __init__(self) -> None:
        self.data: bytes | None = None

    def compare(self, reply: bytes) -> str:
        """How *reply* compares with what was held: same, part (of it), other; nothing when nothing is known."""
        held = self.data
        if held is None:
            return ""
        if reply == held:
            return "same"
        return "part" if reply in held else "other"

    def look(self, wfile: Any) -> tuple[str, bytes]:
        """What kind of file *wfile* is, as `datagram.held` tells it, and the bytes that it holds."""
        if wfile is None:
            return "none", b""
        value = getattr(wfile, "getvalue", None)
        if not callable(value):
            return "own", b""
        try:
            held = value()
        except Exception:
            return "own", b""  # a BytesIO that handle() has closed holds nothing any more
        return ("standard", bytes(held)) if isinstance(held, bytes | bytearray) else ("own", b"")


HELD: Final = Held()
