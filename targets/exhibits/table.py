"""All exhibits: which class breaks which invariant, its repaired twin, and the smallest Case that shows it.

Each exhibit breaks the invariant that it is named after and no other one explains it; its twin does the same job and
is never flagged. `minimum` is what shrinking should arrive at: a finding counts as shrunk when its Case measures no
more than this one (see `campaign.reduce.measure`). For a relation it is the Case that is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handshaker.harness.case import Case, Fault, Script, Step

__all__ = ["EXHIBITS", "Exhibit"]

_HOME: Final = "handshaker.targets.exhibits"


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A deliberately bad TARGET, its repaired twin, and what must be declared about both.

    A *fatal* one ends or hangs its process: play it in a worker only. `case_limit_s` is what its author, who knows how
    long a request may take, would give as `--case-limit`.
    """

    slug: str
    bad: str
    repaired: str
    minimum: Case
    stateless: bool = False
    allowed: tuple[str, ...] = ()
    example: bytes = b""
    fatal: bool = False
    case_limit_s: float = 1.0

    @property
    def area(self) -> str:
        """The part of the slug before the slash."""
        return self.slug.partition("/")[0]


def _peer(*does: bytes | str, early: int = 0, faults: tuple[Fault, ...] = ()) -> Case:
    """One peer that sends the bytes and ends as the words say, under *faults*."""
    steps = tuple(Step(each) if isinstance(each, str) else Step("send", each) for each in does)
    return Case((Script(steps, early),), faults)


def _struck(point: str, effect: str, *does: bytes | str) -> Case:
    """The same with one injected hardship."""
    return _peer(*does, faults=(Fault(point, effect),))


def _exhibit(
    slug: str,
    minimum: Case,
    *,
    stateless: bool = False,
    allowed: tuple[str, ...] = (),
    example: bytes = b"",
    fatal: bool = False,
    case_limit_s: float = 1.0,
) -> Exhibit:
    """The exhibit that stands in the module of the slug's area, in the class that the slug's words spell."""
    area, _, words = slug.partition("/")
    name = "".join(word.capitalize() for word in words.split("-"))
    bad = f"{_HOME}.{area}:{name}"
    return Exhibit(slug, bad, f"{bad}Repaired", minimum, stateless, allowed, example, fatal, case_limit_s)


_ANYBODY: Final = _peer("half-close")

_ALL: Final = (
    _exhibit("lifecycle/one-handler-per-request", _ANYBODY),
    _exhibit("lifecycle/order", _peer(b"AGAIN\n", "half-close")),
    _exhibit("lifecycle/finish-only-after-setup", _struck("setup.enter", "ValueError", "half-close")),
    _exhibit("lifecycle/finish-always-after-setup", _struck("handle.enter", "SystemExit", "half-close")),
    _exhibit("lifecycle/finish-once", _peer(b"QUIT\n", "half-close")),
    _exhibit("lifecycle/files-ready-in-handle", _ANYBODY),
    _exhibit("lifecycle/attributes-before-setup", _ANYBODY),
    _exhibit("lifecycle/finish-does-not-raise", _peer("reset")),
    _exhibit("handler/no-uncaught-exception", _peer(b"\xff", "half-close")),
    _exhibit("handler/reset-is-expected", _peer("reset")),
    _exhibit("server/address", _ANYBODY),
    _exhibit("server/denied-request-closed", _struck("verify_request", "false", "half-close")),
    _exhibit("server/verify-request-does-not-raise", _peer("reset", early=1)),
    _exhibit("server/accept-errors-survived", _peer(b"a", "half-close"), example=b"1 hello\n"),
    _exhibit("server/hook-order", _ANYBODY),
    _exhibit("server/error-reported-once", _struck("handle.enter", "ValueError", "half-close")),
    _exhibit("server/base-exceptions", _struck("handle.enter", "SystemExit", "half-close")),
    _exhibit("server/handle-error-does-not-raise", _struck("handle.enter", "ValueError", "half-close")),
    _exhibit("server/error-report", _struck("handle.enter", "ValueError", "half-close")),
    _exhibit("server/next-request-served", _peer(b"QUIT\n", "half-close")),
    _exhibit("io/client-address", _ANYBODY),
    _exhibit("io/stream-request", _ANYBODY),
    _exhibit("io/one-reader", _peer(b"1\n", b"a", "half-close"), example=b"5\nhello"),
    _exhibit("io/buffered-interface", _ANYBODY),
    _exhibit("io/written-bytes-arrive", _ANYBODY),
    _exhibit("io/write-all", _struck("send", "short", b"aa", "half-close")),
    _exhibit("io/reply-then-eof", _peer(b"aa", "half-close")),
    _exhibit("io/nothing-after-finish", _ANYBODY),
    _exhibit("io/timeout-applied", _ANYBODY),
    _exhibit("io/nagle", _ANYBODY),
    _exhibit("liveness/ends-after-eof", _ANYBODY),
    _exhibit("liveness/ends-after-reset", _peer(b"\n", "reset")),
    _exhibit("liveness/no-spin", _peer()),
    _exhibit("liveness/timeout-respected", _peer()),
    _exhibit("liveness/process-survives", _peer(b"SHUTDOWN", "half-close"), fatal=True),
    _exhibit("liveness/no-hang", _peer(b"0a", "half-close"), fatal=True, case_limit_s=0.2),
    _exhibit("liveness/answers-complete-message", _peer(b"hello\n", "half-close"), example=b"hello\n"),
    _exhibit("resources/socket-closed-once", _struck("handle.enter", "ValueError", "half-close")),
    _exhibit("resources/shutdown-before-close", _ANYBODY),
    _exhibit(
        "resources/no-fd-leak", _peer(b"a", "half-close"), allowed=(f"{_HOME}.resources.Rejected",), example=b"HELO\n"
    ),
    _exhibit("resources/closed-explicitly", _ANYBODY),
    _exhibit("resources/handler-released", _ANYBODY),
    _exhibit("resources/clean-run", _ANYBODY),
    _exhibit("relation/segmentation", _peer(b"aa", "half-close")),
    _exhibit("relation/isolation", _ANYBODY, stateless=True),
    _exhibit("relation/repeatability", _ANYBODY, stateless=True),
)

EXHIBITS: Final[dict[str, Exhibit]] = {exhibit.slug: exhibit for exhibit in _ALL}
