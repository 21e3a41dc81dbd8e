"""Golden files: what a report prints is kept in tests/golden and compared, letter by letter.

After an intended change write them anew and read the difference before it is kept:

    HANDSHAKER_GOLDEN=write python -m pytest tests/reports
    git diff tests/golden

Times, rates, ports, ids and versions are replaced by fixed ones first, so that a golden file may also hold the output
of a real run.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "check_golden", "normalised"]

FOLDER: Final = Path(__file__).parent / "golden"

_REPLACEMENTS: Final = (
    (r"\b\d+\.\d+ s\b", "0.0 s"),
    (r"\([\d,]+/s\)", "(0/s)"),
    (r'"(seconds|time)": \d+\.\d+', r'"\1": 0.0'),
    (r"(127\.0\.0\.1(?:'|\")?(?::|, ))\d+", r"\g<1>0"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b", "0123456789ab"),
    (r"\b(Python |\"python\": \")3\.\d+\.\d+", r"\g<1>3.0.0"),
)


def normalised(text: str) -> str:
    """*text* with everything that differs from run to run replaced."""
    for pattern, replacement in _REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    return text


def check_golden(name: str, text: str) -> None:
    """Compare with the golden file *name*, or write it when HANDSHAKER_GOLDEN=write is set."""
    path, found = FOLDER / name, normalised(text)
    if os.environ.get("HANDSHAKER_GOLDEN") == "write":
        path.write_text(found, encoding="utf-8")
    assert path.exists(), f"no golden file {name}; see tests/goldens.py for how to write it"
    assert found == path.read_text(encoding="utf-8")
