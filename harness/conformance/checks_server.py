"""Sub-checks of what a server owes each request: its path through the hooks, its socket, and the next request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Case
from handshaker.harness.conformance import claims
from handshaker.harness.conformance.check import LINE, Check, peers, sends, struck
from handshaker.harness.conformance.probes import say_nothing, say_one

__all__ = ["CHECKS"]

_THREE: Final = Case((LINE, LINE, LINE))
_RESET: Final = peers(sends(b"hel", "reset"), sends("reset", early=1))


def _paths() -> Iterator[Check]:
    """All that a request can meet on its way, and the rules that watch the way."""
    ways = {
        "served": _THREE,
        "denied": struck("verify_request", "false"),
        "setup-fails": struck("setup.enter", "ValueError"),
        "handle-fails": struck("handle.enter", "ValueError"),
        "finish-fails": struck("finish.leave", "ValueError"),
        "accept-fails": struck("get_request", "OSError"),
        "accept-times-out": struck("get_request", "TimeoutError"),
        "peer-resets": _RESET,
    }
    for name, case in ways.items():
        for slug in ("server/hook-order", "server/next-request-served", "resources/socket-closed-once"):
            yield Check(slug, name, "lines", (case,))
        yield Check("resources/no-fd-leak", name, "lines", (case,))
        yield Check("resources/closed-explicitly", name, "lines", (case,))
        yield Check("resources/clean-run", name, "lines", (case,))
        yield Check("resources/handler-released", name, "lines", (case,))
        yield Check("resources/shutdown-before-close", name, "lines", (case,))


def _errors() -> Iterator[Check]:
    yield Check("server/error-reported-once", "constructor-does-not-fit", "unfit", (_THREE,))
    fails = struck("handle.enter", "ValueError")
    yield Check("server/error-report", "handle-fails", "lines", (fails,), claim=claims.report_says("ValueError"))
    yield Check(
        "server/error-report", "says-who", "lines", (fails,), ("tcp",),
        claim=claims.report_says("127.0.0.1", "ValueError"),
    )  # fmt: skip
    yield Check(
        "server/base-exceptions", "accept-raises-KeyboardInterrupt", "lines",
        (struck("get_request", "KeyboardInterrupt"),), claim=claims.server_stops,
    )  # fmt: skip
    for effect in ("OSError", "TimeoutError", "ConnectionResetError"):
        yield Check(
            "server/accept-errors-survived", f"accept-raises-{effect}", "lines", (struck("get_request", effect),)
        )


CHECKS: Final = (
    *_paths(),
    *_errors(),
    Check("server/address", "port-0", "lines", (_THREE,)),
    Check("server/denied-request-closed", "denied", "lines", (struck("verify_request", "false"),)),
    Check(
        "server/denied-request-closed", "verify_request-says-None", "lines", (_THREE,),
        server=(("verify_request", say_nothing),),
    ),
    Check(
        "server/hook-order", "verify_request-says-1", "lines", (_THREE,), server=(("verify_request", say_one),),
    ),
    Check("server/verify-request-does-not-raise", "served", "lines", (_THREE,)),
    Check("server/handle-error-does-not-raise", "handle-fails", "lines", (struck("handle.enter", "ValueError"),)),
)  # fmt: skip
