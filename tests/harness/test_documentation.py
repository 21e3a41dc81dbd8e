"""The pages that are written from the tables: they are what the tables say, and they read well.

make docs          writes them anew (HANDSHAKER_GOLDEN=write, as for the golden files of the reports)
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from handshaker.harness import contract
from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.harness.documentation import Shown, cpython_page, invariants_page, lifecycle_page, mermaid
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.runner import Stage
from handshaker.harness.testing import KNOWN_CPYTHON
from handshaker.harness.vocabulary import KINDS
from handshaker.targets.stdlib import load_target
from tests.traces import BAD, GOOD, HOMES

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLES = {
    name: table
    for name, table in vars(contract).items()
    if isinstance(table, dict) and table and all(isinstance(each, dict) for each in table.values())
}


def shown(slug: str) -> Shown:
    """The traces of one rule, by name."""
    files = tuple(f"tests/traces/{module}.py" for module in HOMES[slug])
    return Shown(tuple(GOOD.get(slug, ())), tuple(BAD.get(slug, ())), files)


PAGES = {
    "invariants.md": lambda: invariants_page({slug: shown(slug) for slug in HOMES}),
    "lifecycle.md": lifecycle_page,
    "cpython.md": lambda: cpython_page(KNOWN_CPYTHON),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_pages_are_up_to_date(name):
    """Who changes a table writes the pages anew."""
    path, text = DOCS / name, PAGES[name]()
    if os.environ.get("HANDSHAKER_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"docs/{name} is missing: run `make docs`"
    assert path.read_text(encoding="utf-8") == text, f"docs/{name} is stale: run `make docs`"


def test_every_rule_is_on_the_page():
    """Nothing is left out: each rule has its requirement, its source, its exhibit, and both kinds of traces."""
    page = PAGES["invariants.md"]()
    blocks = {block.partition("`")[0]: block for block in page.split("\n### `")}
    for slug, row in REGISTRY.items():
        block = blocks[slug]
        assert row.row in block
        assert row.requirement in block
        labels = set(re.findall(r"^- ([a-z ]+): \S", block, re.MULTILINE))
        assert {"source", "exhibit", "repaired", "good traces", "bad traces", "written in"} <= labels, slug


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    """Every link to a heading has its heading, and every link to a file its file."""
    text = PAGES[name]()
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in _headings(text)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (DOCS / target).exists(), target


def _headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


def test_all_tables_of_the_contract_are_drawn():
    """A new table of states is drawn, too."""
    page = lifecycle_page()
    assert TABLES
    assert [name for name, table in TABLES.items() if mermaid(table) not in page] == []


@pytest.mark.parametrize("name", TABLES)
def test_a_table_speaks_of_events_that_there_are(name):
    """Each step is a kind of event, each state that follows is in the table, and each can be reached."""
    table = TABLES[name]
    steps = [step for row in table.values() for step in row]
    assert set(steps) <= set(KINDS)
    assert {state for row in table.values() for state in row.values()} | {next(iter(table))} == set(table)


LIVES = {
    "serves": (Act("serve"), Act("play", 0), Act("shutdown"), Act("close"), Act("close")),
    "handles one": (Act("begin", 0), Act("handle", seconds=0.5), Act("enter"), Act("exit")),
}
BOUND = [Fault("server_bind", "OSError")]


@pytest.mark.parametrize(
    ("owner", "faults"), [(LIVES["serves"], []), (LIVES["handles one"], []), (LIVES["serves"], BOUND)]
)
def test_a_real_server_lives_as_the_table_says(owner, faults):
    """What CPython's server does in its owner's hands is a way through the table, up to its close."""
    peer = Script((Step("send", b"hello\n"), Step("half-close")))
    with Stage(load_target("handshaker.targets.exhibits.common:Lines"), network="loopback") as stage:
        trace = stage.play(Case((peer,), tuple(faults), owner=owner))
    steps = {step for row in contract.SERVER_LIFE.values() for step in row}
    state = next(iter(contract.SERVER_LIFE))
    for event in trace:
        if event.kind in steps:
            state = contract.SERVER_LIFE[state][event.kind]
    assert state == "closed"


def test_a_diagram_draws_what_the_table_says():
    """The first state is where it begins, one without events an end; spaces are not part of a name."""
    table = {
        "new": {"a.leave": "half way", "a.raise": "half way"},
        "half way": {"b.enter": "new", "c": "over"},
        "over": {},
    }
    assert mermaid(table).splitlines() == [
        "stateDiagram-v2",
        '    state "half way" as half_way',
        "    [*] --> new",
        "    new --> half_way: a leave or raise",
        "    half_way --> new: b enter",
        "    half_way --> over: c",
        "    over --> [*]",
    ]
