"""JSON lines: the whole run as data, one Notice per line, written as it happens.

Each line is one JSON object: `{"format": "handshaker/1", "notice": KIND, …fields of the Notice…}`. KIND is one of
`handshaker.harness.notices.NOTICES`; fields that hold their default are left out; bytes inside are text, one
character per byte. Every line is flushed, so that a run that is killed leaves all it knew: only the last line can
be unfinished, and `read_jsonl` passes over it.

`--report jsonl` writes `handshaker.jsonl`, `--report jsonl=PATH` writes PATH, `--report jsonl=-` standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, TextIO

from handshaker.harness import codec
from handshaker.harness.errors import CaseFileError, UsageError, did_you_mean
from handshaker.harness.notices import NOTICES, Notice
from handshaker.reports.base import STDOUT, open_text

__all__ = ["JsonLines", "parse_notice", "read_jsonl", "reporter"]

_FORMAT: Final = f"handshaker/{codec.FORMAT}"
_DEFAULT_NAME: Final = "handshaker.jsonl"


class JsonLines:
    """Writes every Notice as one line of JSON to *stream*, and closes it at the end unless it is shared."""

    def __init__(self, stream: TextIO, *, shared: bool = False) -> None:
        self._stream, self._shared = stream, shared

    def on(self, notice: Notice) -> None:
        """Write one line and flush it."""
        document = {"format": _FORMAT, "notice": notice.kind, **codec.encode(notice)}
        self._stream.write(json.dumps(document, separators=(", ", ": ")) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if not self._shared:
            self._stream.close()


def reporter(path: str, folder: str) -> JsonLines:
    """Open the report; see the module for what *path* means. Raises UsageError when it cannot be written."""
    if path == STDOUT:
        return JsonLines(sys.stdout, shared=True)
    return JsonLines(open_text(path) if path else open_text(_DEFAULT_NAME, folder=folder))


def read_jsonl(path: str | Path) -> tuple[Notice, ...]:
    """The Notices of a file that this report wrote, in order; an unfinished last line is passed over.

    Raises UsageError when the file cannot be read, CaseFileError naming file, line and field when it is damaged.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        advice = "name a file that --report jsonl=PATH wrote"
        raise UsageError(f"cannot read the report {str(path)!r}: {error.strerror}; {advice}") from None
    return tuple(
        parse_notice(text.decode("utf-8", "surrogateescape"), where=f"{path}, line {number}")
        for number, text in enumerate(lines[:-1], start=1)
        if text.strip()
    )


def parse_notice(text: str, *, where: str) -> Notice:
    """The Notice of one line. Raises CaseFileError naming *where* and the field."""
    document = _document(text, where)
    kind = document.pop("notice", None)
    if not isinstance(kind, str) or kind not in NOTICES:
        meant = did_you_mean(str(kind), NOTICES)
        raise CaseFileError(f"{where}: field 'notice': {kind!r} is no kind of notice; {meant}")
    return codec.decode(NOTICES[kind], document, where=where)


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaseFileError(f"{where}: not JSON ({error}); expected a line that --report jsonl wrote") from None
    found = document.pop("format", None) if isinstance(document, dict) else None
    if not isinstance(document, dict) or found != _FORMAT:
        raise CaseFileError(f"{where}: field 'format': expected {_FORMAT!r}, found {found!r}")
    return document
