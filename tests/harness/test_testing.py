"""The public face of the conformance suites, as those who re-implement things use it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import handshaker.harness.testing
import handshaker.testing
from handshaker.harness.case import Case, Script
from handshaker.harness.conformance import transport
from handshaker.harness.conformance.damage import without
from handshaker.harness.conformance.transport import TransportItem, flaws, items_for
from handshaker.harness.contract import Contract
from handshaker.harness.errors import UsageError
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.transports import TRANSPORTS
from handshaker.testing import Asked, check_invariant, check_transport
from tests.traces import BAD, GOOD
from tests.traces_builder import TRACES

ONE = TRACES["one peer"]
DAMAGED = without(ONE, "finish.enter")

test_tcp = check_transport("tcp")
test_tcp6 = check_transport("tcp6")
test_unix = check_transport(TRANSPORTS["unix"])
test_udp = check_transport("udp")
test_udp6 = check_transport("udp6")
test_unix_dgram = check_transport("unix-dgram")

SUITE = """
import inspect, socketserver, types
from handshaker.testing import check_target

def wrong():
    module = types.ModuleType("my_socketserver")
    source = inspect.getsource(socketserver)
    exec(source.replace("except OSError:\\n            return", "except OSError:\\n            raise"), vars(module))
    return module

def bare():
    return types.SimpleNamespace(
        __name__="bare", BaseRequestHandler=socketserver.BaseRequestHandler, UDPServer=socketserver.UDPServer
    )

ACCEPTING = "server/accept-errors-survived"
OPTIONS = {"transports": ["tcp"], "concurrency": "plain"}
test_wrong = check_target(wrong, **OPTIONS)
test_declared = check_target(wrong, deviations={ACCEPTING: "we stop when we cannot accept"}, **OPTIONS)
test_outdated = check_target(lambda: socketserver, deviations={ACCEPTING: "no longer true"}, **OPTIONS)
test_skipped = check_target(bare, **OPTIONS)
test_other = check_target(lambda: types, deviations={ACCEPTING: "never judged"}, **OPTIONS)

def unfinished():
    raise NotImplementedError("my_socketserver")

