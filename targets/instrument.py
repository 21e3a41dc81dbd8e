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
from handshaker.harness.recorder import RUN, ConcurrentRun, injected, qualified
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
_DGRAM: Final = int(socket.SOCK_DGRAM)  # a plain number: comparing with an enumeration takes longer
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


@functools.lru_cache(maxsize=_CLASSES_MAX)
def _is_users(home: tuple[str, ...], filename: str) -> bool:
    return any(is_inside(folder, filename) for folder in home)


def _users_frame(exception: BaseException) -> tuple[str, str]:
    """The innermost frame in the user's code, as `module:qualified name` and as `file:line`."""
    home = RUN.home
    found: Any = None
    entry = exception.__traceback__
    while entry is not None:
        if _is_users(home, entry.tb_frame.f_code.co_filename):
            found = entry
        entry = entry.tb_next
    if found is None:
        return "", ""
    frame = found.tb_frame
    code, module = frame.f_code, frame.f_globals.get("__name__", "")
    return f"{module}:{code.co_qualname}", f"{code.co_filename}:{found.tb_lineno}"


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
def _promised(handler_class: type) -> tuple[tuple[str, ...], frozenset[str]]:
    names = next((names for base, names in _PROMISED if issubclass(handler_class, bases(base))), ())
    return names, frozenset(names)


@remembered
def _replies_at_the_end(handler_class: type) -> bool:
    """Whether its base class promises to send what wfile holds, as one datagram, in finish()."""
    return issubclass(handler_class, bases("DatagramRequestHandler"))


_NO_FILE: Final = type(None)


