"""The owner of a server: what it does with the server object, and what the server's own methods do in answer."""

from __future__ import annotations

from typing import Final

from handshaker.harness.vocabularies.kind import RAISED, Kind

__all__ = ["OWNER"]


def _method(name: str) -> dict[str, Kind]:
    return {
        f"{name}.enter": Kind("server", (), "", f"{name}() is entered"),
        f"{name}.leave": Kind("server", (), "", f"{name}() returns"),
        f"{name}.raise": Kind("server", RAISED, "message", f"{name}() raises"),
    }


OWNER: Final[dict[str, Kind]] = {
    "owner.enter": Kind("owner", ("act", "nth"), "", "the owner begins the act with this number"),
    "owner.leave": Kind("owner", ("act", "nth", "seconds"), "", "the act is over, after so many seconds (to a tenth)"),
    "owner.raise": Kind("owner", ("act", "nth", *RAISED), "message", "the act raises"),
    "owner.blocked": Kind("owner", ("act", "nth"), "stacks", "the act has not returned when the bound was reached"),
    **_method("constructor"),
    **_method("server_bind"),
    **_method("server_activate"),
    **_method("server_close"),
    **_method("serve_forever"),
    **_method("handle_request"),
    "handle_request.enter": Kind("server", ("timeout",), "",
                                 "handle_request() is entered; how long it may wait for a request: the smaller one of the "
                                 "socket's timeout and the server's own, in seconds (None: for ever)"),
    **_method("handle_timeout"),
    **_method("service_actions"),
    **_method("shutdown"),
    "shutdown.enter": Kind("server", ("caller",), "place",
                           "shutdown() is called in this thread: serving (the one that runs the loop, which would wait for "
                           "itself), child (a forked process, which has no loop to end) or other; and where the former two call it"),
    "server.turned": Kind("server", ("turns", "allowed"), "",
                          "serve_forever() has turned this often with nothing to do, and its poll_interval allows so many "
                          "turns (both in tens); told only when it is too often"),
    "server.entered": Kind("server", ("itself",), "", "whether entering the context manager gave the server itself"),
    "server.listener": Kind("probe", ("moment", "open", "serving"), "",
                            "at this moment (constructed, or failed: the constructor raised; closed; exited) whether the "
                            "listening socket is open and the loop runs"),
    "server.fileno": Kind("probe", ("moment", "fileno"), "", "what fileno() says: open, closed (-1) or raises"),
    "server.address-free": Kind("probe", ("free",), "",
                                "after server_close(): whether nobody listens at the server's address any more"),
}  # fmt: skip
