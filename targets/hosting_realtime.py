"""Hosting in real time: the server's own `serve_forever`, in a thread, for handlers that read past our socket."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from handshaker.harness.recorder import RUN
from handshaker.targets.hosting import Host, end_server, note_server_stopped, note_survivors
from handshaker.targets.instrument import ALIVE, raised

__all__ = ["Loop", "RealTimeHost"]

_POLL_S: Final = 0.002
_TURNS: Final = ("_handle_request_noblock", "service_actions")


class RealTimeHost(Host):
    """One target, hosted as it is in production: a thread serves, the peers are elsewhere."""

    def play(self, network: Any) -> None:
        """Serve all peers of *network* on a fresh server object."""
        server = self.new_server(network)
        del ALIVE[:]
        loop = Loop(server)
        network.serve(loop.run, loop.end)
        end_server(server)
        del server, loop
        note_survivors(at_least=1)


class Loop:
    """The server's own loop. One that swallows what a request raises, and returns, has been stopped all the same.

    A *patient* one polls as seldom as it does by default, so that it is seen what wakes it.
    """

    def __init__(self, server: Any, *, patient: bool = False) -> None:
        self._server = server
        self._patient = patient
        self._raised: tuple[tuple[Any, ...], str] | None = None
        self.failure: tuple[tuple[Any, ...], str] | None = None
        """What has ended the loop, if that was an exception: the fields and the message of a raise-event."""

    def run(self) -> None:
        """Serve until `end` is called or the loop ends by itself; write down what ended it."""
        serve, server = self._server.serve_forever, self._server
        server._handshaker_loop_ = True
        turns = [name for name in _TURNS if hasattr(server, name)]  # another implementation may turn otherwise
        for name in turns:
            setattr(server, name, self._watched(getattr(server, name)))
        try:
            serve() if self._patient or not _accepts_poll_interval(serve) else serve(poll_interval=_POLL_S)
        except BaseException as exception:
            if RUN.stopped:
                raise
            self.failure = raised(exception)
            note_server_stopped(exception)
        else:
            self._note_own_end()
        finally:
            for name in turns:
                vars(server).pop(name, None)  # they refer to this loop, which refers to the server

    def end(self) -> None:
        """Ask the loop to end."""
        self._server.shutdown()

    def _watched(self, turn: Callable[[], None]) -> Callable[[], None]:
        def watched() -> None:
            self._raised = None  # whatever was raised before, the loop has gone on
            try:
                turn()
            except BaseException as exception:
                self._raised = raised(exception)
                raise

        return watched

    def _note_own_end(self) -> None:
        if self._raised is not None and not RUN.stopped:
            self.failure = fields, message = self._raised
            RUN.emit((("server.stopped", RUN.connection, *fields), message))


def _accepts_poll_interval(serve: Any) -> bool:
    try:
        inspect.signature(serve).bind(poll_interval=_POLL_S)
    except (TypeError, ValueError):
        return False
    return True
