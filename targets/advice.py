"""Why a target could not be hosted, and the few lines to write so that it can.

The exception that ended the hosting knows more than its message: an AttributeError carries the object that lacked the
attribute, and when that is the server, the handler was written for another one.
"""

from __future__ import annotations

import errno
import inspect
import itertools
import os
import socketserver
from collections.abc import Iterator
from types import FrameType
from typing import Final

from handshaker.harness.errors import TargetError
from handshaker.harness.places import PATH_BYTES_MAX
from handshaker.harness.transports import TRANSPORTS
from handshaker.targets.base import TargetDescription, qualified_name
from handshaker.targets.building import plan
from handshaker.targets.homes import innermost_user_line
from handshaker.targets.natural import servers_beside

__all__ = ["explain"]

_USUAL: Final = ("tcp", "udp")


def explain(
    error: BaseException, told: TargetDescription, handler_class: type | None, server_class: type
) -> TargetError:
    """The TargetError for *error*, which ended the hosting of *handler_class* under *server_class* as *told* has it."""
    if isinstance(error, TargetError):
        return error
    if refusal := _why_not_listening(error, told):
        return TargetError(_named(told, refusal))
    reason, setting = _reason(error, told)
    if _lacks_arguments(error, handler_class):
        return TargetError(f"{_named(told, reason)}; {_partial(handler_class)}")
    lines = _factory(told, handler_class, server_class, setting)
    return TargetError(f"{_named(told, reason)}; write a factory, and name it:\n\n{lines}")


def _named(told: TargetDescription, reason: str) -> str:
    return reason if reason.startswith(told.text) else f"{told.text}: {reason}"


def _reason(error: BaseException, told: TargetDescription) -> tuple[str, str]:
    """Why, in one sentence, and the attribute of the server that has to be set (or `""`)."""
    if isinstance(error, AttributeError) and isinstance(error.obj, socketserver.BaseServer) and error.name:
        who = told.handler or "the handler"
        return f"{who} asks for self.server.{error.name}, which {told.server} does not have", error.name
    if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
        return f"the server insists on an address that is not free ({error.strerror}); give it port 0", ""
    if isinstance(error, SystemExit):
        return f"hosting it ended the program with sys.exit({error.code!r}){_where(error)}", ""
    return f"hosting it failed with {type(error).__name__}: {error}{_where(error)}", ""


def _why_not_listening(error: BaseException, told: TargetDescription) -> str:
    """Why the server could not be bound to a path, or over a transport that it was not written for; "" otherwise."""
    if isinstance(error, OSError) and (path := _path_that_failed(error)):
        return _why_not_path(error, path)
    if not _in_server_bind(error) or told.transport in _USUAL:
        return ""
    return (
        f"{told.server} cannot listen over {told.transport}: its server_bind() failed with {type(error).__name__}: "
        f"{error}{_where(error)}; leave --transport away, or name a server that can with --server"
    )


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _in_server_bind(error: BaseException) -> bool:
    return any(frame.f_code.co_name == "server_bind" for frame in _frames(error))


def _path_that_failed(error: BaseException) -> str:
    """The path that a Unix server could not be bound to; "" when that is not what happened."""
    asked = [getattr(frame.f_locals.get("self"), "server_address", None) for frame in _frames(error)]
    return next((path for path in asked if isinstance(path, str)), "") if _in_server_bind(error) else ""


def _why_not_path(error: OSError, path: str) -> str:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        rule = f"is too long for a Unix socket ({len(os.fsencode(path))} bytes, at most {PATH_BYTES_MAX} are allowed)"
    elif error.errno == errno.EADDRINUSE:
        rule = "is taken: something has that name already, perhaps the socket file of a server that runs or has run"
    else:
        rule = f"cannot be bound: {error.strerror or error}"
    return f"the path {path!r} {rule}; let the server listen on a path that it is given (a parameter socket_path)"


def _where(error: BaseException) -> str:
    line = innermost_user_line(error.__traceback__)
    return f" at {line}" if line else ""


def _own_arguments(handler_class: type | None) -> list[str]:
    """What the handler's constructor requires beyond request, client_address and server."""
    if handler_class is None:
        return []
    parameters = inspect.signature(handler_class).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [item.name for item in parameters if item.default is item.empty and item.kind not in variable]
    supplied = [name for name in required if name in ("request", "client_address", "server")]
    return [name for name in required if name not in supplied] if len(supplied) == 3 else required[3:]


def _lacks_arguments(error: BaseException, handler_class: type | None) -> bool:
    return isinstance(error, TypeError) and "required" in str(error) and bool(_own_arguments(handler_class))


def _partial(handler_class: type | None) -> str:
    own = _own_arguments(handler_class)
    given = ", ".join(f"{name}=..." for name in own)
    name = handler_class.__name__ if handler_class else "Handler"
    return (
        f"a server makes handlers from (request, client_address, server) only; bind the rest and name the result:\n\n"
        f"    bound = functools.partial({name}, {given})"
    )


def _factory(told: TargetDescription, handler_class: type | None, server_class: type, setting: str) -> str:
    usual = (socketserver.TCPServer, socketserver.UDPServer)
    better = servers_beside(handler_class)[:1] if handler_class and server_class in usual else []
    chosen = better[0] if better else server_class
    handler = told.handler if told.handler and "<" not in told.handler else "your_module:Handler"
    path = "socket_path" if TRANSPORTS[told.transport].unix else ""
    body = [f"server = {_call(chosen, handler, path)}", "return server"]
    if setting and not better:
        body.insert(1, f"server.{setting} = ...")
    modules = dict.fromkeys((chosen.__module__, handler.partition(":")[0]))
    lines = [
        "# hosting.py",
        *(f"import {name}" for name in modules),
        f"def make_server({path}):",
        *(f"    {line}" for line in body),
    ]
    block = "\n".join(f"    {line}" for line in lines)
    return f"{block}\n\n    handshaker run {told.text} --factory hosting:make_server"


def _call(server_class: type, handler: str, path: str) -> str:
    """The construction of *server_class* as text; what only its author can supply is spelled `name=...`."""
    text = {
        "address": path or "('127.0.0.1', 0)",
        "path": path,
        "host": "'127.0.0.1'",
        "port": "0",
        "handler": handler.replace(":", "."),
    }
    arguments = plan(server_class, with_handler=True).arguments
    # From the first `name=...` on, Python wants keywords.
    unnamed = list(itertools.takewhile(lambda argument: argument.role and not argument.keyword, arguments))
    given = [text[argument.role] for argument in unnamed]
    given += [f"{argument.name}={text.get(argument.role, '...')}" for argument in arguments[len(unnamed) :]]
    return f"{qualified_name(server_class).replace(':', '.')}({', '.join(given)})"
