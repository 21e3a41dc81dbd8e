"""The judge asks what the target can break, remembers shapes, survives its own rules, and folds consequences."""

from __future__ import annotations

import socketserver
from dataclasses import replace

import pytest

from handshaker.harness import judge as judge_module
from handshaker.harness.contract import Contract
from handshaker.harness.errors import UsageError
from handshaker.harness.invariants.base import REGISTRY, Family, Invariant, NotApplicable, Unknown
from handshaker.harness.judge import Judge, primary, select
from handshaker.harness.verdict import Level, Outcome, Reach, Verdict, Violation
from tests.traces_builder import HEADER, TRACES, Raised, flat_of, lacking, peer, renumbered, trace

ONE, TWO = TRACES["one peer"], TRACES["two peers"]
RAISES = trace(peer(0, handle=Raised(ValueError)))
UNCAUGHT = "handler/no-uncaught-exception"
SERVER = (
    socketserver.TCPServer,
    socketserver.ThreadingMixIn,
    socketserver.ForkingMixIn,
    socketserver.BaseRequestHandler,
)


def stand_in(monkeypatch, slug: str, rule, **metadata) -> None:
    """Put *rule* into the registry, for one test."""
    row = Invariant(slug, "LC-999", "t", "r", "s", Level.MUST, Reach.PEER, rule, **metadata)
    monkeypatch.setitem(REGISTRY, slug, row)


# which invariants


def test_all_are_selected_by_default():
    """Without globs every invariant is selected, in the order of the catalogue."""
    rows = [REGISTRY[slug].row for slug in select()]
    assert len(rows) == len(REGISTRY)
    assert rows == sorted(rows)


def test_globs_choose_and_exclude():
    """A glob in the second place takes away what one in the first has chosen."""
    chosen = select(["lifecycle/*", "server/address"], ["*/finish-*"])
    assert set(chosen) == {
        "lifecycle/one-handler-per-request",
        "lifecycle/order",
        "lifecycle/files-ready-in-handle",
        "lifecycle/attributes-before-setup",
        "lifecycle/defaults-do-nothing",
        "server/address",
    }


@pytest.mark.parametrize(
    ("chosen", "excluded", "told"),
    [
        (["lifecicle/order"], [], "'lifecycle/order'"),
        (["livecycle/*"], [], "'lifecycle/*'"),
        ([], ["server/adress"], "'server/address'"),
        (["server/address"], ["server/*"], "no invariant is left"),
    ],
)
def test_a_wrong_glob_is_a_usage_error(chosen, excluded, told):
    """A glob that matches nothing names what comes close; a selection that is empty says so."""
    with pytest.raises(UsageError) as caught:
        select(chosen, excluded)
    assert told in str(caught.value)


# what is asked


def test_there_is_one_verdict_for_each_selected_rule():
    """Every selected single-trace invariant gives its verdict, in order, and no other one does."""
    judge = Judge(Contract(), ["lifecycle/*", "relation/*"])
    assert [verdict.invariant for verdict in judge.verdicts(ONE)] == list(select(["lifecycle/*"]))


def test_what_a_target_cannot_break_is_not_asked(monkeypatch):
    """A rule that only an override could break is not applicable, and not run, without one of these overrides."""
    asked = []
    stand_in(monkeypatch, "x/rule", lambda subject, _: asked.append(subject) or (), broken_by=("finish", "setup"))
    [idle] = Judge(Contract(overrides=("handle",)), ["x/rule"]).verdicts(ONE)
    assert (idle.outcome, asked) == (Outcome.NOT_APPLICABLE, [])
    assert "finish, setup" in idle.reason
    [held] = Judge(Contract(overrides=("setup",)), ["x/rule"]).verdicts(ONE)
    assert (held.outcome, asked) == (Outcome.HOLDS, [ONE])


def broken_at_once(*_):
    """A rule with a bug."""
    raise ZeroDivisionError("oops")


def broken_later(*_):
    """A generator rule with a bug."""
    yield Violation("a", "b")
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize("rule", [broken_at_once, broken_later])
def test_a_rule_that_raises_is_a_bug_of_ours(monkeypatch, rule):
    """A rule that raises, at once or while it is iterated, gives `unknown`, and is remembered as our bug."""
    stand_in(monkeypatch, "x/rule", rule)
    judge = Judge(Contract(), ["x/rule", "server/address"])
    unknown = judge.verdicts(ONE)[-1]
    assert (unknown.invariant, unknown.outcome, unknown.violations) == ("x/rule", Outcome.UNKNOWN, ())
    assert unknown.reason == judge.bugs["x/rule"]
    assert "a bug in handshaker" in unknown.reason
    assert "ZeroDivisionError: oops" in unknown.reason


def test_doubts_keep_their_reasons(monkeypatch):
    """Unknown and not applicable come with what the rule says about them."""
    stand_in(monkeypatch, "x/a", lambda *_: Unknown("who knows"))
    stand_in(monkeypatch, "x/b", lambda *_: NotApplicable("not here"))
    said = Judge(Contract(), ["x/*"]).verdicts(ONE)
    assert [(verdict.outcome, verdict.reason) for verdict in said] == [
        (Outcome.UNKNOWN, "who knows"),
        (Outcome.NOT_APPLICABLE, "not here"),
    ]


