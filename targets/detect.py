"""What kind of thing TARGET is, decided from the thing itself; what cannot be decided is asked, never guessed.

A class says it by its bases. A callable says it by the class it returns, by the names and the number of its
parameters (a handler is called with request, client_address, server; a factory with nothing that handshaker could
not supply), and last by its own name.
"""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import re
import socket
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Final

from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.transports import TRANSPORTS, Transport
from handshaker.targets.base import TargetKind, qualified_name
from handshaker.targets.bases import bases, handler_bases, server_bases

__all__ = [
    "HANDLER_METHODS",
    "MIXIN_METHODS",
    "SERVER_METHODS",
    "declared_kind",
    "expects_datagrams",
    "handler_class_of",
    "handler_kind",
    "kind_of",
    "overrides",
    "require_fit",
    "socket_kind",
    "socket_types",
    "unwrapped",
    "words_of",
]

HANDLER_METHODS: Final = ("__init__", "setup", "handle", "finish")
SERVER_METHODS: Final = (
    "finish_request", "process_request", "shutdown_request", "close_request", "handle_error", "verify_request",
    "get_request", "server_bind", "server_activate", "server_close", "serve_forever", "handle_request",
    "_handle_request_noblock", "service_actions", "handle_timeout", "shutdown", "fileno", "__enter__", "__exit__",
)  # fmt: skip
MIXIN_METHODS: Final = ("process_request_thread", "collect_children")
"""What ThreadingMixIn and ForkingMixIn add to a server; looked at only where one of them is in force."""

_ALLOWED: Final = (
    "allowed: a handler class (a subclass of socketserver.BaseRequestHandler), a callable that makes one from "
    "(request, client_address, server), a server class, a function that returns a server, or a server object"
)
_FOREIGN: Final = ("asyncio", "twisted", "trio", "anyio", "gevent", "eventlet", "tornado", "uvicorn", "aiohttp")
_HANDLER_PARAMETERS: Final = {"request", "client_address", "server"}
_OF_CONNECTIONS: Final = {"recv", "recv_into", "send", "sendall", "sendfile", "makefile", "shutdown"}
_MAKING: Final = {"make", "create", "build", "new", "get", "factory"}


def kind_of(thing: Any, text: str = "") -> TargetKind:
    """What *thing*, which the user called *text*, is.

    Raises TargetError when it is nothing that can be hosted, UsageError when it is a callable that does not tell.
    """
    name = text or qualified_name(thing)
    if isinstance(thing, server_bases()):
        return TargetKind.SERVER_INSTANCE
    core = unwrapped(thing)
    if isinstance(core, type):
        return _kind_of_class(core, name, bare=core is thing)
    if not callable(core):
        raise TargetError(f"{name} is {_article(type(core).__name__)} object, not a handler or a server; {_ALLOWED}")
    _refuse_async(core, name)
    kind = declared_kind(thing) or _kind_by_name(thing)
    if kind is None:
        raise UsageError(_unclear(name))
    return kind


