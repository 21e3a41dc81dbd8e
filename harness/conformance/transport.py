"""Whether a transport is what its row says, on each network alike: addresses in every form, exchanges, parity.

The probes stand on the standard library's own classes, which are known to be right: what goes wrong here is the
network's doing.
"""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.conformance.check import sends
from handshaker.harness.conformance.probes import handler_class
from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.judge import Judge, primary
from handshaker.harness.recorder import Recorder
from handshaker.harness.runner import DATAGRAM_NETWORKS, NETWORKS, Stage
from handshaker.harness.trace import Trace
from handshaker.harness.transports import TRANSPORTS, Transport, transport_of
from handshaker.targets.bases import STDLIB
from handshaker.targets.combining import unavailable
from handshaker.targets.stdlib import StdlibTarget

__all__ = ["TransportItem", "flaws", "items_for", "observable", "transport_named", "why_no_transport"]

_STREAM_CASES: Final = {
    "nobody": Case(),
    "whole": Case((sends(b"hello\n", "half-close"),)),
    "segments": Case((sends(b"he", b"ll", b"o\n", "half-close"),)),
    "early": Case((sends(b"hello\n", "half-close", early=2),)),
    "long": Case((Script((Step("send", b"x" * 63 + b"\n", repeat=500), Step("half-close"))),)),
    "three-peers": Case(tuple(sends(b"%d\n" % number, "half-close") for number in range(3))),
    "reset": Case((sends(b"hel", "reset"), sends(b"hello\n", "half-close"))),
}
_DATAGRAM_CASES: Final = {
    "nobody": Case(),
    "whole": Case((sends(b"hello"),)),
    "empty": Case((sends(b""),)),
    "two-of-one-peer": Case((sends(b"one", b"two"),)),
    "three-peers": Case(tuple(sends(b"%d" % number) for number in range(3))),
    "as-long-as-the-server-takes": Case((sends(b"x" * 8_192),)),
    "longer-than-the-server-takes": Case((sends(b"x" * 8_193),)),
}
_ANSWERED: Final = ("whole", "segments", "early", "long", "three-peers", "two-of-one-peer", "empty")
_OF_ONE_RUN: Final = ("server.address", "peer.connect", "get_request.leave")
_KINDS: Final = {"abstract": bytes}
_LOCAL: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@dataclass(frozen=True, slots=True)
class TransportItem:
    """One sub-check of a transport: what is looked at, in which Case, and on which networks."""

    look: str
    name: str
    case: Case
    networks: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its name as a pytest item."""
        return f"{self.look}[{'-'.join((self.name, *self.networks))}]"


def transport_named(wanted: str | Transport) -> Transport:
    """The transport that *wanted* is or names. Raises UsageError when there is none."""
    if isinstance(wanted, Transport):
        return wanted
    if wanted not in TRANSPORTS:
        raise UsageError(f"{wanted!r} is not a transport; {did_you_mean(str(wanted), TRANSPORTS)}")
    return TRANSPORTS[wanted]


def why_no_transport(row: Transport) -> str:
    """Why nothing can be played over this transport here; nothing when it can."""
    return unavailable(row.name)


def items_for(row: Transport, networks: Sequence[str]) -> tuple[TransportItem, ...]:
    """The sub-checks of a transport on *networks*, out of `runner.NETWORKS`. Raises UsageError for an unknown one."""
    known = DATAGRAM_NETWORKS if row.datagram else NETWORKS
    for network in networks:
        if network not in known:
            raise UsageError(f"networks: {network!r} is no network of {row.name}; {did_you_mean(network, known)}")
    return tuple(_items(row, tuple(networks)))


def _items(row: Transport, networks: tuple[str, ...]) -> Iterator[TransportItem]:
    cases = _DATAGRAM_CASES if row.datagram else _STREAM_CASES
    yield TransportItem("row", row.name, Case(), ())
    for network in networks:
        for form in ("", "unbound", "abstract") if row.unix and row.datagram else ("",):
            addressed = Case((replace(cases["whole"].scripts[0], form=form),))
            yield TransportItem("address", form or "usual", addressed, (network,))
        for name, case in cases.items():
            yield TransportItem("exchange", name, case, (network,))
    if len(networks) > 1:
        yield from (TransportItem("parity", name, case, networks) for name, case in cases.items())


def flaws(item: TransportItem, row: Transport) -> list[str]:
    """What is wrong with *item*; nothing when all is well."""
    return list(_LOOKS[item.look](item, row))


def _row(_: TransportItem, row: Transport) -> Iterator[str]:
    known = TRANSPORTS.get(row.name)
    if known != row:
        yield f"TRANSPORTS[{row.name!r}] is {known!r}"
    if transport_of(row.family, row.type) != row:
        yield f"transport_of({row.family!r}, {row.type!r}) is {transport_of(row.family, row.type)!r}"
    if STDLIB.named(row.server) is None:
        yield f"socketserver has no {row.server}"
    if not row.sentence:
        yield "no sentence says what it is"


def _address(item: TransportItem, row: Transport) -> Iterator[str]:
    trace = _play(item, row, "untouched", item.networks[0])
    told = [ast.literal_eval(event["address"]) for event in trace.of("get_request.leave")]
    form = item.case.scripts[0].form
    if len(told) != 1 or not _fits(row, form, told[0]):
        yield f"a peer with {form or 'the usual'} form of address was seen as {told!r}"
    if not all(event["agrees"] for event in trace.of("server.address")):
        yield "server_address is not the address of the server's socket"


def _fits(row: Transport, form: str, address: Any) -> bool:
    if row.unix:
        if not row.datagram:
            return bool(address == "")
        return address is None if form == "unbound" else bool(address) and type(address) is _KINDS.get(form, str)
    length = 4 if row.family == socket.AF_INET6 else 2
    return type(address) is tuple and len(address) == length and address[0] == _LOCAL[socket.AddressFamily(row.family)]


def _exchange(item: TransportItem, row: Transport) -> Iterator[str]:
    trace = _play(item, row, "bytes", item.networks[0])
    said = Judge(_target(row, "bytes").contract()).verdicts(trace)
    for verdict, violation, _ in primary(said):
        yield f"{verdict.invariant}: {violation.actual}"
    wanted = [script.payload for script in item.case.scripts]
    if item.name in _ANSWERED and _replies(trace, row) != wanted:
        yield f"an echo gave {_replies(trace, row)!r:.200}, not {wanted!r:.200}"


def _replies(trace: Trace, row: Transport) -> list[bytes]:
    if not row.datagram:
        return list(trace.replies)
    arrived: dict[int, bytes] = {}
    for event in trace.of("peer.reply"):
        arrived[event["peer"]] = arrived.get(event["peer"], b"") + event["data"]
    return [data for _, data in sorted(arrived.items())]


def _parity(item: TransportItem, row: Transport) -> Iterator[str]:
    first, *others = item.networks
    expected = _observed(item, row, first)
    for network in others:
        seen = _observed(item, row, network)
        for place, (one, other) in enumerate(zip(expected, seen, strict=False)):
            if one != other:
                yield f"event {place} is {one!r} on {first}, and {other!r} on {network}"
                return
        if len(expected) != len(seen):
            yield f"there are {len(expected)} events on {first}, and {len(seen)} on {network}"


def observable(recorder: Recorder) -> list[tuple[Any, ...]]:
    """All events in order, with the bytes that travelled; addresses and texts of messages belong to one run."""
    return [
        (*what, payload if isinstance(payload, bytes) else None)
        for what, payload in zip(recorder.flat[::2], recorder.flat[1::2], strict=True)
        if what[0] not in _OF_ONE_RUN
    ]


def _observed(item: TransportItem, row: Transport, network: str) -> list[tuple[Any, ...]]:
    with Stage(_target(row, "bytes"), network=network) as stage:
        return observable(stage.run(replace(item.case, transport=row.name)))


def _play(item: TransportItem, row: Transport, probe: str, network: str) -> Trace:
    with Stage(_target(row, probe), network=network) as stage:
        return stage.play(replace(item.case, transport=row.name))


def _target(row: Transport, probe: str) -> StdlibTarget:
    handler = handler_class(probe, STDLIB, {})
    return StdlibTarget(handler, text=f"socketserver:{probe}", server=STDLIB.server(row.name), transport=row.name)


_LOOKS: Final = {"row": _row, "address": _address, "exchange": _exchange, "parity": _parity}
