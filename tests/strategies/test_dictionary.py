"""What is read from a handler's code, and that reading runs nothing."""

from __future__ import annotations

import functools
import http.server
import os
import socketserver
import struct
import subprocess
import sys
from pathlib import Path

from handshaker.strategies.dictionary import NUMBERS_MAX, TOKENS_MAX, Dictionary, mine

COMMANDS = {"ADD": 1, "SUB": 2}
HEADER = struct.Struct("<IH")
SECRET = b"UNUSED"


def parse(line: bytes) -> list[bytes]:
    """Documentation says PLEASE."""
    return line.split(b"|")


class Helper:
    """Used by the handler."""

    def check(self, word: bytes) -> bool:
        """Compare."""
        return word == b"HELPED"


class Handler(socketserver.StreamRequestHandler):
    """A handler with words of every origin."""

    banner = b"V9"

    def cmd_quit(self) -> None:
        """Dispatched by name."""

    def handle(self) -> None:
        """Documentation says NOTHING."""
        line = self.rfile.readline()
        if line == b"EXACT\r\n" or line in (b"ONE", b"TWO"):
            parse(line)
        if line.startswith(b"PUT ") and len(line) > 4095:
            (size,) = struct.unpack(">H", line[:2])
            self.wfile.write(b"sent %d bytes" % size)
        nested = [word for word in line.split() if word == b"NESTED"]
        if line.decode() in COMMANDS and HEADER.unpack(line) and Helper().check(line):
            self.wfile.write(b"\0" + b"".join(nested))

    def never(self) -> None:
        """Would end the process if it were run."""
        os._exit(7)


def test_words_come_from_every_place_where_a_protocol_is_written_down() -> None:
    """Dispatch names, comparisons, containers, nested code, helpers, class attributes and named globals."""
    tokens = mine([Handler]).tokens
    assert {b"quit", b"QUIT", b"EXACT", b"ONE", b"TWO", b"PUT", b"|", b"NESTED", b"ADD", b"SUB", b"V9", b"HELPED"} <= {
        *tokens
    }


def test_the_most_telling_words_come_first() -> None:
    """Dispatch names before compared words before what is only sent."""
    tokens = mine([Handler]).tokens
    assert tokens.index(b"QUIT") < tokens.index(b"EXACT") < tokens.index(b"sent")


def test_documentation_and_what_is_not_used_are_left_out() -> None:
    """Words for people, and globals that the handler never names, are no words of the protocol."""
    everything = b" ".join(mine([Handler]).tokens)
    for word in (b"PLEASE", b"NOTHING", b"Documentation", b"UNUSED"):
        assert word not in everything


def test_numbers_formats_and_terminators_are_found() -> None:
    """Limits of lengths, `struct` formats wherever they are, and what ends a line."""
    found = mine([Handler])
    assert 4095 in found.numbers
    assert found.struct_formats == (">H", "<IH")
    assert found.terminators == (b"\n", b"\0")


def test_letters_are_formats_only_where_something_is_packed() -> None:
    """`"b"` in code that packs nothing is a word."""

    def plain(data: bytes) -> bool:
        return data == b"i" or data.decode() == "h"

    assert mine([plain]) == Dictionary(tokens=(b"i", b"h"))


def test_integers_from_bytes_are_length_fields() -> None:
    """`int.from_bytes(…, "big")` is a length field as much as `struct` is."""

    def big(data: bytes) -> int:
        return int.from_bytes(data[:4], "big")

    assert mine([big]).struct_formats == (">H", ">I")


def test_handlers_of_the_standard_library_give_their_methods() -> None:
    """`do_GET` and `do_HEAD` name the methods; the text of error pages does not crowd them out."""
    found = mine([http.server.SimpleHTTPRequestHandler])
    assert found.tokens[:2] == (b"GET", b"HEAD")
    assert {b"HTTP/1.1", b"HTTP/", b"Content-Length", b"keep-alive"} <= set(found.tokens)
    assert b"\r\n" in found.terminators


def test_whatever_makes_a_handler_is_looked_through() -> None:
    """Partials, bound methods and closures lead to the same words."""

    class Factory:
        def make(self, line: bytes) -> bool:
            return line == b"BOUND"

    def outer() -> object:
        class Inner:
            def handle(self, line: bytes) -> bool:
                return line == b"CLOSURE"

        return lambda: Inner

    assert mine([functools.partial(functools.partial(Handler, 1), 2)]) == mine([Handler])
    assert mine([Factory().make]).tokens == (b"BOUND",)
    assert mine([outer()]).tokens == (b"CLOSURE",)


def test_a_dictionary_is_bounded() -> None:
    """However many words there are, a few dozen stay."""
    code = "def handle(line):\n" + "".join(
        f"    if line == b'word{n}' or len(line) == {n + 7000}: pass\n" for n in range(500)
    )
    space: dict[str, object] = {"__name__": "mymodule"}
    exec(code, space)
    found = mine([space["handle"]])
    assert len(found.tokens) == TOKENS_MAX
    assert len(found.numbers) == NUMBERS_MAX
    assert found.tokens[0] == b"word0"


def test_odd_subjects_give_an_empty_dictionary() -> None:
    """Builtins, None and objects have no code to look at."""
    assert mine([len, None, object(), object]) == Dictionary()


def test_the_order_does_not_depend_on_the_hash_seed() -> None:
    """Two processes with different hash seeds find the same."""
    code = (
        "from tests.strategies.test_dictionary import *; print(mine([Handler, http.server.SimpleHTTPRequestHandler]))"
    )
    root = Path(__file__).resolve().parents[2]
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(answers) == 1
