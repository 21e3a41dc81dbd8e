"""What the tests of datagrams share: how a Case is played, and what is asked of its Trace."""

from __future__ import annotations

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.runner import Stage
from handshaker.harness.trace import Trace
from handshaker.targets.stdlib import StdlibTarget

DEAF, LISTENS = Step("stop-reading"), Step("resume-reading")
LATE, LOST, TWICE = (Fault("deliver", effect) for effect in ("late", "lost", "twice"))


def expect(size: int, seconds: float = 9.0) -> Step:
    return Step("expect", size=size, seconds=seconds)


def played(network, handler, *peers, transport="udp", faults=(), **options) -> Trace:
    """The Trace of a Case whose peers play these Steps (or Scripts)."""
    scripts = tuple(peer if isinstance(peer, Script) else Script(peer) for peer in peers)
    with Stage(StdlibTarget(handler, transport=transport, **options), network=network) as stage:
        trace = stage.play(Case(scripts, faults, transport))
        assert not stage.in_real_time
        return trace


def told(trace: Trace, kind: str, *names: str) -> list:
    """These details of all events of one kind."""
    return [tuple(event[name] for name in names) if len(names) > 1 else event[names[0]] for event in trace.of(kind)]


def stop_of(trace: Trace) -> list[tuple]:
    return [
        (event.kind, event["operation"]) for event in trace.of("network.stalled", "network.spinning", "network.kernel")
    ]
