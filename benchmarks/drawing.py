"""What a drawn Case costs: the fast driver against `@given`, in one run on the same Plan.

    python benchmarks/drawing.py

Read the ratio, not the digits: both run in turn, and the median of the rounds is shown.
"""

from __future__ import annotations

import statistics
import time
from random import Random

from hypothesis import HealthCheck, Phase, given, settings

from handshaker.harness.case import Case
from handshaker.strategies.cases import FastDriver, cases, family
from handshaker.strategies.dictionary import Dictionary
from handshaker.strategies.plan import Plan

ROUNDS = 7
FAST_CASES = 5000
GIVEN_CASES = 200

PLAN = Plan(Dictionary((b"PUT", b"GET", b"QUIT"), (4096,), (">H",), (b"\r\n",)), timeout=2.0)


def fast_us(seed: int) -> float:
    """Microseconds per Case of the fast driver."""
    driver = FastDriver(PLAN, Random(seed))
    start = time.perf_counter()
    for _ in range(FAST_CASES):
        driver.next()
    return (time.perf_counter() - start) / FAST_CASES * 1e6


def fast_median_us(seed: int) -> float:
    """Microseconds of the median Case of the fast driver, the clock included."""
    driver = FastDriver(PLAN, Random(seed))
    taken = []
    for _ in range(FAST_CASES):
        start = time.perf_counter_ns()
        driver.next()
        taken.append(time.perf_counter_ns() - start)
    return statistics.median(taken) / 1000


def family_us(seed: int) -> float:
    """Microseconds per relative of a Case."""
    driver = FastDriver(PLAN, Random(seed))
    drawn = [driver.next() for _ in range(FAST_CASES)]
    start = time.perf_counter()
    relatives = sum(len(family(case)) for case in drawn)
    return (time.perf_counter() - start) / relatives * 1e6


def given_us() -> float:
    """Microseconds per Case that `@given` draws."""
    count = 0

    @settings(
        max_examples=GIVEN_CASES, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases(PLAN))
    def draw(case: Case) -> None:
        nonlocal count
        count += 1

    start = time.perf_counter()
    draw()
    return (time.perf_counter() - start) / count * 1e6


def main() -> None:
    """Print a table of medians and the ratio."""
    rounds = [(fast_us(number), fast_median_us(number), family_us(number), given_us()) for number in range(ROUNDS)]
    fast, middle, relative, given_case = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"fast driver, mean Case      {fast:8.1f} us")
    print(f"fast driver, median Case    {middle:8.1f} us")
    print(f"a relative of a drawn Case  {relative:8.1f} us")
    print(f"@given, mean Case           {given_case:8.1f} us")
    print(f"@given / fast driver        {given_case / fast:8.1f} x")


if __name__ == "__main__":
    main()
