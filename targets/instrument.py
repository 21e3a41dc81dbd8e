"""Recording what happens to a handler and its server, by subclasses that add events and change nothing else.

What gets instantiated is what is instrumented: a class, a partial, a bound method, a closure. The derived class keeps
its name, module and identity in `isinstance`; the subject's `__init_subclass__` is not told. Nothing here judges, and
an exception that passes through is written down as text, never kept: a kept traceback would keep the socket open.
"""

from __future__ import annotations

import functools
import io
import socket
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from handshaker.harness.contract import BUFFERED_READER, BUFFERED_WRITER
from handshaker.harness.held import HELD
from handshaker.harness.recorder import RUN, injected, qualified
from handshaker.targets.base import is_inside
from handshaker.targets.bases import bases, handler_bases, server_bases
from handshaker.targets.defaults import default_hooks

__all__ = [
    "ALIVE",
    "TracedHandler",
    "derive_handler",
    "emit_raise",
    "hosting_failure",
    "instrument",
    "latest_birth",
    "note_birth",
    "raised",
    "remembered",
]

ALIVE: Final[list[weakref.ref[Any]]] = []
_CLASSES_MAX: Final = 1_024
_R = TypeVar("_R")


def remembered(function: Callable[[Any], _R]) -> Callable[[Any], _R]:
    """What *function* says of a class, asked once; bounded, since factories may make a new class each time."""
    return functools.lru_cache(maxsize=_CLASSES_MAX)(function)


def raised(exception: BaseException) -> tuple[tuple[Any, ...], str]:
    """The structural fields of a raise event (lineage, injected, frame) and its payload (message @ file:line)."""
    if RUN.witness is not None:
        RUN.witness(exception)
    frame, location = _users_frame(exception)
    message = f"{type(exception).__name__}: {exception}"[:300]
    return (_lineage(type(exception)), injected(exception), frame), f"{message} @ {location}" if location else message


def hosting_failure(exception: BaseException) -> bool:
    """Whether *exception* says that the handler does not fit its server.

    A server attribute or a constructor argument.
    """
    if isinstance(exception, AttributeError):
        return isinstance(exception.obj, server_bases())
    if getattr(exception, "__handshaker_hosting__", False):
        return True  # it was one in another process
    entry = exception.__traceback__
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    return isinstance(exception, TypeError) and entry is not None and entry.tb_frame.f_code in _constructing()


@remembered
def _lineage(cls: type[BaseException]) -> tuple[str, ...]:
    return tuple(qualified(base) for base in cls.__mro__ if base is not object)


@remembered
def _is_users(place: tuple[tuple[str, ...], str]) -> bool:
    homes, filename = place
    return any(is_inside(home, filename) for home in homes)


def _users_frame(exception: BaseException) -> tuple[str, str]:
    """The innermost frame in the user's code, as `module:qualified name` and as `file:line`."""
    found: tuple[str, str] = ("", "")
    entry = exception.__traceback__
    while entry is not None:
        code = entry.tb_frame.f_code
        if _is_users((RUN.home, code.co_filename)):
            module = entry.tb_frame.f_globals.get("__name__", "")
            found = (f"{module}:{code.co_qualname}", f"{code.co_filename}:{entry.tb_lineno}")
        entry = entry.tb_next
    return found


def emit_raise(what: tuple[Any, ...], exception: BaseException) -> None:
    """Write down that *exception* leaves a hook; *what* is the event's kind, connection and first fields."""
    fields, message = raised(exception)
    RUN.emit(((*what, *fields), message))


_PROMISED: Final = (
    ("StreamRequestHandler", ("connection", "rfile", "wfile")),
    ("DatagramRequestHandler", ("packet", "socket", "rfile", "wfile")),
)
_SUPPLIED: Final = ("request", "client_address", "server")

_Kinds = tuple[str, str, str]
_SETUP: Final[_Kinds] = ("setup.enter", "setup.leave", "setup.raise")
_HANDLE: Final[_Kinds] = ("handle.enter", "handle.leave", "handle.raise")
_FINISH: Final[_Kinds] = ("finish.enter", "finish.leave", "finish.raise")


@remembered
def _promised(handler_class: type) -> tuple[str, ...]:
    return next((names for base, names in _PROMISED if issubclass(handler_class, bases(base))), ())


@remembered
def _replies_at_the_end(handler_class: type) -> bool:
    """Whether its base class promises to send what wfile holds, as one datagram, in finish()."""
    return issubclass(handler_class, bases("DatagramRequestHandler"))


