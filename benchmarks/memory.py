"""Resident memory of the command and of its worker over 100,000 cases: how much, and whether it grows.

    python benchmarks/memory.py [--quick] [--target TARGET]

Each process of the campaign is asked at every progress report (some five a second): the command itself, the zygote that
imported the target, and the children forked from it, which play the Cases. No clock: bytes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import campaigns
import psutil
import rounds
import subjects

from handshaker.harness.notices import PhaseFinished, Progress

GOAL_MB = 64.0
FLAT_MB = 4.0
MARKS = (10_000, 50_000, 100_000)
ROLES = ("command", "zygote", "search")


@dataclass
class Sizes:
    """How large each process was after how many cases, in MB."""

    seen: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def note(self, cases: int, process: psutil.Process) -> None:
        """Ask all processes of a campaign now."""
        level, now = [process], {}
        for role in ROLES:
            now[role] = max(map(campaigns.resident_mb, level), default=0.0)
            level = [child for parent in level for child in _children(parent)]
        self.seen.append((cases, now))

    def peak(self, role: str) -> float:
        """The largest size."""
        return max((now[role] for _, now in self.seen), default=0.0)

    def at(self, role: str, cases: int) -> float:
        """The size at the report that is nearest to *cases*."""
        alive = [(abs(count - cases), now[role]) for count, now in self.seen if now[role]]
        return min(alive)[1] if alive else 0.0


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.Error:
        return []


def measure(target: str, cases: int) -> Sizes:
    """Play about so many *cases* of the generate phase."""
    options = ("--seed", "1", "--phases", "preflight,generate", "--max-examples", str(cases), "--fail-on", "never")
    campaign = campaigns.Campaign(target, *options, folder=campaigns.ROOT / "benchmarks")
    sizes = Sizes()
    for _, notice in campaign:
        if isinstance(notice, Progress) and notice.phase == "generate":
            sizes.note(notice.cases, campaign.process)
            if notice.cases >= cases:
                break
        elif isinstance(notice, PhaseFinished):
            sizes.note(notice.cases, campaign.process)
    _end(campaign)
    return sizes


def _end(campaign: campaigns.Campaign) -> None:
    """Interrupt it, as a person would, and let it come to its end."""
    if campaign.process.is_running():
        campaign.process.send_signal(2)
    for _ in campaign:
        pass
    campaign.process.wait()


def main() -> None:
    """Measure and print."""
    made = rounds.parser(__doc__, rounds=1)
    made.add_argument("--target", default=subjects.TWIN, help=f"what is tested (default {subjects.TWIN})")
    options = made.parse_args()
    marks = tuple(mark // 50 for mark in MARKS) if options.quick else MARKS
    sizes = measure(options.target, marks[-1])
    rows = []
    for role in ROLES:
        rows += [rounds.Row(f"{role} after {mark:,} cases", sizes.at(role, mark), "MB") for mark in marks]
        rows.append(rounds.at_most(f"{role}: peak", sizes.peak(role), GOAL_MB, "MB"))
        growth = sizes.at(role, marks[-1]) - sizes.at(role, marks[0])
        rows.append(rounds.at_most(f"{role}: growth from {marks[0]:,} to {marks[-1]:,}", growth, FLAT_MB, "MB"))
    rounds.show(__doc__, "resident memory", rows, options.json)


if __name__ == "__main__":
    main()
