"""Traces of servers and their owners: the life of a server object as CPython lives it, and damaged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Trace
from tests.invariant_checks import Asked
from tests.traces_builder import HEADER, Part, Raised, changed, event, inserted, lacking, peer, trace

APART = replace(HEADER, network="loopback")
THREADING = replace(APART, server="threading")

TRIED = Raised(OSError, injected=True)
FAILED = Raised(AttributeError, frame="tests:Server.server_close")

# what the server says


def call(method: str, *inside: Part, number: int = -1, **fields: Any) -> Part:
    """A method of the server is entered and returns, with what happens *inside*."""
    flat = [pair for part in inside for pair in part]
    return [event(f"{method}.enter", number, **fields), *flat, event(f"{method}.leave", number)]


def failing(method: str, raised: Raised, *inside: Part, number: int = -1, **fields: Any) -> Part:
    """The same, and it raises."""
    flat = [pair for part in inside for pair in part]
    return [event(f"{method}.enter", number, **fields), *flat, *raised.at(f"{method}.raise", number, method)]


def looked(moment: str, *, listening: bool = False, serving: bool = False, fileno: str = "") -> Part:
    """What is seen of the listening socket."""
    seen = [event("server.listener", moment=moment, open=listening, serving=serving)]
    return seen + ([event("server.fileno", moment=moment, fileno=fileno)] if fileno else [])


def closed(*, free: bool = True, number: int = -1, handlers: int | None = None) -> Part:
    """server_close() is called and returns; *handlers* are at work in threads as it does."""
    at_work = [] if handlers is None else [event("probe.handlers-running", count=handlers)]
    seen = [*looked("closed", fileno="closed"), event("server.address-free", free=free)]
    return [*call("server_close", number=number), *at_work, *seen]


BUILT = [
    *call("constructor", call("server_bind"), call("server_activate")),
    *looked("constructed", listening=True),
]
ACTIONS = call("service_actions")


def turn(number: int = 0, **does: Any) -> Part:
    """The loop takes one request and turns."""
    return [*peer(number, **does), *ACTIONS]


def serving(*inside: Part) -> Part:
    """serve_forever() runs from the first turn to its end."""
    return call("serve_forever", ACTIONS, *inside)


# what the owner does


def begins(act: str, nth: int) -> Part:
    """The owner begins an act."""
    return [event("owner.enter", act=act, nth=nth)]


def over(act: str, nth: int) -> Part:
    """The act is over."""
    return [event("owner.leave", act=act, nth=nth, seconds=0.0)]


def does(act: str, nth: int, *inside: Part) -> Part:
    """The owner's act, with what happens while it lasts."""
    return [*begins(act, nth), *(pair for part in inside for pair in part), *over(act, nth)]


def stuck(act: str, nth: int, *inside: Part) -> Part:
    """An act that has not returned when the bound was reached."""
    flat = [pair for part in inside for pair in part]
    return [*begins(act, nth), *flat, event("owner.blocked", -1, "stacks", act=act, nth=nth)]


def fails(act: str, nth: int, raised: Raised, *inside: Part) -> Part:
    """An act that raises."""
    flat = [pair for part in inside for pair in part]
    return [*begins(act, nth), *flat, *raised.at("owner.raise", -1, act, act=act, nth=nth)]


def apart(*parts: Part, header: Any = APART) -> Trace:
    """One Trace of a server in its house."""
    return trace(*parts, header=header)


