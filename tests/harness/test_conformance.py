"""The conformance suite: CPython passes it, and what it says can be relied on."""

from __future__ import annotations

import re
import socketserver
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from handshaker.harness.conformance.playing import why_not
from handshaker.harness.conformance.probes import PROBES
from handshaker.harness.conformance.suite import Suite, chosen
from handshaker.harness.conformance.table import CHECKS, ITEMS
from handshaker.harness.errors import UsageError
from handshaker.harness.verdict import Outcome
from handshaker.targets.implementation import implementation
from handshaker.testing import KNOWN_CPYTHON, check_target
from tests.wrong.table import WRONGS

BY_ID = {item.id: item for item in ITEMS}
FINISHING = "lifecycle/finish-only-after-setup"
FAILS = f"{FINISHING}[setup-raises-ValueError-tcp-plain]"
SOME = tuple(item for item in ITEMS if item.slug == FINISHING and item.transport == "tcp")

test_cpython = check_target(lambda: socketserver, deviations=KNOWN_CPYTHON)


def wrong(slug: str = FINISHING) -> ModuleType:
    """The implementation that breaks this rule."""
    return next(each for each in WRONGS if each.slug == slug).module()


def a_suite(made: object = socketserver, deviations: dict[str, str] | None = None) -> Suite:
    """A suite of a few items."""
    return Suite(lambda: made, SOME, deviations or {})


def test_every_item_has_a_name_of_its_own():
    """A deviation can be declared for exactly one item."""
    assert len(BY_ID) == len(ITEMS)


def test_every_name_can_be_typed():
    """An id is a slug, and in brackets a name, a transport and a concurrency: letters, digits, and hyphens."""
    assert [name for name in BY_ID if not re.fullmatch(r"[a-z]+/[a-z-]+\[[\w-]+\]", name)] == []


def test_every_probe_is_used():
    """A probe that no check plays is not kept."""
    assert {check.probe for check in CHECKS} == set(PROBES)


def test_known_behaviours_of_cpython_have_numbers():
    """Whoever reads that CPython deviates can look the behaviour up."""
    assert KNOWN_CPYTHON
    assert [reason for reason in KNOWN_CPYTHON.values() if not re.match(r"G-\d\d: \w", reason)] == []


def test_a_wrong_implementation_is_told_what_is_wrong():
    """The failure names the item, the rule, what was expected, what happened, and draws the trace."""
    result = a_suite(wrong()).result(BY_ID[FAILS])
    assert result.outcome is Outcome.VIOLATED
    lines = result.text.splitlines()
    assert lines[0] == FAILS
    assert lines[1] == "no finish() after a failed setup() · LC-003 · MUST"
    for label in ("requirement", "source", "expected", "actual", "case"):
        assert any(line.startswith(label) for line in lines)
    assert "finish.enter" in result.text


def test_a_deviation_that_still_shows_is_no_news():
    """The closing item of a declared rule is content while one of its items is violated."""
    suite = a_suite(wrong(), {FINISHING: "our finish() also undoes a failed setup()"})
    assert suite.declared(BY_ID[FAILS])
    assert suite.gone(FINISHING) == ""


@pytest.mark.parametrize("key", [FINISHING, FAILS])
def test_a_deviation_that_no_longer_shows_is_told(key):
    """Whoever has repaired something hears that the declaration can go, for a rule and for a single item."""
    assert "no longer shows" in a_suite(deviations={key: "not yet done"}).gone(key)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"deviations": {"server/error-reports": "x"}}, "did you mean 'server/error-report'"),
        ({"deviations": {"server/error-report": " "}}, "say in words why"),
        ({"transports": ["tpc"]}, "did you mean 'tcp'"),
        ({"concurrency": "threads"}, "did you mean 'threading'"),
    ],
)
def test_a_wrong_name_is_refused_with_a_better_one(options, said):
    """Spelling mistakes are told when the test module is imported, not by silence."""
    with pytest.raises(UsageError, match=re.escape(said)):
        check_target(lambda: socketserver, **options)


def test_a_module_in_place_of_a_function_is_refused():
    """make_target is called when the first item is played, so it must be a function."""
    with pytest.raises(UsageError, match="write a function that returns your module"):
        check_target(socketserver)


def test_the_choice_can_be_narrowed():
    """Transports and a concurrency choose items."""
    assert {item.transport for item in chosen(ITEMS, ["udp"], "all")} == {"udp"}
    assert {item.transport for item in chosen(ITEMS, "unix", "all")} == {"unix"}
    assert {item.concurrency for item in chosen(ITEMS, (), "plain")} == {"plain"}


def test_what_is_known_of_items_that_were_not_chosen_is_no_matter():
    """The deviations of the whole suite serve for a part of it too: of what is left out nothing is expected."""
    suite = Suite(lambda: socketserver, chosen(ITEMS, ["tcp"], "threading"), KNOWN_CPYTHON, ITEMS)
    assert suite.deviations == {}


def test_deviations_are_a_mapping():
    """Deviations without reasons are refused."""
    with pytest.raises(UsageError, match="not a mapping"):
        check_target(lambda: socketserver, deviations=["server/error-report"])


def test_what_is_missing_is_skipped_with_the_reason():
    """An implementation of streams only is not blamed for datagrams."""
    made = implementation(
        SimpleNamespace(
            BaseRequestHandler=socketserver.BaseRequestHandler,
            StreamRequestHandler=socketserver.StreamRequestHandler,
            TCPServer=socketserver.TCPServer,
        )
    )
    assert why_not(BY_ID[FAILS], made) == ""
    assert why_not(BY_ID["lifecycle/order[bytes-udp-plain]"], made) == "SimpleNamespace has no UDPServer"
    assert why_not(BY_ID["datagram/one-reply[echo-udp-plain]"], made) == "SimpleNamespace has no DatagramRequestHandler"


def test_a_run_in_which_everything_is_skipped_fails():
    """Nothing tested is not green."""
    bare = SimpleNamespace(BaseRequestHandler=socketserver.BaseRequestHandler, TCPServer=socketserver.TCPServer)
    assert "nothing was tested: all" in a_suite(bare).nothing_judged()
    assert a_suite().nothing_judged() == ""


def test_the_page_tells_what_cpython_does():
    """docs/conformance.md lists the sub-checks that CPython itself does not pass, with their numbers, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, re.MULTILINE))
    assert told == {(f"{check.slug}[{check.name}]", check.known) for check in CHECKS if check.known}
