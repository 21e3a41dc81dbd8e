"""One datagram, one request, one reply: what a server of datagrams shares, and what its handlers may not do with it.

There is one socket for everybody. It gives a handler its packet and takes its reply, so whoever closes it closes the
whole server, and whoever sends to a remembered address answers somebody else. A datagram handler of `socketserver`
replies in finish(), with what wfile holds by then, also when handle() has raised in the middle of it.

What CPython itself does is not held against a handler: an unbound Unix peer cannot be answered (`finish()` raises
TypeError), a peer that has gone makes the reply fail, and a datagram over `max_packet_size` is cut without a sign.
"""

from __future__ import annotations

from handshaker.harness.contract import Contract
from handshaker.harness.invariants.base import Answer, Family, NotApplicable, Unknown, invariant
from handshaker.harness.invariants.connection import STOPPED, Events, each_connection, has, inside, of_kind, stopped
from handshaker.harness.invariants.exchange import Served, doubt, served, those_served
from handshaker.harness.invariants.facts import first, shown, told, with_exception
from handshaker.harness.invariants.masking import contrast, masked
from handshaker.harness.trace import Event, Trace
from handshaker.harness.verdict import Level, Reach, Violation

__all__: list[str] = []

_NO_DATAGRAMS = NotApplicable("the server takes no datagrams")


@invariant(
    "datagram/request-is-pair",
    "LC-015",
    "the request is a packet and the server's socket",
    requirement="The request of a datagram is a pair (bytes, socket): one datagram, at most max_packet_size bytes "
    "of it, and server.socket itself.",
    source="socketserver documentation, BaseRequestHandler.handle: 'for datagram services, self.request is a pair of "
    "string and socket'; Lib/socketserver.py, UDPServer.get_request",
    broken_by=("__init__", "get_request", "process_request", "finish_request"),
    implied_by=("lifecycle/attributes-before-setup",),
)
def _request_is_pair(trace: Trace, _contract: Contract) -> Answer:
    return each_connection(trace, _request_is_pair_in, "datagram.pair")


def _request_is_pair_in(events: Events) -> Answer:
    given = of_kind(events, "datagram.pair")[0]
    expected = "request is (the datagram's bytes, server.socket)"
    if not given["pair"]:
        return [shown(expected, "request was no pair of bytes and a socket", given, damage="no pair")]
    if not given["own"]:
        return [shown(expected, "the socket in request was not server.socket", given, damage="another socket")]
    if not given["whole"]:
        return Unknown("get_request() gives other bytes than it took, as when it unpacks or decrypts them")
    return []


@invariant(
    "datagram/truncation-noticed",
    "LC-024",
    "a cut datagram is not taken for whole",
    requirement="A datagram longer than max_packet_size arrives cut to that length without any mark: a handler does "
    "not process one of exactly that length as if it were whole.",
    source="Lib/socketserver.py, UDPServer.max_packet_size = 8192 and get_request; recv(2): 'If a message is too long "
    "to fit in the supplied buffer, excess bytes may be discarded'",
    level=Level.SHOULD,
    reach=Reach.PEER,
    relation=True,
)
def _truncation_noticed(family: Family, _contract: Contract) -> Answer:
    """Compares the replies to a datagram that is cut (base, repeat) and to the same with another last byte (variant).

    What was lost can be in no reply; but a reply that follows the last byte that was let through was made of all of
    them, as of a whole message. A handler that says no more than "too long" does not look at that byte.
    """
    if family.relation != "truncation":
        return NotApplicable("not a family about truncation")
    traces = (family.base, family.repeat, family.variant)
    if not all(any(event["cut"] for event in trace.of("datagram.request")) for trace in traces):
        return Unknown("no datagram was cut")
    peers = [max(those_served(trace)) for trace in traces]
    for trace, peer in zip(traces, peers, strict=True):
        if reason := doubt(trace, peer):
            return reason
    sides = [served(trace, peer) for trace, peer in zip(traces, peers, strict=True)]
    return _followed(*sides)


