"""The constants of a code object, and which of them something is compared with. No code is run.

Documentation is left out: its words are for people, not for peers.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Constant", "constants"]

_COMPARISONS: Final = frozenset({"COMPARE_OP", "CONTAINS_OP", "MATCH_CLASS", "MATCH_KEYS"})
_COMPARING_METHODS: Final = frozenset(
    {"startswith", "endswith", "removeprefix", "removesuffix", "split", "rsplit", "partition", "rpartition"}
    | {"find", "index", "count", "strip", "rstrip", "lstrip", "readuntil", "get"}
)
_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant and whether the input is compared with it, or searched or cut by it."""

    value: object
    compared: bool


def constants(code: types.CodeType) -> Iterator[Constant]:
    """The constants that *code* and the code nested in it load, in the order of their first use."""
    instructions = list(dis.get_instructions(code))
    compared: dict[tuple[str, str], bool] = {}
    values: dict[tuple[str, str], object] = {}
    for place, instruction in enumerate(instructions):
        if instruction.opname not in ("LOAD_CONST", "LOAD_SMALL_INT", "RETURN_CONST", "KW_NAMES"):
            continue
        value = instruction.argval
        if isinstance(value, types.CodeType):
            yield from constants(value)
        elif instruction.opname != "KW_NAMES" and not _is_documentation(instructions, place):
            key = (type(value).__name__, repr(value))
            values[key] = value
            compared[key] = compared.get(key, False) or _is_compared(instructions, place)
    for key, value in values.items():
        yield Constant(value, compared[key])


def _is_documentation(instructions: list[dis.Instruction], place: int) -> bool:
    """A class body stores its documentation like any other attribute."""
    following = instructions[place + 1 : place + 2]
    return any(each.opname == "STORE_NAME" and each.argval == "__doc__" for each in following)


def _is_compared(instructions: list[dis.Instruction], place: int) -> bool:
    if any(each.opname in _COMPARISONS for each in instructions[place + 1 : place + 1 + _NEAR]):
        return True
    before = instructions[max(place - _NEAR, 0) : place]
    return any(each.argval in _COMPARING_METHODS for each in before if isinstance(each.argval, str))
