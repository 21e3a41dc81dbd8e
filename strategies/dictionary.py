"""The words of a handler's protocol, read from its own code: nothing is executed, only code objects are looked at.

A handler that compares a line with `b"QUIT"` knows a word that no random bytes would ever spell. Words come in this
order, the most telling first: names behind a dispatch prefix (`do_GET`), operands of comparisons, other constants;
the user's code before the standard library's. All of it is bounded, and the same for the same code.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import struct
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from handshaker.strategies.bytecode import Constant, constants

__all__ = ["FORMATS_MAX", "NUMBERS_MAX", "TERMINATORS_MAX", "TOKENS_MAX", "Dictionary", "mine"]

TOKENS_MAX: Final = 64
NUMBERS_MAX: Final = 24
FORMATS_MAX: Final = 8
TERMINATORS_MAX: Final = 6
_CODE_MAX: Final = 300
_WORD_BYTES_MAX: Final = 32

_DISPATCH: Final = re.compile(r"^(?:do|cmd|command|handle|on|op|process|serve)_([^_]+)$")
_TERMINATOR: Final = re.compile(rb"^[\r\n\0;.]*[\r\n\0][\r\n\0]*$")
_PLACEHOLDER: Final = re.compile(r"%[-#0 +]*[\d.]*[a-zA-Z]|\{[^{}]*\}")
_FORMAT: Final = re.compile(r"^[@=<>!]?(?:\d*[xcbBhHiIlLqQnNefdsp?]\s*)+$")
_PACKERS: Final = frozenset({"pack", "pack_into", "unpack", "unpack_from", "iter_unpack", "calcsize", "Struct"})
_LINE_READERS: Final = frozenset({"readline", "readlines", "splitlines"})
_PLUMBING: Final = frozenset({"socketserver", "builtins", "abc", "io", "typing"})


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What a protocol is made of: words, numbers, `struct` formats, and what ends a message."""

    tokens: tuple[bytes, ...] = ()
    numbers: tuple[int, ...] = ()
    struct_formats: tuple[str, ...] = ()
    terminators: tuple[bytes, ...] = ()


def mine(subjects: Iterable[object]) -> Dictionary:
    """The Dictionary of classes and functions (partials and bound methods too), of at most a few dozen entries each."""
    findings = _Findings()
    for definition in _reachable(subjects):
        findings.add(definition)
    return findings.dictionary()


@dataclass(frozen=True, slots=True)
class _Definition:
    """One piece of code or one plain value, whose it is, and the name it goes by."""

    name: str
    value: object
    own: bool


