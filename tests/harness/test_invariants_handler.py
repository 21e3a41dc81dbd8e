"""The rules about the handler's own exceptions: bugs, peers that left, and what is nobody's fault."""

from __future__ import annotations

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.judge import Judge, primary
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, table, verdict
from tests.traces.handler import BAD, LEFT, UNCAUGHT, closed_by_handler, fails_with, peer_closed, shut_by_handler
from tests.traces_builder import (
    Raised,
    echo,
    event,
    inserted,
    lacking,
    peer,
    reset,
    silence,
    stall,
    trace,
)


@pytest.mark.parametrize(("slug", "asked"), table(BAD))
def test_it_is_violated_by_its_own_damage(slug, asked):
    """A rule notices what it is about, and names the exception and the place."""
    said = verdict(slug, asked)
    assert said.outcome is Outcome.VIOLATED
    for violation in said.violations:
        assert all(0 <= seq < len(asked.subject) for seq in violation.witness)
        assert violation.witness
        assert violation.exception
        assert violation.frame or slug == "handler/reset-is-expected"


CASES = [
    pytest.param(ValueError, reset, UNCAUGHT, id="another exception after a reset is a bug"),
    pytest.param(ConnectionResetError, reset, LEFT, id="a reset that comes through is the peer's"),
    pytest.param(
        ConnectionRefusedError, echo, UNCAUGHT, id="a connection error with no peer leaving is not the peer's"
    ),
    pytest.param(BrokenPipeError, peer_closed, LEFT, id="a broken pipe after the peer closed is the peer's"),
    pytest.param(BrokenPipeError, shut_by_handler, UNCAUGHT, id="a broken pipe after an own close is not the peer's"),
    pytest.param(OSError, closed_by_handler, UNCAUGHT, id="a use of an own closed socket is not the peer's"),
    pytest.param(TimeoutError, silence, LEFT, id="a timeout on a silent peer is the peer's"),
    pytest.param(TimeoutError, echo, UNCAUGHT, id="a timeout from elsewhere is not the peer's"),
    pytest.param(OSError, silence, LEFT, id="reading on after a timeout is the peer's"),
    pytest.param(FileNotFoundError, reset, UNCAUGHT, id="another OSError is a bug"),
]


@pytest.mark.parametrize(("exception", "body", "slug"), CASES)
def test_each_exception_belongs_to_one_rule(exception, body, slug):
    """An exception is a bug of the handler or the peer's departure, never both and never neither."""
    failing = fails_with(exception, body)
    outcomes = {each: verdict(each, Asked(failing)).outcome for each in (UNCAUGHT, LEFT)}
    assert [each for each, outcome in outcomes.items() if outcome is Outcome.VIOLATED] == [slug]


@pytest.mark.parametrize("allowed", ["builtins.UnicodeDecodeError", "builtins.ValueError"])
def test_declared_exceptions_are_allowed(allowed):
    """A declared exception and its subclasses may leave the handler."""
    contract = Contract(allowed_exceptions=(allowed,))
    assert verdict(UNCAUGHT, Asked(fails_with(UnicodeDecodeError), contract)).outcome is Outcome.HOLDS


def test_a_declared_connection_error_is_allowed():
    """A declared exception is no finding of either rule."""
    contract = Contract(allowed_exceptions=("builtins.ConnectionError",))
    assert verdict(LEFT, Asked(fails_with(ConnectionResetError, reset), contract)).outcome is Outcome.HOLDS


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exits_are_the_server_s_matter(exception):
    """What is not an Exception is judged by what it does to the server."""
    assert verdict(UNCAUGHT, Asked(trace(peer(0, handle=Raised(exception), waiting=1)))).outcome is Outcome.HOLDS


def test_what_happens_after_a_stop_is_not_judged():
    """A handler that was stopped from outside may raise whatever it likes."""
    assert verdict(UNCAUGHT, Asked(fails_with(ValueError, stall))).outcome is Outcome.HOLDS


def test_an_own_constructor_may_deal_with_exceptions():
    """An exception that finish_request() never saw fail, and nobody reported, did not escape."""
    dealt_with = lacking(fails_with(ValueError), "init.", "finish_request.", "process_request.", "handle_error.")
    dealt_with = inserted(dealt_with, [event("finish_request.leave", 0)], after="finish.leave")
    assert verdict(UNCAUGHT, Asked(dealt_with)).outcome is Outcome.HOLDS


def test_a_server_that_reports_by_itself_hides_nothing():
    """A finish_request() that swallows the exception after handle_error() has seen it is no way out."""
    reported = inserted(fails_with(ValueError), [event("finish_request.leave", 0)], after="handle_error.leave")
    assert verdict(UNCAUGHT, Asked(reported)).outcome is Outcome.VIOLATED


def only_violation(slug, subject):
    """The one violation that the rule sees."""
    (violation,) = verdict(slug, Asked(subject)).violations
    return violation


def test_the_violation_tells_where_and_what():
    """The violation names hook, exception and place, and shows the last bytes that were read."""
    failing = fails_with(ValueError)
    violation = only_violation(UNCAUGHT, failing)
    assert violation.actual == "handle() raised ValueError: boom"
    assert (violation.exception, violation.frame) == ("builtins.ValueError", "tests:Handler.handle")
    assert violation.location == "handler.py:12"
    assert [failing.events[seq].kind for seq in violation.witness] == ["socket.recv", "handle.raise"]


def test_an_exception_is_told_once():
    """An exception that passes through several hooks is one violation; one in handle() and one in finish() are two."""
    both = trace(peer(0, handle=Raised(ValueError), finish=Raised(KeyError)))
    assert [each.exception for each in verdict(UNCAUGHT, Asked(both)).violations] == [
        "builtins.ValueError",
        "builtins.KeyError",
    ]


def test_an_exception_of_finish_folds_under_its_own_rule():
    """finish() that raises is one finding, of the rule about finish(); handle()'s own error beside it stays another."""
    both = trace(peer(0, handle=Raised(ValueError), finish=Raised(KeyError)))
    judge = Judge(Contract(), ["handler/*", "lifecycle/finish-does-not-raise"])
    found = {(each.verdict.invariant, each.violation.exception): each.folded for each in primary(judge.verdicts(both))}
    assert found == {
        (UNCAUGHT, "builtins.ValueError"): (),
        ("lifecycle/finish-does-not-raise", "builtins.KeyError"): (UNCAUGHT,),
    }


def test_the_peer_s_departure_is_named():
    """A reset, a close and a silence are told apart."""
    told = [
        only_violation(LEFT, fails_with(exception, body)).expected
        for exception, body in ((ConnectionResetError, reset), (BrokenPipeError, peer_closed), (TimeoutError, silence))
    ]
    assert [each.split(",")[0] for each in told] == [
        "the peer reset the connection",
        "the peer closed the connection",
        "the peer fell silent",
    ]
