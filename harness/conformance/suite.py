"""The conformance suite for one implementation: its items, what each of them came to, and what was declared.

An item is judged once and remembered; which items can be played at all is known without playing any, so the items may
be spread over several processes and run in any order.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from handshaker.harness.conformance.check import Item
from handshaker.harness.conformance.playing import Played, Player, why_not
from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.invariants.base import by_slug
from handshaker.harness.transports import CONCURRENCIES, TRANSPORTS
from handshaker.harness.verdict import Outcome
from handshaker.reports.timeline import timeline_text
from handshaker.targets.implementation import implementation

__all__ = ["Result", "Suite", "chosen"]

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What an item came to: `text` is the failure block of a violation, or why nothing was judged."""

    outcome: Outcome
    text: str = ""


def chosen(items: Iterable[Item], transports: Iterable[str], concurrency: str) -> tuple[Item, ...]:
    """Those of *items* on these *transports* (all, when none is named) and this *concurrency* (or `all`)."""
    wanted = (transports,) if isinstance(transports, str) else tuple(transports)
    for transport in wanted:
        if transport not in TRANSPORTS:
            raise UsageError(f"transports: {transport!r} is not a transport; {did_you_mean(transport, TRANSPORTS)}")
    if concurrency not in ("all", *CONCURRENCIES):
        names = ("all", *CONCURRENCIES)
        raise UsageError(f"concurrency: {concurrency!r} is not one; {did_you_mean(concurrency, names)}")
    found = [item for item in items if not wanted or item.transport in wanted]
    return tuple(item for item in found if concurrency in ("all", item.concurrency))


class Suite:
    """The *items* for what *make_target* returns, which is called when the first of them is played.

    *deviations* are slugs, or ids of items, with a reason each; of items that are *known* but were not chosen nothing
    is expected. Raises UsageError for a key that is neither.
    """

    def __init__(
        self,
        make_target: Callable[[], Any],
        items: tuple[Item, ...],
        deviations: Mapping[str, str],
        known: Iterable[Item] = (),
    ) -> None:
        if not callable(make_target):
            raise UsageError(
                f"make_target: {make_target!r} cannot be called; write a function that returns your module, such as "
                f"`lambda: my_socketserver`"
            )
        self.items = items
        self.deviations = _declared(deviations, items, known)
        self._make = make_target
        self._player: Player | None = None
        self._results: dict[str, Result] = {}

    @property
    def player(self) -> Player:
        """What plays on the implementation under test. Raises what making it raises."""
        if self.unusable is not None:
            raise self.unusable
        assert self._player is not None
        return self._player

    @functools.cached_property
    def unusable(self) -> Exception | None:
        """Why there is nothing to play on: what making the implementation raises."""
        try:
            self._player = Player(implementation(self._make()))
        except Exception as error:
            return error
        return None

    @property
    def no_implementation(self) -> str:
        """Why everything is skipped; nothing when something can be played."""
        error = self.unusable
        return "" if error is None else f"there is no implementation to test: {type(error).__name__}: {error}"

    def declared(self, item: Item) -> str:
        """Why *item* may be violated; nothing when it may not."""
        return self.deviations.get(item.id, self.deviations.get(item.slug, ""))

    def why_not(self, item: Item) -> str:
        """Why *item* cannot be played here; nothing when it can."""
        return self.no_implementation or why_not(item, self.player.made)

    def result(self, item: Item) -> Result:
        """What *item* comes to."""
        if item.id not in self._results:
            self._results[item.id] = _result(item, self.player.play(item))
        return self._results[item.id]

    def nothing_judged(self) -> str:
        """Why the whole run says nothing; nothing when at least one item can be played."""
        reasons = [self.why_not(item) for item in self.items]
        if not all(reasons):
            return ""
        told = "; ".join(dict.fromkeys(reasons)) or "no item was chosen"
        return f"nothing was tested: all {len(reasons)} items are skipped ({told})"

    def gone(self, key: str) -> str:
        """Why the declared deviation *key* should be removed; nothing when it still shows."""
        concerned = [item for item in self.items if key in (item.slug, item.id) and not self.why_not(item)]
        shown = [item for item in concerned if self.result(item).outcome is Outcome.VIOLATED]
        if shown:
            return ""
        return (
            f"the declared deviation {key!r} ({self.deviations[key]}) no longer shows in any of "
            f"{len(concerned)} items; remove it from deviations"
        )


def _names(items: Iterable[Item]) -> set[str]:
    return {name for item in items for name in (item.slug, item.id)}


def _declared(deviations: Mapping[str, str], items: tuple[Item, ...], others: Iterable[Item]) -> dict[str, str]:
    if not isinstance(deviations, Mapping):
        raise UsageError(f"deviations: {deviations!r} is not a mapping; write {{'area/rule': 'the reason'}}")
    chosen_names = _names(items)
    known = chosen_names | _names(others)
    for key, reason in deviations.items():
        if key not in known:
            slugs = {name for name in known if "[" not in name}
            raise UsageError(f"deviations: no sub-check is called {key!r}; {did_you_mean(key, slugs)}")
        if not str(reason).strip():
            raise UsageError(f"deviations: {key!r} has the reason {reason!r}; say in words why it deviates")
    return {key: reason for key, reason in deviations.items() if key in chosen_names}


def _result(item: Item, found: list[Played]) -> Result:
    by_outcome: dict[Outcome, Played] = {}
    for played in found:
        by_outcome.setdefault(played.verdict.outcome, played)
    if broken := by_outcome.get(Outcome.VIOLATED):
        return Result(Outcome.VIOLATED, _block(item, broken))
    if Outcome.HOLDS in by_outcome:
        return Result(Outcome.HOLDS)
    doubt = next(iter(by_outcome.values()))
    told = f"{item.id} could not be judged: {doubt.verdict.reason}"
    return Result(doubt.verdict.outcome, f"{told}\n\n{timeline_text(doubt.trace, width=_WIDTH)}")


def _block(item: Item, broken: Played) -> str:
    row, seen = by_slug(item.slug), broken.verdict.violations[0]
    said = {
        "requirement": row.requirement,
        "source": row.source,
        "expected": seen.expected,
        "actual": seen.actual,
        "case": repr(broken.case),
    }
    lines = [f"{item.id}", f"{row.title} · {row.row} · {row.level.upper()}", ""]
    for label, text in said.items():
        lines.append(textwrap.fill(text, _WIDTH, initial_indent=f"{label:<13}", subsequent_indent=" " * 13))
    return "\n".join([*lines, "", timeline_text(broken.trace, width=_WIDTH)])
