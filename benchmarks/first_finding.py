"""From the command to the first finding, and to the first one that is minimal: start-up included.

    python benchmarks/first_finding.py [--quick]

The clock is wall time, since that is what a person waits; on a busy machine it says more about the others.
"""

from __future__ import annotations

import campaigns
import rounds

FOUND_GOAL_S = 2.0
MINIMAL_GOAL_S = 1.0
TARGETS = ("chat.py", "shout.py")


def measure(target: str, rounds_: int, more: tuple[str, ...]) -> dict[str, float]:
    """Medians of the seconds to the first finding, to the first minimal one, and of the CPU time of the whole run."""
    runs = [campaigns.run(target, ("--seed", str(seed), *more), campaigns.EXAMPLES) for seed in range(1, rounds_ + 1)]
    columns = {
        "found": [run.first("finding-seen") or float("inf") for run in runs],
        "minimal": [run.first("finding-ready") or float("inf") for run in runs],
        "whole": [run.seconds for run in runs],
        "cpu": [run.cpu_s for run in runs],
    }
    return {name: rounds.spread(column)[0] for name, column in columns.items()}


def rows_of(target: str, took: dict[str, float]) -> list[rounds.Row]:
    """What is told about one target."""
    return [
        rounds.at_most(f"{target}: command to first finding", took["found"], FOUND_GOAL_S, "s"),
        rounds.at_most(f"{target}: from there to a minimal one", took["minimal"] - took["found"], MINIMAL_GOAL_S, "s"),
        rounds.Row(f"{target}: whole run", took["whole"], "s"),
        rounds.Row(f"{target}: whole run, CPU time of all processes", took["cpu"], "s"),
    ]


def main() -> None:
    """Measure and print."""
    options = rounds.parser(__doc__, rounds=5).parse_args()
    targets, rounds_, more = (TARGETS[1:], 1, campaigns.SHORT) if options.quick else (TARGETS, options.rounds, ())
    rows = [row for target in targets for row in rows_of(target, measure(target, rounds_, more))]
    rounds.show(__doc__, rounds.WALL, rows, options.json)


if __name__ == "__main__":
    main()
