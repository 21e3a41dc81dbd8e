"""Peers that a threading or forking server has at the same time: one that behaves well, and hostile ones beside it.

The well-behaved peer is always the last: it plainly sends and half-closes, so what it gets beside others can be
compared with what it gets alone. Such servers cost some thousand times what a Case in memory costs, so what is played
against them is a selection: what a plain server shows as well is left to it, and no peer is silent for long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.transports import TRANSPORTS
from handshaker.strategies.boundary import boundary_cases
from handshaker.strategies.faults import FaultKind
from handshaker.strategies.plan import Plan
from handshaker.strategies.scripts import CLOSE, HALF_CLOSE, RESET

__all__ = ["alone", "beside", "concurrent_faults", "crowd_cases"]

_CROWD: Final = 4
_FLOOD: Final = 500
_LONG_BYTES: Final = 20_000
_SILENCE_MAX_S: Final = 0.2
_SHARED: Final[tuple[FaultKind, ...]] = (
    ("setup.enter", "ValueError"),
    ("handle.enter", "ValueError"),
    ("handle.leave", "SystemExit"),
    ("handle.leave", "KeyboardInterrupt"),
    ("finish.leave", "ValueError"),
    ("finish.leave", "GeneratorExit"),
    ("verify_request", "false"),
    ("get_request", "OSError"),
    ("handle_error", "ValueError"),
    ("recv", "ConnectionResetError"),
    ("send", "short"),
    ("send", "BrokenPipeError"),
)
_OWN: Final[dict[str, tuple[FaultKind, ...]]] = {
    "threading": (("thread.start", "RuntimeError"),),
    "forking": (("fork", "OSError"),),
}


def concurrent_faults(concurrency: str) -> tuple[FaultKind, ...]:
    """The (point, effect) pairs that are worth a thread or a process each: its own, and one of each kind of end."""
    return (*_OWN.get(concurrency, ()), *_SHARED)


def crowd_cases(plan: Plan, well_behaved: Script) -> tuple[Case, ...]:
    """The boundary Cases of *plan* for peers at the same time, each with a *well_behaved* peer as its last."""
    message = well_behaved.payload
    crowds: list[tuple[Script, ...]] = [(well_behaved,) * _CROWD]
    if not plan.datagram:
        crowds += [(hostile, well_behaved) for hostile in _hostile(message)]
        crowds += [(hostile, hostile, well_behaved) for hostile in (_torn(message, RESET), _torn(message))]
    crowds += [(*case.scripts, well_behaved) for case in boundary_cases(plan) if _is_quick(case)]
    made = (Case(scripts, (), plan.transport, plan.concurrency) for scripts in dict.fromkeys(crowds))
    return tuple(made)


def _hostile(message: bytes) -> Iterator[Script]:
    """Peers that hang, leave in the middle, talk rubbish, flood the server, and never read."""
    send = Step("send", message)
    yield _torn(message)
    yield Script()
    for ending in (RESET, CLOSE, HALF_CLOSE):
        yield _torn(message, ending)
    yield Script((send, RESET))
    yield Script((RESET,), early=1)
    yield Script((Step("send", b"\xff\0\r\n"), HALF_CLOSE))
    yield Script((Step("send", message, _FLOOD), HALF_CLOSE))
    yield Script((Step("stop-reading"), Step("send", message, _FLOOD), RESET))


def _torn(message: bytes, *ending: Step) -> Script:
    """Half the message, and then that ending, or nothing more."""
    half = message[: len(message) // 2]
    return Script((*([Step("send", half)] if half else []), *ending))


def _is_quick(case: Case) -> bool:
    steps = [step for script in case.scripts for step in script.steps]
    length = sum(len(step.data) * step.repeat for step in steps)
    return length <= _LONG_BYTES and sum(step.seconds for step in steps) <= _SILENCE_MAX_S


def beside(case: Case, well_behaved: Script) -> Case:
    """*case* with a *well_behaved* peer at the same time."""
    return replace(case, scripts=(*case.scripts, well_behaved))


def alone(case: Case) -> Case | None:
    """The last peer of *case* by itself, if what it gets there can be compared with what it gets beside the others."""
    if case.faults or case.owner or len(case.scripts) < 2:
        return None
    datagram = TRANSPORTS[case.transport].datagram
    return replace(case, scripts=case.scripts[-1:]) if _is_plain(case.scripts[-1], datagram=datagram) else None


def _is_plain(script: Script, *, datagram: bool) -> bool:
    """Whether the peer sends something and then half-closes (on a stream), and does nothing else."""
    *sends, last = script.steps or (RESET,)
    if datagram and last != HALF_CLOSE:
        sends.append(last)
    elif last != HALF_CLOSE:
        return False
    return script.early == 0 and bool(sends) and all(step.action == "send" for step in sends)
