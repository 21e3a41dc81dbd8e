"""What is to be drawn for one target: its words, its timeout, and which kinds of content, endings and faults are on.

A Plan is data. The tables that the hot loop draws from are made of it once. The first entry of each table is the
simplest, since shrinking goes there; an entry occurs several times when it should be drawn more often. Few kinds of
hardship, often, find more than all kinds, rarely: so the fast driver keeps to a random part of a Plan for a while, its
*swarm*.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.dictionary import Dictionary
from handshaker.strategies.drawing import Options
from handshaker.strategies.faults import FaultKind

__all__ = ["CONTENTS", "ENDINGS", "Plan", "Swarm", "swarm"]

CONTENTS: Final[Mapping[str, int]] = {
    "raw": 2, "line": 6, "lines": 3, "counted": 1, "length": 2, "long": 1,
    "message": 10, "example": 4, "damaged": 4,
}  # fmt: skip
"""The kinds of content and how often each is drawn; `message` and `example` need a strategy or an example."""

ENDINGS: Final[Mapping[str, int]] = {
    "half-close": 8, "nothing": 1, "open": 2, "torn half-close": 2, "torn open": 1, "early half-close": 1,
    "close": 1, "reset": 1, "torn reset": 1, "early reset": 1, "close on reply": 1, "reset on reply": 1,
}  # fmt: skip
"""How a peer ends and how often: *torn* is in the middle of its payload, *early* before it is accepted."""

_COMMON_WORDS: Final = (b"a", b"hello", b"help", b"quit", b"stop", b"GET", b"get", b"set", b"0")
_COMMON_NUMBERS: Final = (0, 1, 2, -1, 10, 255, 256, 65536, 2**31, 2**32, 99_999_999_999, -(2**31) - 1)
_NUMBER_TEXTS: Final = (b"x", b"1e9", b"0x10", b"1.5", b"+1", b"00", b"nan", b"1_0", b"\xd9\xa3", b" 1", b"9" * 40)
_HOSTILE: Final = (
    b"\0", b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\x80", b"\r", b"\n", b" ", b"\t", b"\x1b[0m", b"'", b'"', b"\\", b"%s",
    b"%n", b"{0}", b"../", b"..", b"~", b"*", b"<", b"&", b"\xc2\x85", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf",
)  # fmt: skip
_SEPARATORS: Final = (b" ", b" ", b" ", b":", b"=", b",", b": ", b"\t", b"/", b";", b"|")
_TERMINATORS: Final = (b"\n", b"\r\n", b"", b"\0", b"\r", b"\n\n", b"\r\n\r\n")
_LENGTH_FORMATS: Final = (">H", ">I", "<I", "B")
_SWARM_FAULTS_MAX: Final = 4
_DATAGRAM_BYTES_MAX: Final = 65_507
_STRUCT_FIELD: Final = re.compile(r"(\d*)([bBhHiIlLqQnN])")


@dataclass(frozen=True, slots=True)
class Swarm:
    """What the fast driver keeps to for a while; whatever it draws is a Case of the whole Plan, with the same tape."""

    contents: tuple[str, ...]
    endings: tuple[str, ...]
    faults: tuple[FaultKind, ...]
    crowds: bool


@dataclass(frozen=True)
class Plan:
    """Everything that decides which Cases are drawn.

    `example` is a message that the target understands; `timeout` is the handler's own, in seconds. `messages` says
    that the user has a strategy for messages: then only these, whole and damaged, are sent. `faults` are the enabled
    (point, effect) pairs; none by default. `max_bytes` bounds one long payload of a stream; `packet_bytes` is what the
    server cuts datagrams to. `owned` says that the server's own methods are worth trying: then its owner acts in some
    Cases. `contents` and `endings` are names out of CONTENTS and ENDINGS. `swarm` narrows what the
    fast driver draws, and nothing else. Raises UsageError for a name or a number that cannot be used.
    """

    dictionary: Dictionary = field(default_factory=Dictionary)
    example: bytes = b""
    timeout: float | None = None
    messages: bool = False
    faults: tuple[FaultKind, ...] = ()
    max_peers: int = 3
    transport: str = "tcp"
    concurrency: str = "plain"
    owned: bool = False
    contents: tuple[str, ...] = tuple(CONTENTS)
    endings: tuple[str, ...] = tuple(ENDINGS)
    max_bytes: int = 262_144
    packet_bytes: int = 8_192
    swarm: Swarm | None = None

    def __post_init__(self) -> None:
        for argument, names, known in (("contents", self.contents, CONTENTS), ("endings", self.endings, ENDINGS)):
            for name in names:
                if name not in known:
                    raise UsageError(f"{argument}={name!r} is not known; {did_you_mean(name, known)}")
        if not self.endings or not self.possible_contents:
            raise UsageError(
                f"contents={self.contents!r}, endings={self.endings!r} leave nothing to draw; name one of each"
            )
        if self.max_peers < 1 or self.max_bytes < 1 or self.packet_bytes < 1:
            told = f"max_peers={self.max_peers}, max_bytes={self.max_bytes}, packet_bytes={self.packet_bytes}"
            raise UsageError(f"{told}: all must be at least 1")

    @functools.cached_property
    def possible_contents(self) -> tuple[str, ...]:
        """The contents that this Plan can make: `message` needs a strategy, `example` an example."""
        if self.messages:
            possible = {"message", "damaged"}
        else:
            possible = set(CONTENTS) - {"message"} - (set() if self.example else {"example"})
        return tuple(name for name in self.contents if name in possible)

    @functools.cached_property
    def content_options(self) -> Options[str]:
        """The kinds of content, the simplest first."""
        return _options(self.possible_contents, CONTENTS, self.swarm.contents if self.swarm else None)

    @functools.cached_property
    def ending_options(self) -> Options[str]:
        """The endings, the simplest first."""
        return _options(self.endings, ENDINGS, self.swarm.endings if self.swarm else None)

    @functools.cached_property
    def fault_options(self) -> Options[FaultKind]:
        """The kinds of fault."""
        likely = self.faults if self.swarm is None else self.swarm.faults
        return Options(self.faults, tuple(self.faults.index(kind) for kind in likely))

    @property
    def crowds(self) -> bool:
        """Whether the fast driver draws several peers at all."""
        return self.swarm is None or self.swarm.crowds

    @property
    def datagram(self) -> bool:
        """Whether peers send datagrams."""
        return TRANSPORTS[self.transport].datagram

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of datagrams that are tried: around the one to which they are cut, and the longest of UDP."""
        sizes = (1, self.packet_bytes - 1, self.packet_bytes, self.packet_bytes + 1, 9_000, _DATAGRAM_BYTES_MAX)
        return tuple(dict.fromkeys(size for size in sizes if 0 < size <= _DATAGRAM_BYTES_MAX))

    @functools.cached_property
    def words(self) -> tuple[bytes, ...]:
        """The handler's words, the most telling first, and some that many protocols share."""
        return tuple(dict.fromkeys((*self.dictionary.tokens, *_COMMON_WORDS)))

    @functools.cached_property
    def numbers(self) -> tuple[bytes, ...]:
        """Numbers as text: the handler's own and their neighbours, the usual bounds, and what is no number."""
        near = (number + offset for number in self.dictionary.numbers for offset in (0, 1, -1))
        numbers = dict.fromkeys((*_COMMON_NUMBERS, *near))
        return (*(b"%d" % number for number in itertools.islice(numbers, 40)), *_NUMBER_TEXTS)

    @functools.cached_property
    def openings(self) -> tuple[tuple[bytes, ...], ...]:
        """The groups that the first word of a line is picked from."""
        return (self.words, self.words, self.words, self.words, self.numbers, _HOSTILE, (b"",))

    @functools.cached_property
    def arguments(self) -> tuple[tuple[bytes, ...], ...]:
        """The groups that an argument of a line is picked from; the first is no argument at all."""
        return ((b"",), self.words, self.words, self.numbers, _HOSTILE)

    @functools.cached_property
    def separators(self) -> tuple[bytes, ...]:
        """What may stand between the words of a line."""
        return (*_SEPARATORS, *(word for word in self.dictionary.tokens if len(word) == 1 and not word.isalnum()))

    @functools.cached_property
    def terminators(self) -> tuple[bytes, ...]:
        """What may end a line or a message."""
        return tuple(dict.fromkeys((*self.dictionary.terminators, *_TERMINATORS)))

    @functools.cached_property
    def length_formats(self) -> tuple[str, ...]:
        """`struct` formats of one integer each, as the handler uses them, and the usual ones."""
        own = (single for text in self.dictionary.struct_formats for single in _single_fields(text))
        return tuple(dict.fromkeys((*own, *_LENGTH_FORMATS)))

    @functools.cached_property
    def silence(self) -> float:
        """Seconds of silence that are longer than the handler's timeout."""
        return 0.05 if self.timeout is None else self.timeout * 1.5


