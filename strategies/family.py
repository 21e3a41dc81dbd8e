"""Relatives of a drawn Case: cheap to run, since the expensive part, drawing, is done.

A relative with a relation feeds the relation invariants, so it exists only where an unequal reply means something:

- *segmentation*: the same bytes cut otherwise. Only without faults, and for peers that send and then half-close or stay
  open: after a close, how much of a reply still arrives depends on when the handler writes, not on what it read.
- *repeatability*: the last peer comes a second time.
- *isolation*: another peer comes first.
- *truncation* (datagrams): the same with another last byte among those that the server lets through.

The others (relation "") are Cases in their own right: the same bytes with another ending.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.datagrams import related_datagrams
from handshaker.strategies.scripts import CLOSE, HALF_CLOSE, RESET
from handshaker.strategies.segments import variants

__all__ = ["family", "two_pieces"]

_FAMILY_MAX: Final = 8
_SEGMENTATIONS_MAX: Final = 3
_LONG_BYTES: Final = 4096
_SHORT_BYTES: Final = 64

_OTHER: Final = Script((Step("send", b"handshaker\n"), HALF_CLOSE))


def family(case: Case, other: Script | None = None, packet_bytes: int = 8_192) -> list[tuple[str, Case]]:
    """At most eight relatives of *case*, as (relation, Case); *other* is the peer that comes first for isolation.

    Datagrams are cut to *packet_bytes* by the server.
    """
    if TRANSPORTS[case.transport].datagram and not case.owner:
        return related_datagrams(case, other, packet_bytes)
    if case.faults or case.owner or not case.scripts:
        return []
    if case.concurrency != "plain":
        return _beside_others(case)
    relatives = [("", variant) for variant in _other_endings(case)]
    if all(_is_plain(script) for script in case.scripts):
        relatives += [("segmentation", variant) for variant in _other_segmentations(case)]
        last = case.scripts[-1]
        relatives.append(("repeatability", _with_scripts(case, (*case.scripts, last))))
        relatives.append(("isolation", _with_scripts(case, (other or _OTHER, *case.scripts))))
    return relatives[:_FAMILY_MAX]


def _beside_others(case: Case) -> list[tuple[str, Case]]:
    """Peers at the same time have no before and after, and cost a thread or a child each: one other cut will do."""
    if len(case.scripts) > 1 or not _is_plain(case.scripts[0]):
        return []
    return [("segmentation", variant) for variant in _other_segmentations(case)[:1]]


def two_pieces(case: Case) -> list[tuple[str, Case]]:
    """The simplest relatives for segmentation: the only peer's only segment, if it is short, cut once anywhere."""
    script = case.scripts[0] if len(case.scripts) == 1 and not case.faults else Script()
    if TRANSPORTS[case.transport].datagram or case.owner:
        return []
    if not _is_plain(script) or [step.action for step in script.steps].count("send") != 1:
        return []
    payload, rest = script.steps[0].payload, script.steps[1:]
    cuts = range(1, len(payload)) if len(payload) <= _SHORT_BYTES else ()
    scripts = [Script((Step("send", payload[:at]), Step("send", payload[at:]), *rest)) for at in cuts]
    return [("segmentation", _with_scripts(case, (each,))) for each in scripts]


def _with_scripts(case: Case, scripts: tuple[Script, ...]) -> Case:
    return replace(case, scripts=scripts)


def _is_plain(script: Script) -> bool:
    """Whether the peer only sends, accepted before its first byte, and then half-closes or stays open."""
    sends = script.steps[:-1] if script.steps and script.steps[-1] == HALF_CLOSE else script.steps
    return script.early == 0 and all(step.action == "send" for step in sends)


def _other_segmentations(case: Case) -> list[Case]:
    """The last peer that says more than one byte says the same otherwise; long payloads stay as they are."""
    for place in reversed(range(len(case.scripts))):
        script = case.scripts[place]
        sends = [step for step in script.steps if step.action == "send"]
        if 1 < sum(len(step.data) * step.repeat for step in sends) <= _LONG_BYTES:
            return [_replaced(case, place, each) for each in _recut(script, sends)][:_SEGMENTATIONS_MAX]
    return []


def _recut(script: Script, sends: list[Step]) -> list[Script]:
    now = [step.payload for step in sends]
    rest = script.steps[len(sends) :]
    others = [segments for segments in variants(b"".join(now)) if segments != now]
    return [Script((*(Step("send", segment) for segment in segments), *rest)) for segments in others]


def _replaced(case: Case, place: int, script: Script) -> Case:
    return _with_scripts(case, (*case.scripts[:place], script, *case.scripts[place + 1 :]))


def _other_endings(case: Case) -> list[Case]:
    """The last peer ends otherwise: stays open, resets, closes, half-closes; and once sends byte by byte."""
    script = case.scripts[-1]
    data = tuple(step for step in script.steps if step not in (HALF_CLOSE, CLOSE, RESET))
    endings: tuple[tuple[Step, ...], ...] = ((HALF_CLOSE,), (), (RESET,), (CLOSE,))
    others = [Script((*data, *ending)) for ending in endings if (*data, *ending) != script.steps]
    return [_replaced(case, len(case.scripts) - 1, each) for each in others]
