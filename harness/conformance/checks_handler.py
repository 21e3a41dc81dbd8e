"""Sub-checks of what an implementation owes each handler: its life, its attributes, its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Case, Step
from handshaker.harness.conformance import claims
from handshaker.harness.conformance.check import LINE, Check, peers, sends, struck

__all__ = ["CHECKS"]

_KINDS: Final = ("ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException")
_PROBES: Final = ("bytes", "lines")
_USUAL: Final = Case((LINE, LINE))
_NOBODY: Final = sends("half-close")
_AT_ONCE: Final = Case((sends(b"one\ntwo\n", "half-close"),))
_SENT: Final = {0: claims.written_at_once, 1: claims.written_at_once, -1: claims.written_at_the_end}
_SLOW_READER: Final = sends(b"go\n", Step("stop-reading"), Step("pause", seconds=0.5), "resume-reading", "half-close")


def _edges() -> Iterator[Check]:
    """Every hook raises every kind of exception, at both of its edges."""
    judged = {
        "setup": ("lifecycle/finish-only-after-setup",),
        "handle": ("lifecycle/finish-always-after-setup", "lifecycle/order"),
        "finish": ("lifecycle/finish-once",),
    }
    for hook, slugs in judged.items():
        for effect in _KINDS:
            cases = tuple(struck(f"{hook}.{edge}", effect) for edge in ("enter", "leave"))
            reported = "server/error-reported-once" if effect == "ValueError" else "server/base-exceptions"
            for slug in (*slugs, reported, "resources/socket-closed-once", "resources/shutdown-before-close"):
                claim = claims.error_reaches_the_server if slug == reported else None
                yield Check(slug, f"{hook}-raises-{effect}", "lines", cases, claim=claim)


def _lives() -> Iterator[Check]:
    for probe in _PROBES:
        for slug in ("one-handler-per-request", "order", "attributes-before-setup", "finish-once"):
            yield Check(f"lifecycle/{slug}", probe, probe, (_USUAL,))
    yield Check("lifecycle/order", "hooks-return-something", "returns", (_USUAL,))
    yield Check("lifecycle/files-ready-in-handle", "lines", "lines", (_USUAL,))
    yield Check("lifecycle/defaults-do-nothing", "untouched", "untouched", (Case((_NOBODY,)),))
    yield Check("lifecycle/finish-does-not-raise", "peer-resets", "greets", (peers(sends("reset")),))
    yield Check(
        "lifecycle/finish-does-not-raise",
        "peer-resets-buffered",
        "greets",
        (peers(sends("reset")),),
        handler=(("wbufsize", -1),),
        known="G-08: finish() expects the flush to fail, but not the close that flushes again",
    )


def _files() -> Iterator[Check]:
    for size in (0, 1, 16, -1):
        named = {-1: "default"}.get(size, str(size))
        written = (Case((LINE, sends(b"one\n", b"two\n" * 40, "half-close"))), struck("handle.leave", "ValueError"))
        sent = _SENT.get(size)
        yield Check(
            "io/written-bytes-arrive", f"wbufsize-{named}", "lines", written, handler=(("wbufsize", size),), claim=sent
        )
        yield Check("io/nothing-after-finish", f"wbufsize-{named}", "lines", (_USUAL,), handler=(("wbufsize", size),))
    for size in (0, 1, -1):
        named = {-1: "default"}.get(size, str(size))
        claim = claims.files_are_buffered if size else None
        yield Check(
            "io/buffered-interface", f"rbufsize-{named}", "lines", (_USUAL,), handler=(("rbufsize", size),), claim=claim
        )
    yield Check(
        "io/buffered-interface", "rbufsize-0-reads-no-further", "around", (_AT_ONCE,), handler=(("rbufsize", 0),),
        claim=claims.replies_are(b"one\ntwo\n"),
    )  # fmt: skip
    for size in (0, -1):
        counted = Check(
            "io/write-all", f"write-counts-wbufsize-{size}".replace("-1", "default"), "counts", (Case((_NOBODY,)),),
            handler=(("wbufsize", size),), claim=claims.first_reply_begins(b"abcabcdef(3, 6, True, True)\n"),
        )  # fmt: skip
        yield counted
    yield Check(
        "io/written-bytes-arrive", "handle-raises-in-between", "half-stream", (_USUAL,), handler=(("wbufsize", -1),)
    )
    yield from _writes()
    yield Check("io/timeout-applied", "timeout", "lines", (_USUAL,), handler=(("timeout", 3.0),))
    yield Check(
        "io/nagle", "disabled", "lines", (_USUAL,), ("tcp", "tcp6"), handler=(("disable_nagle_algorithm", True),)
    )
    yield Check("io/nagle", "left-alone", "lines", (_USUAL,), ("tcp", "tcp6"), claim=claims.nagle_is_left_on)
    yield Check(
        "liveness/timeout-respected", "silent-peer", "lines", (peers(sends(b"hel")),), handler=(("timeout", 3.0),)
    )
    yield Check("liveness/no-spin", "half-close", "lines", (_USUAL, peers(sends(b"unfinished", "half-close"))))
    yield Check("liveness/no-spin", "peer-stays", "greets", (peers(sends(b"hello\n")),))


def _writes() -> Iterator[Check]:
    """One write that is cut short, by the kernel and by a peer that reads slowly."""
    short = struck("send", "short", sends(b"go\n", "half-close"))
    whole = claims.first_reply_begins(b"x" * 200_000)
    yield Check("io/write-all", "short-send", "much", (short,), claim=whole)
    yield Check("io/write-all", "short-send-with-timeout", "much", (short,), handler=(("timeout", 5.0),))
    yield Check("io/write-all", "slow-reader-with-timeout", "much", (peers(_SLOW_READER),), handler=(("timeout", 5.0),))


def _streams() -> Iterator[Check]:
    for probe in _PROBES:
        yield Check("io/client-address", probe, probe, (_USUAL,))
        yield Check("io/stream-request", probe, probe, (_USUAL,), claim=claims.no_timeout_is_set)
        yield Check(
            "relation/segmentation",
            probe,
            probe,
            (Case((sends(b"one\ntwo\n", "half-close"),)),),
            relation="segmentation",
        )


CHECKS: Final = (*_edges(), *_lives(), *_files(), *_streams())
