"""Which files are the user's: so that a message points at a line that the user can change.

Everything that is neither the standard library nor an installed package is the user's own. A target that is itself
installed, or part of the standard library, counts as the user's while it is tested: its home is its top-level package,
or its one file.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

__all__ = ["home_of", "innermost_user_line", "is_library", "library_folders"]

_OWN_PACKAGE: Final = __name__.partition(".")[0]


def library_folders() -> tuple[str, ...]:
    """The folders of the standard library and of installed packages, each with a separator at its end."""
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages(), str(Path(os.__file__).parent)]
    return tuple(dict.fromkeys(folder + os.sep for folder in found))


_LIBRARIES: Final = library_folders()
_OWN_FOLDER: Final = str(Path(__file__).absolute().parents[1]) + os.sep
_EXHIBITS: Final = str(Path(__file__).absolute().parent / "exhibits") + os.sep


def is_library(filename: str) -> bool:
    """Whether *filename* belongs to the standard library, to an installed package, or to no file at all."""
    return filename.startswith(("<", *_LIBRARIES))


def home_of(thing: Any) -> str:
    """The path prefix of the code that *thing* (class, function or module) belongs to; `""` when it has no file."""
    module = thing if isinstance(thing, ModuleType) else sys.modules.get(getattr(thing, "__module__", None) or "")
    filename = getattr(module, "__file__", None)
    if module is None or not filename:
        return ""
    return _package_folder(module) or _folder_or_file(filename)


def _package_folder(module: ModuleType) -> str:
    top = sys.modules.get(module.__name__.partition(".")[0])
    init: str | None = getattr(top, "__file__", None)
    if top is None or top.__name__ == _OWN_PACKAGE or init is None or not hasattr(top, "__path__"):
        return ""
    return str(Path(init).parent) + os.sep


def _folder_or_file(filename: str) -> str:
    folder = str(Path(filename).parent) + os.sep
    return filename if folder in _LIBRARIES else folder


def _is_ours(filename: str) -> bool:
    """Whether *filename* belongs to handshaker itself; its exhibits stand for a user's code."""
    return filename.startswith(_OWN_FOLDER) and not filename.startswith(_EXHIBITS)


def innermost_user_line(traceback: TracebackType | None, *, skip: str = "") -> str:
    """`file:line` of the innermost frame in user code, else of the innermost frame; *skip* is a file of ours."""
    lines = []
    while traceback is not None:
        lines.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    lines = [line for line in lines if line[0] != skip and not _is_ours(line[0])]
    chosen = [line for line in lines if not is_library(line[0])] or lines
    return f"{chosen[-1][0]}:{chosen[-1][1]}" if chosen else ""
