"""What a request must not do to the process that it shares with all others: change its state, or fill its memory.

Both rules are about robustness that the documentation does not ask for, so both are a SHOULD. `probe.process-state` is
written down only for what the same Case changes every time. `probe.memory` is written down where a peer sent a million
bytes or more and the handler could be weighed; a handler of datagrams never takes more than one packet.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.connection import (
    STOPPED,
    no_chance_to_clean_up,
    server_was_hit,
    trace_was_stopped,
)
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_OURS: Final = Unknown("an injected fault struck where no code of the handler could put things back")


@invariant(
    "resources/process-state",
    "LC-053",
    "a request leaves the process as it was",
    requirement="A request leaves the state of the whole process as it was: working directory, umask, environment, "
    "default timeout of sockets, locale, signal handlers, sys.stdin, sys.stdout, sys.stderr, sys.path, warnings "
    "filters, recursion limit.",
    source="not documented: one process serves all requests, and with ThreadingMixIn serves them at once",
    level=Level.SHOULD,
    reach=Reach.PEER,
)
def _process_state(trace: Trace, _contract: Contract) -> Answer:
    changed = trace.of("probe.process-state")
    if not changed:
        return []
    if trace_was_stopped(trace):
        return STOPPED
    if no_chance_to_clean_up(trace) or server_was_hit(trace):
        return _OURS
    return [
        Violation(
            f"the {event['what']} is the same after the case as before it",
            f"the {event['what']} was left changed: {event.get('detail')}",
            (event.seq,),
            event.connection,
            damage=f"{event['what']} changed",
        )
        for event in changed
    ]


@invariant(
    "resources/bounded-memory",
    "LC-059",
    "memory is bounded whatever the peer sends",
    requirement="What a handler holds in memory for one request stays below a limit, whatever the peer sends: a line "
    "is read with a limit, as readline(65537) does, and input without end is refused or dealt with piece by piece.",
    source="socketserver documentation, example of StreamRequestHandler: 'We limit ourselves to 10000 bytes to avoid "
    "abuse by the sender'; http.server reads readline(65537)",
    level=Level.SHOULD,
    reach=Reach.PEER,
)
def _bounded_memory(trace: Trace, contract: Contract) -> Answer:
    if contract.kind == "datagram":
        return NotApplicable("a datagram is no longer than max_packet_size")
    weighed = trace.of("probe.memory")
    if not weighed:
        return NotApplicable("no peer sent so much that its handler could be weighed")
    held = [event for event in weighed if event["held"] and event["again"]]
    if any(event["announced"] for event in held):
        return Unknown("the peer announced so many bytes: whether they must be held is a matter of the protocol")
    return [_unlimited(event) for event in held]


def _unlimited(event: Event) -> Violation:
    detail, _, location = str(event.get("detail")).partition(" @ ")
    return Violation(
        "what is held for one request stays below a limit, however much the peer sends",
        f"all that the peer sent was held, and all of several times as much: {detail}",
        (event.seq,),
        event.connection,
        damage="input without a limit",
        frame=event["where"],
        location=location,
    )
