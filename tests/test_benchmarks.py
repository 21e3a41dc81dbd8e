"""The benchmarks run: what they measure is told elsewhere, and nothing here looks at a figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = ("lifecycles", "transports", "drawing", "given", "first_finding", "memory", "peers")
UNTIMED = {"runs that found the exhibit", "runs that reached the minimum", "twins that were flagged"}


def quickly(tmp_path: Path, script: str, *options: str) -> list[dict[str, object]]:
    """The rows of a short run."""
    rows = tmp_path / "rows.json"
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick", "--json", str(rows), *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(rows.read_text(encoding="utf-8"))


def test_every_script_is_run_by_run_all():
    """No benchmark is forgotten by `make bench`."""
    listed = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run_all.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    scripts = {path.stem for path in BENCHMARKS.glob("*.py") if "def main" in path.read_text(encoding="utf-8")}
    assert [name for name in scripts - {"run_all"} if name not in listed] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_benchmark_runs(tmp_path, script):
    """A short run ends well and tells figures, each with a name and a finite value."""
    rows = quickly(tmp_path, script)
    assert rows
    assert all(row["what"] and isinstance(row["value"], (int, float)) for row in rows)


def test_the_bare_path_of_udp_has_nothing_to_do_with_files():
    """What only Unix sockets need does not count as the bare path's work, which would flatter ours."""
    code = "import os, pathlib, socketserver, transports as t; os.unlink = 0; t.datagrams(socketserver.UDPServer, {})()"
    command = [sys.executable, "-c", code.format("pathlib.Path()")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BENCHMARKS, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [(), ("--twins", "50")], ids=["exhibits", "twins"])
def test_the_exhibits_benchmark_runs_on_one_exhibit(tmp_path, options):
    """A short run finds an exhibit at its minimum, and flags no twin."""
    rows = {row["what"]: row for row in quickly(tmp_path, "exhibits", "--only", "server/hook-order", *options)}
    judged = UNTIMED & rows.keys()
    assert judged
    assert [what for what in judged if not rows[what]["met"]] == []
