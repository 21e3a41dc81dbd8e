"""Datagrams: here a connection is one request, that is one datagram that the server took; peers are numbered apart."""

from __future__ import annotations

from typing import Final

from handshaker.harness.vocabularies.kind import Kind

__all__ = ["DATAGRAMS"]

DATAGRAMS: Final[dict[str, Kind]] = {
    "peer.datagram": Kind("peer", ("peer", "fate"), "data",
                          "a peer sends one datagram; its fate is sent, lost, twice, late or refused (no room, nobody there)"),
    "peer.leave": Kind("peer", ("peer",), "", "a peer of datagrams closes its socket: its address is gone"),
    "peer.silent": Kind("peer", ("peer", "seconds"), "", "a peer of datagrams has been silent for so long"),
    "peer.awaited": Kind("peer", ("peer", "met"), "",
                         "a peer of datagrams stops waiting for reply bytes: they came, or it gave up"),
    "peer.deaf": Kind("peer", ("peer",), "", "a peer of datagrams stops taking replies"),
    "peer.listens": Kind("peer", ("peer",), "", "a peer of datagrams takes replies again"),
    "peer.over": Kind("peer", ("peer", "unplayed"), "reply",
                      "all over for a peer of datagrams: how many Steps were never played, and all replies, joined"),
    "peer.reply": Kind("peer", ("peer", "own"), "data",
                       "one datagram has arrived at a peer; whether it came from the server's own address"),
    "datagram.request": Kind("socket", ("peer", "cut", "form", "via"), "data",
                             "one datagram is taken: whose it is, whether it was cut to the size asked for, the form of its "
                             "address (pair, 4-tuple, path, abstract, none), and who took it (server or handler)"),
    "datagram.pair": Kind("probe", ("pair", "whole", "own"), "",
                          "what the handler is given: whether request is a pair (bytes, socket), whether the bytes are what was "
                          "taken, whether the socket is server.socket itself"),
    "datagram.reply": Kind("socket", ("via", "to", "own", "held", "empty"), "data",
                           "one datagram is sent while a request is handled: by which method, to whom (sender, peer: another "
                           "one, nobody: an address that no peer has), whether from the server's own socket, how it compares "
                           "with what wfile held when finish() began (same, part, other; none before that), and whether it "
                           "has no bytes"),
    "datagram.held": Kind("handler", ("instance", "file", "empty"), "data",
                          "finish() begins, and this is what wfile holds: `file` is standard (it has getvalue(), as a BytesIO), "
                          "own (another object) or none; whether it holds no bytes"),
    "probe.listener": Kind("probe", ("open",), "", "whether the server's own socket is open after the request"),
}  # fmt: skip
