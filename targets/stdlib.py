"""Targets of `socketserver`: handler classes and callables, server classes, factories and server objects.

Construction only: what is asked of a target is a fresh, bound, listening server for every Case. How to make it is
decided once, from what TARGET is and from `--server` and `--factory`; after that each server costs one call.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from socketserver import TCPServer
from typing import Any, Final

from handshaker.harness.contract import Contract
from handshaker.harness.errors import TargetError, UsageError, did_you_mean
from handshaker.harness.places import Place, remove_socket_file
from handshaker.harness.transports import TRANSPORTS, transport_of
from handshaker.targets.advice import explain
from handshaker.targets.base import (
    LOOPBACK,
    Address,
    Handler,
    HandlerWrapper,
    ServerMaker,
    TargetDescription,
    TargetKind,
    qualified_name,
)
from handshaker.targets.bases import STDLIB, Implementation
from handshaker.targets.building import Call, plan
from handshaker.targets.choosing import HANDLERS, default_handler, kind_beside, thing_beside_factory
from handshaker.targets.combining import check_names, require_available
from handshaker.targets.detect import (
    handler_class_of,
    handler_kind,
    overrides,
    require_fit,
    unwrapped,
)
from handshaker.targets.homes import home_of
from handshaker.targets.implementation import implementation as load_implementation
from handshaker.targets.instrument_server import without_waiting
from handshaker.targets.loading import load, load_module, parse
from handshaker.targets.making import Ownership, copies_of, made_by
from handshaker.targets.natural import ALIASES, natural_server, plain_message
from handshaker.targets.shaping import concurrency_of, on_transport, plain_reason, shaped, transport_of_server

__all__ = ["StdlibTarget", "load_target"]

_DECLARABLE: Final = ("allowed_exceptions", "example", "stateless", "timeout")
_SETTINGS: Final = ("max_packet_size", "block_on_close", "daemon_threads", "max_children")
"""What a server class says about packets, threads and children, under the names of the Contract's fields."""


def load_target(
    text: str,
    *,
    server: str = "",
    factory: str = "",
    root: str | os.PathLike[str] = ".",
    transport: str = "",
    concurrency: str = "",
    implementation: str = "",
) -> StdlibTarget:
    """Import what TARGET *text* names, and what `--server` and `--factory` name, and make a target of them.

    *transport* and *concurrency* are names out of `transports`; without them they are detected. *implementation* names
    a module that is used in place of `socketserver`. Raises UsageError for what cannot be understood, TargetError for
    what cannot be imported or hosted.
    """
    check_names(transport, concurrency)
    offered = load_implementation(implementation, root) if implementation else None

    def named(wanted: str) -> Any:
        return load(parse(wanted), root) if wanted else None

    spec = parse(ALIASES.get(text, text))
    is_module = bool(factory) and not spec.attributes
    thing = load_module(spec.text, root) if is_module else load(spec, root)
    maker = named(factory)
    return StdlibTarget(
        thing_beside_factory(thing, text, maker, factory) if is_module else thing,
        text=text,
        server=named(server),
        factory=maker,
        transport=transport,
        concurrency=concurrency,
        implementation=offered,
    )


