"""Cases per second of atheris: the handler's code instrumented for coverage, called in memory.

Run by `peers.py` with an interpreter that has atheris: `python atheris_rate.py CASES`; prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import atheris

with atheris.instrument_imports():
    from lineserver import FakeSocket, Store


class Server:
    """What the handler asks of its server: nothing."""


class Count:
    """Counts the cases, and ends the process after the last one, for atheris does not return."""

    def __init__(self, cases: int) -> None:
        self._left = self._cases = cases
        self._server: Any = Server()
        self._wall = self._cpu = 0.0

    def __call__(self, data: bytes) -> None:
        """One case."""
        if self._left == self._cases:
            self._wall, self._cpu = time.perf_counter(), time.process_time()
        Store(FakeSocket(data), ("127.0.0.1", 40_000), self._server)  # type: ignore[arg-type]
        self._left -= 1
        if not self._left:
            cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
            os.write(1, json.dumps({"cases": self._cases, "cpu": cpu, "wall": wall}).encode() + b"\n")
            os._exit(0)


if __name__ == "__main__":
    # ASCII only and short, as for a text protocol; the seed makes rounds alike
    atheris.Setup([sys.argv[0], "-seed=1", "-max_len=64", "-verbosity=0"], Count(int(sys.argv[1])))
    atheris.Fuzz()
