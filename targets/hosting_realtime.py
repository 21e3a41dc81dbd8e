"""Hosting in real time: the server's own `serve_forever`, in a thread, for handlers that read past our socket."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Final

from handshaker.harness.recorder import RUN
from handshaker.targets.hosting import Host, end_server, note_server_stopped, note_survivors
from handshaker.targets.instrument import ALIVE

__all__ = ["RealTimeHost"]

_POLL_S: Final = 0.002


class RealTimeHost(Host):
    """One target, hosted as it is in production: a thread serves, the peers are elsewhere."""

    def play(self, network: Any) -> None:
        """Serve all peers of *network* on a fresh server object."""
        server = self.new_server(network)
        del ALIVE[:]
        network.serve(functools.partial(_serve_forever, server), server.shutdown)
        end_server(server)
        del server
        note_survivors(at_least=1)


def _serve_forever(server: Any) -> None:
    serve = server.serve_forever
    try:
        serve(poll_interval=_POLL_S) if _accepts_poll_interval(serve) else serve()
    except BaseException as exception:
        if RUN.stopped:
            raise
        note_server_stopped(exception)


def _accepts_poll_interval(serve: Any) -> bool:
    try:
        inspect.signature(serve).bind(poll_interval=_POLL_S)
    except (TypeError, ValueError):
        return False
    return True