def unwrapped(thing: Any) -> Any:
    """What is below all `functools.partial`s."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"


def _unclear(name: str) -> str:
    return (
        f"{name} is callable, but neither its annotations nor its parameters say whether it makes handlers or servers; "
        f"when it returns a server write `handshaker run {name} --factory {name}`, when it makes handlers write "
        f"`handshaker run {name} --server socketserver:TCPServer`"
    )


def _kind_of_class(cls: type, name: str, *, bare: bool) -> TargetKind:
    if issubclass(cls, handler_bases()):
        for hook in ("setup", "handle", "finish"):
            _refuse_async(getattr(cls, hook), f"{name}.{hook}")
        return TargetKind.HANDLER_CLASS if bare else TargetKind.HANDLER_CALLABLE
    if issubclass(cls, server_bases()):
        return TargetKind.SERVER_CLASS if bare else TargetKind.SERVER_FACTORY
    raise TargetError(f"{name} is a class, but neither a handler nor a server{_why_not(cls)}; {_ALLOWED}")


def _why_not(cls: type) -> str:
    for base in cls.__mro__:
        package = base.__module__.partition(".")[0]
        if package in _FOREIGN:
            return f": it is based on {package}, and this version hosts handlers of socketserver only"
    if all(callable(getattr(cls, hook, None)) for hook in ("setup", "handle", "finish")):
        module = cls.__mro__[-2].__module__
        return f": if it is built on another implementation of socketserver, add --implementation {module}"
    if _required(cls) is not None and "server" in words_of(cls.__name__):
        return ": if its objects hold one, write a function that makes the object and returns the server in it"
    return ""


def _refuse_async(function: Any, name: str) -> None:
    called = function if inspect.isroutine(function) else getattr(type(function), "__call__", function)  # noqa: B004
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise TargetError(
            f"{name} is async, which socketserver calls and never awaits; write it without async; {_ALLOWED}"
        )


def declared_kind(thing: Any) -> TargetKind | None:
    """What a callable's return annotation or its parameters say that it makes; None when they say nothing.

    Raises TargetError when they say that it is an application for another kind of server.
    """
    return _kind_by_annotation(unwrapped(thing)) or _kind_by_parameters(thing)


def _kind_by_annotation(function: Any) -> TargetKind | None:
    returned = _returned(function)
    if isinstance(returned, type):
        if issubclass(returned, handler_bases()):
            return TargetKind.HANDLER_CALLABLE
        if issubclass(returned, server_bases()):
            return TargetKind.SERVER_FACTORY
    return None


def _returned(function: Any) -> Any:
    """The return annotation as an object; a string that cannot be evaluated counts as none."""
    target = getattr(function, "__func__", function)
    try:
        return inspect.get_annotations(target, eval_str=True).get("return")
    except Exception:
        return getattr(target, "__annotations__", {}).get("return")


def _kind_by_parameters(thing: Callable[..., Any]) -> TargetKind | None:
    names = {parameter.name for parameter in _parameters(thing)}
    if {"environ", "start_response"} <= names:
        raise TargetError(
            f"{qualified_name(thing)} is a WSGI application, not a handler or a server; write a function that returns "
            f"wsgiref.simple_server.make_server('127.0.0.1', 0, application) and name that function"
        )
    if len(names & _HANDLER_PARAMETERS) >= 2:
        return TargetKind.HANDLER_CALLABLE
    return None


def _kind_by_name(thing: Callable[..., Any]) -> TargetKind | None:
    required = _required(thing)
    if required is None:
        return None
    words = set(words_of(getattr(unwrapped(thing), "__name__", "")))
    if "server" in words:
        return TargetKind.SERVER_FACTORY
    if len(required) == 3 or ("handler" in words and not words & _MAKING):
        return TargetKind.HANDLER_CALLABLE
    spread = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in _parameters(thing))
    return TargetKind.SERVER_FACTORY if not required and (not spread or words & _MAKING) else None


def _parameters(thing: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return []


def _required(thing: Callable[..., Any]) -> list[str] | None:
    """The names of the parameters that a caller must supply by position; None when there is no signature to read."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [item.name for item in parameters if item.default is item.empty and item.kind not in variable]


