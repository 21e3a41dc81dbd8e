"""Recording what is instantiated, whatever it is, without changing what it does."""

from __future__ import annotations

import functools
import socket
import socketserver
import threading
from typing import ClassVar

import pytest

from handshaker.harness.recorder import RUN, Recorder
from handshaker.targets.instrument import TracedHandler, instrument
from handshaker.targets.instrument_server import instrument_server

HOOKS = ["setup", "handle", "finish"]


class Line(socketserver.StreamRequestHandler):
    """Answers each line with its length, and remembers which hooks ran."""

    ran: ClassVar[list[str]] = []

    def setup(self):
        self.ran.append("setup")
        super().setup()

    def handle(self):
        self.ran.append("handle")
        for line in self.rfile:
            if line == b"boom\n":
                raise ValueError("boom")
            self.wfile.write(b"%d\n" % len(line))

    def finish(self):
        self.ran.append("finish")
        super().finish()


class OwnInit(Line):
    """Works before and after the constructor of the base class."""

    def __init__(self, request, client_address, server, prefix=b""):
        self.prefix = prefix
        super().__init__(request, client_address, server)
        self.after = True


class Configured(Line):
    """Takes a setting before everything else, as a partial of it gives."""

    def __init__(self, prefix, *arguments):
        self.prefix = prefix
        super().__init__(*arguments)


class Slotted(Line):
    """Declares slots."""

    __slots__ = ("counter",)

    def handle(self):
        self.counter = 1
        super().handle()


class Registered(Line):
    """Keeps a registry of its subclasses, which must not see the derived class."""

    subclasses: ClassVar[list[type]] = []

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls.subclasses.append(cls)


class Final(Line):
    """Refuses to be subclassed."""

    def __init_subclass__(cls, **options):
        raise TypeError("Final is final")


class Factory:
    """Makes handlers through a bound method."""

    def make(self, request, client_address, server):
        return Line(request, client_address, server)


def closure():
    class Inner(Line):
        pass

    def make(*arguments):
        return Inner(*arguments)

    return make


HANDLERS = {
    "class": Line,
    "own __init__": OwnInit,
    "slots": Slotted,
    "__init_subclass__": Registered,
    "final": Final,
    "partial": functools.partial(OwnInit, prefix=b">"),
    "nested partial": functools.partial(functools.partial(OwnInit), prefix=b">"),
    "partial with a leading argument": functools.partial(Configured, b">"),
    "lambda with names": lambda request, address, server: Line(server=server, client_address=address, request=request),
    "bound method": Factory().make,
    "closure": closure(),
    "lambda": lambda *arguments: Line(*arguments),  # noqa: PLW0108 - the lambda is what is tested
}


class QuietServer(socketserver.TCPServer):
    """Keeps what went wrong instead of printing it."""

    errors: ClassVar[list[str]] = []

    def handle_error(self, request, client_address):
        import sys  # noqa: PLC0415 - what is current here is asked of sys

        self.errors.append(type(sys.exc_info()[1]).__name__)


def exchange(handler, payload, *, recorded):
    """The reply of one real exchange, the hooks that ran, and the errors that were reported."""
    Line.ran.clear()
    QuietServer.errors.clear()
    with QuietServer(("127.0.0.1", 0), instrument(handler) if recorded else handler) as server:
        if recorded:
            instrument_server(server)
        with socket.create_connection(server.server_address, timeout=10) as peer:
            peer.sendall(payload)
            peer.shutdown(socket.SHUT_WR)
            server.handle_request()
            with peer.makefile("rb") as reply:
                return reply.read(), list(Line.ran), list(QuietServer.errors)


@pytest.fixture
def recorder():
    """A run in progress."""
    recorder = Recorder()
    RUN.begin(recorder, (), ())
    yield recorder
    RUN.clear()


def kinds(recorder):
    return [what[0] for what in recorder.flat[::2]]


@pytest.mark.parametrize("payload", [b"ab\nc\n", b"", b"a\nboom\nb\n"])
@pytest.mark.parametrize("name", HANDLERS)
def test_recording_changes_nothing(name, payload, recorder):
    """The same reply, the same hooks in the same order, and the same errors, with recording and without."""
    assert exchange(HANDLERS[name], payload, recorded=True) == exchange(HANDLERS[name], payload, recorded=False)


@pytest.mark.parametrize("name", HANDLERS)
def test_every_kind_of_handler_is_recorded(name, recorder):
    """Whatever makes the handler, its three hooks are written down in order, once."""
    exchange(HANDLERS[name], b"a\n", recorded=True)
    entered = [kind for kind in kinds(recorder) if kind.endswith(".enter") and kind.partition(".")[0] in HOOKS]
    assert entered == [f"{hook}.enter" for hook in HOOKS]


@pytest.mark.parametrize("name", HANDLERS)
def test_what_the_server_supplies_is_told_from_what_a_partial_adds(name, recorder):
    """The three attributes are known for what the server gave, wherever a constructor takes them."""
    exchange(HANDLERS[name], b"a\n", recorded=True)
    (entered,) = [what for what in recorder.flat[::2] if what[0] == "setup.enter"]
    assert entered[-1] == ("request", "client_address", "server")


def test_the_derived_class_passes_for_its_subject():
    """Name, module, docstring and isinstance are the subject's."""
    derived = instrument(Line)
    assert (derived.__name__, derived.__module__, derived.__doc__) == (Line.__name__, Line.__module__, Line.__doc__)
    assert issubclass(derived, Line)
    assert issubclass(derived, TracedHandler)


def test_a_registry_of_subclasses_is_not_told():
    """A subject that keeps a list of its subclasses does not find ours in it."""
    before = list(Registered.subclasses)
    instrument(type("Another", (Registered,), {}))
    assert [cls.__name__ for cls in Registered.subclasses[len(before) :]] == ["Another"]


def test_a_handler_that_another_thread_makes_is_left_alone(recorder):
    """Only what the recorded callable itself makes is recorded, also while it is at work."""
    made = []

    class Bare(socketserver.BaseRequestHandler):
        def handle(self):
            made.append(isinstance(self, TracedHandler))

    def make(*arguments):
        thread = threading.Thread(target=Bare, args=arguments)
        thread.start()
        thread.join()
        return Bare(*arguments)

    instrument(make)(None, None, None)
    assert made == [False, True]


def test_an_exception_is_kept_as_text_only(recorder):
    """What a hook raised is written down with its lineage, and no reference to it stays behind."""
    exchange(Line, b"boom\n", recorded=True)
    what, message = next(
        (what, message)
        for what, message in zip(recorder.flat[::2], recorder.flat[1::2], strict=True)
        if what[0] == "handle.raise"
    )
    assert what[3][0] == "builtins.ValueError"
    assert "boom" in message
    assert all(not isinstance(entry, BaseException) for entry in recorder.flat)
