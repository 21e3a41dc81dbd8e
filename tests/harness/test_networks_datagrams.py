"""Datagrams on both networks: who is served when, what is lost, cut or refused, and what becomes of replies."""

from __future__ import annotations

import socket
import socketserver

import pytest

from handshaker.harness.case import Fault, Script, Step
from handshaker.targets.combining import unavailable
from tests.harness.datagram_handlers import (
    BaseEcho,
    Echo,
    Floods,
    FloodsPatiently,
    Silent,
    TalksToItself,
    Transfers,
    WaitsForEver,
)
from tests.harness.datagram_wires import DEAF, LATE, LISTENS, LOST, TWICE, expect, played, stop_of, told
from tests.harness.wires import CLOSE, pause, send


@pytest.fixture(params=["memory", "loopback"])
def network(request) -> str:
    return request.param


# whose turn it is


def test_peers_send_in_turns_and_requests_are_numbered_as_they_are_taken(network):
    """The first of each peer, then the second of each peer; a connection is one request."""
    trace = played(network, Echo, (send(b"a"), send(b"b"), send(b"c")), (send(b"d"),), (send(b"e"), send(b"f")))
    assert told(trace, "datagram.request", "data") == [b"a", b"d", b"e", b"b", b"f", b"c"]
    assert [event.connection for event in trace.of("datagram.request")] == [0, 1, 2, 3, 4, 5]
    assert trace.connections == (0, 1, 2, 3, 4, 5)
    assert trace.datagrams == ((b"A", b"B", b"C"), (b"D",), (b"E", b"F"))
    assert trace.replies == (b"ABC", b"D", b"EF")


@pytest.mark.parametrize("handler", [Echo, BaseEcho])
def test_the_files_of_a_datagram_handler_are_none_that_anybody_must_close(network, handler):
    """They are in memory, and the standard finish() leaves them open."""
    assert told(played(network, handler, (send(b"a"), send(b"b"))), "finish.leave", "open") == [(), ()]


def test_a_peer_that_pauses_lets_the_others_go_on(network):
    """Nobody waits for somebody else's silence; when all are silent, time goes by."""
    trace = played(network, Echo, (pause(5), send(b"late")), (send(b"1"), send(b"2")), (pause(1), send(b"soon")))
    assert told(trace, "datagram.request", "data") == [b"1", b"2", b"soon", b"late"]
    assert [event.time for event in trace.of("datagram.request")] == [0, 0, 1, 5]
    assert told(trace, "peer.silent", "peer", "seconds") == [(2, 1), (0, 5)]


def test_a_peer_waits_for_its_reply_and_gives_up_in_time(network):
    """A reply that has come ends the waiting at once; one that never comes costs the seconds of the Step."""
    trace = played(network, Echo, (send(b"ab"), expect(2), send(b"c"), expect(9, 3), send(b"d")))
    assert told(trace, "peer.awaited", "met") == [True, False]
    assert [event.time for event in trace.of("datagram.request")] == [0, 0, 3]


def test_a_handler_that_receives_takes_the_next_datagram_away_from_the_server(network):
    """As TFTP does it: the acknowledgement goes to the handler and is no request."""
    trace = played(network, Transfers, (send(b"get"), send(b"ack"), pause(1.5), send(b"ack 2"), send(b"ack 3")))
    assert told(trace, "datagram.request", "via") == ["server", "handler", "handler", "handler"]
    assert trace.connections == (0,)
    assert trace.datagrams == ((b"block 0", b"block 1", b"block 1", b"block 2"),)
    assert [(event["operation"], event.time) for event in trace.of("socket.timeout")] == [("recvfrom", 1.0)]


def test_a_handler_that_waits_without_a_timeout_for_nobody_is_stalled(network):
    """It would hold the server for ever."""
    trace = played(network, WaitsForEver, (send(b"only one"),))
    assert stop_of(trace) == [("network.stalled", "recvfrom")]
    assert trace.of("network.stalled")[0].connection == 0