ENTERED = [event("server.entered", itself=True)]
LEFT = [*closed(), *looked("exited", fileno="closed")]
LIFE = apart(
    BUILT,
    [*begins("serve", 0), event("serve_forever.enter"), *over("serve", 0)],
    ACTIONS,
    does("begin", 1),
    turn(0),
    begins("shutdown", 2),
    call("shutdown", [event("serve_forever.leave")], caller="other"),
    over("shutdown", 2),
    does("close", 3, closed()),
)
TWICE = apart(BUILT, does("close", 0, closed()), does("close", 1, closed()))
TIMED_OUT = apart(BUILT, does("handle", 0, call("handle_request", call("handle_timeout"), timeout=0.1)))
TOOK_ONE = apart(BUILT, does("begin", 0), does("handle", 1, call("handle_request", peer(0), timeout=None)))
WITH = apart(BUILT, does("enter", 0, ENTERED), does("exit", 1, LEFT))
WAITED = apart(BUILT, serving(turn(0)), does("close", 0, closed(handlers=0)), header=THREADING)
CANNOT_BIND = apart(
    failing("constructor", TRIED, failing("server_bind", TRIED), call("server_close")), looked("failed")
)
CANNOT_LISTEN = apart(
    failing("constructor", TRIED, call("server_bind"), failing("server_activate", TRIED), call("server_close")),
    looked("failed"),
)
ACTIONS_FAIL = apart(BUILT, failing("serve_forever", TRIED, failing("service_actions", TRIED)))
THREADED = Contract(concurrency="threading")
LOOP_BEGINS = event("serve_forever.enter")
OWN_LOOP = Contract(overrides=("serve_forever",))

SPIN = [event("server.turned", turns=4_000, allowed=120)]
IN_ITSELF = [
    event("shutdown.enter", 0, "handler.py:7", caller="serving"),
    event("network.stalled", 0, operation="shutdown", after="itself"),
]
LOOP = [*begins("serve", 0), event("serve_forever.enter"), *over("serve", 0), *ACTIONS]
CAME = [pair for pair in peer(0) if pair[0][0] == "peer.connect"]
BUSY = [pair for pair in peer(0) if pair[0][0] in ("get_request.enter", "get_request.leave", "process_request.enter")]

GOOD = {
    "resources/failed-bind-closes": {"bind fails": Asked(CANNOT_BIND), "listen fails": Asked(CANNOT_LISTEN)},
    "server/handle-request-bounded": {"nobody comes": Asked(TIMED_OUT), "one request": Asked(TOOK_ONE)},
    "server/shutdown-returns": {"from another thread": Asked(LIFE)},
    "server/nothing-after-shutdown": {
        "the loop is over": Asked(LIFE),
        "a peer came too late": Asked(apart(BUILT, LOOP, does("stop", 1), does("begin", 2, CAME)), spare=True),
        "a peer came before": Asked(apart(BUILT, LOOP, CAME, does("stop", 1), BUSY), spare=True),
    },
    "server/close-is-idempotent": {"twice": Asked(TWICE), "after shutdown": Asked(LIFE), "by leaving": Asked(WITH)},
    "server/listener-open-while-serving": {
        "after shutdown": Asked(LIFE),
        "by its owner, whose loop spins": Asked(apart(BUILT, LOOP, does("close", 1, closed()), SPIN)),
        "while nobody serves": Asked(TWICE),
        "as the constructor fails": Asked(CANNOT_BIND),
    },
    "server/service-actions": {
        "in each turn": Asked(LIFE, spare=True),
        "after a request": Asked(apart(BUILT, call("serve_forever", turn(0))), OWN_LOOP),
        "two requests in one turn of CPython's loop": Asked(
            apart(BUILT, call("serve_forever", peer(0), turn(1))), spare=True
        ),
        "an injected error ends the loop": Asked(ACTIONS_FAIL, spare=True),
        "an exit cuts a turn short": Asked(
            apart(BUILT, call("serve_forever", ACTIONS, peer(0, handle=Raised(SystemExit)))), spare=True
        ),
    },
    "server/context-manager": {"with": Asked(WITH)},
    "server/close-waits-for-threads": {
        "nobody is at work": Asked(WAITED, THREADED),
        "beside a call that waits": Asked(
            apart(
                BUILT,
                LOOP,
                BUSY,
                stuck("close", 1, [event("server_close.enter")]),
                does("close", 2, closed(handlers=1)),
            ),
            THREADED,
        ),
    },
    "liveness/no-spin": {"a loop that turns": Asked(LIFE)},
}

