"""All benchmarks, each in a process of its own, and one table of their figures beside their goals: `make bench`.

    python benchmarks/run_all.py [--quick] [--skip exhibits] [--python PATH]

`--python` names an interpreter that has boofuzz and atheris, for `peers.py`. Takes about 45 minutes; `--quick` shows
in two minutes that everything works. A goal that is not met is told, and is no failure: docs/performance.md says why.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import rounds

HERE = Path(__file__).parent
SCRIPTS = ("lifecycles", "transports", "drawing", "given", "first_finding", "memory", "exhibits", "twins", "peers")
TWIN_CASES = "100000"


def command(name: str, options: list[str], python: str) -> list[str]:
    """The command line of one benchmark."""
    if name == "twins":
        return [sys.executable, str(HERE / "exhibits.py"), "--twins", TWIN_CASES, *options]
    extra = ["--python", python] if name == "peers" and python else []
    return [sys.executable, str(HERE / f"{name}.py"), *options, *extra]


def run(name: str, options: list[str], python: str) -> tuple[list[rounds.Row], bool]:
    """The figures of one benchmark, and whether it came to its end with nothing missing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        done = subprocess.run(command(name, [*options, "--json", str(path)], python), check=False)
        return (rounds.read_rows(path) if path.exists() else []), done.returncode == 0


def main() -> int:
    """Run all and print; 1 when a benchmark failed."""
    made = rounds.parser(__doc__, rounds=0)
    made.add_argument("--skip", action="append", default=[], choices=SCRIPTS, help="leave this one out; repeat")
    made.add_argument("--python", default="", help="an interpreter that has boofuzz and atheris")
    options = made.parse_args()
    passed_on = (["--quick"] if options.quick else []) + (["--rounds", str(options.rounds)] if options.rounds else [])
    rows, failed = [], []
    for name in SCRIPTS:
        if name not in options.skip:
            told, whole = run(name, passed_on, options.python)
            rows += told
            failed += [] if whole else [name]
    rounds.show(__doc__, "each figure on the clock that its own script names", rows, options.json)
    if failed:
        print("incomplete:", ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