def test_early_datagrams_wait_together(network):
    """They are sent before the server takes its first one, so a peer can be gone by then."""
    trace = played(network, BaseEcho, Script((send(b"a"), send(b"b"), CLOSE), early=3), transport="unix-dgram")
    assert [event.kind for event in trace.of("peer.datagram", "peer.leave", "datagram.request")] == [
        "peer.datagram", "peer.datagram", "peer.leave", "datagram.request", "datagram.request",
    ]  # fmt: skip
    assert told(trace, "socket.error", "operation", "errno") == [("sendto", "ECONNREFUSED")] * 2


def test_a_datagram_that_the_handler_sends_to_its_own_server_is_a_request(network):
    """It comes from no peer."""
    trace = played(network, TalksToItself, (send(b"ab"),))
    assert told(trace, "datagram.request", "peer", "data") == [(0, b"ab"), (-1, b"abab")]
    assert told(trace, "datagram.reply", "to") == ["nobody"]


# what happens on the way


@pytest.mark.parametrize(
    ("fault", "taken", "fates"),
    [
        (LOST, [b"2", b"3"], ["lost", "sent", "sent"]),
        (TWICE, [b"1", b"1", b"2", b"3"], ["twice", "sent", "sent"]),
        (LATE, [b"2", b"1", b"3"], ["late", "sent", "sent"]),
        (Fault("deliver", "late", 3), [b"1", b"2", b"3"], ["sent", "sent", "late"]),
    ],
)
def test_datagrams_are_lost_doubled_or_late(network, fault, taken, fates):
    """The stream of requests is not what was sent, as networks do it; the last late one arrives all the same."""
    trace = played(network, Silent, (send(b"1"), send(b"2"), send(b"3")), faults=(fault,))
    assert told(trace, "datagram.request", "data") == taken
    assert told(trace, "peer.datagram", "fate") == fates


def test_a_late_datagram_arrives_before_its_peer_leaves(network):
    """Whoever has sent something can go; it is not taken back."""
    trace = played(network, Silent, (send(b"1"), CLOSE), faults=(LATE,))
    assert told(trace, "datagram.request", "data") == [b"1"]


@pytest.mark.parametrize(
    ("transport", "longest"), [("udp", 65_507), ("udp6", 65_527), ("unix-dgram", 212_960)], ids=["udp", "udp6", "unix"]
)
def test_nobody_sends_more_than_a_datagram_holds(network, transport, longest):
    """What is too long is refused where it is sent (EMSGSIZE), and nothing arrives."""
    if reason := unavailable(transport):
        pytest.skip(reason)
    trace = played(network, Silent, (send(b"x", longest), send(b"x", longest + 1)), transport=transport)
    assert told(trace, "peer.datagram", "fate") == ["sent", "refused"]
    assert len(trace.of("datagram.request")) == 1


@pytest.mark.parametrize(("size", "cut"), [(0, False), (8_191, False), (8_192, False), (8_193, True), (65_507, True)])
def test_long_datagrams_are_cut_to_the_server_s_size(network, size, cut):
    """Over max_packet_size nothing tells the handler; the event does."""
    trace = played(network, Echo, (send(b"x", size),))
    assert told(trace, "datagram.request", "cut") == [cut]
    assert [len(datagram) for datagram in trace.datagrams[0]] == [min(size, 8_192)]


def test_a_fault_cuts_a_datagram_short(network):
    """The fault `recv: short` takes the second half away."""
    trace = played(network, Echo, (send(b"abcd"),), faults=(Fault("recv", "short"),))
    assert told(trace, "datagram.request", "data", "cut") == [(b"ab", True)]


def test_the_server_s_own_errors_are_swallowed_and_the_datagram_stays(network):
    """An error of get_request() ends a turn, not the server."""
    trace = played(network, Echo, (send(b"a"),), faults=(Fault("get_request", "OSError"), Fault("recv", "OSError")))
    assert len(trace.of("get_request.raise")) == 2
    assert told(trace, "socket.error", "operation", "injected") == [("recvfrom", True)]
    assert trace.datagrams == ((b"A",),)


# addresses


