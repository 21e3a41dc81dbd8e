"""Traces of datagrams written by hand: what CPython's plain server does with each datagram, as parts to compose.

    trace(asked(0), asked(1, peer=1))                       two peers, one datagram each
    trace(asked(0, handle=Raised(ValueError)))              handle() raises: finish() replies, handle_error() reports
    trace(asked(0, packet=b"", reply=b""))                  an empty datagram, and an empty reply

A connection is one request; what peers do has the connection -1 and the peer's number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from handshaker.harness.contract import Contract
from handshaker.harness.trace import Trace
from tests.traces_builder import HEADER, Part, Raised, event
from tests.traces_builder import trace as stream_trace

__all__ = ["DATAGRAMS", "DATAGRAM_TRACES", "GONE", "NOBODY", "asked", "refused", "reply", "taken", "trace"]

DATAGRAMS: Final = Contract(kind="datagram", transport="udp")


def trace(*parts: Part, transport: str = "udp") -> Trace:
    """One Trace: the server starts, the *parts* happen, the server is closed, and then the replies are read."""
    read = [pair for part in parts for pair in part if pair[0][0] == "peer.reply"]
    rest = [[pair for pair in part if pair[0][0] != "peer.reply"] for part in parts]
    served = stream_trace(*rest, header=replace(HEADER, transport=transport))
    after = stream_trace(read)
    events = (*served.events, *(each for each in after if each.kind == "peer.reply"))
    return Trace(served.header, tuple(replace(each, seq=seq) for seq, each in enumerate(events)))


def taken(
    number: int,
    peer: int = 0,
    packet: bytes = b"hello",
    *,
    form: str = "pair",
    cut: bool = False,
    via: str = "server",
) -> Part:
    """A peer sends one datagram, and the server takes it, or a handler."""
    return [
        event("peer.datagram", -1, packet, peer=peer, fate="sent"),
        event("get_request.enter"),
        event("datagram.request", number, packet[:8192], peer=peer, cut=cut, form=form, via=via),
        event("get_request.leave", number, "('127.0.0.1', 40000)"),
    ]


def reply(number: int, data: bytes, *, to: str = "sender", own: bool = True, held: str = "same") -> Part:
    """One datagram is sent while the request is handled."""
    return [event("datagram.reply", number, data, via="sendto", to=to, own=own, held=held, empty=not data)]


def refused(number: int, errno: str = "ECONNREFUSED") -> Part:
    """Sending a datagram fails."""
    return [event("socket.error", number, operation="sendto", errno=errno, injected=False)]


def asked(
    number: int,
    peer: int = 0,
    packet: bytes = b"hello",
    answer: bytes = b"HELLO",
    *,
    form: str = "pair",
    cut: bool = False,
    pair: bool = True,
    whole: bool = True,
    own: bool = True,
    file: str = "standard",
    sent: Part | None = None,
    early: Part | None = None,
    setup: Raised | None = None,
    handle: Raised | None = None,
    finish: Raised | None = None,
    verify: bool = True,
    listening: bool = True,
) -> Part:
    """Everything that CPython does for one datagram of *peer*, from its sending to the end of its request.

    *answer* is what wfile holds in the end; *sent* are the replies of finish() if they are others than that one, and
    *early* is what handle() does.
    """
    part = [*taken(number, peer, packet, form=form, cut=cut), event("verify_request.enter", number)]
    part.append(event("verify_request.leave", number, result=verify))
    if not verify:
        return [*part, *_let_go(number), _listener(number, is_open=listening)]
    part += [event("process_request.enter", number), event("finish_request.enter", number)]
    sent = reply(number, answer) if sent is None else sent
    given = event("datagram.pair", number, pair=pair, whole=whole, own=own)
    held = event("datagram.held", number, answer, instance=number, file=file, empty=not answer)
    life, error, hook = _life(number, given, early or [], [held], sent, setup, handle, finish)
    part += [*life, *_after(number, error, hook), _listener(number, is_open=listening)]
    arrived = [event("peer.reply", -1, data, peer=peer, own=True) for what, data in life if what[0] == "datagram.reply"]
    return [*part, *arrived]


def _listener(number: int, *, is_open: bool) -> tuple[Any, ...]:
    return event("probe.listener", number, open=is_open)


def _life(
    number: int,
    given: tuple[Any, ...],
    early: Part,
    held: Part,
    sent: Part,
    setup: Raised | None,
    handle: Raised | None,
    finish: Raised | None,
) -> tuple[Part, Raised | None, str]:
    me = {"instance": number}
    attributes = ("request", "client_address", "server")
    life = [event("init.enter", number, "tests:Handler", thread=0, **me)]
    life += [given, event("setup.enter", number, thread=0, attributes=attributes, **me)]
    if setup is not None:
        life += setup.at("setup.raise", number, "setup", "setup.enter", **me)
        return [*life, event("init.raise", number, **me, **setup.fields("setup"))], setup, "setup"
    life += [event("setup.leave", number, **me), event("handle.enter", number, thread=0, missing=(), **me), *early]
    handled = [event("handle.leave", number, **me)]
    life += handled if handle is None else handle.at("handle.raise", number, "handle", "handle.leave", **me)
    life += [*held, event("finish.enter", number, thread=0, **me)]
    if finish is None:
        life += [*sent, event("finish.leave", number, open=(), **me)]
    else:
        life += refused(number) if finish is GONE else []
        life += finish.at("finish.raise", number, "finish", "finish.enter", **me)
    error, hook = (finish, "finish") if finish is not None else (handle, "handle")
    if error is None:
        return [*life, event("init.leave", number, **me)], None, ""
    return [*life, event("init.raise", number, **me, **error.fields(hook))], error, hook


def _after(number: int, error: Raised | None, hook: str) -> Part:
    if error is None:
        return [event("finish_request.leave", number), *_let_go(number), event("process_request.leave", number)]
    fields = error.fields(hook)
    failed = [event(f"{name}.raise", number, **fields) for name in ("finish_request", "process_request")]
    if error.kills:
        return [*failed, *_let_go(number), event("server.stopped", number, **fields)]
    printed = event("probe.stderr", number, f"Exception occurred\n{error.exception.__name__}: boom\n")
    reported = [event("handle_error.enter", number, **fields), printed, event("handle_error.leave", number)]
    return [*failed, *reported, *_let_go(number)]


def _let_go(number: int) -> Part:
    """shutdown_request() and close_request() have nothing to do."""
    return [
        event("shutdown_request.enter", number),
        event("close_request.enter", number),
        event("close_request.leave", number),
        event("shutdown_request.leave", number),
    ]


class _Unframed(Raised):
    """An exception that came out of the standard library alone."""

    def fields(self, hook: str) -> dict[str, Any]:
        """The fields and the payload of a raise-event of *hook*, without a place in the user's code."""
        return {**super().fields(hook), "frame": ""}


