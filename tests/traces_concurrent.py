"""Traces of servers with a thread or a child for each request, made by hand of the plain ones of `traces_builder`.

    trace(threaded(0), threaded(1), header=THREADING)    two peers, each in a thread of its own
    trace(forked(0, handle=Raised(SystemExit)), header=FORKING, closing=NO_CHILDREN)

What happens in the serving thread of the parent comes first, then all of the request's own thread or child; `mingled`
puts two parts together event by event, as they may well arrive.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any, Final

from handshaker.harness.trace import Trace
from tests import traces_builder
from tests.traces_builder import HEADER, Part, Raised, event, fault, peer

__all__ = [
    "CONCURRENT",
    "FORKING",
    "NO_CHILDREN",
    "NO_THREADS",
    "THREADING",
    "forked",
    "mingled",
    "threaded",
    "trace_of",
    "unstarted",
]

THREADING: Final = replace(HEADER, network="loopback", server="threading")
FORKING: Final = replace(HEADER, network="loopback", server="forking")

NO_THREADS: Final[Part] = [event("probe.threads-left", count=0, daemon=False)]
NO_CHILDREN: Final[Part] = [event("probe.children", moment="closed", alive=0, zombies=0)]

_SERVERS: Final = ("server.stopped", "server.abandoned", "process_request.leave", "process_request.raise")
_THREAD: Final = 7


def threaded(connection: int = 0, **does: Any) -> Part:
    """What `traces_builder.peer` tells, with the request in a thread of its own."""
    begun = [event("thread.start", connection, outcome="started", daemon=False)]
    runs = event("request.runs", connection, thread=_THREAD, process=0)
    return _beside(connection, begun, runs, [event("thread.end", connection)], does)


def forked(connection: int = 0, *, status: str = "", **does: Any) -> Part:
    """The same, with the request in a child of its own, which exits with what CPython gives it, or with *status*."""
    begun = [
        event("process.fork", connection, child=connection),
        event("parent.hook", connection, hook="close_request"),
        event("probe.parent-copy", connection, open=False, shut=False),
    ]
    runs = event("request.runs", connection, thread=0, process=connection + 1)
    fails = any(does.get(hook) for hook in ("init", "setup", "handle", "finish"))
    end = event("process.end", connection, child=connection, status=status or f"exit {int(fails)}")
    return _beside(connection, begun, runs, [end], does)


def unstarted(connection: int = 0, point: str = "thread.start") -> Part:
    """No thread could be started, or no child forked: an error of process_request() in the serving thread."""
    exception = RuntimeError if point == "thread.start" else OSError
    raised = Raised(exception, injected=True)
    part = peer(connection, handle=raised)
    kinds = [what[0] for what, _ in part]
    before, after = kinds.index("finish_request.enter"), kinds.index("process_request.raise")
    failed = (
        event("thread.start", connection, outcome="failed", daemon=False)
        if point == "thread.start"
        else event("process.fork", connection, child=-1)
    )
    return [*part[:before], *fault(connection, point, exception.__name__), failed, *part[after:]]


def _beside(connection: int, begun: Part, runs: Any, ended: Part, does: dict[str, Any]) -> Part:
    part = [pair for pair in peer(connection, thread=_THREAD, **does) if pair[0][0] not in _SERVERS]
    kinds = [what[0] for what, _ in part]
    if "process_request.enter" not in kinds:
        return part
    if "handle_error.raise" in kinds:
        part = [*part[:-1], *traces_builder.shut_down(connection), part[-1]]
        part[-1] = event("peer.end", connection, part[-1][1], end="eof", unread=False, unplayed=0)
        kinds = [what[0] for what, _ in part]
    at = kinds.index("process_request.enter") + 1
    return [*part[:at], *begun, event("process_request.leave", connection), runs, *part[at:-1], *ended, part[-1]]


def mingled(one: Part, other: Part) -> Part:
    """Both parts, an event of each in turn."""
    return [pair for pair in chain.from_iterable(zip_longest(one, other)) if pair is not None]


def trace_of(server: str, *parts: Part) -> Trace:
    """One Trace of a server of that kind, after whose close nothing is left."""
    left = NO_THREADS if server == "threading" else NO_CHILDREN
    header = THREADING if server == "threading" else FORKING
    return traces_builder.trace(*parts, header=header, closing=[*traces_builder.CLOSING, *left])


_ERROR: Final = Raised(ValueError, injected=True)
_EXIT: Final = Raised(SystemExit, injected=True)
_LIVES: Final[dict[str, dict[str, Any]]] = {
    "served": {},
    "base handler": {"stream": False},
    "denied": {"verify": False},
    "setup raises": {"setup": _ERROR},
    "setup exits": {"setup": _EXIT},
    "handle raises": {"handle": _ERROR},
    "handle exits": {"handle": _EXIT},
    "finish raises": {"finish": _ERROR},
    "handle and finish raise": {"handle": _ERROR, "finish": _ERROR},
    "handle_error breaks": {"handle": _ERROR, "report": _ERROR},
    "peer resets": {"body": traces_builder.reset},
    "peer is silent": {"body": traces_builder.silence},
}
_MAKERS: Final = {"threading": threaded, "forking": forked}

CONCURRENT: Final[dict[str, Trace]] = {
    **{
        f"{server}: {name}": trace_of(server, mingled(make(0, **life), make(1)))
        for server, make in _MAKERS.items()
        for name, life in _LIVES.items()
    },
    **{f"{server}: one after another": trace_of(server, make(0), make(1)) for server, make in _MAKERS.items()},
    "threading: cannot start": trace_of("threading", unstarted(0), threaded(1)),
    "forking: cannot fork": trace_of("forking", unstarted(0, "fork"), forked(1)),
    "threading: nobody comes": trace_of("threading"),
    "forking: nobody comes": trace_of("forking"),
}
"""What the mix-ins of the standard library do, as parts of all kinds."""
