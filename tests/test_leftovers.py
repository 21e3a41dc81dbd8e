"""The watch over what the suite leaves behind: it fails a run for each kind of thing, and names the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CONFTEST = """
from tests import leftovers

def pytest_configure(config):
    leftovers.GRACE_S = 0.2
    leftovers.register(config)
"""

HEAD = """
import os, socket, subprocess, sys, tempfile, threading, time, pytest
kept = []
"""

GUILTY = {
    "thread": (
        "    threading.Thread(target=time.sleep, args=(3,), name='lasting', daemon=True).start()",
        "thread lasting, since test_it.py::test_thread",
    ),
    "process": (
        "    kept.append(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']))",
        "import time; time.sleep(60)), since test_it.py::test_process",
    ),
    "zombie": (
        "    pid = os.fork()\n    if not pid:\n        os._exit(0)\n    time.sleep(0.05)",
        "(a zombie), since test_it.py::test_zombie",
    ),
    "socket": ("    kept.append(socket.socket())", ": socket:["),
    "folder": ("    tempfile.mkdtemp(prefix='handshaker-')", "file handshaker-"),
    "socket_file": (
        "    with socket.socket(socket.AF_UNIX) as s:\n        s.bind(os.path.join(tempfile.gettempdir(), 'sock'))",
        "file sock (a socket)",
    ),
}  # fmt: skip

INNOCENT = """
@pytest.fixture(scope="module")
def running():
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    yield thread
    leave.set()
    thread.join()

def test_one(running):
    with tempfile.TemporaryDirectory() as folder, socket.socket() as sock:
        subprocess.run([sys.executable, "-c", ""], check=True)

def test_two(running):
    assert running.is_alive()
"""


def run(folder: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest over one file, watched as this suite is."""
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_it.py").write_text(HEAD + body, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HANDSHAKER_"))}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("process "):
            os.kill(int(line.split()[1]), 9)
    return done


def test_what_is_left_fails_the_run(tmp_path):
    """Whatever a test leaves behind is named, with the test where that is known; the run is red although all passed."""
    tests = [f"def test_{kind}():\n{body}\n" for kind, (body, _) in GUILTY.items()]
    done = run(tmp_path, "\n".join(tests))
    assert f"{len(GUILTY)} passed" in done.stdout
    assert "the suite has left behind" in done.stdout
    assert [told for _, told in GUILTY.values() if told not in done.stdout] == []
    assert done.returncode == 1


def test_what_a_worker_leaves_is_told_by_the_run(tmp_path):
    """With pytest-xdist it is the worker that finds it, and the run that fails."""
    body, told = GUILTY["thread"]
    done = run(tmp_path, f"def test_thread():\n{body}\n", "-n", "1")
    assert told in done.stdout
    assert done.returncode == 1


def test_a_tidy_run_is_green(tmp_path):
    """What a fixture of a wider scope keeps alive, and what each test puts away, is nothing left behind."""
    done = run(tmp_path, INNOCENT)
    assert "left behind" not in done.stdout
    assert done.returncode == 0