def _followed(base: Served | None, repeat: Served | None, variant: Served | None) -> Answer:
    if base is None or repeat is None or variant is None:
        return Unknown("not every datagram was taken")
    if base.raised or variant.raised:
        return []
    if not base.reply or not variant.reply:
        return Unknown("there is no reply, so nobody can tell what became of the datagram")
    replies = masked(base.normalised, repeat.normalised, variant.normalised)
    if replies is None or replies[0] == replies[1]:
        return Unknown("the reply does not follow the last byte, so nobody can tell whether the cut was noticed")
    shape, other, where = contrast(*replies)
    return [
        shown(
            f"the reply says that the datagram was too long, or nothing; it does not follow its last byte: {shape}",
            f"with another last byte the reply was {other}; {where}: the handler took what was left for the whole",
            variant.end,
            damage="cut unnoticed",
        )
    ]


@invariant(
    "datagram/one-reply",
    "LC-025",
    "finish() sends one datagram: what wfile holds",
    requirement="finish() of a datagram handler sends exactly one datagram, with exactly wfile.getvalue().",
    source="Lib/socketserver.py, DatagramRequestHandler.finish; socketserver documentation, DatagramRequestHandler: "
    "'to get the request data or return data to the client'",
    kinds=("datagram.reply",),
    broken_by=("setup", "finish"),
    implied_by=(
        "lifecycle/finish-once",
        "lifecycle/finish-always-after-setup",
        "lifecycle/finish-does-not-raise",
        "lifecycle/files-ready-in-handle",
        "lifecycle/order",
    ),
)
def _one_reply(trace: Trace, contract: Contract) -> Answer:
    if contract.kind != "datagram":
        return NotApplicable("only DatagramRequestHandler promises a reply")
    return each_connection(trace, _one_reply_in, "datagram.held")


def _one_reply_in(events: Events) -> Answer:
    if stopped(events):
        return STOPPED
    if has(events, "finish.raise"):
        return NotApplicable("finish() raised, so the reply may be missing")
    held, replies = of_kind(events, "datagram.held")[-1], _sent_by_finish(events)
    if len(replies) < 2 and (reason := _put_up_with(events)):
        return NotApplicable(reason)
    if len(replies) > 1:
        return [_replied(f"finish() sent {len(replies)} datagrams", *replies, damage="several replies")]
    if replies:
        return _compared(held, replies[0])
    return _unsent(held, of_kind(events, "datagram.reply"))


def _sent_by_finish(events: Events) -> list[Event]:
    return of_kind(inside(events, "finish"), "datagram.reply")


def _put_up_with(events: Events) -> str:
    """Why finish(), which has raised nothing, may well have sent less than it wanted to; a reply too long is its own.

    Whoever expects that a peer has left catches the OSError of its sendto(), and the TypeError where it has no address.
    """
    failed = [event for event in inside(events, "finish") if event.kind in ("socket.error", "socket.timeout")]
    if any(event["injected"] or event.get("errno") != "EMSGSIZE" for event in failed):
        return "the reply could not be sent, and finish() put up with that"
    unbound = any(event["form"] == "none" for event in of_kind(events, "datagram.request"))
    return "the peer has no address, so nobody can answer it" if unbound else ""


def _compared(held: Event, reply: Event) -> Answer:
    if reply["held"] == "part":
        return [_replied("finish() sent only a part of what wfile held", held, reply, damage="reply cut")]
    if reply["held"] == "other":
        return Unknown("finish() sends something else than what wfile holds, which it may want: a header, a cipher")
    return []


def _unsent(held: Event, elsewhere: list[Event]) -> Answer:
    """Finish() sent nothing."""
    if held["file"] == "standard":
        if held["empty"]:
            return Unknown("finish() keeps an empty reply back, which it may want")
        return [_replied("finish() sent nothing, although wfile held a reply", held, *elsewhere, damage="no reply")]
    if len(elsewhere) > 1:
        actual = f"wfile is a file of the handler's own, and {len(elsewhere)} datagrams were sent"
        return [_replied(actual, held, *elsewhere, damage="reply split")]
    return Unknown("wfile is a file of the handler's own, so what it held is not known")


def _replied(actual: str, *witness: Event, damage: str) -> Violation:
    return shown("finish() sends one datagram, with all that was written to wfile", actual, *witness, damage=damage)


