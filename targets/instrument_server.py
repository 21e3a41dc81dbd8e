"""Recording what a server does with each request: its own hooks, as they are entered and left.

The same rules as for handlers (`instrument`): a subclass that adds events and changes nothing else, one exception
apart: the standard report of an error is printed without its stack.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from socketserver import BaseServer
from threading import get_ident
from types import FrameType
from typing import Any, Final

from handshaker.harness.recorder import HANDED_OVER, RUN, ConcurrentRun
from handshaker.harness.vocabulary import SERVER_HOOKS
from handshaker.targets.base import is_inside
from handshaker.targets.bases import bases
from handshaker.targets.instrument import emit_raise, raised, remembered

__all__ = ["TracedActions", "TracedServer", "instrument_server", "placed_before", "users_place", "without_waiting"]


class TracedServer:
    """Placed before the server's class: writes down each of its hooks."""

    _handshaker_loop_ = False  # whether the server's own serve_forever() runs
    _handshaker_ends_ = False  # whether its owner closes it: nothing is served any more

    def __init_subclass__(cls, **_: Any) -> None:
        """Swallow the subject's own `__init_subclass__`."""

    def get_request(self) -> Any:
        """Write down the accepting of a request."""
        run = RUN
        run.emit((("get_request.enter", -1), None))
        try:
            result = super().get_request()  # type: ignore[misc]
        except BaseException as exception:
            emit_raise(("get_request.raise", run.connection), exception)
            raise
        told = ""
        if isinstance(result, tuple) and len(result) == 2:
            request, address = result
            self.__dict__.setdefault("_handshaker_given_", {})[id(request)] = address
            told = repr(address)
        run.emit((("get_request.leave", run.connection), told))
        return result

    def verify_request(self, request: Any, client_address: Any) -> Any:
        """Write down the decision."""
        run = RUN
        run.emit((("verify_request.enter", run.connection), None))
        try:
            effect = run.hardships.strike("verify_request") if run.hardships is not None else ""
            result = False if effect == "false" else super().verify_request(request, client_address)  # type: ignore[misc]
        except BaseException as exception:
            emit_raise(("verify_request.raise", run.connection), exception)
            raise
        run.emit((("verify_request.leave", run.connection, bool(result)), None))
        return result

    def process_request(self, request: Any, client_address: Any) -> Any:
        """Write down the serving of a request; one that a server serves in a thread of its own is noticed."""
        run = RUN
        number = run.connection
        run.served = False
        run.emit((("process_request.enter", number), None))
        try:
            result = super().process_request(request, client_address)  # type: ignore[misc]
        except BaseException as exception:
            emit_raise(("process_request.raise", run.connection), exception)
            raise
        run.emit((("process_request.leave", run.connection), None))
        if run.owner == get_ident() and (not run.served or _is_kept(request)):
            _note_handed_over(number)
        return result

    def finish_request(self, request: Any, client_address: Any) -> Any:
        """Write down the life of the handler."""
        run = RUN
        if run.owner == get_ident():
            run.served = True
        run.emit((("finish_request.enter", run.connection), None))
        try:
            result = super().finish_request(request, client_address)  # type: ignore[misc]
        except BaseException as exception:
            emit_raise(("finish_request.raise", run.connection), exception)
            raise
        run.emit((("finish_request.leave", run.connection), None))
        return result

    def shutdown(self) -> Any:
        """End the loop, where one runs in another thread; write it down when the thread that serves asks for this."""
        run = RUN
        if run.owner == get_ident() and not self._handshaker_ends_:
            run.emit((("shutdown.enter", run.connection, "serving"), users_place()))
            return without_waiting(self, super().shutdown, stuck=True)  # type: ignore[misc]
        if self._handshaker_loop_:
            return super().shutdown()  # type: ignore[misc]
        return without_waiting(self, super().shutdown, stuck=False)  # type: ignore[misc]

    def server_close(self) -> Any:
        """Write it down when a handler closes its server; when the owner does, that is the end of the Case.

        Where peers are served turn by turn, nobody else closes the server meanwhile: the end of the Case comes soon.
        """
        run = RUN
        if run.active and run.owner != get_ident() and not self._handshaker_loop_:
            return None
        number = run.connection
        if number < 0:
            return super().server_close()  # type: ignore[misc]
        run.emit((("server_close.enter", number), None))
        try:
            result = super().server_close()  # type: ignore[misc]
        except BaseException as exception:
            emit_raise(("server_close.raise", number), exception)
            raise
        run.emit((("server_close.leave", number), None))
        return result

    def handle_error(self, request: Any, client_address: Any) -> Any:
        """Write down the report of an error, with the exception that is current."""
        run = RUN
        current = sys.exc_info()[1]
        fields, message = raised(current) if current is not None else (((), False, ""), "")
        run.emit((("handle_error.enter", run.connection, *fields), message))
        del current
        try:
            if run.hardships is not None:
                run.hardships.strike("handle_error")
            report = _report_briefly if _has_standard_report(type(self)) else super().handle_error  # type: ignore[misc]
            result = report(request, client_address)
        except BaseException as exception:
            emit_raise(("handle_error.raise", run.connection), exception)
            raise
        run.emit((("handle_error.leave", run.connection), None))
        return result