@remembered
def _lacking(files: tuple[type, type]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """What rfile and wfile of these classes lack, each that does with its role and the name of its class."""
    found = (("rfile", files[0], BUFFERED_READER), ("wfile", files[1], BUFFERED_WRITER))
    lacking = [(role, cls.__name__, _lacks(cls, names)) for role, cls, names in found if cls is not _NO_FILE]
    return tuple(each for each in lacking if each[2])


def _lacks(cls: type, names: Iterable[str]) -> tuple[str, ...]:
    return () if issubclass(cls, io.BufferedIOBase) else tuple(name for name in names if not hasattr(cls, name))


class TracedHandler:
    """Placed before the handler's class: writes down each hook as it is entered and left."""

    # No __slots__: with it, assigning __class__ to an instance of the subject fails ("object layout differs").

    def __init_subclass__(cls, **_: Any) -> None:
        """Swallow the subject's own `__init_subclass__`.

        Registries and final classes must not see the derived class.
        """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        _begin(self, *(arguments if len(arguments) == 3 else _servers_own(arguments, options)))
        number = self.__dict__["_handshaker_"][0]
        try:
            super().__init__(*arguments, **options)
        except BaseException as exception:
            emit_raise(("init.raise", RUN.connection, number), exception)
            raise
        RUN.emit((("init.leave", RUN.connection, number), None))

    def setup(self) -> Any:
        """Write down setup()."""
        here = self.__dict__
        number, supplied = here.get("_handshaker_") or _unborn(self)
        supplied = supplied or _attributes(self)
        if type(supplied[0]) is tuple or not isinstance(supplied[0], socket.socket):
            _note_pair(supplied[0], supplied[2])
        attributes = _SUPPLIED if (
            here.get("request") is supplied[0]
            and here.get("client_address") is supplied[1]
            and here.get("server") is supplied[2]
        ) else _as_supplied(self, supplied)  # fmt: skip
        run = RUN
        run.emit((("setup.enter", run.connection, number, run.thread(), attributes), None))
        return _hook(self, _SETUP, number, super().setup)  # type: ignore[misc]

    def handle(self) -> Any:
        """Write down handle()."""
        run, here = RUN, self.__dict__
        number = (here.get("_handshaker_") or _unborn(self))[0]
        names, all_of_them = _promised(type(self))
        missing = () if all_of_them <= here.keys() else tuple([name for name in names if not hasattr(self, name)])
        for told in _lacking((type(here.get("rfile")), type(here.get("wfile")))):
            run.emit((("probe.interface", run.connection, *told), None))
        run.emit((("handle.enter", run.connection, number, run.thread(), missing), None))
        return _hook(self, _HANDLE, number, super().handle)  # type: ignore[misc]

    def finish(self) -> Any:
        """Write down finish(), and before it what a datagram handler has ready to send."""
        run, here = RUN, self.__dict__
        number = (here.get("_handshaker_") or _unborn(self))[0]
        if not _replies_at_the_end(type(self)):
            run.emit((("finish.enter", run.connection, number, run.thread()), None))
            return _hook(self, _FINISH, number, super().finish)  # type: ignore[misc]
        file, held = HELD.look(here.get("wfile"))
        run.emit((("datagram.held", run.connection, number, file, not held), held))
        HELD.data = held if file == "standard" else None
        try:
            run.emit((("finish.enter", run.connection, number, run.thread()), None))
            return _hook(self, _FINISH, number, super().finish, sends=True)  # type: ignore[misc]
        finally:
            HELD.data = None


def _servers_own(arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The request, the client's address and the server among what a constructor is given, as a partial adds to them."""
    for place in range(len(arguments) - 2):
        if isinstance(arguments[place + 2], server_bases()):
            return arguments[place : place + 3]
    given = dict(zip(_SUPPLIED, arguments, strict=False)) | options
    return given.get("request"), given.get("client_address"), given.get("server")


def _begin(handler: Any, request: Any, client_address: Any, server: Any) -> None:
    run = RUN
    number = run.instances
    run.instances = number + 1
    handler.__dict__["_handshaker_"] = (number, (request, _given(request, client_address, server), server))
    ALIVE.append(weakref.ref(handler))
    name, defaults = _introduced(type(handler))
    run.emit((("init.enter", run.connection, number, run.thread()), name))
    for hook, does, detail in defaults:
        run.emit((("probe.defaults", run.connection, hook, does), detail))


def _unborn(handler: Any) -> tuple[int, tuple[Any, ...]]:
    """Know a handler whose constructor nobody has called from its first hook on; what it is given, it has."""
    _begin(handler, *_attributes(handler))
    number = handler.__dict__["_handshaker_"][0]
    handler.__dict__["_handshaker_"] = number, ()
    return number, ()


def _attributes(handler: Any) -> tuple[Any, ...]:
    return tuple(getattr(handler, name, None) for name in _SUPPLIED)


def _note_pair(request: Any, server: Any) -> None:
    """Write down whether a handler of datagrams is given what the server has taken, and the server's own socket."""
    if getattr(server, "socket_type", None) != _DGRAM:
        return
    own = getattr(server, "socket", None)
    pair = isinstance(request, tuple) and len(request) == 2 and isinstance(request[0], bytes)
    if not pair:
        RUN.emit((("datagram.pair", RUN.connection, False, False, False), None))
        return
    data, sock = request
    taken = getattr(own, "latest", None)
    RUN.emit((("datagram.pair", RUN.connection, True, taken is None or data == taken, sock is own), None))


_NOTHING: Final[dict[int, Any]] = {}


def _given(request: Any, client_address: Any, server: Any) -> Any:
    """The address that get_request() returned for *request*; what the constructor is told, when that is equal to it."""
    given = getattr(server, "_handshaker_given_", _NOTHING).pop(id(request), client_address)
    return client_address if given is client_address or given == client_address else given


@remembered
def _introduced(derived: type) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The name of the handler's class, and what its hooks do that nobody has overridden."""
    subject = derived.__mro__[2]  # behind the derived class and TracedHandler
    return f"{derived.__module__}:{derived.__qualname__}", default_hooks(subject)


def _as_supplied(handler: Any, supplied: tuple[Any, Any, Any]) -> tuple[str, ...]:
    missing = object()
    return tuple(
        name for name, value in zip(_SUPPLIED, supplied, strict=True) if getattr(handler, name, missing) is value
    )


def _hook(handler: Any, kinds: _Kinds, number: int, call: Callable[[], Any], *, sends: bool = False) -> Any:
    """Call one of the handler's hooks, whose entering was written down, and write down how it ends.

    If it *sends* what its files hold, they are in memory only, and nobody promises to close them.
    """
    run = RUN
    connection = run.connection
    enter, leave, failed = kinds
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
        run.emit(((leave, connection, number, () if sends else _open_files(handler)), None))
    else:
        run.emit(((leave, connection, number), None))
    return result


def _open_files(handler: Any) -> tuple[str, ...]:
    files = handler.__dict__
    rfile_closed = getattr(files.get("rfile"), "closed", True)
    if getattr(files.get("wfile"), "closed", True):
        return () if rfile_closed else ("rfile",)
    return ("wfile",) if rfile_closed else ("rfile", "wfile")


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
        # In a house another thread may be between its entering and the birth: there the constructors stay as they are.
        if not self._here.depth and not isinstance(RUN, ConcurrentRun):
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