class _Findings:
    """Collects by rank; the rank and then the order of discovery decide what stays."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, int] = {}
        self.numbers: dict[int, int] = {}
        self.formats: dict[str, int] = {}
        self.terminators: dict[bytes, int] = {}

    def add(self, definition: _Definition) -> None:
        later = 0 if definition.own else 10
        verb = _DISPATCH.match(definition.name)
        if verb is not None and isinstance(definition.value, types.FunctionType):
            self._token(verb[1].encode(), later)
            self._token(verb[1].upper().encode(), later + 1)
        if isinstance(definition.value, types.FunctionType):
            self._add_code(definition.value.__code__, later)
        elif isinstance(definition.value, struct.Struct):
            self._format(definition.value.format, later)
        else:
            for value in _flat(definition.value):
                self._constant(value, later + 5)

    def _add_code(self, code: types.CodeType, later: int) -> None:
        names = set(code.co_names)
        if names & _LINE_READERS:
            self.terminators.setdefault(b"\n", later)
        packs = bool(names & _PACKERS)
        for constant in constants(code):
            for value in _flat(constant.value):
                self._code_constant(constant, value, packs, "from_bytes" in names, later)

    def _code_constant(self, constant: Constant, value: object, packs: bool, from_bytes: bool, later: int) -> None:
        if packs and isinstance(value, str) and _is_format(value):
            self._format(value, later)
        elif from_bytes and value in ("big", "little"):
            self._format(">H" if value == "big" else "<H", later)
            self._format(">I" if value == "big" else "<I", later)
        else:
            self._constant(value, later + (2 if constant.compared else 4))

    def _constant(self, value: object, rank: int) -> None:
        if type(value) is int:
            if abs(value) < 1 << 64:
                _keep(self.numbers, value, rank)
        elif isinstance(value, bytes):
            for piece in _PLACEHOLDER.split(value.decode("latin-1")):
                self._text(piece.encode("latin-1"), rank)
        elif isinstance(value, str):
            for piece in _PLACEHOLDER.split(value):
                self._text(piece.encode("utf-8", "surrogatepass"), rank)

    def _text(self, text: bytes, rank: int) -> None:
        if _TERMINATOR.match(text):
            _keep(self.terminators, text, rank)
            return
        words = text.split()
        if len(words) > 3 or len(text) > 4 * _WORD_BYTES_MAX:
            return
        for word in (text.strip(b" \r\n\0"), *words):
            self._token(word, rank)

    def _token(self, word: bytes, rank: int) -> None:
        if word and len(word) <= _WORD_BYTES_MAX:
            _keep(self.tokens, word, rank)

    def _format(self, text: str, rank: int) -> None:
        _keep(self.formats, "".join(text.split()), rank)

    def dictionary(self) -> Dictionary:
        return Dictionary(
            _best(self.tokens, TOKENS_MAX),
            _best(self.numbers, NUMBERS_MAX),
            _best(self.formats, FORMATS_MAX),
            _best(self.terminators, TERMINATORS_MAX),
        )


def _keep(ranks: dict[Any, int], value: object, rank: int) -> None:
    ranks[value] = min(rank, ranks.get(value, rank))


def _best(ranks: dict[Any, int], most: int) -> tuple[Any, ...]:
    return tuple(sorted(ranks, key=ranks.__getitem__))[:most]


def _is_format(text: str) -> bool:
    if not _FORMAT.match(text):
        return False
    try:
        return 0 < struct.calcsize(text) <= 64
    except struct.error:
        return False


def _flat(value: object) -> Iterator[object]:
    """The scalars inside plain containers, in an order that does not depend on the hash seed."""
    if type(value) in (tuple, list):
        for item in value:  # type: ignore[attr-defined]
            yield from _flat(item)
    elif type(value) in (set, frozenset, dict):
        plain = (item for item in value if type(item) in (str, bytes, int))  # type: ignore[attr-defined]
        yield from sorted(plain, key=lambda item: (type(item).__name__, item))
    elif type(value) in (str, bytes, int):
        yield value


def _reachable(subjects: Iterable[object]) -> Iterator[_Definition]:
    """The subjects, what they inherit, and what their code names in the user's own modules; each thing once."""
    waiting = [_Definition("", subject, True) for subject in subjects]
    seen: set[int] = set()
    budget = _CODE_MAX
    for found in waiting:
        subject = _unwrap(found.value)
        if id(subject) in seen or not budget:
            continue
        seen.add(id(subject))
        if isinstance(subject, type):
            waiting.extend(_members(subject))
        elif isinstance(subject, types.FunctionType):
            budget -= 1
            yield _Definition(found.name or subject.__name__, subject, _is_own(subject))
            if _is_own(subject):
                waiting.extend(_named_in(subject))
        elif isinstance(subject, types.MethodType):
            waiting += [_Definition(found.name, part, True) for part in (subject.__func__, type(subject.__self__))]
        else:
            yield found


def _unwrap(thing: object) -> object:
    while True:
        if isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
        elif isinstance(thing, functools.partial):
            thing = thing.func
        elif isinstance(thing, property):
            thing = thing.fget
        elif isinstance(thing, types.FunctionType) and "__wrapped__" in thing.__dict__:
            thing = thing.__dict__["__wrapped__"]
        else:
            return thing


def _is_own(thing: Callable[..., Any] | type) -> bool:
    return str(thing.__module__).partition(".")[0] not in sys.stdlib_module_names


def _members(cls: type) -> Iterator[_Definition]:
    """Functions and plain attributes of *cls* and of its bases, except those that belong to no protocol."""
    for base in inspect.getmro(cls):
        if base.__module__ in _PLUMBING:
            continue
        for name, value in vars(base).items():
            code = _unwrap(value)
            if isinstance(code, types.FunctionType):
                yield _Definition(name, code, True)
            elif not name.startswith("__") and _is_telling(value):
                yield _Definition(name, value, _is_own(base))


def _named_in(function: types.FunctionType) -> Iterator[_Definition]:
    """What *function* refers to by a global name or a closure, when it is plain data or code of the user's own."""
    named = {}
    for code in _nested(function.__code__):
        named.update({name: function.__globals__.get(name) for name in code.co_names})
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            named[name] = cell.cell_contents
    return (_Definition(name, value, True) for name, value in named.items() if _is_telling(value))


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _is_telling(value: object) -> bool:
    plain = (str, bytes, int, tuple, list, set, frozenset, dict, struct.Struct)
    return type(value) in plain or (isinstance(value, (type, types.FunctionType)) and _is_own(value))
