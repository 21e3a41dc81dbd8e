"""The pages of docs/ that are written from the tables, so that they cannot say anything else than the code.

Plain data in, Markdown out; who calls these writes the files (`make docs`) or compares them (the tests). What an
invariant requires, which handler breaks it and which traces show both stands in three tables, and on one page here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import handshaker.harness.judge  # noqa: F401 - registers all invariants
from handshaker.harness import invariants
from handshaker.harness.contract import CONCURRENT_PATH, LIFECYCLE, SERVER_LIFE, SERVER_PATH
from handshaker.harness.invariants.base import REGISTRY, Invariant
from handshaker.targets.exhibits.table import EXHIBITS

__all__ = ["Shown", "cpython_page", "invariants_page", "lifecycle_page", "mermaid"]

_GENERATED: Final = "<!-- Written by `make docs` from the tables of the code. Change those, and run it again. -->"
_RELATIONS: Final = "several traces: the case, the same once more, and a variant of it"


@dataclass(frozen=True, slots=True)
class Shown:
    """The names of the traces that show an invariant held and broken, and the files that hold them."""

    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


# invariants


def invariants_page(shown: Mapping[str, Shown]) -> str:
    """docs/invariants.md: every row of the registry, by area; *shown* are the traces of each slug."""
    areas = _areas()
    return _page(
        "# The invariants",
        f"{len(REGISTRY)} rules in {len(areas)} areas. A *must* is documented, or holds for any sane handler; a "
        "*should* is robustness that many handlers lack. *Reach* says what usually breaks the rule: any **peer** with "
        "bytes, a peer with **timing**, only an **injected** fault, or a **misuse** of the API whatever the peer does. "
        "Each rule has an exhibit, a handler that is wrong on purpose and flagged by this rule first, and a repaired "
        "twin that nothing flags; and traces that show the rule held and broken.",
        "\n".join(f"- [{area}](#{area}): {_about(area)}" for area in areas),
        *(block for area, rows in areas.items() for block in _area(area, rows, shown)),
    )


def _areas() -> dict[str, list[Invariant]]:
    """The rows by area, in the order of their numbers."""
    areas: dict[str, list[Invariant]] = {}
    # Rows of the catalogue come before those that were added to it.
    for row in sorted(REGISTRY.values(), key=lambda row: (not row.row.startswith("LC-"), row.row, row.slug)):
        areas.setdefault(row.area, []).append(row)
    return areas


def _about(area: str) -> str:
    """What the area is about: the first sentence of the module that is named after it."""
    told = importlib.import_module(f"{invariants.__name__}.{area}").__doc__ or ""
    return " ".join(told.split("\n\n")[0].split())


def _area(area: str, rows: list[Invariant], shown: Mapping[str, Shown]) -> Iterator[str]:
    yield f"## {area}"
    yield _about(area)
    yield _table(
        ("row", "slug", "level", "reach", "in short"),
        ((row.row, f"[`{row.slug}`](#{_anchor(row.slug)})", row.level, row.reach, row.title) for row in rows),
    )
    for row in rows:
        yield from _row(row, shown.get(row.slug, Shown()))


def _row(row: Invariant, shown: Shown) -> Iterator[str]:
    yield f"### `{row.slug}`"
    yield f"{row.row} · {row.level.upper()} · {row.reach}"
    yield row.requirement
    yield "\n".join(f"- {label}: {text}" for label, text in _facts(row, shown) if text)


def _facts(row: Invariant, shown: Shown) -> Iterator[tuple[str, str]]:
    yield "source", row.source
    if row.broken_by:
        yield "only an override of", _listed(f"`{name}`" for name in row.broken_by)
    if row.relation:
        yield "judged on", _RELATIONS
    if row.slug in EXHIBITS:
        exhibit = EXHIBITS[row.slug]
        yield "exhibit", _subject(exhibit.bad)
        yield "repaired", _subject(exhibit.repaired)
        yield "smallest case", f"`{exhibit.minimum!r}`"
    yield "good traces", _listed(shown.good)
    yield "bad traces", _listed(shown.bad)
    yield "written in", _listed(f"[`{file}`](../{file})" for file in shown.files)
    yield "folds under", _listed(f"[`{slug}`](#{_anchor(slug)})" for slug in row.implied_by)


def _subject(target: str) -> str:
    """A class with its file and its one sentence."""
    module, _, name = target.partition(":")
    told = " ".join((getattr(importlib.import_module(module), name).__doc__ or "").split())
    file = module.removeprefix("handshaker.").replace(".", "/") + ".py"
    return f"[`{name}`](../{file}). {told}"


def _anchor(slug: str) -> str:
    """What a heading of this slug is called by those who link to it: no slashes, no backquotes."""
    return slug.replace("/", "")


# state diagrams


@dataclass(frozen=True, slots=True)
class _Diagram:
    title: str
    sentence: str
    table: Mapping[str, Mapping[str, str]]


_DIAGRAMS: Final = (
    _Diagram(
        "One handler",
        "The life of a handler instance, whatever serves it (`BaseRequestHandler.__init__`). When `setup()` raises, "
        "neither `handle()` nor `finish()` runs; when it returns, `finish()` runs whatever `handle()` does.",
        LIFECYCLE,
    ),
    _Diagram(
        "One request on a plain server",
        "From accepting to the release, in the serving thread. An exception in `verify_request()` or `handle_error()` "
        "ends the serving loop. A datagram goes the same way; closing it closes nothing.",
        SERVER_PATH,
    ),
    _Diagram(
        "One request on a threading or forking server",
        "`finish_request()` and what follows happen in a thread or a child of their own, and `process_request()` "
        "returns meanwhile; what is raised last ends that thread or child only.",
        CONCURRENT_PATH,
    ),
    _Diagram(
        "One server object",
        "What its owner does with it. Closing while it serves is not in the table: it must not be done.",
        SERVER_LIFE,
    ),
)


def lifecycle_page() -> str:
    """docs/lifecycle.md: the tables of the contract as state diagrams."""
    return _page(
        "# Lifecycles",
        "What is legal stands in tables in [`harness/contract.py`](../harness/contract.py): a state, the events that "
        "may come, the states that follow. An event that is missing there is illegal. These are the tables, drawn.",
        *(block for diagram in _DIAGRAMS for block in _drawn(diagram)),
    )


def _drawn(diagram: _Diagram) -> Iterator[str]:
    yield f"## {diagram.title}"
    yield diagram.sentence
    yield f"```mermaid\n{mermaid(diagram.table)}\n```"


def mermaid(table: Mapping[str, Mapping[str, str]]) -> str:
    """A table of states as a Mermaid state diagram; the first state is where it begins, one without events an end."""
    names = {state: state.replace(" ", "_") for state in table}
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{state}" as {name}' for state, name in names.items() if state != name]
    lines.append(f"    [*] --> {next(iter(names.values()))}")
    for state, steps in table.items():
        by_next: dict[str, list[str]] = {}
        for event, following in steps.items():
            by_next.setdefault(following, []).append(event)
        lines += [f"    {names[state]} --> {names[after]}: {_either(events)}" for after, events in by_next.items()]
        if not steps:
            lines.append(f"    {names[state]} --> [*]")
    return "\n".join(lines)


def _either(events: list[str]) -> str:
    """Several events in one label: `handle leave or raise` for the two ends of one hook."""
    hooks = {event.partition(".")[0] for event in events}
    if len(hooks) == 1 and len(events) > 1:
        return f"{hooks.pop()} {' or '.join(event.partition('.')[2] for event in events)}"
    return " or ".join(event.replace(".", " ") for event in events)


# what CPython itself does


def cpython_page(known: Mapping[str, str]) -> str:
    """docs/cpython.md: what CPython's own `socketserver` is *known* to do where the rules say otherwise.

    *known* are the items of the conformance suite with what is known about each, as `testing.KNOWN_CPYTHON`.
    """
    items: dict[str, list[str]] = {}
    for item, told in known.items():
        items.setdefault(told, []).append(f"`{item}`")
    return _page(
        "# What CPython's socketserver does otherwise",
        "The reference of the contract is `socketserver` itself, and it deviates from its documentation in some "
        "places. They are known by their numbers, are never held against a handler, and are declared when the "
        "conformance suite is run on CPython (`handshaker.testing.KNOWN_CPYTHON`).",
        _table(
            ("behaviour", "items"), ((told, _listed(f"`{each}`" for each in items[told])) for told in sorted(items))
        ),
    )


# Markdown


def _page(*blocks: str) -> str:
    return "\n\n".join((blocks[0], _GENERATED, *blocks[1:])) + "\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(str(cell).replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
