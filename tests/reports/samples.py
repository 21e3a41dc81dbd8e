"""Notices written by hand: a whole campaign with every kind of finding, and a handler and peers that mean harm."""

from __future__ import annotations

from typing import Any, Final

from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.notices import (
    CampaignFinished,
    CampaignStarted,
    FindingFixed,
    FindingReady,
    FindingSeen,
    Notice,
    PhaseFinished,
    PhaseStarted,
    Progress,
    Question,
    Remark,
)
from handshaker.harness.trace import Header, Trace, materialise
from handshaker.harness.verdict import Confirmation, Finding, Level, Reach, Violation

__all__ = ["CAMPAIGN", "HISTORY", "HOSTILE", "HOSTILE_TEXT", "RAISED", "RELATION", "ROBUSTNESS", "SETUP", "TRACE"]

HEADER: Final = Header(target="myapp:Handler", python="3.11.7", handshaker="0.1.0")
HOSTILE_TEXT: Final = "\x1b[2J\x1b]0;owned\x07[bold red]\r\n[/]\x9b31m\u202e\u2028\ud800 :smile: \x00"

_ADDRESS: Final = ("127.0.0.1", 40000)
_ERROR: Final = ("builtins.ValueError", "builtins.Exception", "builtins.BaseException")
_MISSING: Final = ("builtins.AttributeError", "builtins.Exception", "builtins.BaseException")


def _trace(*events: tuple[tuple[Any, ...], Any], step: float = 0.001) -> Trace:
    flat = [item for event in events for item in event]
    return materialise(flat, [round(number * step, 6) for number in range(len(events))], HEADER)


TRACE: Final = _trace(
    (("get_request.enter", -1), None),
    (("peer.connect", 0), _ADDRESS),
    (("get_request.leave", 0), _ADDRESS),
    (("socket.accepted", 0, "inet", "stream", None, False, True), None),
    (("verify_request.enter", 0), None),
    (("verify_request.leave", 0, True), None),
    (("process_request.enter", 0), None),
    (("finish_request.enter", 0), None),
    (("init.enter", 0, 1, 1), "Handler"),
    (("setup.enter", 0, 1, 1, ("request", "client_address", "server")), None),
    (("socket.makefile", 0, "rb", -1), None),
    (("setup.leave", 0, 1), None),
    (("handle.enter", 0, 1, 1, ()), None),
    (("peer.send", 0), b"\xff\r\n"),
    (("socket.recv", 0, "rfile"), b"\xff\r\n"),
    (("handle.raise", 0, 1, _ERROR, False, "myapp:Handler.parse"), "no such word @ myapp.py:33"),
    (("finish.enter", 0, 1, 1), None),
    (("socket.send", 0, "sendall", False, False), b"bye\r\n"),
    (("finish.leave", 0, 1, ()), None),
    (("init.raise", 0, 1, _ERROR, False, "myapp:Handler.parse"), "no such word @ myapp.py:33"),
    (("finish_request.raise", 0, _ERROR, False, "myapp:Handler.parse"), "no such word @ myapp.py:33"),
    (("handle_error.enter", 0, _ERROR, False, "myapp:Handler.parse"), "no such word @ myapp.py:33"),
    (("handle_error.leave", 0), None),
    (("shutdown_request.enter", 0), None),
    (("socket.shutdown", 0, "wr"), None),
    (("close_request.enter", 0), None),
    (("socket.released", 0, "call"), None),
    (("close_request.leave", 0), None),
    (("shutdown_request.leave", 0), None),
    (("process_request.leave", 0), None),
    (("peer.half-close", 0), None),
    (("network.stalled", 1, "recv", "half-closed"), None),
    (("peer.end", 0, "eof", True, 1), b"bye\r\n"),
    (("server.closed", -1), None),
)