class StdlibTarget:
    """One handler under one kind of server of `socketserver`, over one transport, with one concurrency.

    *thing* is what TARGET named, *text* its name. *server* (a server class) or *factory* (a callable that returns a
    server) say where the handler is to live; without them that is detected, and so are *transport* and *concurrency*:
    from the server, else from the handler. *implementation* offers the server that is taken when nothing else is known.
    """

    def __init__(
        self,
        thing: Any,
        *,
        text: str = "",
        server: Any = None,
        factory: Any = None,
        transport: str = "",
        concurrency: str = "",
        implementation: Implementation | None = None,
    ) -> None:
        check_names(transport, concurrency)
        self.text = text or qualified_name(thing)
        self.kind = kind_beside(thing, self.text, server, factory)
        self._handler: Handler | None = thing if self.kind in HANDLERS else None
        self._handler_class: type | None = None if self._handler is None else handler_class_of(thing)
        self._asked = (transport, concurrency)
        self._implementation = implementation
        self._written: Any = None  # the server class as its author wrote it
        self._server_class: Any = STDLIB.named("TCPServer")  # the one that hosts
        self._transport = transport or "tcp"
        self._hosted = ""
        self._examined = False
        self._factory = thing if self.kind is TargetKind.SERVER_FACTORY else factory
        self._build = self._choose(thing, server, factory)

    def __repr__(self) -> str:
        return f"StdlibTarget({self.text!r}, {self.kind})"

    def describe(self) -> TargetDescription:
        """What is hosted, and how.

        A target whose server is only known once it is made makes one here, on a free port of 127.0.0.1 (or of ::1, or
        on a path of its own), and closes it. Raises TargetError when it cannot be made.
        """
        if not self._examined:
            try:
                with Place(self._transport) as place:
                    server = self._build_and_examine(place.address)
                    remove_socket_file(server.socket)
                    without_waiting(server, server.server_close, stuck=False)  # no loop has run that it could await
            except (Exception, SystemExit) as error:
                raise self.preflight_error(error) from error
        return self._description()

    def contract(self, **declared: Any) -> Contract:
        """What the handler promises; *declared* are the Contract's fields that only a user knows."""
        for name in declared:
            if name not in _DECLARABLE:
                raise UsageError(f"{name!r} cannot be declared about a handler; {did_you_mean(name, _DECLARABLE)}")
        told = self.describe()
        found = Contract(
            kind=told.handler_kind,
            overrides=told.overrides,
            timeout=told.timeout,
            wbufsize=told.wbufsize,
            rbufsize=told.rbufsize,
            nagle_disabled=told.nagle_disabled,
            transport=told.transport,
            concurrency=told.concurrency,
            **{name: getattr(self._server_class, name) for name in _SETTINGS if hasattr(self._server_class, name)},
        )
        return dataclasses.replace(found, **declared)

    def maker(self, wrap: HandlerWrapper) -> ServerMaker:
        """A function that makes a fresh server, with its handler wrapped by *wrap*, for an address.

        What it raises is to be shown through `preflight_error`. Handlers are wrapped again only when they change,
        as they do in a factory that makes a new class each time.
        """
        bare: Handler | None = None
        wrapped: Handler | None = None

        def make(address: Address) -> TCPServer:
            nonlocal bare, wrapped
            server = self._build(address) if self._examined else self._build_and_examine(address)
            if server.RequestHandlerClass is not bare:
                bare = server.RequestHandlerClass
                wrapped = wrap(bare)
            server.RequestHandlerClass = wrapped  # type: ignore[assignment]
            return server

        return make

    def new_server(self, wrap: HandlerWrapper, address: Address = LOOPBACK) -> TCPServer:
        """One fresh server at *address*, bound and listening, with its handler wrapped by *wrap*."""
        return self.maker(wrap)(address)

    def learn(self, handler_class: type) -> None:
        """Take note of the class of the handler that was really made; an opaque callable does not tell it before."""
        self._handler_class = handler_class

    def subjects(self) -> tuple[Any, ...]:
        """The classes and functions whose code tells what the handler understands: handler, server, factory."""
        self.describe()
        found = (self._handler_class, unwrapped(self._handler), self._server_class, self._factory)
        return tuple({id(thing): thing for thing in found if thing is not None}.values())

    def preflight_error(self, error: BaseException) -> TargetError:
        """Why hosting failed with *error*, and the factory to write."""
        return explain(error, self._description(), self._handler_class, self._server_class)

    def _choose(self, thing: Any, server: Any, factory: Any) -> ServerMaker:
        if self.kind is TargetKind.SERVER_INSTANCE:
            self._hosted = "each time a copy of that server object, with a socket of its own"
            self._note_server_class(type(thing))
            return copies_of(thing, self._shaped)
        if factory is not None or self.kind is TargetKind.SERVER_FACTORY:
            maker = thing if factory is None else factory
            self._hosted = f"hosted by the server that {qualified_name(maker)} returns"
            return self._made_by(plan(maker, with_handler=self._handler is not None), self._handler)
        if server is not None or self.kind is TargetKind.SERVER_CLASS:
            chosen = server if server is not None else thing
            self._hosted = f"hosted under {qualified_name(chosen)}, as asked for"
            return self._constructed(chosen)
        natural = natural_server(self._handler_class, self._asked[0], self._implementation, self.text)
        self._hosted = natural.reason
        if isinstance(natural.make, type):
            return self._constructed(natural.make)
        self._note_server_class(natural.server_class)
        self._examined = not self._is_moved()
        make = natural.make
        if self._server_class is not natural.server_class:
            make = functools.partial(make, server_class=self._server_class)
        return self._made_by(plan(make, with_handler=True), self._handler)

    def _constructed(self, server_class: type) -> ServerMaker:
        self._note_server_class(server_class)
        call = plan(self._server_class, with_handler=self._handler is not None)
        fitting = ("address", "path") if TRANSPORTS[self._transport].unix else ("address", "path", "host")
        if not call.takes(*fitting):
            # Whoever insists on an address of its own is made there, and moved when it is made.
            call = dataclasses.replace(call, function=shaped(server_class, concurrency=self._asked[1]))
        if self._handler is not None:
            self._examined = not call.missing and not self._is_moved()
            return self._made_by(call, self._handler)
        return self._made_by(call, default_handler(server_class, self.text) if call.takes_handler else None)

    def _is_moved(self) -> bool:
        """Whether the server was written for another transport, so that only making one shows whether it copes."""
        return transport_of_server(self._written) is not TRANSPORTS[self._transport]

    def _made_by(self, call: Call, handler: Handler | None) -> ServerMaker:
        if self._written is None and not self._asked[0] and call.takes("path"):
            self._transport = "unix"
        return made_by(call, handler, Ownership(self._handler, self._is_mine), self._shaped)

    def _shaped(self, server_class: Any) -> Any:
        """The class that hosts in place of *server_class*, as it was asked for."""
        if self._written is None:
            self._written = server_class
        return shaped(server_class, *self._asked)

    def _is_mine(self, handler: Any) -> bool:
        """Whether *handler* is TARGET's, or made of it by the factory: a subclass, a partial."""
        if handler is self._handler:
            return True
        core, mine = unwrapped(handler), self._handler_class
        return mine is not None and isinstance(core, type) and issubclass(core, mine)

    def _note_server_class(self, cls: Any, socket: Any = None) -> None:
        """Take note of the server class, as written or as made (then with its socket). Raises TargetError."""
        self._server_class = self._shaped(cls)
        row = transport_of_server(self._server_class) if socket is None else transport_of(socket.family, socket.type)
        if row is None:
            on_transport(self._server_class, self._transport)  # says what is wrong with it
            raise TargetError(
                f"{self.text}: {qualified_name(cls)} has a socket of a kind that handshaker does not play"
            )
        self._transport = row.name
        require_fit(self._handler_class, row, qualified_name(cls), self.text)
        require_available(row.name, concurrency_of(self._server_class))

    def _build_and_examine(self, address: Address) -> TCPServer:
        server = self._build(address)
        try:
            self._examine(server)
        except BaseException:
            without_waiting(server, server.server_close, stuck=False)
            raise
        self._examined = True
        return server

    def _examine(self, server: TCPServer) -> None:
        handler: Any = server.RequestHandlerClass
        if not callable(handler):
            raise TargetError(
                f"{self.text}: the RequestHandlerClass of {qualified_name(server)} is {handler!r}, so it cannot "
                f"be watched; give the server its handler class, or name the handler itself as TARGET"
            )
        if type(server.socket).__name__ == "SSLSocket":
            raise TargetError(
                f"{self.text}: {qualified_name(server)} listens with TLS, which is not supported yet; write a factory "
                f"that returns it without TLS, and name that"
            )
        self._handler_class = self._handler_class or handler_class_of(handler)
        self._note_server_class(type(server), server.socket)
        if self._asked[0] not in ("", self._transport):
            raise TargetError(
                f"{self.text}: {qualified_name(server)} insists on {self._transport} and cannot be hosted over "
                f"{self._asked[0]}; leave --transport away, or name another server with --server"
            )

    def _description(self) -> TargetDescription:
        cls: Any = self._handler_class
        handler = cls or self._handler
        concurrency = concurrency_of(self._server_class)
        remark = plain_reason(self._written or self._server_class) if concurrency == "plain" else ""
        return TargetDescription(
            text=self.text,
            kind=self.kind,
            handler=qualified_name(handler) if handler is not None else "",
            server=qualified_name(self._server_class),
            handler_kind=handler_kind(cls),
            transport=self._transport,
            overrides=overrides(cls, self._server_class, concurrency),
            timeout=getattr(cls, "timeout", None),
            wbufsize=getattr(cls, "wbufsize", 0),
            rbufsize=getattr(cls, "rbufsize", -1),
            nagle_disabled=bool(getattr(cls, "disable_nagle_algorithm", False)),
            home=home_of(handler),
            where=_where(cls),
            plain=plain_message(cls),
            hosted=self._hosting(concurrency),
            beside=concurrency_of(self._written or self._server_class) != "plain",
            concurrency=concurrency,
            written=concurrency_of(self._written or self._server_class),
            own_path=TRANSPORTS[self._transport].unix and (self._factory is not None or _is_own(self._server_class)),
            remarks=(remark,) if remark else (),
        )

    def _hosting(self, concurrency: str) -> str:
        return f"{self._hosted}; over {self._transport}, {concurrency}"


def _is_own(server_class: type) -> bool:
    """Whether some of its code is not the standard library's: it may do something with the file of its socket."""
    return any(base.__module__.partition(".")[0] not in sys.stdlib_module_names for base in server_class.__mro__)


def _where(handler_class: Any) -> str:
    """The file and line of handle(), when it is written in Python."""
    code = getattr(getattr(handler_class, "handle", None), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