def test_relations_are_asked_about_families_only(monkeypatch):
    """A relation is not asked about a trace, nor a single-trace rule about a family."""
    asked = []
    stand_in(monkeypatch, "x/single", lambda *_: (), relation=False)
    stand_in(monkeypatch, "x/pair", lambda family, _: asked.append(family) or [Violation("a", "b")], relation=True)
    judge, family = Judge(Contract(), ["x/*"]), Family("segmentation", ONE, ONE, TWO)
    assert [verdict.invariant for verdict in judge.verdicts(ONE)] == ["x/single"]
    assert judge.judge_family(family) == [Verdict("x/pair", Outcome.VIOLATED, (Violation("a", "b"),))]
    assert asked == [family]
    assert judge.counts() == (("x/pair", 0, 1, 0, 0), ("x/single", 0, 0, 0, 0))


# the fast path


@pytest.mark.parametrize("name", TRACES)
def test_screening_agrees_with_the_verdicts(name):
    """What screens as clean, first or again, has no violation."""
    judge, flat = Judge(Contract(), header=HEADER), flat_of(TRACES[name])
    violated = [verdict for verdict in judge.verdicts(TRACES[name]) if verdict.violations]
    assert [judge.screen(flat), judge.screen(flat)] == [not violated] * 2


def test_a_violation_never_screens_as_clean():
    """A shape that breaks something is remembered as such."""
    judge, flat = Judge(Contract()), flat_of(RAISES)
    assert [judge.screen(flat) for _ in range(3)] == [False] * 3


def test_a_shape_is_judged_once(monkeypatch):
    """The rules are not asked again about a run that looks like an earlier one, whatever its payloads say."""
    asked = []
    stand_in(monkeypatch, "x/rule", lambda subject, _: asked.append(subject) or ())
    judge, flat = Judge(Contract(), ["x/rule"]), flat_of(ONE)
    other_payloads = [each if place % 2 == 0 else b"?" for place, each in enumerate(flat)]
    assert judge.screen(flat)
    assert judge.screen(other_payloads)
    assert len(asked) == 1
    assert judge.screen(flat_of(TWO))
    assert len(asked) == 2


def test_screening_knows_its_header(monkeypatch):
    """Rules that ask for the kind of server find it in the header that the judge was given."""
    servers = []
    stand_in(monkeypatch, "x/rule", lambda subject, _: servers.append(subject.header.server) or ())
    Judge(Contract(), ["x/rule"], header=replace(HEADER, server="threading")).screen(flat_of(ONE))
    assert servers == ["threading"]


def test_screening_leaves_the_recording_alone():
    """The flat list is read, never changed."""
    flat = flat_of(TWO)
    before = list(flat)
    Judge(Contract()).screen(flat)
    assert flat == before


def test_every_screened_case_is_counted():
    """Counts cover each Case, remembered or not, and each of the four outcomes."""
    judge = Judge(Contract(overrides=("handle",)), [UNCAUGHT, "server/address", "server/next-request-served"])
    for flat in [flat_of(ONE)] * 3 + [flat_of(RAISES)] * 2 + [flat_of(TRACES["handle exits"])]:
        judge.screen(flat)
    assert judge.counts() == (
        (UNCAUGHT, 4, 2, 0, 0),
        ("server/address", 0, 0, 0, 6),
        ("server/next-request-served", 5, 0, 0, 1),
    )


def test_verdicts_are_not_counted():
    """Judging a trace once more, to tell about it, does not change the summary."""
    judge = Judge(Contract(), [UNCAUGHT])
    judge.verdicts(ONE)
    assert judge.counts() == ((UNCAUGHT, 0, 0, 0, 0),)


def test_memory_is_bounded_and_counts_survive_it(monkeypatch):
    """Shapes that were not seen for long are forgotten, the ones in use are kept, and every Case stays counted."""
    monkeypatch.setattr(judge_module, "SHAPES_MAX", 4)
    asked = []
    stand_in(monkeypatch, "x/rule", lambda subject, _: asked.append(len(subject)) or ())
    judge = Judge(Contract(), ["x/rule"])
    shapes = [flat_of(renumbered(TWO, TWO.events[:size])) for size in range(2, 42)]
    for flat in shapes:
        assert judge.screen(flat)
        assert judge.screen(shapes[0])
    assert asked == list(range(2, 42))
    judge.screen(shapes[1])
    assert asked[-1] == 3
    assert judge.counts() == (("x/rule", 81, 0, 0, 0),)


# one cause, several rows


def seen(slug: str, *violations: Violation) -> Verdict:
    """A verdict with these violations."""
    return Verdict(slug, Outcome.VIOLATED, violations)


def about(connection: int = 0, exception: str = "", frame: str = "") -> Violation:
    """A violation on a connection, about an exception if there is one."""
    return Violation("a", "b", connection=connection, exception=exception, frame=frame)


