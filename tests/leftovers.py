"""The suite leaves nothing behind: no thread, no process, no descriptor, no file. Each run checks that itself.

Every run has a folder of its own for temporary files, so that what lies there in the end is its own. After each test
the threads, children and descriptors of this process are listed, which costs a tenth of a millisecond; one that is new
is noted with the name of the test, and may live on as long as a fixture of a wider scope needs it, but not longer than
the run.
With pytest-xdist each worker checks itself, and the run that started it tells and fails.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Census", "children", "descriptors", "files_in", "register"]

GRACE_S = 3.0
SPARE_DESCRIPTORS = 3
"""What the interpreter and pytest may open once and keep: a source of random numbers, a log file."""

_MARK = "HANDSHAKER_SUITE_FOLDER"


def children() -> dict[int, str]:
    """The living children of this process, zombies included, with what they run."""
    found = {}
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in _read(task).split():
            found[int(pid)] = _runs(Path(f"/proc/{pid}"))
    return found


def _runs(process: Path) -> str:
    return _read(process / "cmdline").replace("\0", " ").strip()[:120] or "a zombie"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def descriptors() -> dict[int, str]:
    """The open descriptors of this process, with what they lead to."""
    found = {}
    for name in os.listdir("/dev/fd"):
        try:
            found[int(name)] = os.readlink(f"/dev/fd/{name}")
        except OSError:
            continue  # the one that the folder itself was read through
    return found


def files_in(folder: Path) -> list[str]:
    """What lies in *folder*, but for what pytest keeps for its user; of a socket it is said that it is one."""
    kept = [path for path in folder.iterdir() if not path.name.startswith("pytest-of-")]
    names = {path.name: stat.S_ISSOCK(path.lstat().st_mode) for path in kept}
    return sorted(f"{name} (a socket)" if is_socket else name for name, is_socket in names.items())


class Census:
    """What lived in this process when the run began, and which test was the first to be followed by something else."""

    def __init__(self) -> None:
        self._began = set(self._here())
        self._first: dict[Any, str] = {}

    def _here(self) -> dict[Any, str]:
        """Everything that is here now, with what to say about it."""
        threads = {thread: f"thread {thread.name}" for thread in threading.enumerate()}
        processes = {pid: f"process {pid} ({runs})" for pid, runs in children().items()}
        files = {pair: f"descriptor {pair[0]}: {pair[1]}" for pair in descriptors().items()}
        return {**threads, **processes, **files}

    def after(self, test: str) -> None:
        """*test* is over: note what is new, and forget what has gone."""
        self._first = {each: self._first.get(each, test) for each in self._here() if each not in self._began}

    def left(self) -> list[str]:
        """What is still there, after it was given a moment to end, and the test that left it."""
        deadline = time.monotonic() + GRACE_S
        while (left := self._living()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _living(self) -> list[str]:
        here = self._here()
        told = {each: f"{here[each]}, since {test}" for each, test in self._first.items() if each in here}
        few = [each for each in told if _may_stay(each)]
        return [line for each, line in told.items() if each not in few or len(few) > SPARE_DESCRIPTORS]


def _may_stay(each: Any) -> bool:
    """Whether it is a descriptor that is no socket: a few of those may be opened once and kept."""
    return isinstance(each, tuple) and not each[1].startswith("socket:")


def _orphans(mark: str) -> list[str]:
    """Processes that a worker started, or a child of it, and that have lost their parent."""
    wanted, here = f"{_MARK}={mark}\0", os.getpid()
    others = [process for process in Path("/proc").glob("[0-9]*") if int(process.name) != here]
    return [f"process {each.name} ({_runs(each)})" for each in others if wanted in _read(each / "environ")]


class _Leftovers:
    """The plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._folder = Path(os.environ[_MARK]) if self._worker else _own_folder()
        self._census = Census()
        self._left: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        result = yield
        self._census.after(item.nodeid)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        self._left += getattr(node, "workeroutput", {}).get("left", [])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._left += self._census.left()
        if self._worker:
            self._config.workeroutput["left"] = self._left  # type: ignore[attr-defined]
            return
        self._left += _orphans(str(self._folder))
        self._left += [f"file {name} in the folder for temporary files" for name in files_in(self._folder)]
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._left:
            terminalreporter.section("the suite has left behind", red=True)
            for told in self._left:
                terminalreporter.write_line(told)


def _own_folder() -> Path:
    """A folder for the temporary files of this run and of all that it starts; pytest's own stay where they were."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="suite-")
    os.environ["TMPDIR"] = os.environ[_MARK] = tempfile.tempdir = folder
    return Path(folder)


def register(config: pytest.Config) -> None:
    """Watch this run."""
    config.pluginmanager.register(_Leftovers(config), "leftovers")