def swarm(plan: Plan, random: Random) -> Plan:
    """*plan* with a random part of its contents, endings and faults preferred: draw a batch of Cases from each.

    A batch that lacks resets finds other things than one that is full of them, because what strikes always hides what
    comes later. At most four kinds of fault are on at a time, and none in every other batch. A tape that is drawn
    with the swarm plays on `cases(plan)` as well.
    """
    faults = plan.faults if random.random() < 0.5 else ()
    chosen = Swarm(
        contents=_some(plan.possible_contents, random),
        endings=_some(plan.endings, random),
        faults=tuple(random.sample(faults, min(len(faults), _SWARM_FAULTS_MAX))),
        crowds=random.random() < 0.5,
    )
    return replace(plan, swarm=chosen)


def _some(names: tuple[str, ...], random: Random) -> tuple[str, ...]:
    kept = tuple(name for name in names if random.random() < 0.6)
    return kept or (random.choice(names),)


def _options(names: tuple[str, ...], weights: Mapping[str, int], likely: tuple[str, ...] | None) -> Options[str]:
    simplest_first = sorted(set(names), key=list(weights).index)
    values = tuple(itertools.chain.from_iterable([name] * weights[name] for name in simplest_first))
    return Options(values, tuple(index for index, name in enumerate(values) if likely is None or name in likely))


def _single_fields(text: str) -> list[str]:
    order = text[0] if text[0] in "@=<>!" else ""
    order = "" if order == "@" else order
    codes = dict.fromkeys(code for _, code in _STRUCT_FIELD.findall(text))
    return [order + code for code in codes if not (order and code in "nN")]
