"""The request socket as the handler gets it: its address, its timeout, its options.

A handler class declares `timeout` and `disable_nagle_algorithm`; `StreamRequestHandler.setup` applies them, so only
an override of setup() can lose them.
"""

from __future__ import annotations

import socket
from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.connection import ENDED_BY_PEER, Events, before, each_connection, has, of_kind
from handshaker.harness.invariants.facts import first
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Reach, Violation

__all__: list[str] = []

_NODELAY: Final = f"{int(socket.IPPROTO_TCP)}/{int(socket.TCP_NODELAY)}"


@invariant(
    "io/client-address",
    "LC-013",
    "client_address is the address that get_request() returned",
    requirement="self.client_address is exactly what get_request() returned for this request, in every form that the "
    "address family has.",
    source="socketserver documentation, BaseRequestHandler.handle and BaseServer.get_request",
    reach=Reach.PEER,
    broken_by=("__init__", "finish_request", "process_request"),
)
def _client_address(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, _client_address_in, "setup.enter")


def _client_address_in(events: Events) -> Answer:
    entered = of_kind(events, "setup.enter")
    if any({"request", "server"} - {*event["attributes"]} for event in entered):
        return NotApplicable("the other attributes are wrong too: see lifecycle/attributes-before-setup")
    return [
        Violation(
            "self.client_address is the object that get_request() returned",
            "at the entry of setup() self.client_address was missing or another object",
            (event.seq,),
            event.connection,
            damage="another address",
        )
        for event in entered
        if "client_address" not in event["attributes"]
    ]


@invariant(
    "io/stream-request",
    "LC-014",
    "the request is a fresh, blocking, private connection",
    requirement="The request of a stream handler is a connected stream socket: blocking unless a timeout was "
    "declared, not inheritable, and getpeername() is client_address while the peer lives.",
    source="socketserver documentation, BaseRequestHandler.handle; socket documentation, socket.accept (PEP 446)",
    broken_by=("get_request",),
)
def _stream_request(trace: Trace, contract: Contract) -> Answer:
    if contract.kind == "datagram":
        return NotApplicable("a datagram has no connection")
    return each_connection(trace, lambda events: _stream_request_in(events, contract), "socket.accepted")


def _stream_request_in(events: Events, contract: Contract) -> Answer:
    accepted = of_kind(events, "socket.accepted")[0]
    faults: list[tuple[str, str, str]] = []
    if accepted["type"] != "SOCK_STREAM":
        faults.append(("a stream socket", f"a socket of type {accepted['type']}", "not a stream"))
    if accepted["inheritable"]:
        faults.append(("a socket that child processes do not inherit", "an inheritable socket", "inheritable"))
    changed = _timeout_at_setup(events)
    if changed["timeout" if changed.kind == "socket.accepted" else "seconds"] == 0:
        if contract.kind != "stream":
            return Unknown("the socket does not block, which a handler with its own waiting may want")
        faults.append(("a socket whose reads wait", "a socket that does not block (timeout 0)", "non-blocking"))
    if not faults and not accepted["peername"] and not has(before(events, accepted), *ENDED_BY_PEER):
        return Unknown("getpeername() is another address, as when the server's get_request() speaks the PROXY protocol")
    return [
        Violation(expected, f"the handler got {actual}", (accepted.seq,), accepted.connection, damage=damage)
        for expected, actual, damage in faults
    ]


def _timeout_at_setup(events: Events) -> Event:
    """The event that says which timeout the socket has when the handler gets it."""
    given = first(events, "init.enter", "setup.enter")
    early = before(events, given) if given else events
    return of_kind(early, "socket.accepted", "socket.settimeout")[-1]


@invariant(
    "io/timeout-applied",
    "LC-060",
    "the declared timeout is set before handle()",
    requirement="A handler's timeout (not None) is set on the request before handle() starts, so that reads and "
    "writes raise TimeoutError after it.",
    source="Lib/socketserver.py: 'A timeout to apply to the request socket, if not None'",
    orders=(("socket.settimeout", "handle.enter"),),
    broken_by=("setup",),
    implied_by=("lifecycle/files-ready-in-handle",),
)
def _timeout_applied(trace: Trace, contract: Contract) -> Answer:
    if contract.timeout is None or contract.kind != "stream":
        return NotApplicable("no timeout is declared")
    return each_connection(trace, lambda events: _timeout_applied_in(events, contract.timeout), "handle.enter")


def _timeout_applied_in(events: Events, declared: float | None) -> Answer:
    entered = of_kind(events, "handle.enter")[0]
    set_before = [event["seconds"] for event in of_kind(before(events, entered), "socket.settimeout")]
    if declared in set_before:
        return []
    if any(seconds is not None for seconds in set_before):
        return Unknown("another timeout was set, which this instance may have chosen")
    return [
        Violation(
            f"settimeout({declared:g}) before handle()",
            "handle() started and no timeout had been set: a silent peer holds the handler for ever",
            (entered.seq,),
            entered.connection,
            damage="timeout not set",
        )
    ]


@invariant(
    "io/nagle",
    "LC-061",
    "disable_nagle_algorithm sets TCP_NODELAY",
    requirement="A handler that declares disable_nagle_algorithm has TCP_NODELAY set on its TCP request before "
    "handle().",
    source="Lib/socketserver.py: 'Disable nagle algorithm for this socket, if True'",
    orders=(("socket.setsockopt", "handle.enter"),),
    broken_by=("setup",),
    implied_by=("lifecycle/files-ready-in-handle",),
)
def _nagle(trace: Trace, contract: Contract) -> Answer:
    if not contract.nagle_disabled or contract.kind != "stream":
        return NotApplicable("disable_nagle_algorithm is not declared")
    if not trace.header.transport.startswith("tcp"):
        return NotApplicable("only TCP has the option")
    return each_connection(trace, _nagle_in, "handle.enter")


def _nagle_in(events: Events) -> Answer:
    entered = of_kind(events, "handle.enter")[0]
    options = [event["option"] for event in of_kind(before(events, entered), "socket.setsockopt")]
    if _NODELAY in options:
        return []
    return [
        Violation(
            "setsockopt(IPPROTO_TCP, TCP_NODELAY) before handle()",
            "handle() started and TCP_NODELAY had not been set",
            (entered.seq,),
            entered.connection,
            damage="TCP_NODELAY not set",
        )
    ]