@pytest.fixture
def chain(monkeypatch):
    """Three rules, each implied by the one before it."""
    for slug, causes in (("x/a", ()), ("x/b", ("x/a",)), ("x/c", ("x/b",))):
        stand_in(monkeypatch, slug, lambda *_: (), implied_by=causes)


def folded(*verdicts: Verdict) -> list[tuple[str, tuple[str, ...]]]:
    """The primary violations' slugs, and what each explains."""
    return [(each.verdict.invariant, each.folded) for each in primary(verdicts)]


@pytest.mark.usefixtures("chain")
def test_consequences_fold_under_their_cause():
    """An implied violation folds under what implies it, also through a rule between them that was not violated."""
    assert folded(seen("x/c", about()), seen("x/a", about())) == [("x/a", ("x/c",))]
    assert folded(seen("x/a", about()), seen("x/b", about()), seen("x/c", about())) == [("x/a", ("x/b", "x/c"))]


@pytest.mark.usefixtures("chain")
def test_a_consequence_without_its_cause_is_primary():
    """A violation that nothing present explains stands for itself."""
    assert folded(seen("x/c", about())) == [("x/c", ())]


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("cause", "consequence", "folds"),
    [
        (about(0), about(0), True),
        (about(0), about(1), False),
        (about(-1), about(1), True),
        (about(1), about(-1), True),
        (about(0, "E", "f"), about(0), True),
        (about(0), about(0, "E", "f"), True),
        (about(0, "E", "f"), about(0, "E", "f"), True),
        (about(0, "E", "f"), about(0, "E", "g"), False),
        (about(0, "E", "f"), about(0, "F", "f"), False),
    ],
)
def test_only_the_same_connection_and_exception_explain(cause, consequence, folds):
    """A violation on another connection, or about another exception, is another finding."""
    expected = [("x/a", ("x/b",))] if folds else [("x/a", ()), ("x/b", ())]
    assert folded(seen("x/a", cause), seen("x/b", consequence)) == expected


def test_what_holds_is_not_primary():
    """Verdicts without violations give nothing to tell."""
    assert primary(Judge(Contract()).verdicts(ONE)) == []


CAUSES = {
    "verify_request() raises": (
        trace(peer(0, verify=Raised(TypeError), waiting=1)),
        "server/verify-request-does-not-raise",
        "server/next-request-served",
    ),
    "handle_error() raises": (
        trace(peer(0, handle=Raised(ValueError, injected=True), report=Raised(KeyError), waiting=1)),
        "server/handle-error-does-not-raise",
        "server/next-request-served",
    ),
    "finish() raises": (
        trace(peer(0, finish=Raised(KeyError))),
        "lifecycle/finish-does-not-raise",
        UNCAUGHT,
    ),
    "finish() is missing": (
        lacking(ONE, "finish."),
        "lifecycle/finish-always-after-setup",
        "lifecycle/order",
    ),
}


@pytest.mark.parametrize(("broken", "cause", "consequence"), CAUSES.values(), ids=CAUSES)
def test_real_consequences_fold(broken, cause, consequence):
    """The catalogue says which of two rules that break together is the cause."""
    judge = Judge(Contract(overrides=("__init__", "verify_request", "handle_error")), [cause, consequence])
    assert folded(*judge.verdicts(broken)) == [(cause, (consequence,))]


# the catalogue


@pytest.mark.parametrize("slug", sorted(REGISTRY))
def test_causes_exist(slug):
    """What a rule names as its cause is a rule."""
    assert set(REGISTRY[slug].implied_by) <= set(REGISTRY) - {slug}


@pytest.mark.parametrize("slug", sorted(REGISTRY))
def test_no_rule_explains_itself(slug):
    """Following the causes of a rule never leads back to it: else both would fold, and nothing would be told."""
    ahead, found = list(REGISTRY[slug].implied_by), set()
    while ahead:
        cause = ahead.pop()
        if cause not in found:
            found.add(cause)
            ahead += REGISTRY[cause].implied_by
    assert slug not in found


@pytest.mark.parametrize("slug", sorted(REGISTRY))
def test_what_must_be_overridden_exists(slug):
    """A rule that only an override can break names methods of the framework."""
    for name in REGISTRY[slug].broken_by:
        assert any(hasattr(cls, name) for cls in SERVER), name


CORE = """
001 002 003 004 005 006 007 008 009 009r 010 011 013 014 016 017 018 019 020 021 022 023 029 030 031 032
040 041 042 043 044 050 052 054 055 056 057 058 060 061 063 066
"""


def test_the_core_of_the_catalogue_is_complete():
    """Every row that the core promises is registered."""
    assert {f"LC-{number}" for number in CORE.split()} <= {row.row for row in REGISTRY.values()}


@pytest.mark.parametrize("slug", sorted(REGISTRY))
def test_every_rule_says_what_it_is(slug):
    """A rule has an area, a title, a requirement that is a sentence, and a source."""
    row = REGISTRY[slug]
    assert row.area
    assert row.title
    assert row.requirement.endswith(".")
    assert row.source