BAD = {
    "resources/failed-bind-closes": {
        "left open": Asked(changed(CANNOT_BIND, "server.listener", open=True)),
        "another exception": Asked(
            apart(
                failing("constructor", FAILED, failing("server_bind", TRIED), failing("server_close", FAILED)),
                looked("failed"),
            )
        ),
        "swallowed": Asked(apart(call("constructor", failing("server_bind", TRIED)), looked("constructed"))),
    },
    "server/handle-request-bounded": {
        "two requests": Asked(
            apart(BUILT, does("handle", 0, call("handle_request", peer(0), peer(1), timeout=None))),
        ),
        "nobody is told": Asked(lacking(TIMED_OUT, "handle_timeout.")),
        "a request, and told that there was none": Asked(
            apart(BUILT, does("handle", 0, call("handle_request", peer(0), call("handle_timeout"), timeout=None)))
        ),
        "waits on": Asked(apart(BUILT, stuck("handle", 0, [event("handle_request.enter", timeout=0.1)]))),
    },
    "server/shutdown-returns": {
        "in the thread that serves": Asked(trace(peer(0, body=lambda _: IN_ITSELF))),
        "in a child": Asked(changed(trace(peer(0, body=lambda _: IN_ITSELF)), "shutdown.enter", caller="child")),
        "never": Asked(apart(BUILT, LOOP, stuck("shutdown", 1, [event("shutdown.enter", caller="other")]))),
        "raises": Asked(apart(BUILT, LOOP, fails("shutdown", 1, Raised(RuntimeError)))),
    },
    "server/nothing-after-shutdown": {
        "one more": Asked(apart(BUILT, LOOP, does("shutdown", 1), does("begin", 2), turn(0))),
        "let in while it waits": Asked(apart(BUILT, LOOP, does("stop", 1), does("begin", 2), turn(0))),
    },
    "server/close-is-idempotent": {
        "the second call raises": Asked(
            apart(BUILT, does("close", 0, closed()), fails("close", 1, FAILED, failing("server_close", FAILED)))
        ),
        "the first call raises": Asked(apart(BUILT, fails("close", 0, FAILED, failing("server_close", FAILED)))),
        "still open": Asked(changed(TWICE, "server.fileno", fileno="open")),
        "fileno() raises": Asked(changed(TWICE, "server.fileno", fileno="raises")),
        "still listening": Asked(changed(TWICE, "server.address-free", free=False)),
        "never returns": Asked(apart(BUILT, stuck("close", 0, [event("server_close.enter")]))),
    },
    "server/listener-open-while-serving": {
        "by a handler": Asked(trace(peer(0, body=lambda _: call("server_close", number=0)))),
        "by a handler in its house": Asked(
            apart(BUILT, serving(turn(0, body=lambda _: call("server_close", number=0))))
        ),
        "by the loop": Asked(apart(BUILT, serving(call("service_actions", call("server_close"))))),
    },
    "server/service-actions": {
        "raises": Asked(
            apart(BUILT, failing("serve_forever", Raised(KeyError), failing("service_actions", Raised(KeyError))))
        ),
        "an error is survived": Asked(apart(BUILT, call("serve_forever", failing("service_actions", TRIED), turn(0)))),
        "not called": Asked(apart(BUILT, call("serve_forever", ACTIONS, peer(0))), OWN_LOOP),
        "waits": Asked(
            apart(
                BUILT,
                begins("serve", 0),
                [event("serve_forever.enter"), event("service_actions.enter")],
                over("serve", 0),
                stuck("shutdown", 1),
            )
        ),
    },
    "server/context-manager": {
        "left open": Asked(
            apart(BUILT, does("enter", 0, ENTERED), does("exit", 1, looked("exited", listening=True, fileno="open")))
        ),
        "another object": Asked(changed(WITH, "server.entered", itself=False)),
        "raises": Asked(apart(BUILT, does("enter", 0, ENTERED), fails("exit", 1, Raised(TypeError)))),
        "waits for a loop": Asked(apart(BUILT, does("enter", 0, ENTERED), stuck("exit", 1))),
    },
    "server/close-waits-for-threads": {
        "one at work": Asked(changed(WAITED, "probe.handlers-running", count=1), THREADED),
    },
    "liveness/no-spin": {"the loop": Asked(apart(BUILT, serving(SPIN)))},
}

