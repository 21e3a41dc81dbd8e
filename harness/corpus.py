"""Saved findings: one JSON file each under `.handshaker/findings/`, written as they are found, never half-written.

The folder ignores itself in git. A finding's file is named after its fingerprint, so the same defect found again
replaces its older, perhaps larger, case.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from handshaker.harness import codec
from handshaker.harness.errors import CaseFileError, UsageError
from handshaker.harness.verdict import Finding

__all__ = ["FOLDER", "Corpus"]

FOLDER: Final = ".handshaker"
_ID_CHARACTERS_MIN: Final = 4


class Corpus:
    """The saved findings of one project, in `.handshaker/` below *root*."""

    def __init__(self, root: str | os.PathLike[str] = ".") -> None:
        self.folder = Path(root) / FOLDER
        self._findings = self.folder / "findings"

    def prepare(self) -> None:
        """Make the folder. Raises UsageError when it cannot be written."""
        try:
            self._findings.mkdir(parents=True, exist_ok=True)
            _write(self.folder / ".gitignore", "*\n")
        except OSError as error:
            raise UsageError(
                f"{self.folder}: findings are saved here, and it cannot be written ({error.strerror}); "
                "make it writable, run in another folder, or add --no-save"
            ) from None

    def save(self, finding: Finding) -> Path:
        """Write *finding* at once and completely, and return its path. Raises UsageError when it cannot be written."""
        path = self._findings / f"{finding.id}.json"
        self.prepare()
        try:
            _write(path, codec.dumps(finding))
        except OSError as error:
            raise UsageError(f"{path}: a finding cannot be saved ({error.strerror})") from None
        return path

    def findings(self, target: str = "") -> list[Finding]:
        """All saved findings (of *target*). Raises CaseFileError naming the first damaged file."""
        paths = sorted(self._findings.glob("*.json")) if self._findings.is_dir() else []
        loaded = [_read(path) for path in paths]
        return [finding for finding in loaded if not target or finding.target == target]

    def find(self, reference: str) -> Finding:
        """The finding that *reference* means: a file, or the first characters of an id.

        Raises UsageError when nothing or more than one thing is meant, CaseFileError when the file is damaged.
        """
        if os.sep in reference or reference.endswith(".json") or Path(reference).is_file():
            return _read(Path(reference))
        paths = sorted(self._findings.glob("*.json")) if self._findings.is_dir() else []
        matching = [path for path in paths if path.stem.startswith(reference)]
        if len(matching) == 1:
            return _read(matching[0])
        known = ", ".join(path.stem[:_ID_CHARACTERS_MIN] for path in (matching or paths)) or "none yet"
        problem = f"{len(matching)} saved findings begin with it" if matching else "no saved finding begins with it"
        raise UsageError(f"{reference!r}: {problem}; saved in {self._findings}: {known}; a path to a file works too")

    def remove(self, finding: Finding, *, unless: Iterable[Finding] = ()) -> None:
        """Forget a finding, when it is saved, and unless one of *unless* is the same."""
        if finding.fingerprint in {kept.fingerprint for kept in unless}:
            return
        (self._findings / f"{finding.id}.json").unlink(missing_ok=True)


def _read(path: Path) -> Finding:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: a saved finding cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise CaseFileError(f"{path}: not UTF-8 text ({error}); expected a file that handshaker wrote") from None
    return codec.loads(Finding, text, where=str(path))


def _write(path: Path, text: str) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of one."""
    if path.name == ".gitignore" and path.exists():
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
