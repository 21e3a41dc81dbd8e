"""What a kind of handler promises, as tables; no actions inside.

`LIFECYCLE` is the life of one handler instance as the documentation of `socketserver` and its code tell it
(Lib/socketserver.py, BaseRequestHandler.__init__): a missing key is an illegal step. `SERVER_PATH` is the same for
one request on its way through a plain server (Lib/socketserver.py, BaseServer._handle_request_noblock), and
`CONCURRENT_PATH` for a server with ThreadingMixIn or ForkingMixIn: there everything from finish_request() on happens in
a thread or a child of its own, process_request() returns meanwhile, the request is shut down whatever happens
(`finally`), and what is raised last ends that thread or child only.

`SERVER_LIFE` is the life of a server object in the hands of its owner (Lib/socketserver.py, TCPServer.__init__ and
BaseServer): closing it while it serves is an illegal step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "BUFFERED_READER",
    "BUFFERED_WRITER",
    "CONCURRENT_PATH",
    "LIFECYCLE",
    "SERVER_LIFE",
    "SERVER_PATH",
    "Contract",
]

LIFECYCLE: Final[dict[str, dict[str, str]]] = {
    "new": {"setup.enter": "setting up"},
    "setting up": {"setup.leave": "ready", "setup.raise": "dead"},
    "ready": {"handle.enter": "handling"},
    "handling": {"handle.leave": "handled", "handle.raise": "handled"},
    "handled": {"finish.enter": "finishing"},
    "finishing": {"finish.leave": "dead", "finish.raise": "dead"},
    "dead": {},
}

SERVER_PATH: Final[dict[str, dict[str, str]]] = {
    "idle": {"get_request.leave": "got", "get_request.raise": "idle"},
    "got": {"verify_request.leave": "verified", "verify_request.raise": "stopped"},
    "verified": {"process_request.enter": "processing", "shutdown_request.enter": "shutting down"},
    "processing": {"finish_request.enter": "finishing", "process_request.raise": "failed"},
    "finishing": {"finish_request.leave": "finished", "finish_request.raise": "failed"},
    "finished": {"shutdown_request.enter": "shutting down"},
    "failed": {"handle_error.enter": "reporting", "shutdown_request.enter": "shutting down"},
    "reporting": {"handle_error.leave": "finished", "handle_error.raise": "stopped"},
    "shutting down": {"close_request.enter": "closing", "shutdown_request.raise": "failed"},
    "closing": {"close_request.leave": "idle", "close_request.raise": "failed"},
    "stopped": {},
}

CONCURRENT_PATH: Final[dict[str, dict[str, str]]] = {
    **SERVER_PATH,
    "reporting": {"handle_error.leave": "finished", "handle_error.raise": "finished"},
    "shutting down": {"close_request.enter": "closing", "shutdown_request.raise": "idle"},
    "closing": {"close_request.leave": "idle", "close_request.raise": "idle"},
}

SERVER_LIFE: Final[dict[str, dict[str, str]]] = {
    "made": {"server_bind.enter": "binding", "server_close.enter": "closing"},
    "binding": {"server_bind.leave": "bound", "server_bind.raise": "failed"},
    "bound": {"server_activate.enter": "activating", "server_close.enter": "closing"},
    "activating": {"server_activate.leave": "listening", "server_activate.raise": "failed"},
    "failed": {"server_close.enter": "closing"},
    "listening": {
        "serve_forever.enter": "serving",
        "handle_request.enter": "serving one",
        "server_close.enter": "closing",
    },
    "serving": {"serve_forever.leave": "listening", "serve_forever.raise": "listening"},
    "serving one": {"handle_request.leave": "listening", "handle_request.raise": "listening"},
    "closing": {"server_close.leave": "closed", "server_close.raise": "closed"},
    "closed": {"server_close.enter": "closing"},
}

BUFFERED_READER: Final = (
    "read",
    "read1",
    "readinto",
    "readinto1",
    "readline",
    "readlines",
    "readable",
    "close",
    "closed",
)
BUFFERED_WRITER: Final = ("write", "writelines", "flush", "writable", "close", "closed")


@dataclass(frozen=True, slots=True)
class Contract:
    """What is known and declared about one target, so that only what it can break is judged.

    `kind` is base, stream or datagram; `transport` and `concurrency` say how it is served; what the server class says
    about packets, threads and children follows. `overrides` names the framework methods (of handler or server) that are
    not the standard library's; rows that only such an override can break are skipped otherwise. `timeout` is the
    handler's declared timeout in seconds. `allowed_exceptions` are qualified names, subclasses included.
    """

    kind: str = "stream"
    overrides: tuple[str, ...] = ()
    timeout: float | None = None
    wbufsize: int = 0
    rbufsize: int = -1
    nagle_disabled: bool = False
    stateless: bool = False
    allowed_exceptions: tuple[str, ...] = ()
    example: bytes = b""
    transport: str = "tcp"
    concurrency: str = "plain"
    max_packet_size: int = 8192
    block_on_close: bool = True
    daemon_threads: bool = False
    max_children: int = 40