def users_place() -> str:
    """Where the user's code is that has called what is being recorded, as `file:line`; nothing when it has not."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not any(is_inside(folder, frame.f_code.co_filename) for folder in RUN.home):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_kept(request: Any) -> bool:
    """Whether a request that was served here is still open, with a thread at work that was not there before."""
    return not getattr(request, "_closed", True) and threading.active_count() > RUN.threads


def _note_handed_over(number: int) -> None:
    """A request is over here, and another thread has it: only a house can tell them apart."""
    recorder = RUN.recorder
    if recorder is None or isinstance(RUN, ConcurrentRun):
        return
    made = [what for what in recorder.flat[::2] if what[:2] == ("init.enter", number)]
    if not RUN.served and any(thread == 0 for _, _, _, thread in made):
        return  # process_request() has made the handler itself
    what = ("network.kernel", number, HANDED_OVER)
    if not RUN.stopped:
        RUN.stopped = True
        RUN.emit((what, None))
    elif recorder.stopped_by[:1] != what[:1]:
        return
    recorder.stopped_by = what  # also where the other thread has been found out first


class _Ended:
    """Stands in for the event by which a loop says that it has ended, where no loop will ever say so."""

    def __init__(self, *, stuck: bool) -> None:
        self._stuck = stuck

    def wait(self, timeout: float | None = None) -> bool:
        if self._stuck and timeout is None:
            RUN.stuck("shutdown")
        return not self._stuck


_WAITED_FOR: Final = "_BaseServer__is_shut_down"


def without_waiting(server: Any, shutdown: Callable[[], Any], *, stuck: bool) -> Any:
    """Call *shutdown* of a server whose loop cannot end while it waits: the wait is over at once.

    If *stuck*, who waits without a timeout is ended, since he would wait for himself. A class of another implementation
    waits in its own way.
    """
    own = vars(server)
    if _WAITED_FOR not in own:
        return shutdown()
    before, own[_WAITED_FOR] = own[_WAITED_FOR], _Ended(stuck=stuck)
    try:
        return shutdown()
    finally:
        own[_WAITED_FOR] = before


@remembered
def _has_standard_report(server_class: type) -> bool:
    """Whether nobody has overridden `BaseServer.handle_error`."""
    own = [vars(cls)["handle_error"] for cls in server_class.__mro__ if "handle_error" in vars(cls)]
    return own == [TracedServer.handle_error, BaseServer.handle_error]


def _report_briefly(_request: Any, client_address: Any) -> None:
    """What `BaseServer.handle_error` prints, without the stack.

    The exception and its place are in the Trace already, and formatting a stack costs more than the rest of a Case.
    """
    lines = traceback.format_exception_only(sys.exc_info()[1])
    rule = "-" * 40
    head = f"{rule}\nException occurred during processing of request from {client_address}\n"
    sys.stderr.write(f"{head}{''.join(lines)}{rule}\n")


def _plain_hook(name: str) -> Callable[..., Any]:
    entered, left, failed = f"{name}.enter", f"{name}.leave", f"{name}.raise"

    def hook(self: Any, *arguments: Any) -> Any:
        run = RUN
        connection = run.connection
        run.emit(((entered, connection), None))
        try:
            result = getattr(super(TracedServer, self), name)(*arguments)
        except BaseException as exception:
            emit_raise((failed, connection), exception)
            raise
        run.emit(((left, connection), None))
        return result

    hook.__name__ = name
    hook.__qualname__ = f"TracedServer.{name}"
    hook.__doc__ = f"Write down {name}()."
    return hook


for _name in SERVER_HOOKS:
    if _name not in vars(TracedServer):
        setattr(TracedServer, _name, _plain_hook(_name))


class TracedActions:
    """Placed before a recorded server's class that has a service_actions() of its own, which most have not."""

    def service_actions(self) -> Any:
        """Write down what is done in each turn, beside the requests."""
        run = RUN
        run.emit((("service_actions.enter", -1), None))
        try:
            result = super().service_actions()  # type: ignore[misc]
        except BaseException as exception:
            emit_raise(("service_actions.raise", -1), exception)
            raise
        run.emit((("service_actions.leave", -1), None))
        return result


@remembered
def _has_own_actions(server_class: type) -> bool:
    definer = next((cls for cls in server_class.__mro__ if "service_actions" in vars(cls)), None)
    return definer not in (None, *bases("BaseServer"), *bases("ForkingMixIn"))


@remembered
def _derive(key: tuple[type, tuple[type, ...]]) -> type:
    cls, ours = key
    body = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    derived: type = type(cls)(cls.__name__, (*ours, cls), {**body, "_handshaker_of_": cls})
    return derived


def placed_before(server: BaseServer, *ours: type) -> BaseServer:
    """The same server object, with the recording classes *ours* before its own, once.

    The derived class keeps its name and module, and knows what it was derived from as `_handshaker_of_`.
    """
    if not isinstance(server, ours[-1]):
        server.__class__ = _derive((type(server), ours))
    return server


def instrument_server(server: BaseServer) -> BaseServer:
    """The same server object, its hooks recorded from now on."""
    ours = (TracedActions, TracedServer) if _has_own_actions(type(server)) else (TracedServer,)
    return placed_before(server, *ours)
