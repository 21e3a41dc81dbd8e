"""What a peer of datagrams does: it sends a few, of every size, waits or leaves, and may have no address to answer.

A datagram is whole or not there, so nothing is cut into segments; what counts is its size. The sizes that are tried are
those at the borders: nothing, one byte, around the server's `max_packet_size` and the longest that UDP carries, each as
a short unit and a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.strategies.content import draw_content, longest
from handshaker.strategies.drawing import Source
from handshaker.strategies.plan import Plan
from handshaker.strategies.scripts import CLOSE

__all__ = ["boundary_datagrams", "draw_datagrams", "follower", "related_datagrams", "truncations"]

_MORE_MAX: Final = 3
_LEAVES: Final = 8
_TWISTS: Final = (*("none",) * 6, "interrupted")
_ON_REPLY: Final = Step("expect", seconds=0.2, size=1)
_BRIEF: Final = Step("pause", seconds=0.01)
_DEAF: Final = Step("stop-reading")
_HEARS: Final = Step("resume-reading")
_INTERRUPTIONS: Final = (_ON_REPLY, _BRIEF, _DEAF, _HEARS)
_FORMS: Final = ("", "", "", "unbound", "abstract")
_UNIX: Final = "unix-dgram"
_DEAF_DATAGRAMS: Final = 14  # more replies than a Unix socket holds
_CROWD_DATAGRAMS: Final = 3
_RELATIVES_MAX: Final = 8
_OTHER: Final = Script((Step("send", b"handshaker\n"),))


def draw_datagrams(source: Source, plan: Plan) -> Script:
    """The Script of one peer; the simplest sends one datagram of nothing."""
    steps = [_datagram(source, plan)]
    steps += source.slots(_datagram, _MORE_MAX, plan)
    if source.pick(_TWISTS) == "interrupted":
        for place, step in source.slots(_interruption, 2, plan):
            steps.insert(place, step)
    if source.chance(_LEAVES):
        steps.append(CLOSE)
    return Script(tuple(steps), form=source.pick(_FORMS) if plan.transport == _UNIX else "")


def _datagram(source: Source, plan: Plan) -> Step:
    payload = draw_content(source, plan)
    return Step("send", payload) if isinstance(payload, bytes) else payload[0]


def _interruption(source: Source, plan: Plan) -> tuple[int, Step]:
    """Where (before the step of that number) and what."""
    return source.integer(0, _MORE_MAX), source.pick(_INTERRUPTIONS)


def follower(case: Case, script: Script) -> Script:
    """*script*, beginning when the peers of *case* have done all that they do."""
    waits = sum(step.seconds for other in case.scripts for step in other.steps)
    return replace(script, steps=(Step("pause", seconds=waits + 0.01), *script.steps), early=0)


# a fixed order


def boundary_datagrams(plan: Plan) -> tuple[Case, ...]:
    """The Cases at the borders of what peers of datagrams can do, in a fixed order; no randomness.

    The example of *plan* (else its first word as a line) stands for a plain message.
    """
    message = plan.example or plan.words[0] + plan.terminators[0]
    scripts: list[tuple[Script, ...]] = [(script,) for script in _alone(plan, message)]
    scripts += _together(message)
    if plan.transport == _UNIX:
        scripts += _unusual_addresses(message)
    return tuple(Case(each, transport=plan.transport) for each in dict.fromkeys(scripts))


def _script(*steps: Step, form: str = "") -> Script:
    return Script(steps, form=form)


def _sends(*payloads: bytes) -> tuple[Step, ...]:
    return tuple(Step("send", payload) for payload in payloads)


def _alone(plan: Plan, message: bytes) -> Iterator[Script]:
    half = len(message) // 2
    for payload in (b"", message[:1], message[:half], message, message + b"a", message + message):
        yield _script(*_sends(payload))
    for size in plan.sizes:
        yield from (_script(Step("send", unit, size)) for unit in (b"a", b"\0", b"\xff"))
    for content in _contents(plan, message):
        yield _script(*_sends(content))
    yield _script(*_sends(message, message))
    yield _script(*_sends(b"", message, b""))
    yield _script(*_sends(message), Step("pause", seconds=plan.silence), *_sends(message))
    yield _script(*_sends(message), CLOSE)
    yield _script(*_sends(message), _ON_REPLY, CLOSE)
    yield _script(_DEAF, *_sends(*(message,) * _DEAF_DATAGRAMS))
    yield _script(_DEAF, *_sends(*(message,) * _DEAF_DATAGRAMS), _BRIEF, _HEARS)
    yield Script(_sends(*(message,) * _CROWD_DATAGRAMS), early=_CROWD_DATAGRAMS)


def _contents(plan: Plan, message: bytes) -> Iterator[bytes]:
    """Hostile bytes, and numbers that are none, alone and behind a word."""
    word = message.split()[0] if message.split() else b"a"
    end = plan.terminators[0]
    for line in (b"", b"\0", b"\xff", b" ", b"-1", b"x"):
        yield line + end
    for argument in (b"\xff", b"\0", b"-1", b"99999999999"):
        yield word + b" " + argument + end


def _together(message: bytes) -> Iterator[tuple[Script, ...]]:
    """Peers that take turns, with the same words and with other ones."""
    other = message[::-1] or b"a"
    yield _script(*_sends(message)), _script(*_sends(other))
    yield _script(*_sends(other, message)), _script(*_sends(message, other))
    yield _script(*_sends(message), CLOSE), _script(*_sends(message))


def _unusual_addresses(message: bytes) -> Iterator[tuple[Script, ...]]:
    for form in ("unbound", "abstract"):
        yield from ((_script(*_sends(payload), form=form),) for payload in (message, b""))
        yield _script(*_sends(message), form=form), _script(*_sends(message))


# relatives


def related_datagrams(case: Case, other: Script | None = None, packet_bytes: int = 8192) -> list[tuple[str, Case]]:
    """At most eight relatives of *case*, as (relation, Case): delivered otherwise, repeated, after *other*, cut."""
    if case.faults or not case.scripts:
        return []
    relatives = [("", replace(case, faults=(Fault("deliver", effect),))) for effect in ("twice", "late", "lost")]
    relatives += [("", swapped) for swapped in _in_another_order(case)]
    if all(_is_plain(script) for script in case.scripts):
        relatives.append(("repeatability", replace(case, scripts=(*case.scripts, case.scripts[-1]))))
        relatives.append(("isolation", replace(case, scripts=(other or _OTHER, *case.scripts))))
        relatives += [("truncation", each) for each in _otherwise_cut(case, packet_bytes)]
    return relatives[:_RELATIVES_MAX]


def _is_plain(script: Script) -> bool:
    """Whether the peer only sends, and can be answered."""
    return not script.early and script.form != "unbound" and all(step.action == "send" for step in script.steps)


def _in_another_order(case: Case) -> Iterator[Case]:
    """The last peer's first two datagrams in each other's place."""
    script = case.scripts[-1]
    if [step.action for step in script.steps[:2]] == ["send", "send"] and script.steps[0] != script.steps[1]:
        first, second, *rest = script.steps
        yield replace(case, scripts=(*case.scripts[:-1], replace(script, steps=(second, first, *rest))))


def _otherwise_cut(case: Case, packet_bytes: int) -> Iterator[Case]:
    """The last peer's only datagram, if it is cut, with another last byte among those that are let through."""
    steps = case.scripts[-1].steps
    if len(steps) != 1 or len(steps[0].data) * steps[0].repeat <= packet_bytes:
        return
    payload, last = steps[0].payload, packet_bytes - 1
    other = b"a" if payload[last:packet_bytes] == b"b" else b"b"
    script = replace(case.scripts[-1], steps=(Step("send", payload[:last] + other + payload[packet_bytes:]),))
    yield replace(case, scripts=(*case.scripts[:-1], script))


def truncations(plan: Plan) -> list[tuple[Case, Case]]:
    """Datagrams that are cut, each with the Case that its reply is compared with; the sweep plays them."""
    units = dict.fromkeys((b"a", plan.example)) if plan.example else (b"a",)
    bases = [Case((_script(longest(unit, plan.packet_bytes + 1)),), transport=plan.transport) for unit in units]
    return [(base, variant) for base in bases for variant in _otherwise_cut(base, plan.packet_bytes)]
