"""The rules about the handler's own exceptions: bugs, peers that left, and what is nobody's fault."""

from __future__ import annotations

import pytest

from handshaker.harness.contract import Contract
from handshaker.harness.judge import Judge, primary
from handshaker.harness.verdict import Outcome
from tests.invariant_checks import Asked, rows, table, verdict
from tests.traces_builder import (
    TRACES,
    Part,
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

UNCAUGHT = "handler/no-uncaught-exception"
LEFT = "handler/reset-is-expected"


def _closed(connection: int) -> Part:
    return [event("peer.close", connection), event("socket.eof", connection, via="rfile")]


def _shut_by_handler(connection: int) -> Part:
    own = [event("socket.close", connection)]
    return [*echo(connection), *own, event("socket.error", connection, operation="send", errno="EPIPE", injected=False)]


def _closed_by_handler(connection: int) -> Part:
    error = event("socket.error", connection, operation="send", errno="EBADF", injected=False)
    return [*reset(connection)[:3], event("socket.close", connection), error]


def _failing(exception: type[BaseException], body=echo):
    return trace(peer(0, handle=Raised(exception), body=body), peer(1))


GOOD = {
    UNCAUGHT: {
        "returns": Asked(TRACES["one peer"]),
        "raises what we injected": Asked(TRACES["handle raises"]),
        "raises because the peer left": Asked(_failing(ConnectionResetError, reset)),
    },
    LEFT: {
        "takes a reset": Asked(TRACES["peer resets"]),
        "takes a silence": Asked(TRACES["peer is silent"]),
        "raises for another reason": Asked(_failing(ValueError)),
    },
}
BAD = {
    UNCAUGHT: {
        "handle raises": Asked(_failing(ValueError)),
        "setup raises": Asked(trace(peer(0, setup=Raised(UnicodeDecodeError)))),
        "finish raises": Asked(trace(peer(0, finish=Raised(KeyError)))),
        "constructor raises": Asked(trace(peer(0, init=Raised(TypeError)))),
        "an unrecorded handler raises": Asked(lacking(_failing(ValueError), "init.", "setup.", "handle.", "finish.")),
    },
    LEFT: {
        "a reset": Asked(_failing(ConnectionResetError, reset)),
        "a close": Asked(_failing(BrokenPipeError, _closed)),
        "a silence": Asked(_failing(TimeoutError, silence)),
        "a silence, read on": Asked(_failing(OSError, silence)),
        "a reset, asked for its peer": Asked(_failing(OSError, reset)),
    },
}


@pytest.mark.parametrize("slug", rows("handler"))
def test_every_rule_has_a_good_and_a_bad_trace(slug):
    """A rule cannot be added without traces that show both."""
    assert GOOD[slug]
    assert BAD[slug]


@pytest.mark.parametrize(("slug", "asked"), table(GOOD))
def test_it_holds_for_a_correct_life(slug, asked):
    """A rule holds on the traces that were written for it."""
    assert verdict(slug, asked).outcome is Outcome.HOLDS


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


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("slug", rows("handler"))
def test_no_rule_blames_the_standard_library(slug, name):
    """What a correct handler does under the standard library is no violation."""
    assert verdict(slug, Asked(TRACES[name])).outcome is Outcome.HOLDS


CASES = [
    pytest.param(ValueError, reset, UNCAUGHT, id="another exception after a reset is a bug"),
    pytest.param(ConnectionResetError, reset, LEFT, id="a reset that comes through is the peer's"),
    pytest.param(
        ConnectionRefusedError, echo, UNCAUGHT, id="a connection error with no peer leaving is not the peer's"
    ),
    pytest.param(BrokenPipeError, _closed, LEFT, id="a broken pipe after the peer closed is the peer's"),
    pytest.param(BrokenPipeError, _shut_by_handler, UNCAUGHT, id="a broken pipe after an own close is not the peer's"),
    pytest.param(OSError, _closed_by_handler, UNCAUGHT, id="a use of an own closed socket is not the peer's"),
    pytest.param(TimeoutError, silence, LEFT, id="a timeout on a silent peer is the peer's"),
    pytest.param(TimeoutError, echo, UNCAUGHT, id="a timeout from elsewhere is not the peer's"),
    pytest.param(OSError, silence, LEFT, id="reading on after a timeout is the peer's"),
    pytest.param(FileNotFoundError, reset, UNCAUGHT, id="another OSError is a bug"),
]


@pytest.mark.parametrize(("exception", "body", "slug"), CASES)
def test_each_exception_belongs_to_one_rule(exception, body, slug):
    """An exception is a bug of the handler or the peer's departure, never both and never neither."""
    failing = _failing(exception, body)
    outcomes = {each: verdict(each, Asked(failing)).outcome for each in (UNCAUGHT, LEFT)}
    assert [each for each, outcome in outcomes.items() if outcome is Outcome.VIOLATED] == [slug]


@pytest.mark.parametrize("allowed", ["builtins.UnicodeDecodeError", "builtins.ValueError"])
def test_declared_exceptions_are_allowed(allowed):
    """A declared exception and its subclasses may leave the handler."""
    contract = Contract(allowed_exceptions=(allowed,))
    assert verdict(UNCAUGHT, Asked(_failing(UnicodeDecodeError), contract)).outcome is Outcome.HOLDS


def test_a_declared_connection_error_is_allowed():
    """A declared exception is no finding of either rule."""
    contract = Contract(allowed_exceptions=("builtins.ConnectionError",))
    assert verdict(LEFT, Asked(_failing(ConnectionResetError, reset), contract)).outcome is Outcome.HOLDS


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exits_are_the_server_s_matter(exception):
    """What is not an Exception is judged by what it does to the server."""
    assert verdict(UNCAUGHT, Asked(trace(peer(0, handle=Raised(exception), waiting=1)))).outcome is Outcome.HOLDS


def test_what_happens_after_a_stop_is_not_judged():
    """A handler that was stopped from outside may raise whatever it likes."""
    assert verdict(UNCAUGHT, Asked(_failing(ValueError, stall))).outcome is Outcome.HOLDS


def test_an_own_constructor_may_deal_with_exceptions():
    """An exception that finish_request() never saw fail, and nobody reported, did not escape."""
    dealt_with = lacking(_failing(ValueError), "init.", "finish_request.", "process_request.", "handle_error.")
    dealt_with = inserted(dealt_with, [event("finish_request.leave", 0)], after="finish.leave")
    assert verdict(UNCAUGHT, Asked(dealt_with)).outcome is Outcome.HOLDS


def test_a_server_that_reports_by_itself_hides_nothing():
    """A finish_request() that swallows the exception after handle_error() has seen it is no way out."""
    reported = inserted(_failing(ValueError), [event("finish_request.leave", 0)], after="handle_error.leave")
    assert verdict(UNCAUGHT, Asked(reported)).outcome is Outcome.VIOLATED


def only_violation(slug, subject):
    """The one violation that the rule sees."""
    (violation,) = verdict(slug, Asked(subject)).violations
    return violation


def test_the_violation_tells_where_and_what():
    """The violation names hook, exception and place, and shows the last bytes that were read."""
    failing = _failing(ValueError)
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
        only_violation(LEFT, _failing(exception, body)).expected
        for exception, body in ((ConnectionResetError, reset), (BrokenPipeError, _closed), (TimeoutError, silence))
    ]
    assert [each.split(",")[0] for each in told] == [
        "the peer reset the connection",
        "the peer closed the connection",
        "the peer fell silent",
    ]
