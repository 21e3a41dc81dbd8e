"""Threads and processes of a server: where each request runs, and what is left of it."""

from __future__ import annotations

from typing import Final

from handshaker.harness.vocabularies.kind import Kind

__all__ = ["CONCURRENCY"]

CONCURRENCY: Final[dict[str, Kind]] = {
    "request.runs": Kind("server", ("thread", "process"), "",
                         "finish_request() runs in this thread of this process; 0 is the serving one"),
    "thread.start": Kind("server", ("outcome", "daemon"), "",
                         "the server starts a thread for a request: started or failed; whether it is a daemon"),
    "thread.end": Kind("probe", (), "", "a thread that was started for a request has ended"),
    "process.fork": Kind("server", ("child",), "", "the server forks a child for a request; -1: the fork failed"),
    "process.end": Kind("probe", ("child", "status"), "",
                        "a forked child has ended by itself: `exit N` or `signal NAME`; on the connection that it was made for"),
    "process.escaped": Kind("probe", ("child",), "", "a forked child came back out of process_request()"),
    "parent.hook": Kind("server", ("hook",), "",
                        "after a fork the parent enters this server hook for the request: close_request, and no other; what "
                        "else the parent does with its copy is told by probe.parent-copy only, never by shutdown_request.*, "
                        "close_request.* or socket.* events, which are the child's"),
    "probe.parent-copy": Kind("probe", ("open", "shut"), "",
                              "as the parent goes on after a fork: whether it still holds the connection, and whether it has "
                              "shut it down, which only the child may"),
    "probe.children": Kind("probe", ("moment", "alive", "zombies"), "",
                           "children of the server's own forks at this moment: turn (after a turn of the loop), timeout (after "
                           "handle_timeout()), closed (after server_close()); zombies are those that were dead before the "
                           "turn's service_actions(), handle_timeout() or server_close() began, and alive does not count them"),
    "probe.threads-left": Kind("probe", ("count", "daemon"), "",
                               "so many threads that handlers' code made (the server's own request threads and those of "
                               "executors apart) are alive a tenth of a second after server_close(); all of them daemons?"),
    "probe.handlers-running": Kind("probe", ("count",), "",
                                   "so many handlers of threads that are no daemons still ran as server_close() returned"),
}  # fmt: skip
