"""What a request leaves changed in its process, and how much it holds while it is served."""

from __future__ import annotations

from typing import Final

from handshaker.harness.vocabularies.kind import Kind

__all__ = ["STATE"]

STATE: Final[dict[str, Kind]] = {
    "probe.process-state": Kind("probe", ("what",), "detail",
                                "this part of the process's state is not what it was before the case; it was put back"),
    "probe.memory": Kind("probe", ("held", "again", "announced", "where"), "detail",
                         "a handler took a million bytes or more: how many times as much it held at once; how many times when "
                         "several times as much was sent; whether the peer announced so many; where in the user's code it was "
                         "reading"),
}  # fmt: skip
