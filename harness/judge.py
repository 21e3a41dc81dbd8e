"""Traces in, Verdicts out: which invariants hold. Pure, and fast where nothing is new.

An invariant looks at the structure of a Trace only (see `vocabulary`), so two runs with the same *shape*, the sequence
of their *whats*, have the same outcomes. `screen` remembers shapes: nearly every Case of a campaign looks like an
earlier one, and then costs one hash. Hashes are remembered, not shapes: a shape is some kilobytes, and 64 bits do not
meet by chance in a few thousand of them.

A broken invariant often breaks others; `primary` folds those under the one that explains them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from handshaker.harness import invariants
from handshaker.harness.contract import Contract
from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.invariants.base import REGISTRY, Answer, Family, Invariant, NotApplicable, Unknown, by_slug
from handshaker.harness.trace import Header, Trace, materialise
from handshaker.harness.verdict import Outcome, Verdict, Violation

__all__ = ["SHAPES_MAX", "Judge", "Primary", "primary", "select"]

SHAPES_MAX: Final = 4096
_CONVERSATION: Final = frozenset({"peer.send", "socket.recv", "socket.send"})

for _module in pkgutil.iter_modules(invariants.__path__):
    importlib.import_module(f"{invariants.__name__}.{_module.name}")


def select(chosen: Iterable[str] = (), excluded: Iterable[str] = ()) -> tuple[str, ...]:
    """The slugs that match one of the globs in *chosen* (all, when there is none) and none in *excluded*, by their row.

    Raises UsageError for a glob that matches nothing, and when nothing is left.
    """
    chosen, excluded = tuple(chosen), tuple(excluded)
    wanted = set().union(*map(_matching, chosen)) if chosen else set(REGISTRY)
    left = wanted.difference(*map(_matching, excluded))
    if not left:
        raise UsageError(f"no invariant is left: {chosen!r} without {excluded!r}; exclude fewer, or choose more")
    return tuple(sorted(left, key=lambda slug: (REGISTRY[slug].row, slug)))


def _matching(glob: str) -> set[str]:
    found = {slug for slug in REGISTRY if fnmatchcase(slug, glob)}
    if not found:
        names = {*REGISTRY, *(f"{each.area}/*" for each in REGISTRY.values())}
        raise UsageError(f"no invariant matches {glob!r}; {did_you_mean(glob, names)}")
    return found


class _Tally:
    """How often one combination of outcomes has been seen, and whether nothing is violated in it; shapes share it."""

    __slots__ = ("clean", "count")

    def __init__(self, *, clean: bool) -> None:
        self.clean = clean
        self.count = 0


class _Shapes:
    """The hashes of shapes, each with its tally; the ones not seen for long are forgotten.

    Two generations: when the young one is full it becomes the old one, and the old one is dropped.
    """

    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[int, _Tally] = {}
        self._old: dict[int, _Tally] = {}

    def get(self, shape: int) -> _Tally | None:
        """The tally of a shape that is remembered."""
        found = self._young.get(shape)
        if found is None:
            found = self._old.get(shape)
            if found is not None:
                self.put(shape, found)
        return found

    def put(self, shape: int, tally: _Tally) -> None:
        """Remember a shape."""
        if len(self._young) >= SHAPES_MAX:
            self._old, self._young = self._young, {}
        self._young[shape] = tally

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Judge:
    """The selected invariants, applied to one target.

    *contract* says what the target can break; what it cannot is not applicable and never run. *chosen* and *excluded*
    are globs of slugs (see `select`). *header* belongs to the flat lists that `screen` is given. `bugs` are the rules
    that raised, with what to tell about each.
    """

    def __init__(
        self,
        contract: Contract,
        chosen: Iterable[str] = (),
        excluded: Iterable[str] = (),
        *,
        header: Header | None = None,
    ) -> None:
        self.contract = contract
        self.slugs = select(chosen, excluded)
        self._header = header or Header()
        rows = [REGISTRY[slug] for slug in self.slugs]
        self._single = [row for row in rows if not row.relation]
        self._relations = [row for row in rows if row.relation]
        self._idle = {row.slug: verdict for row in rows if (verdict := _beyond_reach(row, contract)) is not None}
        self._shapes = _Shapes()
        self._gists = _Shapes()
        self._tallies: dict[tuple[tuple[str, Outcome], ...], _Tally] = {}
        self._settled: dict[str, _Tally] = {}
        self.bugs: dict[str, str] = {}

    def verdicts(self, trace: Trace) -> list[Verdict]:
        """What each selected invariant says about *trace*; relations are left out, and nothing is counted."""
        return [self._idle.get(row.slug) or self._ask(row, trace) for row in self._single]

    def judge_family(self, family: Family) -> list[Verdict]:
        """What each selected relation says about *family*; counted."""
        verdicts = self.relations(family)
        self._tally(verdicts).count += 1
        return verdicts

    def settle(self, slug: str) -> None:
        """Count that the relation *slug* holds, where equal replies have shown it, if it is selected at all."""
        if slug not in self._settled:
            known = slug not in self._idle and slug in [row.slug for row in self._relations]
            outcomes = [
                (row.slug, Outcome.HOLDS if row.slug == slug else Outcome.NOT_APPLICABLE) for row in self._relations
            ]
            self._settled[slug] = self._tally([Verdict(*said) for said in outcomes]) if known else _Tally(clean=True)
        self._settled[slug].count += 1

    def relations(self, family: Family) -> list[Verdict]:
        """What each selected relation says about *family*; nothing is counted."""
        return [self._idle.get(row.slug) or self._ask(row, family) for row in self._relations]

    def screen(self, flat: Sequence[Any]) -> bool:
        """Whether a recorder's flat list breaks nothing; counted. If False, the `verdicts` of its Trace say what."""
        whats = flat[::2]
        shape = hash(tuple(whats))
        tally = self._shapes.get(shape)
        if tally is None:
            tally = self._new_shape(flat, hash(_gist(whats)))
            self._shapes.put(shape, tally)
        tally.count += 1
        return tally.clean

    def _new_shape(self, flat: Sequence[Any], gist: int) -> _Tally:
        tally = self._gists.get(gist)
        if tally is None:
            tally = self._tally(self.verdicts(materialise(list(flat), None, self._header)))
            self._gists.put(gist, tally)
        return tally

    def counts(self) -> tuple[tuple[str, int, int, int, int], ...]:
        """How often each invariant held, was violated, was unknown, was not applicable, in all that was counted."""
        columns = tuple(Outcome)
        table = {slug: [0] * len(columns) for slug in self.slugs}
        for outcomes, tally in self._tallies.items():
            for slug, outcome in outcomes:
                table[slug][columns.index(outcome)] += tally.count
        return tuple((slug, row[0], row[1], row[2], row[3]) for slug, row in table.items())

    def _tally(self, verdicts: Sequence[Verdict]) -> _Tally:
        outcomes = tuple([(verdict.invariant, verdict.outcome) for verdict in verdicts])
        clean = all(outcome is not Outcome.VIOLATED for _, outcome in outcomes)
        return self._tallies.setdefault(outcomes, _Tally(clean=clean))

    def _ask(self, row: Invariant, subject: Any) -> Verdict:
        try:
            answer: Answer = row.rule(subject, self.contract)
            return _verdict(row.slug, answer)
        except Exception as error:
            # A broken rule must not end a campaign, and what it says is no verdict either.
            reason = f"a bug in handshaker: the rule of {row.slug} raised {type(error).__name__}: {error}"
            self.bugs.setdefault(row.slug, reason)
            return Verdict(row.slug, Outcome.UNKNOWN, reason=reason)


