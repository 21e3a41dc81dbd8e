"""Cases per second of handshaker and of boofuzz and atheris, on the same line-protocol handler in one run.

    python benchmarks/peers.py [--quick] [--python PATH]

boofuzz and atheris are not among our dependencies: they are used when this interpreter has them, or the one that
`--python` names. A case is one lifecycle of one connection, its generation included. Ours are what the generate phase
plays: each generated Case, with its canary and all its relatives, judged by all default oracles; the peers look for
exceptions only (atheris, which also measures coverage) or for a closed port (boofuzz).
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import rounds

from handshaker.harness.campaign.traffic import Traffic
from handshaker.harness.campaign.workbench import Workbench, outcome
from handshaker.harness.settings import Settings
from handshaker.strategies.cases import family
from handshaker.targets.stdlib import load_target

FOLDER = Path(__file__).parent / "tools"
TARGET = f"{FOLDER / 'lineserver.py'}:Store"
# tool: cases in a round, and how many times as fast we want to be in memory
PEERS = {"boofuzz": (3_000, 25.0), "atheris": (60_000, 3.0)}
OURS = {"memory": 2_000, "loopback": 300}


def ours(network: str, examples: int) -> float:
    """Lifecycles per second of CPU time in the generate phase."""
    lifecycles = 0
    with Workbench(load_target(TARGET), Settings(target=TARGET, seed=1), network) as bench:
        traffic = Traffic(bench)
        start = time.process_time()
        for drawn in itertools.islice(traffic.generator(), examples):
            with_canary = replace(drawn.case, scripts=(*drawn.case.scripts, traffic.canary()))
            for case in (drawn.case, with_canary, *(relative for _, relative in family(drawn.case))):
                recorder = bench.run(case)
                bench.judge.screen(recorder.flat)
                outcome(recorder.flat)
                lifecycles += len(case.scripts)
        return lifecycles / (time.process_time() - start)


def has(python: str, tool: str) -> bool:
    """Whether the interpreter can import the tool."""
    return subprocess.run([python, "-c", f"import {tool}"], capture_output=True, check=False).returncode == 0


def theirs(python: str, tool: str, cases: int) -> float:
    """Cases per second of CPU time."""
    script = [python, str(FOLDER / f"{tool}_rate.py"), str(cases)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"cases"')]
    if not lines:
        raise RuntimeError(f"{tool}: no rate; {done.stderr.strip()[-500:]}")
    told = json.loads(lines[-1])
    return float(told["cases"] / told["cpu"])


def main() -> None:
    """Measure and print."""
    made = rounds.parser(__doc__, rounds=5)
    made.add_argument("--python", default=sys.executable, help="an interpreter that has boofuzz and atheris")
    options = made.parse_args()
    rounds_, share = (1, 100) if options.quick else (options.rounds, 1)
    there = [tool for tool in PEERS if has(options.python, tool)]
    rates = rounds.medians(
        rounds_,
        **{name: lambda name=name, many=many: ours(name, max(5, many // share)) for name, many in OURS.items()},  # type: ignore[misc]
        **{tool: lambda tool=tool: theirs(options.python, tool, PEERS[tool][0] // share) for tool in there},  # type: ignore[misc]
    )
    rows = [rounds.Row(f"handshaker, {name}", rates[name], "cases/s") for name in OURS]
    for tool, (_, goal) in PEERS.items():
        if tool not in there:
            print(f"{tool}: not installed")
            continue
        rows.append(rounds.Row(tool, rates[tool], "cases/s"))
        rows.append(rounds.at_least(f"handshaker, memory / {tool}", rates["memory"] / rates[tool], goal))
        rows.append(rounds.Row(f"handshaker, loopback / {tool}", rates["loopback"] / rates[tool], "x"))
    rounds.show(__doc__, "CPU time of each tool's process, its server included", rows, options.json)


if __name__ == "__main__":
    main()
