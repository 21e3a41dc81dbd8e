"""The handlers that several benchmarks measure, and the Cases that are played to them."""

from __future__ import annotations

import socketserver

from handshaker.harness.case import Case, Script, Step


class Echo(socketserver.StreamRequestHandler):
    """Sends every line back: the handler costs next to nothing, so what is measured is the path around it."""

    timeout = 5

    def handle(self) -> None:
        """Answer until the peer has no more."""
        for line in self.rfile:
            self.wfile.write(line)


class Answer(socketserver.DatagramRequestHandler):
    """Sends every datagram back."""

    def handle(self) -> None:
        """Answer."""
        self.wfile.write(self.packet)


ECHO = "subjects:Echo"
ANSWER = "subjects:Answer"
HTTP = "http.server:SimpleHTTPRequestHandler"

# one line in two segments, so that the second read meets a segment border
ECHO_CASE = Case((Script((Step("send", b"he"), Step("send", b"llo\n"), Step("half-close"))),))
# one datagram
ANSWER_CASE = Case((Script((Step("send", b"hello\n"),)),), transport="udp")
# a plain GET of a file that is not there: a head to parse, an error page to write, a line to log
HTTP_CASE = Case((Script((Step("send", b"GET /missing HTTP/1.0\r\nHost: here\r\n\r\n"), Step("half-close"))),))
# a clean handler: a campaign against it finds nothing and goes on
TWIN = "handshaker.targets.exhibits.common:Lines"
