"""Good, bad and doubtful traces of every invariant: each module here adds to the three tables.

    GOOD  = {slug: {name: Asked(trace)}}     the rule holds; mutants of these traces must be noticed
    BAD   = {slug: {name: Asked(trace)}}     the rule is violated, with a damage and a witness
    DOUBT = {slug: {name: Asked(trace)}}     the rule says that it cannot tell, or that it is not concerned, and why

A row without a good and a bad trace is not finished, see tests/harness/test_invariants.py. How the modules are called
is nobody's business; one may hold traces of several areas, and several may hold traces of one.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from tests.invariant_checks import Asked

__all__ = ["BAD", "DOUBT", "GOOD", "HOMES"]

Examples = dict[str, dict[str, Asked]]

GOOD: Final[Examples] = {}
BAD: Final[Examples] = {}
DOUBT: Final[Examples] = {}
HOMES: Final[dict[str, list[str]]] = {}
"""In which modules the examples of a slug are."""

for _found in pkgutil.iter_modules(__path__):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    for _name, _table in (("GOOD", GOOD), ("BAD", BAD), ("DOUBT", DOUBT)):
        for _slug, _examples in getattr(_module, _name, {}).items():
            _table.setdefault(_slug, {}).update(_examples)
            _homes = HOMES.setdefault(_slug, [])
            if _found.name not in _homes:
                _homes.append(_found.name)