@invariant(
    "datagram/no-half-reply",
    "LC-026",
    "no reply is half built",
    requirement="A datagram handler that raises after it has written a part of its reply does not leave that part to "
    "be sent: finish() sends what wfile holds also then, and the peer takes it for the whole.",
    source="Lib/socketserver.py, BaseRequestHandler.__init__ (try/finally) and DatagramRequestHandler.finish; "
    "gh-152024",
    level=Level.SHOULD,
    reach=Reach.PEER,
    implied_by=("handler/no-uncaught-exception", "server/next-request-served", "lifecycle/finish-once"),
)
def _no_half_reply(trace: Trace, contract: Contract) -> Answer:
    if contract.kind != "datagram":
        return NotApplicable("only DatagramRequestHandler sends a reply after handle() has raised")
    return each_connection(trace, _no_half_reply_in, "handle.raise")


def _no_half_reply_in(events: Events) -> Answer:
    raised = of_kind(events, "handle.raise")[0]
    if raised["injected"]:
        return NotApplicable("an injected fault made handle() raise, where no code of it could answer")
    half = [each for each in _sent_by_finish(events) if each.seq > raised.seq and not each["empty"]]
    if not half:
        return []
    actual = f"handle() raised {told(raised)}, and what it had written by then was sent as its reply"
    return [with_exception(raised, "no reply, or a whole one that says what failed", actual, also=(half[0],))]


@invariant(
    "datagram/reply-to-sender",
    "LC-027",
    "the reply goes to the peer that asked",
    requirement="The reply to a datagram goes to client_address of its own request, and leaves from the server's "
    "address.",
    source="Lib/socketserver.py, DatagramRequestHandler.finish; socketserver documentation, Examples: "
    "'socket.sendto(data.upper(), self.client_address)'",
    reach=Reach.PEER,
)
def _reply_to_sender(trace: Trace, contract: Contract) -> Answer:
    # A handler that remembers may pass on what a peer says, and acknowledge other things: only who is declared to
    # remember nothing has mixed its peers up.
    def judge(events: Events) -> Answer:
        return _reply_to_sender_in(events, stateless=contract.stateless)

    return each_connection(trace, judge, "datagram.reply")


def _reply_to_sender_in(events: Events, *, stateless: bool) -> Answer:
    replies, by_finish = of_kind(events, "datagram.reply"), _sent_by_finish(events)
    astray = [reply for reply in replies if reply["to"] != "sender"]
    foreign = [reply for reply in replies if reply["to"] == "sender" and not reply["own"]]
    if foreign:
        if foreign[0] in by_finish:
            return [_misled("the reply left from another socket than the server's", foreign[0], "another address")]
        return Unknown("the handler answers from a socket of its own, as TFTP wants it")
    if not astray or len(astray) < len(replies):
        return []
    if any(taken["via"] == "handler" for taken in of_kind(events, "datagram.request")):
        return Unknown("the handler took further datagrams by itself, and may answer any of them")
    if astray[0] in by_finish or (stateless and astray[0]["to"] == "peer"):
        whom = "another peer" if astray[0]["to"] == "peer" else "an address that no peer has"
        return [_misled(f"the only reply to this request went to {whom}", astray[0], "sent astray")]
    return Unknown("the handler may pass messages on; declared stateless, it would have mixed up its peers")


def _misled(actual: str, reply: Event, damage: str) -> Violation:
    return shown("the reply goes to client_address, from the server's address", actual, reply, damage=damage)


@invariant(
    "datagram/shared-socket-stays-open",
    "LC-028",
    "the end of a datagram request closes nothing",
    requirement="The end of a datagram request closes nothing: server.socket, which all requests share, stays open "
    "whatever the handler met.",
    source="Lib/socketserver.py, UDPServer.shutdown_request and close_request: 'No need to close anything'",
    reach=Reach.PEER,
)
def _shared_socket_stays_open(trace: Trace, _contract: Contract) -> Answer:
    if not trace.of("datagram.request"):
        return _NO_DATAGRAMS
    closing = first(trace, "server_close.enter", "server.closed")
    until = closing.seq if closing is not None else len(trace)
    shut = [event for event in trace.of("probe.listener") if not event["open"] and event.seq < until]
    if not shut:
        return []
    closes = first(trace.of(connection=shut[0].connection), "socket.close")
    if closes is None and any(event["act"] in ("close", "exit") for event in trace.of("owner.enter")):
        return Unknown("the owner has closed the server, and may have done so before the end of the request")
    actual = "after this request server.socket was closed: nobody is served any more"
    return [shown("server.socket is open after the request", actual, shut[0], closes, damage="closed")]
