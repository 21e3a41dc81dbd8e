"""Making a Case smaller while it still shows the same finding: the last step of shrinking, on the data itself.

Hypothesis shrinks what was drawn; this reduces any Case, also one that nothing drew (the sweep's, a saved one, one that
kills its process and so can be tried only a few times). Every candidate is simpler than the Case it came from by the
same measure, so the loop ends. Bytes are the most numerous: what takes many at once comes first, since tries are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.owner import sensible, within

__all__ = ["measure", "reduce_case"]

_SIMPLE_BYTE = b"a"
_SIMPLIFIED_BYTES_MAX = 64
_COARSE_CUTS_MAX = 64
_LENGTH_FIELDS: tuple[tuple[int, Literal["big", "little"]], ...] = (
    (2, "big"), (4, "big"), (1, "big"), (2, "little"), (4, "little")
)  # fmt: skip
_LENGTH_PLACES_MAX = 16
_LENGTH_SLACK = 16
_WRITTEN_OUT_MAX = 100_000
_SHORT_MAX = 4_096


def measure(case: Case) -> tuple[int, ...]:
    """How large a Case is; smaller is simpler."""
    steps = [step for script in case.scripts for step in script.steps]
    stays = 0 if _is_datagram(case) else sum(map(_stays, case.scripts))
    odd = sum(len(step.data) - step.data.count(_SIMPLE_BYTE) for step in steps)
    return (
        len(case.scripts),
        len(case.faults),
        len(case.owner),
        sum(fault.nth for fault in case.faults),
        len(steps) + 2 * stays,
        sum(script.early + bool(script.form) for script in case.scripts),
        sum(step.repeat for step in steps),
        sum(len(step.data) for step in steps),
        sum(_ENDING_COST.get(step.action, 3) for step in steps),
        sum(round(step.seconds * 1000) + step.size for step in steps),
        odd,
    )


def _is_datagram(case: Case) -> bool:
    """Whether peers send datagrams: they need not end, and may send nothing."""
    return TRANSPORTS[case.transport].datagram


def _stays(script: Script) -> bool:
    """Whether the peer neither ends its sending direction nor leaves: less usual, so less simple, than a half-close."""
    return not any(step.action in _ENDINGS for step in script.steps)


_ENDINGS = frozenset({"half-close", "close", "reset"})
_ENDING_COST = {"send": 0, "half-close": 1, "close": 2}


def reduce_case(
    case: Case, violates: Callable[[Case], bool], *, tries_max: int = 600, payloads: bool = True
) -> tuple[Case, int]:
    """The smallest Case found that still *violates*, and how many were tried.

    With *payloads* false the bytes of the Steps are left alone: they were made by a strategy that must stay in charge.
    """
    tried: set[str] = set()
    best = case
    progress = True
    while progress and len(tried) < tries_max:
        progress = False
        for candidate in _simpler(best, payloads=payloads):
            if len(tried) >= tries_max:
                break
            if measure(candidate) >= measure(best) or candidate.digest in tried:
                continue
            tried.add(candidate.digest)
            if violates(candidate):
                best, progress = candidate, True
                break
    return best, len(tried)


def _simpler(case: Case, *, payloads: bool) -> Iterator[Case]:
    yield from _fewer(case)
    for number, script in enumerate(case.scripts):
        simpler_scripts = _simpler_peers(script, payloads) if _is_datagram(case) else _simpler_scripts(script, payloads)
        for simpler in simpler_scripts:
            yield replace(case, scripts=(*case.scripts[:number], simpler, *case.scripts[number + 1 :]))
    for number, fault in enumerate(case.faults):
        for earlier in range(1, fault.nth):
            moved = Fault(fault.point, fault.effect, earlier)
            yield replace(case, faults=(*case.faults[:number], moved, *case.faults[number + 1 :]))


def _fewer(case: Case) -> Iterator[Case]:
    peers = range(len(case.scripts))
    if len(case.scripts) > 1:
        yield from (_keeping(case, (n,)) for n in peers)
        yield from (_keeping(case, tuple(each for each in peers if each != n)) for n in peers)
    yield from (replace(case, faults=case.faults[:n] + case.faults[n + 1 :]) for n in range(len(case.faults)))
    yield from _fewer_acts(case)


def _keeping(case: Case, peers: tuple[int, ...]) -> Case:
    """*case* with these of its *peers* only; what the owner does with another one is left out."""
    number = {peer: place for place, peer in enumerate(peers)}
    acts = (act for act in case.owner if act.action not in ("play", "begin") or act.peer in number)
    owner = tuple(replace(act, peer=number.get(act.peer, 0)) for act in acts)
    return replace(case, scripts=tuple(case.scripts[peer] for peer in peers), owner=_usual(case, owner))


def _fewer_acts(case: Case) -> Iterator[Case]:
    if case.owner:
        yield replace(case, owner=())
        if any(act.action not in ("play", "begin") for act in case.owner):
            yield replace(case, scripts=(), owner=_usual(case, within(case.owner, 0)))
    for n in range(len(case.owner)):
        yield replace(case, owner=_usual(case, case.owner[:n] + case.owner[n + 1 :]))


def _usual(case: Case, owner: tuple[Act, ...]) -> tuple[Act, ...]:
    """*owner* without acts that can only wait, unless *case* has such acts already: they cost much time."""
    return sensible(owner) if sensible(case.owner) == case.owner else owner


def _simpler_scripts(script: Script, payloads: bool) -> Iterator[Script]:
    steps = script.steps
    if len(steps) > 1:
        yield Script((Step("half-close"),))
    if _stays(script):
        yield Script((*steps, Step("half-close")), script.early)
    yield from _shorter(script)
    yield from _merged(script)
    for n, step in enumerate(steps):
        for simpler in _simpler_steps(step, payloads=payloads):
            yield Script((*steps[:n], simpler, *steps[n + 1 :]), script.early)


def _simpler_peers(script: Script, payloads: bool) -> Iterator[Script]:
    """The same for a peer of datagrams: an empty one is the simplest, and the usual address."""
    if script.form:
        yield replace(script, form="")
    yield from _shorter(script)
    for n, step in enumerate(script.steps):
        simpler = [Step("send")] if step.action == "send" and payloads else []
        for each in (*simpler, *_simpler_steps(step, payloads=payloads)):
            yield replace(script, steps=(*script.steps[:n], each, *script.steps[n + 1 :]))


def _shorter(script: Script) -> Iterator[Script]:
    """Without one Step, and with fewer of them early."""
    steps = script.steps
    for n in range(len(steps)):
        early = max(0, script.early - (n < script.early))
        yield replace(script, steps=steps[:n] + steps[n + 1 :], early=early)
    if script.early:
        yield replace(script, early=0)
        yield replace(script, early=script.early - 1)


def _merged(script: Script) -> Iterator[Script]:
    """Two neighbouring segments as one."""
    steps = script.steps
    for n in range(len(steps) - 1):
        first, second = steps[n], steps[n + 1]
        if first.action == second.action == "send" and first.repeat == second.repeat == 1:
            merged = Step("send", first.data + second.data)
            yield Script((*steps[:n], merged, *steps[n + 2 :]), min(script.early, len(steps) - 1))


def _simpler_steps(step: Step, *, payloads: bool) -> Iterator[Step]:
    if step.action in ("close", "reset"):
        yield Step("half-close")
    if step.action == "reset":
        yield Step("close")
    if step.action == "send" and payloads:
        yield from _simpler_sends(step)
    elif step.action != "send":
        yield from (replace(step, seconds=seconds) for seconds in (0.0, 1.0) if seconds < step.seconds)
        yield from (replace(step, size=size) for size in (0, 1, step.size // 2) if size < step.size)


def _simpler_sends(step: Step) -> Iterator[Step]:
    for repeat in _smaller_numbers(step.repeat):
        yield replace(step, repeat=repeat)
    if step.repeat > 1 and len(step.data) * step.repeat <= _WRITTEN_OUT_MAX:
        short = (data for data in _cut_with_length(step.data * step.repeat) if 0 < len(data) <= _SHORT_MAX)
        yield from (replace(step, data=data, repeat=1) for data in short)
    yield from (replace(step, data=simpler) for simpler in _simpler_bytes(step.data) if simpler)


def _simpler_bytes(data: bytes) -> Iterator[bytes]:
    """Cut in few large pieces, then with a length field that goes with it, then byte by byte."""
    coarse = max(1, -(-len(data) // _COARSE_CUTS_MAX))
    yield from _cut(data, len(data), coarse)
    yield from _cut_with_length(data)
    for n in range(min(len(data), _SIMPLIFIED_BYTES_MAX)):
        if data[n : n + 1] != _SIMPLE_BYTE:
            yield data[:n] + _SIMPLE_BYTE + data[n + 1 :]
    yield from _cut(data, coarse - 1, 1)


def _cut(data: bytes, most: int, least: int) -> Iterator[bytes]:
    """Without a piece, of the size *most* first and then ever smaller, down to *least*."""
    while most >= least:
        yield from (data[:start] + data[start + most :] for start in range(0, len(data), most))
        most //= 2


def _cut_with_length(data: bytes) -> Iterator[bytes]:
    """A number near the beginning that may say how many bytes follow, lowered together with them."""
    for size, order in _LENGTH_FIELDS:
        for start in range(min(_LENGTH_PLACES_MAX, len(data) - size)):
            end = start + size
            number, following = int.from_bytes(data[start:end], order), len(data) - end
            if number and abs(number - following) <= _LENGTH_SLACK:
                for fewer in (0, *_doubling(number), *_smaller_numbers(number)):
                    cut = max(0, following - (number - fewer))
                    yield data[:start] + fewer.to_bytes(size, order) + data[end : end + cut]


def _doubling(below: int) -> Iterator[int]:
    """1, 2, 4 and so on, as long as they are *below*."""
    number = 1
    while number < below:
        yield number
        number *= 2


def _smaller_numbers(number: int) -> Iterator[int]:
    """1, then ever closer to *number*: a binary search for the border."""
    distance = number - 1
    while distance:
        yield number - distance
        distance //= 2