RAISED: Final = FindingReady(
    Finding(
        target="myapp:Handler",
        invariant="handler/raises",
        level=Level.MUST,
        reach=Reach.PEER,
        violation=Violation(
            expected="handle() answers or refuses any input; it does not raise",
            actual="handle() raised ValueError: no such word",
            witness=(13, 15, 20, 21),
            connection=0,
            exception="builtins.ValueError",
            frame="myapp:Handler.parse",
            location="myapp.py:33",
        ),
        case=Case((Script((Step("send", b"\xff\r\n"), Step("half-close")), early=1),)),
        folded=("io/unread-input", "server/handle-error"),
        confirmations=(Confirmation("memory", 3, 3), Confirmation("loopback", 3, 3)),
        phase="generate",
        seed=42,
    ),
    trace=TRACE,
    title="handle() raises on what a peer sent",
    requirement="No bytes that a peer can send make handle() raise an exception that the handler did not declare.",
    source="CONTRACT, H1; socketserver.BaseServer.handle_error: prints a traceback and goes on",
    saved=".handshaker/findings/handler-raises.json",
)

RELATION: Final = FindingReady(
    Finding(
        target="myapp:Handler",
        invariant="relation/segmentation",
        level=Level.MUST,
        reach=Reach.TIMING,
        violation=Violation(
            expected="the same reply as to the same bytes in one segment: b'pong\\r\\n'",
            actual="b'unknown command: p\\r\\n'",
            witness=(1, 2),
            connection=0,
            damage="reply",
            frame="myapp:Handler.handle",
        ),
        case=Case((Script((Step("send", b"p"), Step("send", b"ing\r\n"), Step("half-close"))),)),
        contrast=Case((Script((Step("send", b"ping\r\n"), Step("half-close"))),)),
        confirmations=(Confirmation("memory", 3, 3), Confirmation("loopback", 0, 3, "the handler was never entered")),
        seed=42,
    ),
    trace=_trace(
        (("peer.connect", 0), _ADDRESS),
        (("socket.recv", 0, "socket"), b"p"),
        (("socket.send", 0, "sendall", True, False), b"unknown command: p\r\n"),
        (("peer.end", 0, "eof", True, 2), b"unknown command: p\r\n"),
    ),
    contrast_trace=_trace((("peer.end", 0, "eof", False, 0), b"pong\r\n")),
    title="The reply depends on how the bytes were cut",
    requirement="A byte stream has no borders: however the same bytes are cut into segments, the reply is the same.",
    source="RFC 9293, section 3.8",
    saved=".handshaker/findings/segmentation.json",
)

HISTORY: Final = FindingReady(
    Finding(
        target="myapp:Handler",
        invariant="lifecycle/released",
        level=Level.MUST,
        reach=Reach.INJECTED,
        violation=Violation(
            expected="every descriptor opened for a request is closed with it",
            actual="2 descriptors stay open",
            damage="descriptor",
        ),
        case=Case((Script(), Script()), (Fault("setup.leave", "OSError", 2),)),
        history=(Case((Script((Step("send", b"a", 70_000), Step("reset"))),)), Case((Script((Step("close"),)),))),
        confirmations=(Confirmation("memory", 2, 5), Confirmation("loopback", 3, 3)),
        nondeterministic=True,
        seed=7,
        replayable=False,
        replay="pytest tests/test_handler.py::test_my_handler --handshaker-replay 0123456789ab",
    ),
    title="A descriptor is lost",
)

SETUP: Final = FindingReady(
    Finding(
        target="my app.py:Handler",
        invariant="lifecycle/setup-cleanup",
        level=Level.MUST,
        reach=Reach.MISUSE,
        violation=Violation(
            expected="setup() undoes what it did before it raises, since finish() will not run",
            actual="setup() raised AttributeError and left registry[0] behind",
            witness=tuple(range(5)),
            exception="pkg.errors.Refused",
            location="my app.py:12",
        ),
        case=Case((Script(tuple(Step("send", bytes([65 + number])) for number in range(24))),)),
        seed=7,
    ),
    trace=_trace(
        *((("peer.send", 0), bytes([65 + number])) for number in range(4)),
        (("setup.raise", 0, 1, _MISSING, True, ""), "no 'x'"),
    ),
    title="setup() fails half-way",
    requirement="What setup() acquires before it fails, it gives back.",
    source="Lib/socketserver.py, BaseRequestHandler.__init__",
    known=True,
)