test_unfinished = check_target(unfinished, **OPTIONS)
"""


def ran(folder: Path, *options: str) -> dict[str, str]:
    """The outcome of each item of the suite above, by its name."""
    (folder / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-q", "--tb=line", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.findall(r"^(PASSED|FAILED|XFAIL) test_suite.py::(\S+)", done.stdout, re.MULTILINE)
    return {name: outcome for outcome, name in found}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return ran(tmp_path_factory.mktemp("suite"), "-k", "accept or closing")


ITEM = "server/accept-errors-survived[accept-raises-OSError-tcp-plain]"


def test_a_violation_is_a_failed_item(outcomes):
    """One item, called after the rule, the probe, the transport and the concurrency, fails; others pass."""
    assert outcomes[f"test_wrong[{ITEM}]"] == "FAILED"
    assert outcomes["test_wrong[server/hook-order[accept-fails-tcp-plain]]"] == "PASSED"
    assert outcomes["test_wrong[closing[something-was-judged]]"] == "PASSED"


def test_a_declared_deviation_is_an_expected_failure(outcomes):
    """A declared deviation that shows is expected, and its closing item is content."""
    assert outcomes[f"test_declared[{ITEM}]"] == "XFAIL"
    assert outcomes["test_declared[closing[server/accept-errors-survived-still-shows]]"] == "PASSED"


def test_an_outdated_deviation_fails(outcomes):
    """A declared deviation that shows nowhere fails in its closing item, and only there."""
    assert outcomes[f"test_outdated[{ITEM}]"] == "PASSED"
    assert outcomes["test_outdated[closing[server/accept-errors-survived-still-shows]]"] == "FAILED"


def test_an_all_skipped_run_fails(outcomes):
    """When nothing can be played, the closing item fails: nothing tested is not green."""
    assert f"test_skipped[{ITEM}]" not in outcomes
    assert outcomes["test_skipped[closing[something-was-judged]]"] == "FAILED"


@pytest.mark.parametrize("test", ["test_other", "test_unfinished"])
def test_an_implementation_that_cannot_be_made_fails_once(outcomes, test):
    """What is no implementation, or cannot be made, is one failure and not one for each item."""
    assert {name: outcome for name, outcome in outcomes.items() if name.startswith(f"{test}[")} == {
        f"{test}[closing[something-was-judged]]": "FAILED"
    }


def test_both_names_mean_the_same():
    """`handshaker.testing` is what is documented; it has everything that `handshaker.harness.testing` has."""
    assert handshaker.testing.__all__ == handshaker.harness.testing.__all__
    for name in handshaker.testing.__all__:
        assert getattr(handshaker.testing, name) is getattr(handshaker.harness.testing, name)


def test_a_trusted_rule_passes():
    """A rule of ours meets what is demanded of every rule, named by its slug or by its function."""
    slug = "lifecycle/finish-always-after-setup"
    good, bad = GOOD[slug].values(), BAD[slug].values()
    check_invariant(slug, good=good, bad=bad)
    check_invariant(REGISTRY[slug].rule, good=good, bad=bad)
    check_invariant(slug, good=[ONE], bad=[Asked(DAMAGED, Contract())])


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ([DAMAGED], [DAMAGED], "a good trace is violated: finish() was never called"),
        ([ONE], [ONE], "a bad trace is holds"),
        ([TRACES["nobody comes"]], [DAMAGED], "no good trace shows that it is noticed: without finish.enter"),
    ],
)
def test_a_rule_that_cannot_be_trusted_is_told(good, bad, said):
    """The error says on which side the rule is wrong, and which damage it was not shown to notice."""
    with pytest.raises(AssertionError, match=re.escape(said)):
        check_invariant("lifecycle/finish-always-after-setup", good=good, bad=bad)


@pytest.mark.parametrize(
    ("rule", "good", "said"),
    [
        ("lifecycle/ordre", [ONE], "did you mean 'lifecycle/order'"),
        (len, [ONE], "len is registered under no slug"),
        ("lifecycle/order", [], "give at least one of each"),
        ("lifecycle/order", ["trace"], "'trace' is no trace"),
    ],
)
def test_what_is_no_rule_and_no_trace_is_refused(rule, good, said):
    """Mistakes in the call are the caller's, and say what to write."""
    with pytest.raises(UsageError, match=re.escape(said)):
        check_invariant(rule, good=good, bad=[ONE])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: check_transport("upd"), "did you mean 'udp'"),
        (lambda: check_transport("udp", networks=["lopback"]), "did you mean 'loopback'"),
    ],
)
def test_an_unknown_transport_or_network_is_refused(call, said):
    """Spelling mistakes are told when the test module is imported."""
    with pytest.raises(UsageError, match=re.escape(said)):
        call()


def flawed(look: str, **changes: object) -> list[str]:
    """What is wrong with the first item of this kind over tcp, when the item is changed like this."""
    row = TRANSPORTS["tcp"]
    item = next(each for each in items_for(row, ("memory", "loopback")) if each.look == look)
    fields = {name: getattr(item, name) for name in ("look", "name", "case", "networks")}
    return flaws(TransportItem(**{**fields, **changes}), row)


def test_a_wrong_row_is_told():
    """A row that is not the one in the table, or has no server class, is not what it says."""
    wrong = transport.Transport("tcp", 99, 1, "CarrierPigeonServer", "")
    told = " ".join(flaws(TransportItem("row", "tcp", Case(), ()), wrong))
    for part in ("TRANSPORTS['tcp'] is", "no CarrierPigeonServer", "no sentence"):
        assert part in told


def test_a_wrong_address_is_told():
    """An address of another form than the transport's is noticed."""
    two = Case((Script(), Script()))
    assert "form of address was seen as" in flawed("address", case=two)[0]


def test_a_lost_reply_is_told(monkeypatch):
    """An echo that comes back shorter than it was sent is noticed."""
    monkeypatch.setattr(transport, "_replies", lambda *_: [b"hell"])
    assert "an echo gave [b'hell']" in flawed("exchange", name="whole")[-1]


def test_networks_that_differ_are_told(monkeypatch):
    """The first event that is another one is shown, or how many there are."""
    seen = {"memory": [("a",), ("b",)], "loopback": [("a",), ("c",)]}
    monkeypatch.setattr(transport, "_observed", lambda *asked: seen[asked[-1]])
    assert flawed("parity") == ["event 1 is ('b',) on memory, and ('c',) on loopback"]
    seen["loopback"] = [("a",)]
    assert flawed("parity") == ["there are 2 events on memory, and 1 on loopback"]