@pytest.mark.parametrize(
    ("transport", "form", "shown"),
    [
        ("udp", "", "pair"),
        ("unix-dgram", "", "path"),
        ("unix-dgram", "abstract", "abstract"),
        ("unix-dgram", "unbound", "none"),
    ],
)
def test_client_addresses_have_the_form_of_their_transport(network, transport, form, shown):
    """A pair, a path, bytes or None; an unbound peer cannot be answered: finish() raises TypeError."""
    trace = played(network, Echo, Script((send(b"a"),), form=form), transport=transport)
    assert told(trace, "datagram.request", "form") == [shown]
    assert trace.datagrams == ((b"A",) if form != "unbound" else (),)
    raised = [event["lineage"][0] for event in trace.of("finish.raise")]
    assert raised == (["builtins.TypeError"] if form == "unbound" else [])


class RepliesToLocalhost(socketserver.BaseRequestHandler):
    def handle(self):
        for host in ("localhost", "", bytearray(b"127.0.0.1"), "127.0.0.2"):
            self.request[1].sendto(b"x", (host, self.client_address[1]))


def test_other_names_of_this_machine_are_this_machine(network):
    """No name is looked up: localhost is known; another loopback address is nobody's."""
    trace = played(network, RepliesToLocalhost, (send(b"a"),))
    assert told(trace, "datagram.reply", "to") == ["sender"] * 3 + ["nobody"]
    assert trace.datagrams == ((b"x",) * 3,)


# replies


def test_a_unix_peer_that_does_not_read_stops_the_server(network):
    """Eleven datagrams wait for it; the twelfth makes the server wait, for ever or until its timeout."""
    peer = (DEAF, send(b"a"))
    trace = played(network, Floods, peer, transport="unix-dgram")
    assert stop_of(trace) == [("network.stalled", "sendto")]
    assert len(trace.of("datagram.reply")) == 11
    assert trace.datagrams == ((),)
    trace = played(network, FloodsPatiently, peer, transport="unix-dgram")
    assert [(event["operation"], event.time) for event in trace.of("socket.timeout")] == [("sendto", 2.0)]


def test_a_unix_peer_that_reads_again_frees_the_server(network):
    """What has waited arrives, in order."""
    trace = played(network, Floods, (DEAF, send(b"a"), pause(1), LISTENS), transport="unix-dgram")
    assert not stop_of(trace)
    assert trace.datagrams == (tuple(b"%d" % number for number in range(13)),)


def test_replies_to_a_udp_peer_that_does_not_read_are_dropped(network):
    """Nobody is told; what its Step leaves room for still arrives."""
    trace = played(network, Floods, (Step("stop-reading", size=3), send(b"a"), pause(1), LISTENS, send(b"b")))
    assert len(trace.of("datagram.reply")) == 26
    assert trace.datagrams == ((b"0", b"1", b"2", *(b"%d" % number for number in range(13))),)


@pytest.mark.parametrize(
    ("transport", "error"), [("udp", []), ("unix-dgram", [("sendto", "ECONNREFUSED")])], ids=["udp", "unix-dgram"]
)
def test_a_reply_to_a_peer_that_has_left(network, transport, error):
    """Over UDP it goes nowhere in silence; a Unix socket refuses."""
    trace = played(network, BaseEcho, (send(b"a"), CLOSE), transport=transport)
    assert told(trace, "socket.error", "operation", "errno") == error
    assert trace.datagrams == ((),)


def test_a_peer_that_has_left_says_nothing_more(network):
    """Its Steps are passed over; half-closing and resetting mean nothing to datagrams."""
    trace = played(network, Echo, (Step("half-close"), Step("reset"), send(b"a"), expect(1), CLOSE, send(b"b"), CLOSE))
    assert told(trace, "peer.datagram", "data") == [b"a"]
    assert len(trace.of("peer.leave")) == 1
    assert told(trace, "peer.over", "unplayed", "reply") == [(0, b"A")]


class HasASocketOfItsOwn(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"psst", self.client_address)


def test_a_reply_from_another_socket_is_seen_on_loopback_only():
    """In memory its peers are not there: the handler is told to need the kernel."""
    trace = played("memory", HasASocketOfItsOwn, (send(b"a"),))
    assert stop_of(trace) == [("network.kernel", "socket")]
    trace = played("loopback", HasASocketOfItsOwn, (send(b"a"),))
    assert told(trace, "datagram.reply", "via", "to", "own") == [("elsewhere", "sender", False)]
    assert told(trace, "peer.reply", "own", "data") == [(False, b"psst")]
