"""Every kind of Event there is: who speaks, about which connection, and what it says.

While a Case runs, an event is two entries in a flat list: *what* and *payload*. *What* is the tuple
`(kind, connection, *fields)`: small, hashable, and all that an invariant about structure may look at; two runs with
equal *whats* have equal verdicts. *Payload* holds what differs from run to run: bytes, messages, line numbers.
A connection is the number of its peer in the Case, or of the request when requests are datagrams; -1 means the server as
a whole.
"""

from __future__ import annotations

from typing import Final

from handshaker.harness.vocabularies.concurrency import CONCURRENCY
from handshaker.harness.vocabularies.datagrams import DATAGRAMS
from handshaker.harness.vocabularies.kind import RAISED as _RAISED
from handshaker.harness.vocabularies.kind import Kind
from handshaker.harness.vocabularies.owner import OWNER
from handshaker.harness.vocabularies.state import STATE

__all__ = ["HOOKS", "KINDS", "SERVER_HOOKS", "Kind"]


HOOKS: Final = ("setup", "handle", "finish")
SERVER_HOOKS: Final = (
    "get_request", "verify_request", "process_request", "finish_request",
    "handle_error", "shutdown_request", "close_request",
)  # fmt: skip

KINDS: Final[dict[str, Kind]] = {
    # the peers
    "peer.connect": Kind("peer", (), "address", "a peer connects from this address"),
    "peer.send": Kind("peer", (), "data", "the peer sends one segment"),
    "peer.expect": Kind("peer", ("met",), "", "the peer stops waiting for reply bytes: they came, or it gave up"),
    "peer.pause": Kind("peer", ("seconds",), "", "the peer stays silent for so long"),
    "peer.half-close": Kind("peer", (), "", "the peer ends its sending direction"),
    "peer.close": Kind("peer", (), "", "the peer closes both directions"),
    "peer.reset": Kind("peer", (), "", "the peer aborts the connection"),
    "peer.stop-reading": Kind("peer", (), "", "the peer stops taking reply bytes"),
    "peer.resume-reading": Kind("peer", (), "", "the peer takes reply bytes again"),
    "peer.end": Kind("peer", ("end", "unread", "unplayed"), "reply",
                     "all over: how the stream ended for the peer (eof, reset, open), whether the server closed with "
                     "input unread, how many Steps were never played, and the whole reply that arrived"),
    # the handler
    "init.enter": Kind("handler", ("instance", "thread"), "class", "the constructor of a new handler is entered"),
    "init.leave": Kind("handler", ("instance",), "", "the constructor returns"),
    "init.raise": Kind("handler", ("instance", *_RAISED), "message", "the constructor raises"),
    "setup.enter": Kind("handler", ("instance", "thread", "attributes"), "",
                        "setup() is entered; which of request, client_address, server are set and are what was supplied"),
    "setup.leave": Kind("handler", ("instance",), "", "setup() returns"),
    "setup.raise": Kind("handler", ("instance", *_RAISED), "message", "setup() raises"),
    "handle.enter": Kind("handler", ("instance", "thread", "missing"), "",
                         "handle() is entered; which of the attributes that its base class promises are missing"),
    "handle.leave": Kind("handler", ("instance",), "", "handle() returns"),
    "handle.raise": Kind("handler", ("instance", *_RAISED), "message", "handle() raises"),
    "finish.enter": Kind("handler", ("instance", "thread"), "", "finish() is entered"),
    "finish.leave": Kind("handler", ("instance", "open"), "", "finish() returns; which of rfile, wfile are still open"),
    "finish.raise": Kind("handler", ("instance", *_RAISED), "message", "finish() raises"),
    # the server
    "get_request.enter": Kind("server", (), "", "the server is about to accept"),
    "get_request.leave": Kind("server", (), "address", "the server has accepted a request from this address"),
    "get_request.raise": Kind("server", _RAISED, "message", "accepting failed"),
    "verify_request.enter": Kind("server", (), "", "verify_request() is entered"),
    "verify_request.leave": Kind("server", ("result",), "", "verify_request() has decided"),
    "verify_request.raise": Kind("server", _RAISED, "message", "verify_request() raises"),
    "process_request.enter": Kind("server", (), "", "process_request() is entered"),
    "process_request.leave": Kind("server", (), "", "process_request() returns"),
    "process_request.raise": Kind("server", _RAISED, "message", "process_request() raises"),
    "finish_request.enter": Kind("server", (), "", "finish_request() is entered"),
    "finish_request.leave": Kind("server", (), "", "finish_request() returns"),
    "finish_request.raise": Kind("server", _RAISED, "message", "finish_request() raises"),
    "handle_error.enter": Kind("server", ("lineage", "injected", "frame"), "message",
                               "handle_error() is entered with this exception current"),
    "handle_error.leave": Kind("server", (), "", "handle_error() returns"),
    "handle_error.raise": Kind("server", _RAISED, "message", "handle_error() raises"),
    "shutdown_request.enter": Kind("server", (), "", "shutdown_request() is entered"),
    "shutdown_request.leave": Kind("server", (), "", "shutdown_request() returns"),
    "shutdown_request.raise": Kind("server", _RAISED, "message", "shutdown_request() raises"),
    "close_request.enter": Kind("server", (), "", "close_request() is entered"),
    "close_request.leave": Kind("server", (), "", "close_request() returns"),
    "close_request.raise": Kind("server", _RAISED, "message", "close_request() raises"),
    "server.address": Kind("server", ("agrees",), "addresses", "whether server_address is the socket's own address"),
    "server.stopped": Kind("server", _RAISED, "message", "an exception left the serving loop: the server is dead"),
    "server.abandoned": Kind("server", ("count",), "", "so many peers were never accepted, since the server was dead"),
    "server.closed": Kind("server", (), "", "server_close() returned"),
    # the request socket
    "socket.accepted": Kind("socket", ("family", "type", "timeout", "inheritable", "peername"), "",
                            "the request socket as it enters the server; whether getpeername() is the client address"),
    "socket.recv": Kind("socket", ("via",), "data",
                        "the handler takes bytes: `via` is rfile (a buffered reader of makefile) or socket (recv, recv_into)"),
    "socket.eof": Kind("socket", ("via",), "", "the handler is told that no more bytes will come"),
    "socket.send": Kind("socket", ("via", "complete", "resumes"), "data",
                        "the handler's bytes are taken for delivery: `via` is wfile (a buffered writer of makefile), sendall or "
                        "send; whether all that it passed was taken; whether it goes on where a short send stopped"),
    "socket.error": Kind("socket", ("operation", "errno", "injected"), "", "a socket operation fails"),
    "socket.timeout": Kind("socket", ("operation", "injected"), "", "a socket operation times out"),
    "socket.settimeout": Kind("socket", ("seconds",), "", "the socket's timeout is set (None: blocking)"),
    "socket.setsockopt": Kind("socket", ("option",), "value", "a socket option is set"),
    "socket.makefile": Kind("socket", ("mode", "buffering"), "", "a file object is made from the socket"),
    "socket.file-end": Kind("socket", ("mode", "pending", "closed"), "unsent",
                            "at the end of the case: a writer's bytes that never reached the socket, and whether it was closed"),
    "socket.shutdown": Kind("socket", ("how",), "", "the server side shuts a direction down: rd, wr or rdwr"),
    "socket.close": Kind("socket", (), "", "close() is called"),
    "socket.released": Kind("socket", ("by",), "",
                            "the descriptor is really given back: by `call`, or by `collector` when only garbage held it"),
    "socket.detach": Kind("socket", (), "", "the descriptor is taken out of the socket object"),
    # the network
    "network.fault": Kind("network", ("point", "effect", "nth"), "", "an injected hardship strikes"),
    "network.stalled": Kind("network", ("operation", "after"), "stacks",
                            "the handler would block for ever; `after` is the peer's end: open, half-closed, closed, reset "
                            "(or itself: the handler waits for what only it could bring about); "
                            "`stacks` is told where it was found in real time"),
    "network.spinning": Kind("network", ("operation", "after"), "stacks", "the handler repeats an operation that cannot succeed"),
    "network.limit": Kind("network", ("what",), "", "a bound was hit: reply (bytes of reply) or events"),
    "network.kernel": Kind("network", ("operation",), "", "the handler needs a kernel object or another thread here"),
    "network.sleep": Kind("network", ("seconds",), "", "the handler sleeps (in virtual time on the memory network)"),
    # the probes
    "probe.descriptors": Kind("probe", ("delta",), "", "open descriptors of the process, after minus before"),
    "probe.threads": Kind("probe", ("delta",), "", "living threads of the process, after minus before"),
    "probe.stderr": Kind("probe", (), "text", "text written to stderr during this connection"),
    "probe.warning": Kind("probe", ("category",), "message", "a warning was issued"),
    "probe.unraisable": Kind("probe", ("exception",), "message", "an exception that nobody could catch"),
    "probe.handler-alive": Kind("probe", ("instance",), "", "the handler instance outlived its request"),
    "probe.interface": Kind("probe", ("file", "class", "lacks"), "",
                            "what rfile or wfile is at handle()'s entry, and which methods of io.BufferedIOBase it lacks"),
    "probe.defaults": Kind("probe", ("hook", "does"), "detail",
                           "what this hook of BaseRequestHandler does when nobody overrides it (nothing, touches, returns, "
                           "raises, missing); told where the base class is not the standard library's, or all its hooks are left to it"),
    "probe.process-gone": Kind("probe", ("status",), "", "the process that the handler runs in ended: exit N or signal NAME"),
    "probe.hung": Kind("probe", ("where",), "stack",
                       "handling one request did not end in time; `where` is the innermost frame of the user's code"),
    "probe.side-effect": Kind("probe", ("action",), "detail", "the handler touched the world outside its connection"),
    **DATAGRAMS,
    **CONCURRENCY,
    **OWNER,
    **STATE,
}  # fmt: skip