@remembered
def _lacks_of_a_reader(cls: type) -> tuple[str, ...]:
    return _missing_in(cls, BUFFERED_READER)


@remembered
def _lacks_of_a_writer(cls: type) -> tuple[str, ...]:
    return _missing_in(cls, BUFFERED_WRITER)


def _missing_in(cls: type, names: Iterable[str]) -> tuple[str, ...]:
    return () if issubclass(cls, io.BufferedIOBase) else tuple(name for name in names if not hasattr(cls, name))


_FILES: Final = (("rfile", _lacks_of_a_reader), ("wfile", _lacks_of_a_writer))


class TracedHandler:
    """Placed before the handler's class: writes down each hook as it is entered and left."""

    # No __slots__: with it, assigning __class__ to an instance of the subject fails ("object layout differs").

    def __init_subclass__(cls, **_: Any) -> None:
        """Swallow the subject's own `__init_subclass__`.

        Registries and final classes must not see the derived class.
        """

    def __init__(self, request: Any, client_address: Any, server: Any, *rest: Any, **options: Any) -> None:
        _begin(self, request, client_address, server)
        number = self.__dict__["_handshaker_"][0]
        try:
            super().__init__(request, client_address, server, *rest, **options)  # type: ignore[call-arg]
        except BaseException as exception:
            emit_raise(("init.raise", RUN.connection, number), exception)
            raise
        RUN.emit((("init.leave", RUN.connection, number), None))

    def setup(self) -> Any:
        """Write down setup()."""
        number, supplied = _born(self)
        if not isinstance(supplied[0], socket.socket):
            _note_pair(supplied[0], supplied[2])
        here = self.__dict__
        attributes = _SUPPLIED if (
            here.get("request") is supplied[0]
            and here.get("client_address") is supplied[1]
            and here.get("server") is supplied[2]
        ) else _as_supplied(self, supplied)  # fmt: skip
        return _hook(self, _SETUP, number, super().setup, (RUN.thread(), attributes))  # type: ignore[misc]

    def handle(self) -> Any:
        """Write down handle()."""
        number, _ = _born(self)
        missing = tuple([name for name in _promised(type(self)) if not hasattr(self, name)])
        _probe_interface(self)
        return _hook(self, _HANDLE, number, super().handle, (RUN.thread(), missing))  # type: ignore[misc]

    def finish(self) -> Any:
        """Write down finish(), and before it what a datagram handler has ready to send."""
        number = _born(self)[0]
        if not _replies_at_the_end(type(self)):
            return _hook(self, _FINISH, number, super().finish, (RUN.thread(),))  # type: ignore[misc]
        file, held = HELD.look(self.__dict__.get("wfile"))
        RUN.emit((("datagram.held", RUN.connection, number, file, not held), held))
        HELD.data = held if file == "standard" else None
        try:
            return _hook(self, _FINISH, number, super().finish, (RUN.thread(),))  # type: ignore[misc]
        finally:
            HELD.data = None


def _begin(handler: Any, request: Any, client_address: Any, server: Any) -> None:
    run = RUN
    number = run.instances
    run.instances = number + 1
    handler.__dict__["_handshaker_"] = (number, (request, _given(request, client_address, server), server))
    ALIVE.append(weakref.ref(handler))
    run.emit((("init.enter", run.connection, number, run.thread()), _named(type(handler))))
    for hook, does, detail in _defaults(type(handler)):
        run.emit((("probe.defaults", run.connection, hook, does), detail))


def _note_pair(request: Any, server: Any) -> None:
    """Write down whether a handler of datagrams is given what the server has taken, and the server's own socket."""
    if getattr(server, "socket_type", None) != socket.SOCK_DGRAM:
        return
    own = getattr(server, "socket", None)
    pair = isinstance(request, tuple) and len(request) == 2 and isinstance(request[0], bytes)
    taken = getattr(own, "latest", None)
    whole = pair and (taken is None or request[0] == taken)
    RUN.emit((("datagram.pair", RUN.connection, pair, whole, pair and request[1] is own), None))


def _given(request: Any, client_address: Any, server: Any) -> Any:
    """The address that get_request() returned for *request*; what the constructor is told, when that is equal to it."""
    given = getattr(server, "_handshaker_given_", {}).pop(id(request), client_address)
    return client_address if given is client_address or given == client_address else given


@remembered
def _defaults(derived: type) -> tuple[tuple[str, str, str], ...]:
    return default_hooks(derived.__mro__[2])  # the subject: behind the derived class and TracedHandler


