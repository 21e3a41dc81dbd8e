"""What is demanded of every rule: it holds on good traces, is violated by bad ones, and notices damage to good ones.

A rule says by its `kinds` and `orders` which events it depends on. Dropping or doubling one of those kinds in a good
trace, or swapping one of those orders, makes it a bad one, and a rule that does not notice has not looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from handshaker.harness.conformance.damage import doubled, in_order, swapped, without
from handshaker.harness.contract import Contract
from handshaker.harness.errors import UsageError
from handshaker.harness.invariants.base import REGISTRY, Family, by_slug
from handshaker.harness.judge import Judge
from handshaker.harness.trace import Trace
from handshaker.harness.verdict import Outcome, Verdict

__all__ = ["Asked", "asked", "flaws_bad", "flaws_good", "flaws_under_damage", "mutants", "slug_of", "verdict"]


@dataclass(frozen=True)
class Asked:
    """One question: a Trace or a Family, and what its target declares.

    A *spare* good trace says something twice, or says less than the rule depends on: not all its mutants are bad.
    """

    subject: Trace | Family
    contract: Contract = field(default_factory=Contract)
    spare: bool = False


def asked(example: Any) -> Asked:
    """*example* as a question; a bare Trace or Family is asked about with nothing declared."""
    if isinstance(example, Asked):
        return example
    if isinstance(example, Trace | Family):
        return Asked(example)
    raise UsageError(f"{example!r:.80} is no trace; give a Trace, a Family, or Asked(trace, Contract(...))")


def slug_of(rule: Any) -> str:
    """The slug that *rule* is, or that the decorated function is registered under. Raises UsageError for neither."""
    if isinstance(rule, str):
        return by_slug(rule).slug
    found = next((slug for slug, row in REGISTRY.items() if row.rule is rule), None)
    if found is None:
        name = getattr(rule, "__qualname__", repr(rule))
        raise UsageError(f"{name} is registered under no slug; decorate it with @invariant(...), or give its slug")
    return found


def verdict(slug: str, question: Asked) -> Verdict:
    """What the invariant *slug* says, as if the target overrode everything that could break it."""
    overrides = (*by_slug(slug).broken_by, *question.contract.overrides)
    judge = Judge(replace(question.contract, overrides=overrides), (slug,))
    subject = question.subject
    (said,) = judge.relations(subject) if isinstance(subject, Family) else judge.verdicts(subject)
    assert not judge.bugs, judge.bugs
    return said


def flaws_good(slug: str, question: Asked) -> Iterator[str]:
    """What is wrong with the answer to a good trace: it should hold."""
    said = verdict(slug, question)
    if said.outcome is not Outcome.HOLDS:
        told = "; ".join(violation.actual for violation in said.violations) or said.reason
        yield f"a good trace is {said.outcome}: {told}"


def flaws_bad(slug: str, question: Asked) -> Iterator[str]:
    """What is wrong with the answer to a bad trace: it should be violated, and say where, what, and by what name."""
    said = verdict(slug, question)
    if said.outcome is not Outcome.VIOLATED:
        yield f"a bad trace is {said.outcome}{f': {said.reason}' if said.reason else ''}"
    length = max(map(len, _traces(question.subject)))
    for violation in said.violations:
        if not violation.expected or not violation.actual or violation.expected == violation.actual:
            yield f"it does not say what was expected and what happened instead: {violation}"
        if not violation.exception and not violation.damage:
            yield f"the damage has no name: {violation}"
        if not violation.witness or not all(0 <= seq < length for seq in violation.witness):
            yield f"it points at no event of the trace: {violation}"


def _traces(subject: Trace | Family) -> tuple[Trace, ...]:
    return (subject,) if isinstance(subject, Trace) else (subject.base, subject.repeat, subject.variant)


def mutants(slug: str, trace: Trace) -> Iterator[tuple[str, Trace]]:
    """*trace* with each kind that the invariant depends on dropped and doubled, and each of its orders swapped."""
    row, present = by_slug(slug), {event.kind for event in trace}
    for kind in present.intersection(row.kinds):
        yield f"without {kind}", without(trace, kind)
        yield f"two {kind}", doubled(trace, kind)
    for one, two in row.orders:
        if in_order(trace, one, two):
            yield f"{one} after {two}", swapped(trace, one, two)


def flaws_under_damage(slug: str, good: Iterable[Asked]) -> Iterator[str]:
    """Which damage to the *good* traces is not noticed, and which declared kind or order occurs in none of them."""
    noticed = set()
    for question in good:
        for name, mutant in mutants(slug, _only_trace(question)):
            if verdict(slug, replace(question, subject=mutant)).outcome is Outcome.VIOLATED:
                noticed.add(name)
            elif not question.spare:
                yield f"damage goes unnoticed: {name}"
    for name in _damages(slug):
        if name not in noticed:
            yield f"no good trace shows that it is noticed: {name}"


def _only_trace(question: Asked) -> Trace:
    return _traces(question.subject)[-1]


def _damages(slug: str) -> Sequence[str]:
    row = by_slug(slug)
    kinds = [f"{how} {kind}" for kind in row.kinds for how in ("without", "two")]
    return [*kinds, *(f"{one} after {two}" for one, two in row.orders)]
