"""Sub-checks of what an implementation owes each datagram: the pair, one reply to its sender, a socket that stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.conformance import claims
from handshaker.harness.conformance.check import DATAGRAMS, Check

__all__ = ["CHECKS"]

_KINDS: Final = ("ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException")
_ONE: Final = Script((Step("send", b"hello"),))
_TWO: Final = Case((Script((Step("send", b"one"), Step("send", b"two"))), Script((Step("send", b"three"),))))
_EMPTY: Final = Case((Script((Step("send", b""),)), _ONE))
_ODD: Final = b"\x00 \r\n\xff hello \n\x00\n "
_UNIX: Final = "unix-dgram"
_FORMS: Final = Case((replace(_ONE, form="unbound"), replace(_ONE, form="abstract"), _ONE))


def _struck(point: str, effect: str) -> Case:
    return Case((_ONE, _ONE), (Fault(point, effect),))


def _lives() -> Iterator[Check]:
    """The life of a handler, which is the same as for streams."""
    for probe in ("bytes", "datagram"):
        for slug in ("one-handler-per-request", "order", "attributes-before-setup", "finish-once"):
            yield Check(f"lifecycle/{slug}", probe, probe, (_TWO,), DATAGRAMS)
        yield Check("io/client-address", probe, probe, (_TWO,), DATAGRAMS)
        yield Check("datagram/request-is-pair", probe, probe, (_TWO, _EMPTY), DATAGRAMS)
    yield Check("lifecycle/files-ready-in-handle", "datagram", "datagram", (_TWO,), DATAGRAMS)
    yield Check("io/client-address", "unbound-and-abstract", "untouched", (_FORMS,), (_UNIX,))
    judged = {"setup": "finish-only-after-setup", "handle": "finish-always-after-setup", "finish": "finish-once"}
    for hook, rule in judged.items():
        for effect in _KINDS:
            every = "server/error-reported-once" if effect == "ValueError" else "server/base-exceptions"
            cases = tuple(_struck(f"{hook}.{edge}", effect) for edge in ("enter", "leave"))
            for slug in (f"lifecycle/{rule}", every):
                claim = claims.error_reaches_the_server if slug == every else None
                yield Check(slug, f"{hook}-raises-{effect}", "datagram", cases, DATAGRAMS, claim=claim)


def _packets() -> Iterator[Check]:
    """The packet is what was sent, as far as the server takes it."""
    yield Check(
        "datagram/request-is-pair", "as-it-was-sent", "bytes", (Case((_sent(_ODD),)),), DATAGRAMS,
        claim=claims.replies_are(_ODD),
    )  # fmt: skip
    for size in (16, 9_000):
        yield Check(
            "datagram/request-is-pair", f"max_packet_size-{size}", "bytes", (Case((_sent(b"x" * (size + 1)),)),),
            DATAGRAMS, server=(("max_packet_size", size),), claim=claims.replies_are(b"x" * size),
        )  # fmt: skip


def _sent(data: bytes) -> Script:
    return Script((Step("send", data),))


def _replies() -> Iterator[Check]:
    yield Check("datagram/one-reply", "echo", "datagram", (_TWO,), DATAGRAMS)
    yield Check("datagram/one-reply", "two-writes", "parts", (_TWO,), DATAGRAMS)
    yield Check("datagram/reply-to-sender", "two-peers", "datagram", (_TWO,), DATAGRAMS)
    yield Check("datagram/no-half-reply", "raises-before-writing", "fails", (_TWO,), DATAGRAMS)
    yield Check(
        "datagram/no-half-reply", "raises-after-writing", "half", (_TWO,), DATAGRAMS,
        known="G-05: after an exception in handle() finish() sends what has been written so far",
    )  # fmt: skip


def _paths() -> Iterator[Check]:
    ways = {
        "served": _TWO,
        "empty-datagram": _EMPTY,
        "denied": _struck("verify_request", "false"),
        "setup-fails": _struck("setup.enter", "ValueError"),
        "handle-fails": _struck("handle.enter", "ValueError"),
        "finish-fails": _struck("finish.leave", "ValueError"),
        "accept-fails": _struck("get_request", "OSError"),
    }
    for name, case in ways.items():
        for slug in ("server/hook-order", "server/next-request-served", "datagram/shared-socket-stays-open"):
            yield Check(slug, name, "datagram", (case,), DATAGRAMS)
    yield Check("server/denied-request-closed", "denied", "datagram", (ways["denied"],), DATAGRAMS)
    yield Check(
        "server/accept-errors-survived", "accept-raises-OSError", "datagram", (ways["accept-fails"],), DATAGRAMS
    )
    yield Check("server/address", "port-0", "datagram", (_TWO,), DATAGRAMS)


CHECKS: Final = (*_lives(), *_packets(), *_replies(), *_paths())