ROBUSTNESS: Final = FindingReady(
    Finding(
        target="myapp:Handler",
        invariant="liveness/silent-peer",
        level=Level.SHOULD,
        reach=Reach.TIMING,
        violation=Violation(
            expected="a timeout ends a request whose peer is silent",
            actual="the handler waits for ever in recv; nobody else is served meanwhile",
            damage="stalled",
            frame="myapp:Handler.handle",
            location="myapp.py:20",
        ),
        case=Case((Script((Step("pause", seconds=60.0),)),)),
        confirmations=(Confirmation("memory", 3, 3),),
        seed=42,
    ),
    title="A silent peer holds the server",
    saved=".handshaker/findings/silent.json",
)

HOSTILE: Final = FindingReady(
    Finding(
        target=f"evil:{HOSTILE_TEXT}",
        invariant=f"evil/{HOSTILE_TEXT}",
        level=Level.MUST,
        reach=Reach.PEER,
        violation=Violation(
            expected=HOSTILE_TEXT,
            actual="y" * 2_000_000,
            witness=(0, 1, 2),
            connection=0,
            exception=f"evil.{HOSTILE_TEXT}",
            frame=f"evil:{HOSTILE_TEXT}",
            location=HOSTILE_TEXT,
        ),
        case=Case(
            (Script((Step("send", HOSTILE_TEXT.encode("utf-8", "replace")), Step("send", b"\x1b[31m" * 400_000))),)
        ),
        history=(Case((Script((Step("send", b"\x1b[2J"),)),)),),
        folded=(HOSTILE_TEXT,),
        confirmations=(Confirmation("memory", 3, 3), Confirmation("loopback", 0, 3, HOSTILE_TEXT)),
    ),
    trace=_trace(
        (("peer.send", 0), b"\x1b[31m" * 400_000),
        (("handle.raise", 0, 1, (HOSTILE_TEXT,), False, HOSTILE_TEXT), HOSTILE_TEXT * 50_000),
        (("peer.end", 0, HOSTILE_TEXT, False, 0), b"\x1b[2J" * 500_000),
        (("probe.stderr", 0), HOSTILE_TEXT),
    ),
    title=HOSTILE_TEXT,
    requirement=HOSTILE_TEXT,
    source=HOSTILE_TEXT,
    saved=HOSTILE_TEXT,
)

FINDINGS: Final = (ROBUSTNESS, SETUP, HISTORY, RELATION, RAISED)

CAMPAIGN: Final[tuple[Notice, ...]] = (
    CampaignStarted(
        "myapp:Handler", "handler class", "plain", "memory", "tcp", 42, 1000, "3.11.7", "0.1.0", 31
    ),
    PhaseStarted("preflight"),
    PhaseFinished("preflight", 2, 0.01),
    PhaseStarted("regressions", 1),
    FindingFixed(ROBUSTNESS.finding),
    PhaseFinished("regressions", 1, 0.002),
    PhaseStarted("generate", 1000),
    *(FindingSeen(ready.finding) for ready in FINDINGS),
    FindingSeen(RAISED.finding),
    Progress("generate", 400, 29.0, 2, 1000),
    Progress("generate", 700, 31.0, 5, 1000),
    Progress("generate", 710, 31.5, 5, 1000),
    PhaseFinished("generate", 1000, 40.25),
    Remark("the handler calls fileno(): its campaign runs on loopback", "network"),
    Remark("the handler calls fileno(): its campaign runs on loopback", "network"),
    Question(
        "the reply to a second peer depends on the first; is the handler meant to remember?\n"
        "if not, this is a leak: declare it with stateless=True and the next run judges it",
        "isolation",
    ),
    *FINDINGS,
    CampaignFinished(
        1,
        "done",
        3401,
        41.5,
        42,
        tuple(ready.finding.id for ready in FINDINGS),
        (("half-close", 400), ("plain exchange", 1204), ("reset", 33), ("slow peer", 0), ("several peers", 120),
         ("short read", 900), ("socket timeout", 0)),
        (
            ("handler/raises", 3000, 12, 0, 0),
            ("io/unread-input", 2000, 0, 0, 4),
            ("relation/repeatability", 0, 0, 200, 5),
            ("relation/segmentation", 100, 3, 5, 0),
            ("lifecycle/order", 3401, 0, 0, 0),
            ("datagram/reply", 0, 0, 0, 3401),
        ),
    ),
)  # fmt: skip
