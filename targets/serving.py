"""A server that serves already when handshaker gets it: seen, stopped and refused.

Two loops that accept from one socket give every answer twice over: what the other one takes is lost to the test. A
server that starts threads of other kinds in its constructor is none of this: only a thread inside a loop of this very
server counts. One that was started a moment ago may not have arrived there, so a new thread whose code leads to a loop
is given a moment.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import socket
import sys
import threading
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final

from handshaker.harness.errors import TargetError
from handshaker.harness.places import remove_socket_file
from handshaker.targets.base import qualified_name
from handshaker.targets.bases import server_bases
from handshaker.targets.instrument_server import without_waiting

__all__ = ["refuse_serving"]

_LOOPS: Final = ("serve_forever", "handle_request")
_FOLLOWED: Final = (FunctionType, MethodType, functools.partial, staticmethod, classmethod)
_LOOKS_MAX: Final = 50
_LOOK_S: Final = 0.01
_END_S: Final = 0.6
"""How long a loop has to see that it is to end; the usual one looks every half second."""

_JOIN_S: Final = 2.0


def refuse_serving(made: Any, maker: Any, before: frozenset[threading.Thread]) -> None:
    """Raise TargetError when a loop runs of the server that *maker* has just returned, or of one in what it returned.

    Its threads are ended, as far as that can be done from outside. *before* are the threads that ran before *maker* was
    called.
    """
    new = [thread for thread in threading.enumerate() if thread not in before]
    for server in _servers_in(made):
        serving = _serving(server, new)
        if serving:
            _stop(server, serving)
            raise TargetError(_refusal(maker))


def _refusal(maker: Any) -> str:
    name = qualified_name(maker)
    if isinstance(maker, type):
        said, where = f"the constructor of {name} makes a server that is serving already", "the constructor"
    else:
        said, where = f"{name} returned a server that is serving already", "the function with `return server`"
    return f"{said}, its loop running in a thread: handshaker runs it itself; end {where} before the thread is started"


def _servers_in(made: Any) -> list[Any]:
    held = made if isinstance(made, (tuple, list)) else getattr(made, "__dict__", {}).values()
    return [made] if isinstance(made, server_bases()) else [item for item in held if isinstance(item, server_bases())]


def _serving(server: Any, new: list[threading.Thread]) -> list[threading.Thread]:
    """The threads in which a loop of *server* runs, or is certain to."""
    promising = [thread for thread in new if _leads_to_a_loop(_task(thread), server)]
    pause = threading.Event()
    here = threading.current_thread()
    for _ in range(_LOOKS_MAX):
        found = [thread for thread in threading.enumerate() if thread is not here and _serves(thread, server)]
        if found or all(_loops(thread) or not thread.is_alive() for thread in promising):
            return found
        pause.wait(_LOOK_S)
    return []


def _serves(thread: threading.Thread, server: Any) -> bool:
    task = _core(_task(thread))
    if getattr(task, "__self__", None) is server and getattr(task, "__name__", "") == "serve_forever":
        return True
    return any(looping is server for looping in _loops(thread))


def _task(thread: threading.Thread) -> Any:
    """What *thread* was started for; None when it has done that."""
    return thread.run if type(thread).run is not threading.Thread.run else getattr(thread, "_target", None)


def _core(task: Any) -> Any:
    while isinstance(task, functools.partial):
        task = task.func
    return task


def _loops(thread: threading.Thread) -> list[Any]:
    """The servers in whose loops *thread* stands."""
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)
    found = []
    while frame is not None:
        code = frame.f_code
        if code.co_name in _LOOPS and code.co_argcount and (code.co_name == _LOOPS[0] or code in _standard_turns()):
            found.append(frame.f_locals.get(code.co_varnames[0]))
        frame = frame.f_back
    return found


def _standard_turns() -> list[CodeType]:
    """The code of socketserver's handle_request(): what a user calls so may be about one request."""
    return [vars(cls)["handle_request"].__code__ for cls in server_bases() if "handle_request" in vars(cls)]


def _leads_to_a_loop(task: Any, server: Any) -> bool:
    """Whether *task* names a loop, or a function that does, as far as names can be followed.

    They are looked for in its module and its closure, and in the classes of its object and of the server.
    """
    turns = _code(getattr(type(server), "handle_request", None)) in _standard_turns()
    loops = {"serve_forever", "handle_request"} if turns else {"serve_forever"}
    waiting: list[tuple[Any, type]] = [(_core(task), type(None))]
    seen: set[CodeType] = set()
    while waiting:
        function, owner = waiting.pop()
        owner = type(function.__self__) if isinstance(function, MethodType) else owner
        code = _code(function)
        if getattr(function, "__name__", "") in loops:
            return True
        if code is None or code in seen:
            continue
        seen.add(code)
        names = _names(code)
        if names & loops:
            return True
        owners = (type(server), owner)
        waiting += [(_core(named), owner) for name in names for named in _meanings(name, function, owners)]
    return False


def _code(function: Any) -> CodeType | None:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _meanings(name: str, function: Any, owners: tuple[type, ...]) -> list[Any]:
    """The functions that *name* may mean in *function*; anything else is not touched, since a look may have effects."""
    bare = getattr(function, "__func__", function)
    found = [inspect.getattr_static(owner, name, None) for owner in owners] + [bare.__globals__.get(name)]
    for variable, cell in zip(bare.__code__.co_freevars, bare.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):  # not assigned yet
            found += [cell.cell_contents] if variable == name else []
    return [thing for thing in found if type(thing) in _FOLLOWED]


def _names(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *code.co_freevars}.union(*map(_names, inner))


def _stop(server: Any, threads: list[threading.Thread]) -> None:
    """End the loops of *server*, and close it. A loop of handle_request() ends with the socket."""
    server._BaseServer__shutdown_request = True  # shutdown() would wait for ever where serve_forever is the user's own
    with contextlib.suppress(OSError):
        server.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a peer
    _join(threads, _END_S)
    remove_socket_file(server.socket)
    with contextlib.suppress(Exception):
        without_waiting(server, server.server_close, stuck=False)
    _join(threads, _JOIN_S)


def _join(threads: list[threading.Thread], seconds: float) -> None:
    for thread in threads:
        thread.join(seconds)
