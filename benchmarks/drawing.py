"""What a drawn Case costs: the fast driver against `@given`, on the same Plan.

python benchmarks/drawing.py [--quick]
"""

from __future__ import annotations

import statistics
import time
from random import Random

import rounds
from hypothesis import HealthCheck, Phase, given, settings

from handshaker.harness.case import Case
from handshaker.strategies.cases import FastDriver, cases, family
from handshaker.strategies.dictionary import Dictionary
from handshaker.strategies.plan import Plan

PLAN = Plan(Dictionary((b"PUT", b"GET", b"QUIT"), (4096,), (">H",), (b"\r\n",)), timeout=2.0)


def fast_us(seed: int, count: int) -> float:
    """Microseconds per Case of the fast driver."""
    driver = FastDriver(PLAN, Random(seed))
    start = time.process_time()
    for _ in range(count):
        driver.next()
    return (time.process_time() - start) / count * 1e6


def fast_median_us(seed: int, count: int) -> float:
    """Microseconds of wall time of the median Case of the fast driver, the clock included."""
    driver = FastDriver(PLAN, Random(seed))
    taken = []
    for _ in range(count):
        start = time.perf_counter_ns()
        driver.next()
        taken.append(time.perf_counter_ns() - start)
    return statistics.median(taken) / 1000


def family_us(seed: int, count: int) -> float:
    """Microseconds per relative of a Case."""
    driver = FastDriver(PLAN, Random(seed))
    drawn = [driver.next() for _ in range(count)]
    start = time.process_time()
    relatives = sum(len(family(case)) for case in drawn)
    return (time.process_time() - start) / relatives * 1e6


def given_us(examples: int) -> float:
    """Microseconds per Case that `@given` draws."""
    drawn = 0

    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases(PLAN))
    def draw(case: Case) -> None:
        nonlocal drawn
        drawn += 1

    start = time.process_time()
    draw()
    return (time.process_time() - start) / drawn * 1e6


def main() -> None:
    """Measure and print."""
    options = rounds.parser(__doc__, rounds=7).parse_args()
    rounds_, cases_, examples = (1, 100, 20) if options.quick else (options.rounds, 5_000, 200)
    took = rounds.medians(
        rounds_,
        fast=lambda: fast_us(1, cases_),
        middle=lambda: fast_median_us(1, cases_),
        relative=lambda: family_us(1, cases_),
        given=lambda: given_us(examples),
    )
    rows = [
        rounds.Row("fast driver, mean Case", took["fast"], "us"),
        rounds.Row("fast driver, median Case (wall time)", took["middle"], "us"),
        rounds.Row("a relative of a drawn Case", took["relative"], "us"),
        rounds.Row("@given, mean Case", took["given"], "us"),
        rounds.Row("@given / fast driver", took["given"] / took["fast"], "x"),
    ]
    rounds.show(__doc__, rounds.CPU, rows, options.json)


if __name__ == "__main__":
    main()
