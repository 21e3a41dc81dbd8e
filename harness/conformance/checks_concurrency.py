"""Sub-checks of the mix-ins: the same life in a thread or a child, and what is left when all is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.harness.conformance import claims
from handshaker.harness.conformance.check import LINE, Check, sends

__all__ = ["CHECKS"]

_BESIDE: Final = ("threading", "forking")
_STREAM: Final = ("tcp", "unix")
_DATAGRAM: Final = ("udp",)
_TWO: Final = Case((LINE, LINE))
_TWO_DATAGRAMS: Final = Case((Script((Step("send", b"one"),)), Script((Step("send", b"two"),))))
_MOMENT: Final = Step("pause", seconds=0.05)  # as long as a pause is in real time, at most
_SLOW: Final = sends(b"hel", *[_MOMENT] * 8, b"lo\n", "half-close")
_LATE_BOOM: Final = sends(_MOMENT, _MOMENT, b"boom\n", "half-close")
_SILENT: Final = sends(b"hel")
_AT_WORK: Final = Case(
    (_SILENT, LINE), owner=(Act("serve"), Act("begin"), Act("play", 1), Act("shutdown"), Act("close"))
)
_IDLE: Final = Case((LINE,), owner=(Act("begin"), Act("handle", 0, 2.0), Act("handle", 0, 0.2), Act("close")))


def _struck(point: str, effect: str) -> Case:
    return Case((LINE, LINE), (Fault(point, effect),))


def _lives() -> Iterator[Check]:
    for slug in ("one-handler-per-request", "order", "attributes-before-setup", "finish-once"):
        yield Check(f"lifecycle/{slug}", "beside", "lines", (_TWO,), _STREAM, _BESIDE)
        yield Check(f"lifecycle/{slug}", "beside", "datagram", (_TWO_DATAGRAMS,), _DATAGRAM, _BESIDE)
    judged = {"setup": "finish-only-after-setup", "handle": "finish-always-after-setup", "finish": "finish-once"}
    for hook, rule in judged.items():
        for effect in ("ValueError", "SystemExit"):
            reported = "server/error-reported-once" if effect == "ValueError" else "server/base-exceptions"
            for slug in (f"lifecycle/{rule}", reported, "resources/socket-closed-once", "server/next-request-served"):
                yield Check(
                    slug, f"{hook}-raises-{effect}", "lines", (_struck(f"{hook}.enter", effect),), ("tcp",), _BESIDE,
                    claim=claims.error_reaches_the_server if slug == reported else None,
                )  # fmt: skip


def _paths() -> Iterator[Check]:
    ways = {
        "served": (_TWO, _BESIDE),
        "denied": (_struck("verify_request", "false"), _BESIDE),
        "accept-fails": (_struck("get_request", "OSError"), _BESIDE),
        "thread-cannot-start": (_struck("thread.start", "RuntimeError"), ("threading",)),
        "fork-fails": (_struck("fork", "OSError"), ("forking",)),
    }
    for name, (case, concurrencies) in ways.items():
        for slug in ("server/hook-order", "server/next-request-served", "resources/socket-closed-once"):
            yield Check(slug, name, "lines", (case,), ("tcp",), concurrencies)
    for slug in ("datagram/one-reply", "datagram/reply-to-sender", "datagram/shared-socket-stays-open"):
        yield Check(slug, "beside", "datagram", (_TWO_DATAGRAMS,), _DATAGRAM, _BESIDE)


def _ends() -> Iterator[Check]:
    forking = ("forking",)
    yield Check("resources/parent-closes-connection", "served", "lines", (_TWO,), _STREAM, forking)
    yield Check("resources/children-reaped", "served", "lines", (_TWO,), _STREAM, forking)
    for effect in ("", "ValueError", "SystemExit"):
        case = _struck("handle.enter", effect) if effect else _TWO
        yield Check(
            "server/child-exits", f"raises-{effect}" if effect else "served", "lines", (case,), _STREAM, forking
        )
    yield Check(
        "server/max-children", "four-at-once", "lines", (Case((_SLOW,) * 4),), ("tcp",), forking,
        server=(("max_children", 3),),
    )  # fmt: skip
    yield Check("server/handle-timeout-reaps", "idle", "lines", (_IDLE,), ("tcp",), forking)
    yield Check(
        "server/close-waits-for-threads", "handler-at-work", "lines", (_AT_WORK,), ("tcp",), ("threading",),
        handler=(("timeout", 0.8),),
    )  # fmt: skip
    yield Check(
        "resources/children-reaped", "handler-at-work", "lines", (_AT_WORK,), ("tcp",), forking,
        handler=(("timeout", 0.8),),
    )  # fmt: skip
    yield from _unwaited()
    for wanted in (False, True):
        yield Check(
            "server/close-waits-for-threads", f"daemon_threads-{wanted}", "lines", (_TWO,), _STREAM, ("threading",),
            server=(("daemon_threads", wanted),), claim=claims.threads_are_daemons(wanted),
        )  # fmt: skip
    yield Check("resources/no-thread-left", "served", "lines", (_TWO,), _STREAM, ("threading",))
    yield from _hostile()


def _unwaited() -> Iterator[Check]:
    """A handler that waits for ever, beside which others are served, and for which server_close() need not wait."""
    judged = {"threading": "server/close-waits-for-threads", "forking": "resources/children-reaped"}
    for concurrency, slug in judged.items():
        for judges, name, act in (
            (slug, "block_on_close-False", "close"), ("server/next-request-served", "beside-a-silent-peer", "play"),
        ):  # fmt: skip
            yield Check(
                judges, name, "lines", (_AT_WORK,), ("tcp",), (concurrency,), server=(("block_on_close", False),),
                claim=claims.acts_return(act),
            )  # fmt: skip


def _hostile() -> Iterator[Check]:
    hostile = {"peer-resets": sends(b"hel", "reset"), "handler-raises": _LATE_BOOM}
    for name, peer in hostile.items():
        case = Case((peer, _SLOW))
        yield Check("relation/concurrent-isolation", name, "boom", (case,), ("tcp",), _BESIDE, relation="concurrent")


CHECKS: Final = (*_lives(), *_paths(), *_ends())
