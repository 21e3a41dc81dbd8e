"""Server classes made to fit: the same class over another address family, and with or without threads and forks.

A class of the user's is taken as it is when it fits already. What is derived from it keeps its name and module, so that
reports speak of the user's class, and adds nothing that is not the implementation's own: every override of the user's
still runs.
"""

from __future__ import annotations

import functools
import socket
from typing import Any

from handshaker.harness.errors import TargetError
from handshaker.harness.transports import TRANSPORTS, Transport, transport_of
from handshaker.targets.base import qualified_name
from handshaker.targets.bases import MIXINS, SERVERS, implementations, owner_of

__all__ = [
    "concurrency_of",
    "on_transport",
    "plain",
    "plain_reason",
    "shaped",
    "transport_of_server",
    "with_concurrency",
]


def transport_of_server(server: Any) -> Transport | None:
    """The transport of a server class or object; None when it has no socket, or one of another kind."""
    family, kind = getattr(server, "address_family", None), getattr(server, "socket_type", None)
    return transport_of(family, kind) if family is not None and kind is not None else None


def concurrency_of(cls: type) -> str:
    """How a server class shares its time: by whose `process_request` comes first, below the user's own."""
    mixins = _mixins()
    for base in cls.__mro__:
        if base in mixins:
            return mixins[base]
        if "process_request" in vars(base) and base.__module__ in _modules():
            break
    return "plain"


def _mixins() -> dict[type, str]:
    """The classes that let a server serve peers beside each other, and how."""
    offered = [(made.mixin(concurrency), concurrency) for made in implementations() for concurrency in MIXINS]
    return {cls: concurrency for cls, concurrency in offered if cls is not None}


def _modules() -> set[str]:
    """Where the classes of socketserver and of its other implementations are defined."""
    return {cls.__module__ for made in implementations() for cls in made.classes.values()}


def shaped(cls: Any, transport: str = "", concurrency: str = "") -> Any:
    """*cls* over *transport* and with *concurrency*; "" leaves that as it is. Raises TargetError when it cannot be."""
    if transport:
        cls = on_transport(cls, transport)
    return with_concurrency(cls, concurrency) if concurrency else cls


@functools.cache
def on_transport(cls: Any, name: str) -> Any:
    """*cls*, or its equivalent with the address family of the transport *name*.

    Raises TargetError when its sockets are of the other type: no family makes a stream of datagrams.
    """
    wanted, own = TRANSPORTS[name], transport_of_server(cls)
    if own is None:
        raise TargetError(_no_socket(cls))
    if own.type != wanted.type:
        fitting = ", ".join(row.name for row in TRANSPORTS.values() if row.type == own.type)
        raise TargetError(
            f"{qualified_name(cls)} serves {'datagrams' if own.datagram else 'streams'} and cannot be hosted over "
            f"{name}; allowed for it are {fitting}"
        )
    if own is wanted:
        return cls
    content: dict[str, Any] = {"address_family": wanted.family}
    if wanted.unix:
        content["allow_reuse_port"] = False  # asked for on behalf of TCP; newer kernels refuse it on Unix sockets
    return _derived(cls, (cls,), content)


def _no_socket(cls: Any) -> str:
    family = getattr(cls, "address_family", None)
    name = qualified_name(cls)
    if family is None:
        return f"{name} has no socket of its own; derive it from socketserver.TCPServer or UDPServer"
    listens = socket.AddressFamily(family).name if isinstance(family, socket.AddressFamily) else repr(family)
    return (
        f"{name} listens on {listens} with a socket of type {getattr(cls, 'socket_type', None)!r}, which handshaker "
        f"does not play; allowed are the transports {', '.join(TRANSPORTS)}"
    )


@functools.cache
def with_concurrency(cls: Any, wanted: str) -> Any:
    """*cls*, or its equivalent that is plain, threading or forking. Raises TargetError when there is no such mix-in."""
    if concurrency_of(cls) == wanted:
        return cls
    if wanted == "plain":
        return plain(cls)
    if _hands_over(cls):
        raise TargetError(
            f"{qualified_name(cls)} cannot be made {wanted}: it has its requests served in a process_request() of its "
            f"own, which {MIXINS[wanted]} would replace; leave --concurrency {wanted} away, and it is played as it is"
        )
    own = owner_of(cls)
    mixin = own.mixin(wanted)
    if mixin is None:
        raise TargetError(
            f"{qualified_name(cls)} cannot be made {wanted}: {own.text} has no {MIXINS[wanted]} here; "
            f"leave --concurrency {wanted} away"
        )
    try:
        return _derived(cls, (mixin, plain(cls)), {})
    except TypeError as error:
        raise TargetError(
            f"{qualified_name(cls)} cannot be made {wanted}: {error}; write {MIXINS[wanted]} before the server class "
            f"in its bases"
        ) from None


def _hands_over(cls: Any) -> bool:
    """Whether the class says itself who serves a request, and leaves nothing of that to the class behind it."""
    definer: Any = next((base for base in cls.__mro__ if "process_request" in vars(base)), object)
    code: Any = getattr(vars(definer).get("process_request"), "__code__", None)
    if code is None or definer.__module__ in _modules():
        return False
    return not {"super", "process_request"}.intersection(code.co_names)


def _derived(cls: Any, bases: tuple[Any, ...], content: dict[str, Any]) -> Any:
    told = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, bases, {**told, **content})


@functools.cache
def _inline(mixin: Any) -> Any:
    # It passes for a class of socketserver, for it adds nothing that is not its implementation's own.
    own = owner_of(mixin)
    plain_server: Any = next(cls for name in SERVERS if (cls := own.named(name)) is not None)
    content = {"__module__": plain_server.__module__, "process_request": plain_server.process_request}
    return type(mixin)(f"Plain{mixin.__name__}", (mixin,), content)


@functools.cache
def plain(cls: Any) -> Any:
    """*cls* itself, or for a threading or forking server class its equivalent that serves one peer after another.

    The equivalent has socketserver's plain `process_request` directly before the mixin in its method resolution
    order, so that overrides in the user's own classes still run.
    """
    mixins = tuple(_inline(mixin) for mixin in _mixins() if issubclass(cls, mixin))
    if not mixins or issubclass(cls, mixins):
        return cls
    return _derived(cls, (cls, *mixins), {})


def plain_reason(cls: type) -> str:
    """The remark that belongs to `plain(cls)`; `""` when *cls* is plain already."""
    concurrency = concurrency_of(cls)
    if concurrency == "plain":
        return ""
    return (
        f"{qualified_name(cls)} is a {MIXINS[concurrency]} server; it is hosted as its plain equivalent, which serves "
        f"one peer after another; handlers run at the same time with --concurrency {concurrency}"
    )
