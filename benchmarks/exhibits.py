"""Every exhibit on 20 seeds: found, how soon, how small; and its repaired twin: never flagged, in how many cases.

    python benchmarks/exhibits.py [--quick] [--seeds 20] [--jobs 2] [--only 'io/*']
    python benchmarks/exhibits.py --twins 100000

Each run is the command line in a process of its own that saves nothing. *Found* means that the exhibit's own invariant
is among the findings, so that none of the others explains it. *Minimum reached* means that its Case measures no more
than the one in `targets/exhibits/table.py`. The seconds are wall time from the command to the minimal finding, with
start-up: with several jobs, or on a busy machine, they say more about the others; the CPU time of the whole run stands
beside them. With `--twins N` the repaired twins are tested instead, in campaigns with one seed after another, until N
cases of each have been played: 2,000 at most with a thread, and 300 with a process for each request. Exits 1 when
anything is missing or flagged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import campaigns
import rounds

from handshaker.harness.campaign.combinations import SAMPLES
from handshaker.harness.campaign.reduce import measure
from handshaker.harness.case import Case
from handshaker.harness.verdict import Finding
from handshaker.targets.exhibits.table import EXHIBITS, Exhibit

GOAL_S = 2.0
NEVER = float("inf")
QUICK = 2
TWIN_EXAMPLES = 4_000
RELATIVES = 5  # fewer than a generated Case has on the average
TWIN_SEEDS_MAX = 1_000
TWIN_CASES = {"threading": 2_000, "forking": 300}


@dataclass(frozen=True)
class Seen:
    """What one campaign against an exhibit came to; `case` is None when its invariant was not among the findings."""

    seed: int
    case: Case | None
    ready_s: float
    cpu_s: float
    others: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Summary:
    """One exhibit over all its seeds."""

    exhibit: Exhibit
    seen: tuple[Seen, ...]

    @property
    def found(self) -> list[Seen]:
        """The runs that found it."""
        return [each for each in self.seen if each.case is not None]

    @property
    def minimal(self) -> list[Seen]:
        """The runs whose Case is as small as it can be."""
        bound = measure(self.exhibit.minimum)
        return [each for each in self.found if each.case is not None and measure(each.case) <= bound]

    @property
    def complete(self) -> bool:
        """Whether it was found and reached its minimum with every seed."""
        return len(self.minimal) == len(self.seen)


def declared(exhibit: Exhibit) -> list[str]:
    """The options that say what the exhibit and its twin have declared."""
    options = ["--stateless"] if exhibit.stateless else []
    for name, value in exhibit.hosting.items():
        options += [f"--{name}", value]
    options += [] if exhibit.case_limit_s == 1.0 else ["--case-limit", f"{exhibit.case_limit_s:g}s"]
    for name in exhibit.allowed:
        options += ["--allow-exception", name]
    if exhibit.example:
        options += ["--example", escaped(exhibit.example)]
    return options


def escaped(data: bytes) -> str:
    """Bytes as the command line takes them."""
    return repr(data)[2:-1].replace('"', r"\x22")


def look_for(exhibit: Exhibit, seed: int, more: Sequence[str]) -> Seen:
    """One campaign against *exhibit*, until it is found and minimal."""
    try:
        told = campaigns.run_until(exhibit.slug, exhibit.bad, ["--seed", str(seed), *declared(exhibit), *more])
    except RuntimeError as error:
        return Seen(seed, None, 0.0, 0.0, error=str(error))
    others = tuple(sorted({notice.finding.invariant for _, notice in told.ready} - {exhibit.slug}))
    for at, notice in told.ready:
        if notice.finding.invariant == exhibit.slug:
            return Seen(seed, subject(notice.finding), at, told.cpu_s, others)
    return Seen(seed, None, told.seconds, told.cpu_s, others)


def subject(finding: Finding) -> Case:
    """The Case that was made small: of a relation the one that is compared with, but not of peers at the same time."""
    if finding.contrast is None or finding.invariant == "relation/concurrent-isolation":
        return finding.case
    return finding.contrast


def clear_twin(exhibit: Exhibit, cases: int) -> tuple[int, list[str]]:
    """How many Cases of the repaired twin were played, and what it was flagged for, with the seed."""
    concurrency = exhibit.hosting["concurrency"]
    cases, played = min(cases, TWIN_CASES.get(concurrency, cases)), 0
    for seed in range(1, TWIN_SEEDS_MAX):
        examples = min(TWIN_EXAMPLES, SAMPLES[concurrency] * (1 + (cases - played) // RELATIVES))
        options = ["--seed", str(seed), "--max-examples", str(examples), *declared(exhibit)]
        try:
            told = campaigns.run(exhibit.repaired, options)
        except RuntimeError as error:
            return played, [str(error)]
        flagged = sorted({f"{notice.finding.invariant} (seed {seed})" for _, notice in told.ready})
        played += told.finished.cases if told.finished is not None else 0
        if flagged or played >= cases or told.finished is None:
            return played, flagged or ([] if told.finished is not None else [f"no end (seed {seed})"])
    return played, [f"only {played} cases after {TWIN_SEEDS_MAX} seeds"]


def in_parallel(jobs: int, work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What *work* returns for each of the tasks, in their order; each waits for processes of its own."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(lambda task: work(*task), tasks))


def survey(exhibits: Sequence[Exhibit], seeds: int, jobs: int, more: Sequence[str]) -> list[Summary]:
    """All exhibits with all seeds."""
    tasks = [(exhibit, seed, more) for exhibit in exhibits for seed in range(1, seeds + 1)]
    seen = in_parallel(jobs, look_for, tasks)
    return [
        Summary(exhibit, tuple(seen[number * seeds : (number + 1) * seeds])) for number, exhibit in enumerate(exhibits)
    ]


def print_survey(summaries: Sequence[Summary]) -> None:
    """One line for each exhibit, and what stands in the way of the incomplete ones."""
    width = max(len(summary.exhibit.slug) for summary in summaries)
    print(f"  {'exhibit':<{width}}  found  minimal  median s  max s  CPU s")
    for summary in summaries:
        total, found, minimal = len(summary.seen), len(summary.found), len(summary.minimal)
        seconds = rounds.spread(each.ready_s if each.case else NEVER for each in summary.seen)
        cpu = rounds.spread([each.cpu_s for each in summary.seen])[0]
        print(
            f"  {summary.exhibit.slug:<{width}}  {found:>2}/{total:<2}  {minimal:>3}/{total:<3}"
            f"  {seconds[0]:>8.2f}  {seconds[1]:>5.2f}  {cpu:>5.2f}"
        )
    for summary in summaries:
        for line in shortcomings(summary):
            print(f"  {summary.exhibit.slug}: {line}")
    print()


def shortcomings(summary: Summary) -> list[str]:
    """What the first incomplete run of an exhibit gave instead."""
    missing = next((each for each in summary.seen if each.case is None), None)
    larger = next((each for each in summary.found if each not in summary.minimal), None)
    lines = []
    if missing is not None:
        instead = missing.error or "found " + (", ".join(missing.others) or "nothing")
        lines.append(f"seed {missing.seed}: not found; {instead}")
    if larger is not None:
        lines.append(f"seed {larger.seed}: larger than {summary.exhibit.minimum}: {larger.case}")
    return lines


def rows_of(summaries: Sequence[Summary]) -> list[rounds.Row]:
    """The survey in figures."""
    runs = [each for summary in summaries for each in summary.seen]
    found = [each for summary in summaries for each in summary.found]
    minimal = [each for summary in summaries for each in summary.minimal]
    slowest = [rounds.spread(each.ready_s if each.case else NEVER for each in summary.seen)[0] for summary in summaries]
    return [
        rounds.at_least("runs that found the exhibit", 100 * len(found) / len(runs), 100, "%"),
        rounds.at_least("runs that reached the minimum", 100 * len(minimal) / len(runs), 100, "%"),
        rounds.Row("command to minimal finding, median exhibit", rounds.spread(slowest)[0], "s"),
        rounds.at_most("command to minimal finding, slowest exhibit (median)", rounds.spread(slowest)[1], GOAL_S, "s"),
        rounds.at_least(
            f"exhibits with a minimal finding within {GOAL_S:g} s (median)",
            100 * sum(each <= GOAL_S for each in slowest) / len(slowest),
            100,
            "%",
        ),
        rounds.Row("CPU time of a run, median", rounds.spread([each.cpu_s for each in runs])[0], "s"),
    ]


def survey_twins(exhibits: Sequence[Exhibit], cases: int, jobs: int) -> tuple[list[rounds.Row], bool]:
    """The repaired twins in figures, and whether none was flagged."""
    told = in_parallel(jobs, clear_twin, [(exhibit, cases) for exhibit in exhibits])
    flagged = 0
    for exhibit, (played, why) in zip(exhibits, told, strict=True):
        flagged += bool(why)
        print(f"  {exhibit.repaired}: {played:,} cases" + (f"; flagged: {', '.join(why)}" if why else ""), flush=True)
    rows = [
        rounds.Row("repaired twins", len(exhibits), ""),
        rounds.Row("cases of each, at least", min(played for played, _ in told), ""),
        rounds.at_most("twins that were flagged", flagged, 0, ""),
    ]
    return rows, not flagged


def parse() -> argparse.Namespace:
    """What the user asks for."""
    made = rounds.parser(__doc__, rounds=1)
    made.add_argument("--seeds", type=int, default=20, help="seeds for each exhibit (default 20)")
    made.add_argument("--jobs", type=int, default=2, help="campaigns at the same time (default 2)")
    made.add_argument("--only", default="*", metavar="GLOB", help="only exhibits whose invariant matches")
    made.add_argument("--twins", type=int, default=0, metavar="N", help="test the repaired twins, in N cases each")
    return made.parse_args()


def main() -> int:
    """Measure and print; 1 when something is missing or flagged."""
    options = parse()
    chosen = [exhibit for slug, exhibit in EXHIBITS.items() if fnmatchcase(slug, options.only)]
    if options.quick:
        chosen, options.seeds, options.twins = chosen[:QUICK], 1, min(options.twins, 100)
    if options.twins:
        rows, complete = survey_twins(chosen, options.twins, options.jobs)
    else:
        summaries = survey(chosen, options.seeds, options.jobs, campaigns.SHORT if options.quick else ())
        print_survey(summaries)
        rows, complete = rows_of(summaries), all(summary.complete for summary in summaries)
    rounds.show(__doc__, f"{rounds.WALL}, {options.jobs} jobs", rows, options.json)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
