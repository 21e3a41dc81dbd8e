"""What the owner of a server does with it: named scenarios for the sweep, and acts drawn for the search.

Every scenario costs a process and real time, and with the standard library's own methods it tests nothing but CPython.
So each names the methods that must be overridden before it is worth its time: a handler under a server of the standard
library costs nothing here. What a handler itself does to its server (shutdown(), server_close()) is seen in every Case.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.harness.transports import CONCURRENCIES, TRANSPORTS
from handshaker.strategies.drawing import Source

__all__ = ["ACTS_MAX", "OWNED", "SCENARIOS", "Scenario", "draw_owner", "owner_cases", "sensible", "within"]

ACTS_MAX: Final = 6
_PATIENCE_S: Final = 0.1

_LOOP: Final = ("serve_forever", "_handle_request_noblock", "service_actions", "shutdown")
_ACCEPTING: Final = ("get_request", "_handle_request_noblock", "serve_forever")
_CLOSE: Final = ("server_close", "fileno")
_BIND: Final = ("server_bind", "server_activate", "server_close")
_WITH: Final = ("__enter__", "__exit__")
_ONE: Final = ("handle_request", "_handle_request_noblock", "handle_timeout", "get_request")
_THREADS: Final = ("process_request", "process_request_thread")
_CHILDREN: Final = ("process_request", "collect_children")

OWNED: Final = frozenset((*_LOOP, *_CLOSE, *_WITH, *_ONE[:3]))
"""The methods of a server whose override makes drawn acts worth their time."""


def _does(*words: str) -> tuple[Act, ...]:
    """Acts from words such as `serve`, `play 0`, `handle`."""
    found = []
    for word in words:
        action, _, peer = word.partition(" ")
        found.append(Act(action, int(peer or 0), _PATIENCE_S if action == "handle" else 0.0))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One named life of a server object: what its owner does, under which Faults, and whom it concerns.

    `concerns` are the methods one of which must be overridden; `concurrencies` the ways of serving it is played under.
    With `slow`, the first peer goes silent in the middle of its message, so that its handler is at work.
    """

    name: str
    concerns: tuple[str, ...]
    acts: tuple[Act, ...]
    faults: tuple[Fault, ...] = ()
    concurrencies: tuple[str, ...] = tuple(CONCURRENCIES)
    slow: bool = False

    def case(self, peer: Script, transport: str, concurrency: str) -> Case:
        """This scenario as a Case, with the well-behaved *peer* as often as its acts need it."""
        peers = max((act.peer + 1 for act in self.acts if act.action in ("play", "begin")), default=0)
        scripts = [peer] * peers
        if self.slow and scripts and not TRANSPORTS[transport].datagram:
            scripts[0] = _slow(peer)
        return Case(tuple(scripts), self.faults, transport, concurrency, self.acts)


