"""Sub-checks of a server object in the hands of its owner: scenarios of `strategies.owner`, and who judges which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Act, Case, Script, Step
from handshaker.harness.conformance import claims
from handshaker.harness.conformance.check import LINE, Check
from handshaker.harness.conformance.probes import bind_later, impatient, linger
from handshaker.strategies.owner import SCENARIOS

__all__ = ["CHECKS"]

_JUDGED: Final = {
    "resources/failed-bind-closes": ("binding fails", "listening fails"),
    "server/handle-request-bounded": (
        "one request", "one request, and nobody comes", "one request in a with statement",
    ),
    "server/shutdown-returns": (
        "a whole life", "shut down while nobody comes", "shut down twice", "served again after shutdown",
        "service_actions() raises",
    ),
    "server/nothing-after-shutdown": (
        "a peer comes after shutdown", "a peer comes while shutdown() waits", "shut down while nobody comes",
    ),
    "server/close-is-idempotent": ("a whole life", "closed twice", "closed twice after serving"),
    "server/service-actions": ("a whole life", "service_actions() raises"),
    "server/context-manager": (
        "in a with statement", "the with statement is left while serving", "one request in a with statement",
    ),
    "server/listener-open-while-serving": ("a whole life",),
    "server/accept-errors-survived": ("no descriptor is left",),
}  # fmt: skip
_CLAIMS: Final = {
    ("server/shutdown-returns", "served again after shutdown"): claims.replies_are(b"hello\n", b"hello\n"),
    ("server/shutdown-returns", "service_actions() raises"): claims.acts_return("shutdown"),
}
_BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}


def _checks() -> Iterator[Check]:
    for slug, names in _JUDGED.items():
        for name in names:
            scenario = _BY_NAME[name]
            words = "-".join("".join(sign for sign in word if sign.isalnum() or sign == "_") for word in name.split())
            case = scenario.case(LINE, "tcp", "plain")
            claim = _CLAIMS.get((slug, name))
            yield Check(slug, words, "lines", (case,), ("tcp", "unix"), scenario.concurrencies, claim=claim)


def _acts(*names: str) -> tuple[Act, ...]:
    return tuple(map(Act, names))


_LIFE: Final = Case((LINE,), owner=_acts("serve", "play", "shutdown", "close"))
_TWICE: Final = Case(owner=_acts("serve", "shutdown", "serve", "shutdown", "close"))
_NOBODY: Final = Case(owner=_acts("serve", "shutdown", "close"))
_LATE: Final = Case((Script((*[Step("pause", seconds=0.05)] * 4, Step("send", b"hello"))),), owner=_LIFE.owner)


def _attributes() -> Iterator[Check]:
    """What the attributes of a server say, and the arguments of its constructor."""
    yield Check(
        "server/shutdown-returns", "waits-for-the-loop", "lines", (_TWICE,), ("tcp",),
        server=(("service_actions", linger),), claim=claims.loop_is_waited_for,
    )  # fmt: skip
    yield Check(
        "server/shutdown-returns", "timeout-of-the-server", "lines", (_NOBODY,), ("tcp",), server=(("timeout", 60.0),)
    )
    yield Check(
        "server/handle-request-bounded", "timeout-of-the-socket", "lines", (Case(owner=_acts("handle", "close")),),
        ("tcp",), server=(("timeout", 60.0), ("server_activate", impatient)), claim=claims.acts_return("handle"),
    )  # fmt: skip
    yield Check("liveness/no-spin", "nobody-comes", "datagram", (_LATE,), ("udp",))
    for allowed, told in ((True, b"reused"), (False, b"mine alone")):
        yield Check(
            "server/address", f"allow_reuse_address-{allowed}", "address", (_LIFE,), ("tcp",),
            server=(("allow_reuse_address", allowed),), claim=claims.replies_are(told),
        )  # fmt: skip
    yield Check(
        "server/address", "bind_and_activate-False", "lines", (_LIFE,), ("tcp", "unix"),
        server=(("__init__", bind_later),), claim=claims.binding_is_left_to_the_owner,
    )  # fmt: skip


CHECKS: Final = (*_checks(), *_attributes())