def words_of(name: str) -> tuple[str, ...]:
    """The lower-case words of a snake_case or CamelCase name, in order."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def handler_class_of(thing: Any) -> type | None:
    """The handler class that *thing* is, wraps, or is annotated to return; None for an opaque callable."""
    core = unwrapped(thing)
    found = core if isinstance(core, type) else _returned(core)
    return found if isinstance(found, type) and issubclass(found, handler_bases()) else None


def handler_kind(cls: type | None) -> str:
    """`stream`, `datagram`, or `base` for a handler that takes either (or is not known)."""
    if cls is not None and issubclass(cls, bases("StreamRequestHandler")):
        return "stream"
    return "datagram" if cls is not None and issubclass(cls, bases("DatagramRequestHandler")) else "base"


def socket_kind(cls: type | None) -> int | None:
    """SOCK_STREAM or SOCK_DGRAM, when the handler class can be served over that only; None when it takes either."""
    return {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}.get(handler_kind(cls))


def socket_types(cls: type | None) -> frozenset[int]:
    """The types of socket that a handler class says it is for; empty when nothing says it.

    By its base, else by what its methods do with their request: `data, socket = self.request` and `self.request[0]` are
    how a pair is used, and fail on a connection; `self.request.recv` is how a connection is, and fails on a pair.
    """
    kind = socket_kind(cls)
    if kind is not None:
        return frozenset({kind})
    found = set()
    for code in _own_code(cls) if cls is not None else ():
        found |= {socket.SOCK_DGRAM} if _takes_request_apart(code) else set()
        found |= {socket.SOCK_STREAM} if _reads_request(code) else set()
    return frozenset(found)


def expects_datagrams(cls: type | None) -> bool:
    """Whether a handler class says that its requests may be datagrams."""
    return socket.SOCK_DGRAM in socket_types(cls)


def _own_code(cls: type) -> list[CodeType]:
    """The code that a handler runs: of the methods that socketserver calls, and of those that they name."""
    found: dict[str, list[CodeType]] = {}
    waiting = list(HANDLER_METHODS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _method_code(cls, name)
            waiting += [called for code in found[name] for called in code.co_names]
    return [code for codes in found.values() for code in codes]


def _method_code(cls: type, name: str) -> list[CodeType]:
    """The code of a method, with the functions inside it, and with what it overrides as far as it calls that."""
    found: list[CodeType] = []
    for base in cls.__mro__:
        if base in handler_bases() or name not in vars(base):
            continue
        codes = _with_inner(_function_code(vars(base)[name]))
        found += codes
        if all("super" not in code.co_names for code in codes):
            break
    return found


def _function_code(method: Any) -> CodeType | None:
    """The code of what was written with `def`; nothing else is touched, since a look at it may have effects."""
    if isinstance(method, property):
        method = method.fget
    elif isinstance(method, (staticmethod, classmethod)):
        method = method.__func__
    return getattr(inspect.unwrap(method), "__code__", None) if type(method) is FunctionType else None


def _with_inner(code: Any) -> list[CodeType]:
    if not isinstance(code, CodeType):
        return []
    return [code, *(inner for constant in code.co_consts for inner in _with_inner(constant))]


def _steps(code: CodeType) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "EXTENDED_ARG")]


def _reads_request(code: CodeType) -> bool:
    """Whether a method of a connection is taken from the request, or from a variable that is the request."""
    steps = _steps(code)
    pairs = list(itertools.pairwise(steps))
    names = {
        then.argval
        for step, then in pairs
        if step.argval == "request" and then.opname.startswith(("STORE_FAST", "STORE_D"))
    }
    return any(
        then.argval in _OF_CONNECTIONS and then.opname in ("LOAD_ATTR", "LOAD_METHOD")
        for step, then in pairs
        if (step.opname == "LOAD_ATTR" and step.argval == "request")
        or (step.opname in ("LOAD_FAST", "LOAD_DEREF") and step.argval in names)
    )


def _takes_request_apart(code: CodeType) -> bool:
    steps = _steps(code)
    for place, step in enumerate(steps[:-2]):
        if step.opname != "LOAD_ATTR" or step.argval != "request":
            continue
        following, last = steps[place + 1], steps[place + 2]
        if (following.opname, following.argval) == ("UNPACK_SEQUENCE", 2):
            return True
        if following.opname.startswith("LOAD_") and following.argval in (0, 1) and last.opname.startswith("BINARY_"):
            return True
    return False


def require_fit(handler: type | None, transport: Transport, server: str, name: str) -> None:
    """Raise TargetError, calling the target *name*, unless *handler* can speak *transport*, which *server* serves."""
    wanted = socket_kind(handler)
    if wanted is None or wanted == transport.type:
        _require_no_nagle(handler, transport, name)
        return
    kind = handler_kind(handler)
    allowed = ", ".join(row.name for row in TRANSPORTS.values() if row.type == wanted)
    raise TargetError(
        f"{name} is a {kind} handler ({qualified_name(handler)} is based on socketserver.{kind.title()}RequestHandler) "
        f"and {server} serves {'datagrams' if transport.datagram else 'streams'} over {transport.name}; "
        f"allowed transports are {allowed}; leave --transport and --server away to have them chosen"
    )


def _require_no_nagle(handler: Any, transport: Transport, name: str) -> None:
    """The standard setup() sets TCP_NODELAY whatever the family is, and on a Unix socket that fails."""
    if not transport.unix or not getattr(handler, "disable_nagle_algorithm", False) or _overridden(handler, "setup"):
        return
    raise TargetError(
        f"{name} declares disable_nagle_algorithm, and socketserver's setup() then fails for every request over "
        f"{transport.name}: only TCP has Nagle's algorithm; leave the declaration away, or test it over tcp"
    )


def overrides(handler: type | None, server: Any, concurrency: str = "plain") -> tuple[str, ...]:
    """The methods of *handler* (None: all) and of *server* (class or object) that are not socketserver's own.

    With another *concurrency* than plain the mix-in's own methods count, too.
    """
    own = HANDLER_METHODS if handler is None else tuple(name for name in HANDLER_METHODS if _overridden(handler, name))
    cls = server if isinstance(server, type) else type(server)
    assigned = () if isinstance(server, type) else vars(server)
    methods = SERVER_METHODS if concurrency == "plain" else (*SERVER_METHODS, *MIXIN_METHODS)
    return own + tuple(name for name in methods if name in assigned or _overridden(cls, name))


def _overridden(cls: type, name: str) -> bool:
    owner = next((base for base in cls.__mro__ if name in vars(base) and not _passes_on(base, name)), object)
    return owner.__module__ not in ("socketserver", "builtins")


def _passes_on(base: type, name: str) -> bool:
    """Whether this is a mix-in whose method calls the one behind it: server_close() only."""
    return name == "server_close" and base in (*bases("ThreadingMixIn"), *bases("ForkingMixIn"))