def _slow(peer: Script) -> Script:
    """The same peer, silent after the first half of what it says: its handler waits for the rest."""
    said = peer.payload
    return Script((Step("send", said[: len(said) // 2]),) if len(said) > 1 else ())


def _struck(point: str, effect: str) -> tuple[Fault, ...]:
    return (Fault(point, effect),)


SCENARIOS: Final = (
    Scenario("binding fails", _BIND, _does("serve"), _struck("server_bind", "OSError")),
    Scenario("listening fails", _BIND, _does("serve"), _struck("server_activate", "OSError")),
    Scenario("a whole life", (*OWNED, *_BIND), _does("serve", "play 0", "shutdown", "close")),
    Scenario("closed twice", _CLOSE, _does("close", "close")),
    Scenario("closed twice after serving", _CLOSE, _does("serve", "play 0", "shutdown", "close", "close")),
    Scenario("shut down before serving", ("shutdown", "serve_forever"), _does("shutdown")),
    Scenario("shut down while nobody comes", _LOOP, _does("serve", "shutdown", "close")),
    Scenario("shut down twice", _LOOP, _does("serve", "play 0", "shutdown", "shutdown", "close")),
    Scenario(
        "served again after shutdown", _LOOP,
        _does("serve", "play 0", "shutdown", "serve", "play 1", "shutdown", "close"),
    ),
    Scenario("a peer comes after shutdown", _LOOP, _does("serve", "shutdown", "begin 0", "close")),
    Scenario("a peer comes while shutdown() waits", _LOOP, _does("serve", "stop", "begin 0", "shutdown", "close")),
    Scenario("closed while serving", (*_LOOP, *_CLOSE), _does("serve", "play 0", "close", "shutdown")),
    Scenario("in a with statement", (*_WITH, *_CLOSE), _does("enter", "serve", "play 0", "shutdown", "exit")),
    Scenario("the with statement is left while serving", _WITH, _does("enter", "serve", "play 0", "exit", "shutdown")),
    Scenario("one request in a with statement", (*_WITH, *_ONE), _does("enter", "begin 0", "handle", "exit")),
    Scenario("one request", _ONE, _does("begin 0", "begin 1", "handle", "handle", "close")),
    Scenario("one request, and nobody comes", _ONE, _does("handle", "close")),
    Scenario(
        "one request, and nobody else comes", (*_ONE, *_CHILDREN),
        _does("begin 0", "handle", "handle", "handle", "close"), concurrencies=("forking",),
    ),
    Scenario(
        "no descriptor is left", _ACCEPTING,
        _does("serve", "play 0", "play 1", "shutdown", "close"), _struck("get_request", "exhausted"),
    ),
    Scenario(
        "service_actions() raises", ("service_actions", "serve_forever"),
        _does("serve", "begin 0", "shutdown", "close"), _struck("service_actions", "ValueError"),
    ),
    Scenario(
        "closed while a handler is at work", (*_THREADS, *_CLOSE),
        _does("serve", "begin 0", "play 1", "shutdown", "close"), concurrencies=("threading", "forking"),
        slow=True,
    ),
    Scenario(
        "a thread cannot start", (*_THREADS, *_CLOSE), _does("serve", "play 0", "play 1", "shutdown", "close"),
        _struck("thread.start", "RuntimeError"), ("threading",),
    ),
    Scenario(
        "a fork fails", (*_CHILDREN, *_CLOSE), _does("serve", "play 0", "play 1", "shutdown", "close"),
        _struck("fork", "OSError"), ("forking",),
    ),
)  # fmt: skip


def owner_cases(overrides: Collection[str], peer: Script, transport: str, concurrency: str) -> list[tuple[str, Case]]:
    """The scenarios that are worth their time for a server that *overrides* these methods, each with its name."""
    return [
        (scenario.name, scenario.case(peer, transport, concurrency))
        for scenario in SCENARIOS
        if concurrency in scenario.concurrencies and not set(scenario.concerns).isdisjoint(overrides)
    ]


_HEADS: Final = ((), *(_does("serve"),) * 4, _does("enter"), _does("enter", "serve"))
# Not `stop`: a loop that may be stopped so polls seldom, and every Case with it takes half a second.
_DRAWN: Final = (
    "play", "play", "play", "shutdown", "shutdown", "close", "close", "begin", "handle", "handle", "exit", "serve",
)  # fmt: skip


def _draw_act(source: Source, peers: int) -> Act:
    action = source.pick(_DRAWN)
    if action in ("play", "begin"):
        return Act(action, peer=source.integer(0, peers - 1))
    return Act(action, seconds=_PATIENCE_S if action == "handle" else 0.0)


def draw_owner(source: Source, peers: int) -> tuple[Act, ...]:
    """What the owner of a server does that *peers* come to; nothing is the usual life."""
    return sensible((*source.pick(_HEADS), *source.slots(_draw_act, ACTS_MAX, peers)))


def sensible(acts: Sequence[Act]) -> tuple[Act, ...]:
    """*acts* without those that can only wait for ever: they cost time, and say what is known of CPython.

    Nobody shuts a loop down that does not run, or waits for a peer that nobody serves; one loop runs at a time, and
    each peer comes once.
    """
    life = _Life()
    return tuple(kept for act in acts if (kept := life.goes_on(act)) is not None)


class _Life:
    """What a server is doing after the acts so far."""

    def __init__(self) -> None:
        self.serving = False
        self.closed = False
        self.came: set[int] = set()

    def goes_on(self, act: Act) -> Act | None:
        """The act, or what can be done in its place, or None."""
        if act.action in ("play", "begin"):
            return self._comes(act)
        makes_sense = {
            "serve": not (self.serving or self.closed),
            "shutdown": self.serving,
            "handle": not (self.serving or self.closed),
        }.get(act.action, True)
        if not makes_sense:
            return None
        self.serving = act.action == "serve" or (self.serving and act.action != "shutdown")
        self.closed = self.closed or act.action in ("close", "exit")
        return act

    def _comes(self, act: Act) -> Act | None:
        if self.closed or act.peer in self.came:
            return None
        self.came.add(act.peer)
        return act if self.serving else replace(act, action="begin")


def within(acts: Sequence[Act], peers: int) -> tuple[Act, ...]:
    """*acts* for *peers* peers: those that name another one name the last, and are left out when there is none."""
    named = [act for act in acts if peers or act.action not in ("play", "begin")]
    return tuple(replace(act, peer=min(act.peer, max(peers - 1, 0))) for act in named)