DOUBT = {
    "resources/failed-bind-closes": {"bound": Asked(LIFE)},
    "server/handle-request-bounded": {
        "not called": Asked(LIFE),
        "beside a loop": Asked(
            inserted(LIFE, call("handle_request", timeout=0.1), after="service_actions.leave"),
        ),
    },
    "server/shutdown-returns": {
        "before the loop": Asked(apart(BUILT, stuck("shutdown", 0, [event("shutdown.enter", caller="other")]))),
        "while a request is handled": Asked(apart(BUILT, LOOP, BUSY, stuck("shutdown", 1))),
    },
    "server/listener-open-while-serving": {
        "by a loop of its own, which is over": Asked(
            apart(BUILT, begins("serve", 0), call("serve_forever", ACTIONS, turn(0), closed()), over("serve", 0)),
            OWN_LOOP,
        ),
        "by a shutdown() of its own": Asked(
            apart(BUILT, begins("serve", 0), call("serve_forever", ACTIONS, turn(0), closed()), over("serve", 0)),
            Contract(overrides=("shutdown",)),
        ),
        "by a loop of its own in the usual life": Asked(trace(peer(0), call("server_close", number=0)), OWN_LOOP),
    },
    "server/nothing-after-shutdown": {
        "it has not returned": Asked(apart(BUILT, LOOP, stuck("shutdown", 1), turn(0))),
        "nobody knows whether it waits": Asked(apart(BUILT, LOOP, stuck("stop", 1), turn(0))),
    },
    "server/close-is-idempotent": {
        "not closed": Asked(TIMED_OUT),
        "a handler is at work": Asked(
            apart(BUILT, LOOP, BUSY, stuck("close", 1, [event("server_close.enter")]), header=THREADING)
        ),
    },
    "server/service-actions": {"no loop": Asked(TIMED_OUT)},
    "server/context-manager": {
        "not used": Asked(LIFE),
        "left, but never entered": Asked(apart(BUILT, stuck("exit", 0))),
        "two loops at once": Asked(
            apart(BUILT, does("enter", 0, [*ENTERED, LOOP_BEGINS]), begins("serve", 1), [LOOP_BEGINS], stuck("exit", 2))
        ),
    },
    "server/close-waits-for-threads": {
        "a plain server": Asked(LIFE),
        "it does not promise to": Asked(
            changed(WAITED, "probe.handlers-running", count=1), replace(THREADED, block_on_close=False)
        ),
        "never closed": Asked(TIMED_OUT, THREADED),
    },
}


def known() -> Trace:
    """A thread could not start, and server_close() fails to join it."""
    start = [event("thread.start", 0, outcome="failed", daemon=False)]
    error = Raised(RuntimeError, frame="x")
    return apart(
        BUILT, serving(turn(0, body=lambda _: start)), fails("close", 0, error, failing("server_close", error))
    )


GOOD["server/close-is-idempotent"]["a thread could not start"] = Asked(known())
DECLARED = Contract(allowed_exceptions=("builtins.KeyError", "builtins.AttributeError"))
GOOD["server/close-is-idempotent"]["a declared exception"] = replace(
    BAD["server/close-is-idempotent"]["the second call raises"], contract=DECLARED
)
GOOD["server/service-actions"]["a declared exception"] = replace(
    BAD["server/service-actions"]["raises"], contract=DECLARED, spare=True
)