_INJECTED: Final = Raised(ValueError, injected=True)
NOBODY: Final = _Unframed(TypeError, message="sendto(): AF_UNIX address must be string or bytes, not None")
GONE: Final = _Unframed(ConnectionRefusedError, message="[Errno 111] Connection refused")

DATAGRAM_TRACES: Final[dict[str, Trace]] = {
    "one datagram": trace(asked(0)),
    "two peers": trace(asked(0), asked(1, 1, b"you", b"YOU")),
    "two datagrams of one peer": trace(asked(0), asked(1, 0, b"again", b"AGAIN")),
    "an empty datagram": trace(asked(0, packet=b"", answer=b"")),
    "a cut datagram": trace(asked(0, packet=b"a" * 9000, answer=b"A" * 8192, cut=True)),
    "denied": trace(asked(0, verify=False), asked(1, 1)),
    "setup raises": trace(asked(0, setup=_INJECTED), asked(1, 1)),
    "handle raises": trace(asked(0, handle=_INJECTED), asked(1, 1)),
    "finish raises": trace(asked(0, finish=_INJECTED), asked(1, 1)),
    "handle exits": trace(asked(0, handle=Raised(SystemExit, injected=True))),
    "base handler": trace(asked(0, file="none", sent=[], early=reply(0, b"HELLO", held=""))),
    "base handler without a reply": trace(asked(0, answer=b"", file="none", sent=[])),
    "accept fails": trace(
        [event("get_request.enter"), *Raised(OSError, injected=True).at("get_request.raise", -1, "get_request")],
        asked(0),
    ),
    "an unbound peer": trace(asked(0, form="none", finish=NOBODY), asked(1, 1, form="path"), transport="unix-dgram"),
    "a peer that has left": trace(
        [
            event("peer.leave", -1, peer=0),
            *asked(0, form="path", finish=GONE),
        ],
        asked(1, 1, form="path"),
        transport="unix-dgram",
    ),
    "nobody comes": trace(),
}
"""Whole, correct traces: whatever happens in them is what CPython does, and no finding about anybody's handler."""
