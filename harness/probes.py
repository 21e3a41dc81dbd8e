"""What a Case does to the process around the handler: stderr, warnings, lost exceptions, threads, descriptors.

The probes are installed once for many Cases, since installing costs more than a Case. While no Case runs they pass
everything on to what was there before. They write down and hide nothing from a program that looks: what is told while a
Case runs goes into the Trace instead of the terminal.
"""

from __future__ import annotations

import io
import itertools
import logging
import os
import select
import sys
import threading
import warnings
from contextlib import ExitStack
from typing import Any, Final, Self, TextIO

from handshaker.harness.recorder import RUN, qualified

__all__ = ["TEXT_MAX", "Probes", "open_descriptors"]

TEXT_MAX: Final = 20_000
_THREAD_GRACE_S: Final = 0.1
_WATCHED_DESCRIPTORS: Final = 8
_PLAIN: Final = logging.Formatter()
_ONCE: Final = frozenset({"default", "module", "once"})


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 - these names are only counted


class _Stderr(io.TextIOBase):
    """Stands in for sys.stderr: what is written while a Case runs becomes an event.

    The rest goes where it went before.
    """

    def __init__(self, real: TextIO) -> None:
        super().__init__()
        self._real = real
        self.buffer = _StderrBytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._real.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._real.errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)  # such as its name, or reconfigure()

    def write(self, text: str) -> int:
        if not RUN.active:
            return self._real.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            _append(text)
        return len(text)

    def flush(self) -> None:
        if not RUN.active:
            self._real.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._real.fileno()

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        """Taken; the terminal is not the handler's to close."""


class _StderrBytes(io.BufferedIOBase):
    """The `buffer` of the stand-in."""

    def __init__(self, text: _Stderr) -> None:
        super().__init__()
        self._text = text

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    def writable(self) -> bool:
        return True


def _append(text: str) -> None:
    """One event for what is written in one go, however many calls of write() that takes."""
    if RUN.recorder is not None:
        RUN.recorder.append_text(("probe.stderr", RUN.connection), text, TEXT_MAX)


def _said(before: Any) -> Any:
    """Log records count as told also where they go to a file, or to the stderr of before; each is written down once."""

    def callHandlers(logger: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802
        recorder = RUN.recorder
        if recorder is None:
            before(logger, record)
            return
        mark = recorder.mark()
        before(logger, record)
        if mark == recorder.mark():
            _append(f"{record.levelname}:{record.name}:{record.msg}\n")
        if "_pytest.logging" in sys.modules:
            _cool(record)

    return callHandlers


def _cool(record: logging.LogRecord) -> None:
    """Keep the text of a logged exception instead of itself.

    pytest keeps every record of a test, and an exception keeps the handler that it went through.
    """
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        record.exc_text = record.exc_text or _PLAIN.formatException(record.exc_info)
        record.exc_info = None


class Probes:
    """Watches this process while Cases run. A context manager; `disturbed` is asked after each Case."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._threads: set[threading.Thread] = set()
        self._thread_count = 0
        self._poll = select.poll()
        self.descriptors = 0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._replace(undo, sys, "stderr", _Stderr(sys.stderr))
            self._replace(undo, logging.Logger, "callHandlers", _said(logging.Logger.callHandlers))
            self._watch_warnings(undo)
            self._replace(undo, sys, "unraisablehook", _uncaught(sys.unraisablehook))
            self._replace(undo, threading, "excepthook", _uncaught(threading.excepthook))
            self._undo = undo.pop_all()
        self.settle()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._undo.close()

    def _replace(self, undo: ExitStack, owner: Any, name: str, ours: object) -> None:
        before = getattr(owner, name)

        def put_back() -> None:
            # Somebody else may have replaced it meanwhile, as pytest does with sys.stderr between the phases of a test.
            if getattr(owner, name) is ours:
                setattr(owner, name, before)

        undo.callback(put_back)
        setattr(owner, name, ours)

    def _watch_warnings(self, undo: ExitStack) -> None:
        undo.enter_context(warnings.catch_warnings())
        # Filters that show a warning once per place would make the same Case give another Trace the second time.
        warnings.filters[:] = [(_always(item[0]), *item[1:]) for item in warnings.filters]  # type: ignore[index]
        self._replace(undo, warnings, "defaultaction", _always(warnings.defaultaction))  # type: ignore[attr-defined]
        warnings.simplefilter("always", ResourceWarning)
        warnings.showwarning = self._show_warning(warnings.showwarning)

    def _show_warning(self, before: Any) -> Any:
        def showwarning(
            message: Warning | str, category: type[Warning], filename: str, lineno: int,
            file: TextIO | None = None, line: str | None = None,
        ) -> None:  # fmt: skip
            if RUN.active and file is None:
                what = ("probe.warning", RUN.connection, qualified(category))
                RUN.emit((what, f"{message} @ {filename}:{lineno}"))
            else:
                before(message, category, filename, lineno, file, line)

        return showwarning

    # threads and descriptors

    def _watch_descriptors(self) -> None:
        """Watch the lowest free descriptors, which is where new ones appear: some of them, since a Case has its own."""
        first = os.dup(0) if _is_open(0) else os.open(os.devnull, os.O_RDONLY)
        os.close(first)
        self._poll = select.poll()
        free = itertools.filterfalse(_is_open, itertools.count(first))
        for descriptor in itertools.islice(free, _WATCHED_DESCRIPTORS):
            self._poll.register(descriptor, 0)

    def settle(self) -> None:
        """From here on, more threads or descriptors than now are news."""
        self._threads = set(threading.enumerate())
        self._thread_count = threading.active_count()
        self._watch_descriptors()
        self.descriptors = open_descriptors()

    def disturbed(self) -> bool:
        """Whether threads or descriptors may have changed since `settle`.

        Cheap: it looks at the lowest free descriptors only.
        """
        taken = len(self._poll.poll(0)) != _WATCHED_DESCRIPTORS
        return taken or threading.active_count() != self._thread_count

    def new_threads(self) -> int:
        """How many threads more live now, after those that are just ending were given a moment."""
        new = [thread for thread in threading.enumerate() if thread not in self._threads]
        for thread in new:
            thread.join(_THREAD_GRACE_S)
        return sum(thread.is_alive() for thread in new)

    def new_descriptors(self) -> int:
        """How many descriptors more are open now."""
        return open_descriptors() - self.descriptors


def _uncaught(before: Any) -> Any:
    """A hook for exceptions in finalizers and threads, which nobody could catch."""

    def hook(told: Any) -> None:
        cls = told.exc_type
        if not RUN.active and not _is_ours(cls):
            before(told)
        elif not (RUN.stopped or _is_ours(cls) or cls is SystemExit):
            RUN.emit((("probe.unraisable", RUN.connection, qualified(cls)), f"{cls.__name__}: {told.exc_value}"))

    return hook


def _is_ours(cls: type[BaseException]) -> bool:
    """What ends a handler from outside, and what a handler that was ended leaves behind, is our doing."""
    return cls.__module__.startswith(__name__.partition(".")[0] + ".")


def _always(action: str) -> str:
    return "always" if action in _ONCE else action


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
