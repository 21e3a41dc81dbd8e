"""Calling the loader in the worker, and saying in one sentence why a target cannot be loaded.

The loader's own errors are ours and pass as they are. Everything else is the target's code at work while it is being
imported: the sentence names the exception and the innermost line that belongs to the user.
"""

from __future__ import annotations

import importlib
import linecache
from collections.abc import Callable
from types import TracebackType
from typing import Any

from handshaker.harness.errors import HandshakerError, HarnessBug, TargetError
from handshaker.harness.processes.results import Failure, words
from handshaker.harness.processes.stacks import StackFrame, is_users_file, stack_frames, users_frame

__all__ = ["death_sentence", "hang_sentence", "load", "named"]

_GUARD = "move what runs the program under `if __name__ == '__main__':`"


def named(name: str) -> Callable[..., Any]:
    """The function that "package.module:function" names; raises HarnessBug when there is none."""
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise HarnessBug(f"{name!r} names no function; expected 'package.module:function'")
    return found  # type: ignore[no-any-return]


def load(loader: str, arguments: dict[str, Any]) -> tuple[Any, Failure | None]:
    """What the loader returns, or why it does not."""
    try:
        return named(loader)(arguments), None
    except HandshakerError as error:
        return None, Failure.of(error)
    except SystemExit as error:
        return None, Failure.of(TargetError(_exit_sentence(error)))
    except BaseException as error:
        return None, Failure.of(TargetError(_error_sentence(error)))


def _exit_sentence(error: SystemExit) -> str:
    place = _innermost(error.__traceback__)
    return f"importing the target called sys.exit({error.code!r}){place}; it must only define things: {_GUARD}"


def _error_sentence(error: BaseException) -> str:
    place = _innermost(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        place = f", at {error.filename}:{error.lineno}"
    said = error.msg if isinstance(error, SyntaxError) else words(error)
    text = f"{type(error).__name__}: {said}".rstrip(": ")
    return f"importing the target raised {text}{place}; it must be importable without an error"


def _innermost(traceback: TracebackType | None) -> str:
    place = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_users_file(code.co_filename):
            place = _place(StackFrame(code.co_filename, traceback.tb_lineno, code.co_qualname))
        traceback = traceback.tb_next
    return place


def _place(frame: StackFrame) -> str:
    line = linecache.getline(frame.file, frame.line).strip()
    return f", at {frame.file}:{frame.line} in {frame.function}" + (f": `{line}`" if line else "")


def hang_sentence(stack: str, seconds: float) -> str:
    """Why the import never returned, as far as the stack tells."""
    frame = users_frame(stack)
    place = _place(frame) if frame else ""
    if any(frame.function == "serve_forever" for frame in stack_frames(stack)):
        return f"importing the target starts a server: serve_forever() never returned{place}; {_GUARD}"
    return (
        f"importing the target did not return within {seconds:g} s{place}; "
        f"it must only define things: {_GUARD}, or allow more time"
    )


def death_sentence(ending: str, stderr: str) -> str:
    """Why there is no process any more after the import; *ending* completes "the process …"."""
    last = stderr.strip().rpartition("\n")[2]
    said = f" (it last wrote: {last!r})" if last else ""
    return f"while the target was imported, the process {ending}{said}; a module must not end its process: {_GUARD}"
