"""What a handler changes for the whole process: compared with what it was before, written down, and put back.

A glance is so cheap that every Case can have it; the rest costs some microseconds, so that a search compares once for
many Cases and plays them again, one by one, when something has changed (see `runner.Stage`). Everything is put back, so
that one guilty Case does not poison the next.
"""

from __future__ import annotations

import locale
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from handshaker.harness.case import Case

__all__ = ["BATCH_CASES", "PARTS", "ProcessState", "StateWatch"]

BATCH_CASES: Final = 64
"""After so many Cases a hurried search compares."""

_SIGNALS: Final = tuple(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCHLD")
)
# Without the wrapper that looks for an enumeration member, which takes a microsecond for each signal.
_handler_of: Final[Callable[[int], Any]] = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)
# The bytes as they are kept: through os.environ each one would be decoded.
_VARIABLES: Final[dict[bytes, bytes]] = os.environb._data  # type: ignore[attr-defined]
_NOT_THE_HANDLERS: Final = frozenset({b"PYTEST_CURRENT_TEST"})
_SHOWN_NAMES_MAX: Final = 5


def _glance() -> tuple[Any, ...]:
    """What tells the most for the least: identities and counts."""
    return (
        sys.stdin, sys.stdout, sys.stderr, sys.getrecursionlimit(), socket.getdefaulttimeout(),
        len(_VARIABLES), len(warnings.filters), len(sys.path),
    )  # fmt: skip


def _cwd() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a Path costs more than the call
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _environ() -> dict[bytes, bytes]:
    return dict(_VARIABLES)


def _signals() -> tuple[Any, ...]:
    return tuple([_handler_of(number) for number in _SIGNALS])


def _put_cwd(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _put_environ(before: dict[bytes, bytes]) -> None:
    for name in _changed_names(before, _environ()):
        if name in before:
            os.environb[name] = before[name]
        else:
            del os.environb[name]


def _put_signals(before: tuple[Any, ...]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in zip(_SIGNALS, before, strict=True):
        if handler is not None:
            signal.signal(number, handler)


def _put_filters(before: list[Any]) -> None:
    # Entering and leaving tells the module that its filters are not what they were.
    with warnings.catch_warnings():
        pass
    warnings.filters[:] = before  # type: ignore[index]


def _put_path(before: list[str]) -> None:
    sys.path[:] = before


_Part = tuple[Callable[[], Any], Callable[[Any], object]]

PARTS: Final[dict[str, _Part]] = {
    "working directory": (_cwd, _put_cwd),
    "umask": (_umask, os.umask),
    "environment": (_environ, _put_environ),
    "default timeout of sockets": (socket.getdefaulttimeout, socket.setdefaulttimeout),
    "locale": (lambda: locale.setlocale(locale.LC_ALL), lambda before: locale.setlocale(locale.LC_ALL, before)),
    "signal handlers": (_signals, _put_signals),
    "sys.stdin": (lambda: sys.stdin, lambda before: setattr(sys, "stdin", before)),
    "sys.stdout": (lambda: sys.stdout, lambda before: setattr(sys, "stdout", before)),
    "sys.stderr": (lambda: sys.stderr, lambda before: setattr(sys, "stderr", before)),
    "sys.path": (lambda: list(sys.path), _put_path),
    "warnings filters": (lambda: list(warnings.filters), _put_filters),
    "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
}
"""What is compared: how it is read, and how it is put back."""


class ProcessState:
    """The state of this process as it was when `settle` was called."""

    __slots__ = ("_before", "_seen", "putting_back")

    def __init__(self) -> None:
        self.putting_back = False
        """Whether what changes the process just now is our own doing."""
        self.settle()

    def settle(self) -> None:
        """From here on, what differs from now is news."""
        self._before = {name: read() for name, (read, _) in PARTS.items()}
        self._seen = _glance()

    def disturbed(self) -> bool:
        """Whether a glance shows a difference already: a fraction of a microsecond."""
        return _glance() != self._seen

    def changes(self) -> dict[str, str]:
        """What is not as it was, each with what to tell about it; it is put back, as far as that can be done."""
        found = {}
        for name, (read, put_back) in PARTS.items():
            before, now = self._before[name], read()
            if before == now or (name == "environment" and not _changed_names(before, now)):
                continue
            found[name] = _told(name, before, now)
            self.putting_back = True
            with suppress(OSError, ValueError, RecursionError, locale.Error):
                put_back(before)
            self.putting_back = False
        return found


def _changed_names(before: dict[bytes, bytes], now: dict[bytes, bytes]) -> list[bytes]:
    """The names of the variables that differ."""
    return sorted(
        name for name in (before.keys() | now.keys()) - _NOT_THE_HANDLERS if before.get(name) != now.get(name)
    )


def _told(name: str, before: Any, now: Any) -> str:
    """What to tell about one change; of the environment the names only, for its values may be secret."""
    if name == "environment":
        names = [os.fsdecode(each) for each in _changed_names(before, now)]
        more = "" if len(names) <= _SHOWN_NAMES_MAX else f" and {len(names) - _SHOWN_NAMES_MAX} more"
        return ", ".join(names[:_SHOWN_NAMES_MAX]) + more
    if name == "signal handlers":
        pairs = zip(_SIGNALS, before, now, strict=True)
        return ", ".join(number.name for number, one, other in pairs if one is not other and one != other)
    if name == "umask":
        return f"{before:#05o} before, {now:#05o} after"
    if isinstance(before, list):
        return f"{len(before)} entries before, {len(now)} after"
    return f"{before!r} before, {now!r} after"


class StateWatch:
    """Compares the state around each Case or, after `hurry`, around many Cases at once.

    When many at once have changed something, they are the `suspects`; from then on each Case is compared by itself, so
    that those who play the suspects again see which of them it was.
    """

    def __init__(self) -> None:
        self._state = ProcessState()
        self._thorough = True
        self._batch: list[Case] = []
        self.suspects: list[Case] = []

    @property
    def putting_back(self) -> bool:
        """Whether what changes the process just now is our own doing."""
        return self._state.putting_back

    def hurry(self) -> None:
        """From here on compare many Cases at once."""
        self._thorough = False
        self._state.settle()

    def begin(self) -> None:
        """A Case begins."""
        if self._thorough:
            self._state.settle()

    def end(self, case: Case) -> dict[str, str]:
        """*case* is over: what it has changed, as far as that is known now; all of it was put back."""
        if self._thorough:
            return self._state.changes()
        self._batch.append(case)
        if len(self._batch) >= BATCH_CASES or self._state.disturbed():
            self.end_batch()
        return {}

    def again(self) -> dict[str, str]:
        """The same Case was played once more: what it has changed this time."""
        return self._state.changes()

    def end_batch(self) -> None:
        """Compare now, however few Cases there were."""
        if self._batch and self._state.changes():
            self.suspects, self._thorough = self._batch, True
        self._batch = []

    def take_suspects(self) -> list[Case]:
        """The Cases that must be played again, once."""
        taken, self.suspects = self.suspects, []
        return taken
