"""Our share of the time on the `@given` path: what playing and judging add to what Hypothesis takes to draw.

    python benchmarks/given.py [--quick]

Both paths run the same seed through `handshaker.given_case`: one plays each Case and asserts that all invariants hold,
the other lets it lie. The share is 1 - drawn / played.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import rounds
from hypothesis import HealthCheck, Phase, seed, settings

import handshaker
from handshaker.harness.case import Case
from handshaker.targets.exhibits.common import Lines

GOAL_PERCENT = {"memory": 5.0, "loopback": 10.0}


def play_and_judge(case: Case) -> None:
    """What a user's test does."""
    handshaker.assert_holds(handshaker.play(case))


def let_lie(case: Case) -> None:
    """What Hypothesis does without us."""


def drawn(body: Callable[[Case], None], network: str, examples: int) -> float:
    """Microseconds of CPU time for one example of a `@given` test with this *body*."""
    options = settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip

    def test(case: Case) -> None:
        body(case)

    decorated = seed(1)(options(handshaker.given_case(Lines, network=network)(test)))
    start = time.process_time()
    decorated()
    return (time.process_time() - start) / examples * 1e6


def main() -> None:
    """Measure and print."""
    options = rounds.parser(__doc__, rounds=7).parse_args()
    rounds_, examples = (1, 20) if options.quick else (options.rounds, 400)
    rows: list[rounds.Row] = []
    for network, goal in GOAL_PERCENT.items():
        took = rounds.medians(
            rounds_,
            drawn=lambda network=network: drawn(let_lie, network, examples),  # type: ignore[misc]
            played=lambda network=network: drawn(play_and_judge, network, examples),  # type: ignore[misc]
        )
        rows += [
            rounds.Row(f"{network}: drawn only", took["drawn"], "us/example"),
            rounds.Row(f"{network}: drawn, played, judged", took["played"], "us/example"),
            rounds.at_most(f"{network}: our share", 100 * (1 - took["drawn"] / took["played"]), goal, "%"),
        ]
    rounds.show(__doc__, rounds.CPU, rows, options.json)


if __name__ == "__main__":
    main()
