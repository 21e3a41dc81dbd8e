"""All exhibits: which class breaks which invariant, its repaired twin, and the smallest Case that shows it.

Each exhibit breaks the invariant that it is named after and no other one explains it; its twin does the same job and
is never flagged. `minimum` is what shrinking should arrive at: a finding counts as shrunk when its Case measures no
more than this one (see `campaign.reduce.measure`). For a relation it is the Case that is compared with; for peers at
the same time it is the one with all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handshaker.harness.case import Act, Case, Fault, Script, Step

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

    @property
    def hosting(self) -> dict[str, str]:
        """How it is served: the transport and the concurrency of its minimum, as `load_target` takes them."""
        return {"transport": self.minimum.transport, "concurrency": self.minimum.concurrency}


def _peer(*does: bytes | str, early: int = 0, faults: tuple[Fault, ...] = ()) -> Case:
    """One peer that sends the bytes and ends as the words say, under *faults*."""
    steps = tuple(Step(each) if isinstance(each, str) else Step("send", each) for each in does)
    return Case((Script(steps, early),), faults)


def _struck(point: str, effect: str, *does: bytes | str) -> Case:
    """The same with one injected hardship."""
    return _peer(*does, faults=(Fault(point, effect),))


def _beside(concurrency: str, *peers: Case) -> Case:
    """These peers at the same time, on a server of that concurrency."""
    scripts = tuple(script for peer in peers for script in peer.scripts)
    return Case(scripts, (), "tcp", concurrency)


def _owned(*acts: str, peer: Case | None = None, faults: tuple[Fault, ...] = (), concurrency: str = "plain") -> Case:
    """What the owner of a server does, with one *peer* or with none."""
    owner = tuple(Act(act, seconds=0.1 if act == "handle" else 0.0) for act in acts)
    return Case(peer.scripts if peer is not None else (), faults, "tcp", concurrency, owner)


def _datagrams(*peers: bytes, repeat: int = 1) -> Case:
    """Peers that send one datagram each."""
    return Case(tuple(Script((Step("send", data, repeat),)) for data in peers), transport="udp")


def _exhibit(
    slug: str,
    minimum: Case,
    *,
    stateless: bool = False,
    allowed: tuple[str, ...] = (),
    example: bytes = b"",
    fatal: bool = False,
    case_limit_s: float = 1.0,
    home: str = "",
) -> Exhibit:
    """The exhibit that stands in the module *home* (else the slug's area), in the class that the slug's words spell."""
    area, _, words = slug.partition("/")
    name = "".join(word.capitalize() for word in words.split("-"))
    bad = f"{_HOME}.{home or area}:{name}"
    return Exhibit(slug, bad, f"{bad}Repaired", minimum, stateless, allowed, example, fatal, case_limit_s)


_ANYBODY: Final = _peer("half-close")
_ENDLESS: Final = Case((Script((Step("send", b"a", 1_000_000), Step("half-close"))),))

_ALL: Final = (
    _exhibit("lifecycle/one-handler-per-request", _ANYBODY),
    _exhibit("lifecycle/order", _peer(b"AGAIN\n", "half-close")),
    _exhibit("lifecycle/finish-only-after-setup", _struck("setup.enter", "ValueError", "half-close")),
    _exhibit("lifecycle/finish-always-after-setup", _struck("handle.enter", "SystemExit", "half-close")),
    _exhibit("lifecycle/finish-once", _peer(b"QUIT\n", "half-close")),
    _exhibit("lifecycle/files-ready-in-handle", _ANYBODY),
    _exhibit("lifecycle/attributes-before-setup", _ANYBODY),
    _exhibit("lifecycle/defaults-do-nothing", _ANYBODY),
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
    _exhibit("resources/process-state", _peer(b"LIST\n", "half-close")),
    _exhibit("resources/bounded-memory", _ENDLESS),
    _exhibit("resources/parent-closes-connection", _beside("forking", _ANYBODY), home="concurrency"),
    _exhibit("resources/no-thread-left", _beside("threading", _ANYBODY, _ANYBODY), home="concurrency"),
    _exhibit("resources/children-reaped", _beside("forking", _ANYBODY), home="concurrency"),
    _exhibit("server/child-exits", _beside("forking", _ANYBODY), home="concurrency"),
    _exhibit("server/max-children", _beside("forking", _ANYBODY, _ANYBODY), home="concurrency"),
    _exhibit(
        "server/handle-timeout-reaps",
        _owned("begin", "handle", "handle", peer=_ANYBODY, concurrency="forking"),
        home="concurrency",
    ),
    _exhibit("server/shutdown-returns", _peer(b"QUIT\n", "half-close"), home="owner"),
    _exhibit("server/listener-open-while-serving", _peer(b"QUIT\n", "half-close"), home="owner"),
    _exhibit("server/service-actions", _ANYBODY, home="owner"),
    _exhibit("server/handle-request-bounded", _owned("handle"), home="owner"),
    _exhibit("server/nothing-after-shutdown", _owned("serve", "shutdown", "begin", peer=_ANYBODY), home="owner"),
    _exhibit("server/close-is-idempotent", _owned("close", "close"), home="owner"),
    _exhibit("server/context-manager", _owned("exit"), home="owner"),
    _exhibit(
        "server/close-waits-for-threads",
        _owned("serve", "begin", "close", peer=_peer(), concurrency="threading"),
        home="owner",
    ),
    _exhibit("resources/failed-bind-closes", _owned("serve", faults=(Fault("server_bind", "OSError"),)), home="owner"),
    _exhibit(
        "relation/concurrent-isolation",
        _beside("threading", _peer(), _peer(b"a", "half-close")),
        home="concurrency",
    ),
    _exhibit("datagram/request-is-pair", _datagrams(b"")),
    _exhibit("datagram/truncation-noticed", _datagrams(b"a", repeat=8_193)),
    _exhibit("datagram/one-reply", _datagrams(b"")),
    _exhibit("datagram/no-half-reply", _datagrams(b""), allowed=(f"{_HOME}.datagram.Rejected",), example=b"len abc"),
    _exhibit("datagram/reply-to-sender", _datagrams(b"", b""), stateless=True),
    _exhibit("datagram/shared-socket-stays-open", _datagrams(b"")),
    _exhibit("relation/segmentation", _peer(b"aa", "half-close")),
    _exhibit("relation/isolation", _ANYBODY, stateless=True),
    _exhibit("relation/repeatability", _ANYBODY, stateless=True),
)

EXHIBITS: Final[dict[str, Exhibit]] = {exhibit.slug: exhibit for exhibit in _ALL}