@remembered
def _named(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _born(handler: Any) -> tuple[int, tuple[Any, Any, Any]]:
    born: tuple[int, tuple[Any, Any, Any]] = handler.__dict__["_handshaker_"]
    return born


def _as_supplied(handler: Any, supplied: tuple[Any, Any, Any]) -> tuple[str, ...]:
    missing = object()
    return tuple(
        name for name, value in zip(_SUPPLIED, supplied, strict=True) if getattr(handler, name, missing) is value
    )


def _probe_interface(handler: Any) -> None:
    files = handler.__dict__
    for role, lacks_of in _FILES:
        file = files.get(role)
        if file is not None and (lacks := lacks_of(type(file))):
            RUN.emit((("probe.interface", RUN.connection, role, type(file).__name__, lacks), None))


def _hook(handler: Any, kinds: _Kinds, number: int, call: Callable[[], Any], entered: tuple[Any, ...]) -> Any:
    run = RUN
    connection = run.connection
    enter, leave, failed = kinds
    run.emit(((enter, connection, number, *entered), None))
    try:
        if run.hardships is None:
            result = call()
        else:
            run.hardships.strike(enter)
            result = call()
            run.hardships.strike(leave)
    except BaseException as exception:
        emit_raise((failed, connection, number), exception)
        raise
    if kinds is _FINISH:
        run.emit(((leave, connection, number, _open_files(handler)), None))
    else:
        run.emit(((leave, connection, number), None))
    return result


def _open_files(handler: Any) -> tuple[str, ...]:
    if _replies_at_the_end(type(handler)):
        return ()  # they are memory only, and nobody promises to close them
    files = handler.__dict__
    return tuple([role for role in ("rfile", "wfile") if not getattr(files.get(role), "closed", True)])


@remembered
def derive_handler(cls: type) -> type:
    """The handler class *cls* with recording added; same name, same module."""
    body = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    derived: type = type(cls)(cls.__name__, (TracedHandler, cls), body)
    return derived


def instrument(handler: Any) -> Any:
    """*handler* (class, partial, any callable that makes a handler) with recording added to what it instantiates."""
    if isinstance(handler, functools.partial):
        return functools.partial(instrument(handler.func), *handler.args, **handler.keywords)
    if isinstance(handler, type):
        return derive_handler(handler) if issubclass(handler, handler_bases()) else handler

    @functools.wraps(handler, updated=())
    def opaque(*arguments: Any, **options: Any) -> Any:
        with _births_recorded:
            return handler(*arguments, **options)

    return opaque


class _Births:
    """While it is entered, handlers that this thread makes through BaseRequestHandler.__init__ become recorded ones.

    This is the only way for opaque callables: the class is swapped at birth, before `setup()` is called.
    """

    def __init__(self) -> None:
        self._here = threading.local()
        self.latest: type | None = None
        self._originals: dict[Any, Any] = {}

    def __enter__(self) -> None:
        self._here.depth = self._depth() + 1
        for base in self._born_by():
            base.__init__ = self._init_wrapper(self._originals.setdefault(base, base.__init__))

    def __exit__(self, *_: object) -> None:
        self._here.depth -= 1
        if not self._here.depth:
            for base, original in self._originals.items():
                base.__init__ = original

    @staticmethod
    def _born_by() -> list[Any]:
        # One without a constructor of its own inherits it from another one.
        return [base for base in bases("BaseRequestHandler") if "__init__" in vars(base)]

    def _depth(self) -> int:
        depth: int = getattr(self._here, "depth", 0)
        return depth

    def _init_wrapper(self, original: Any) -> Any:
        def init(handler: Any, request: Any, client_address: Any, server: Any) -> None:
            if not isinstance(handler, TracedHandler) and self._depth():
                self.latest = type(handler)
                handler.__class__ = derive_handler(type(handler))
                _begin(handler, request, client_address, server)
            original(handler, request, client_address, server)

        return init


_births_recorded = _Births()


def note_birth(born: type) -> None:
    """An opaque callable has made a handler of the class *born*, in another process."""
    _births_recorded.latest = born


def latest_birth() -> type | None:
    """The class of the last handler that an opaque callable made; nothing else tells it."""
    return _births_recorded.latest


def _constructing() -> list[Any]:
    """The code that calls a handler's constructor."""
    finishing = [getattr(getattr(cls, "finish_request", None), "__code__", None) for cls in server_bases()]
    return [TracedHandler.__init__.__code__, *finishing]