def _gist(whats: Sequence[Any]) -> tuple[Any, ...]:
    """The shape without the length of its conversations.

    While bytes go to and fro, what matters to a rule is which step can follow which, and in which order that was first
    seen; whether it happened three times or thirty does not. Everything else is kept as it is.
    """
    kept: list[Any] = []
    seen: set[Any] = set()
    before: Any = None
    for what in whats:
        if what[0] not in _CONVERSATION:
            kept.append(what)
            seen, before = set(), None
            continue
        if (before, what) not in seen:
            seen.add((before, what))
            kept.append(what)
        before = what
    return tuple(kept)


def _beyond_reach(row: Invariant, contract: Contract) -> Verdict | None:
    """The verdict on an invariant that this target overrides nothing to break."""
    if not row.broken_by or set(row.broken_by).intersection(contract.overrides):
        return None
    reason = "only an override of " + ", ".join(row.broken_by) + " could break it, and there is none"
    return Verdict(row.slug, Outcome.NOT_APPLICABLE, reason=reason)


def _verdict(slug: str, answer: Answer) -> Verdict:
    if isinstance(answer, Unknown):
        return Verdict(slug, Outcome.UNKNOWN, reason=answer.reason)
    if isinstance(answer, NotApplicable):
        return Verdict(slug, Outcome.NOT_APPLICABLE, reason=answer.reason)
    violations = tuple(answer)
    return Verdict(slug, Outcome.VIOLATED if violations else Outcome.HOLDS, violations)


class Primary(NamedTuple):
    """A violation that no other one explains, and the slugs of those that it explains."""

    verdict: Verdict
    violation: Violation
    folded: tuple[str, ...]


def primary(verdicts: Iterable[Verdict]) -> list[Primary]:
    """Fold the violations in *verdicts* (of one Trace) under those that explain them, as `implied_by` says."""
    broken = [(verdict, violation) for verdict in verdicts for violation in verdict.violations]
    found = []
    for verdict, violation in broken:
        if not any(_explains(other, seen, verdict, violation) for other, seen in broken):
            folded = {other.invariant for other, seen in broken if _explains(verdict, violation, other, seen)}
            found.append(Primary(verdict, violation, tuple(sorted(folded))))
    return found


def _explains(cause: Verdict, caused_by: Violation, effect: Verdict, caused: Violation) -> bool:
    """Whether the one violation follows from the other: named as such, on one connection, about one exception."""
    same_place = -1 in (caused_by.connection, caused.connection) or caused_by.connection == caused.connection
    same_exception = not caused_by.frame or not caused.frame or _thrown(caused_by) == _thrown(caused)
    return same_place and same_exception and cause.invariant in _causes(effect.invariant)


def _thrown(violation: Violation) -> tuple[str, str]:
    return violation.exception, violation.frame


def _causes(slug: str) -> frozenset[str]:
    """All slugs that explain *slug*, through others as well."""
    found: set[str] = set()
    ahead = [slug]
    while ahead:
        new = [cause for cause in by_slug(ahead.pop()).implied_by if cause not in found]
        found.update(new)
        ahead += [cause for cause in new if cause in REGISTRY]
    return frozenset(found)
