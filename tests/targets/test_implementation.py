"""Other implementations of the contract: what is one, what is refused, and that everything based on one is a target."""

from __future__ import annotations

import inspect
import re
import socketserver
import sys
from types import ModuleType, SimpleNamespace

import pytest

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.runner import Stage
from handshaker.targets.base import TargetKind
from handshaker.targets.bases import (
    NAMES,
    STDLIB,
    Implementation,
    bases,
    handler_bases,
    implementations,
    owner_of,
    server_bases,
)
from handshaker.targets.defaults import default_hooks
from handshaker.targets.detect import handler_kind, kind_of, overrides
from handshaker.targets.implementation import implementation
from handshaker.targets.stdlib import StdlibTarget, load_target

HELLO = Case((Script((Step("send", b"hello\n"), Step("half-close"))),) * 2)


def a_copy(name: str, *changes: tuple[str, str]) -> ModuleType:
    """The interpreter's own socketserver under another name, with texts replaced."""
    source = inspect.getsource(socketserver)
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    made = ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), vars(made))
    return made


OTHER = a_copy("other_socketserver")
KNOWN = implementation(OTHER)


class Echo(OTHER.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


def test_the_names_are_those_of_the_documentation():
    """Nothing is asked for that the standard library does not document."""
    assert {name for name in socketserver.__all__ if name not in NAMES} == set()


def test_a_module_is_an_implementation():
    """It is known by its name, offers classes, and what it does not offer is told."""
    assert repr(KNOWN) == "Implementation('other_socketserver')"
    assert KNOWN.named("TCPServer") is OTHER.TCPServer
    assert KNOWN.server("udp6") is OTHER.UDPServer
    assert KNOWN.mixin("plain") is None
    assert KNOWN.mixin("forking") is OTHER.ForkingMixIn
    assert Implementation("x", {"TCPServer": OTHER.TCPServer}).lacking == tuple(
        name for name in NAMES if name != "TCPServer"
    )


def test_the_standard_library_comes_first():
    """What an implementation takes over from the standard library stays the standard library's."""
    assert implementations()[0] is STDLIB
    assert bases("BaseServer")[0] is socketserver.BaseServer
    assert owner_of(socketserver.ThreadingTCPServer) is STDLIB
    assert owner_of(Echo) == KNOWN
    assert owner_of(int) is STDLIB


def test_the_same_implementation_is_known_once():
    """Loading it again makes no second one."""
    before = len(implementations())
    assert implementation(OTHER) == KNOWN
    assert len(implementations()) == before


def test_a_name_of_no_base_is_refused():
    """A mistake of ours is told with the right name."""
    with pytest.raises(UsageError, match="did you mean 'TCPServer'"):
        bases("TPCServer")


def test_what_is_based_on_it_is_a_target():
    """Its handlers and servers are such, although they inherit nothing from the standard library."""
    assert issubclass(Echo, handler_bases())
    assert kind_of(Echo) is TargetKind.HANDLER_CLASS
    assert kind_of(OTHER.TCPServer) is TargetKind.SERVER_CLASS
    assert handler_kind(Echo) == "stream"
    assert handler_kind(type("D", (OTHER.DatagramRequestHandler,), {})) == "datagram"
    with OTHER.TCPServer(("127.0.0.1", 0), Echo, bind_and_activate=False) as server:
        assert isinstance(server, server_bases())
        assert kind_of(server) is TargetKind.SERVER_INSTANCE


def test_its_methods_are_overrides():
    """Whatever is not the standard library's may be wrong, so all rules of the contract are judged."""
    assert {"__init__", "setup", "handle", "finish", "process_request", "serve_forever"} <= set(
        overrides(Echo, OTHER.TCPServer)
    )


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_its_handlers_are_recorded_under_its_own_server(network):
    """Hooks, files and replies are seen as they are for the standard library."""
    target = StdlibTarget(Echo, text="Echo", implementation=KNOWN)
    with Stage(target, network=network) as stage:
        trace = stage.play(HELLO)
        assert not stage.in_real_time
    assert target.describe().server.startswith("other_socketserver:")
    assert trace.replies == (b"hello\n", b"hello\n")
    kinds = [event.kind for event in trace.of(connection=0) if event.source == "handler#0"]
    hooks = [f"{hook}.{edge}" for hook in ("setup", "handle", "finish") for edge in ("enter", "leave")]
    assert kinds == ["init.enter", *hooks, "init.leave"]


def test_births_are_seen_in_opaque_callables():
    """A callable that makes handlers of another implementation is watched through that one's constructor."""
    target = StdlibTarget(lambda *arguments: Echo(*arguments), text="made", server=OTHER.TCPServer)  # noqa: PLW0108
    with Stage(target) as stage:
        trace = stage.play(HELLO)
    assert len(trace.of("setup.enter")) == 2
    assert OTHER.BaseRequestHandler.__init__.__qualname__ == "BaseRequestHandler.__init__"


@pytest.mark.parametrize("transport", ["tcp", "unix", "udp"])
def test_a_loop_of_its_own_is_run_as_a_whole(transport):
    """An implementation without the standard library's private turns is played in real time, with the same hooks."""
    made = implementation(a_copy("own_loop_socketserver", ("_handle_request_noblock", "_one_turn")))
    probe = made.named("BaseRequestHandler" if transport == "udp" else "StreamRequestHandler")
    handler = type("Quiet", (probe,), {})
    target = StdlibTarget(handler, text="Quiet", server=made.server(transport), transport=transport)
    case = Case((Script((Step("send", b"hello\n"),)),), transport=transport)
    with Stage(target, network="loopback") as stage:
        trace = stage.play(case)
    assert len(trace.of("handle.leave")) == 1
    assert not trace.of("network.kernel")


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (SimpleNamespace(), "lacks BaseRequestHandler and a server class; there is no class in it"),
        (
            SimpleNamespace(TCPServer=socketserver.TCPServer),
            "lacks BaseRequestHandler; the classes in it are TCPServer",
        ),
        (
            SimpleNamespace(BaseRequestHandler=socketserver.BaseRequestHandler, BaseServer=socketserver.BaseServer),
            "lacks a server class",
        ),
        (
            SimpleNamespace(BaseRequestHandler=len, TCPServer=int),
            "BaseRequestHandler is <built-in function len>, not a class",
        ),
        ("json", "implementation 'json' lacks BaseRequestHandler and a server class"),
        ("no_such_module_anywhere", "there is no module 'no_such_module_anywhere'"),
        ("socketserver:TCPServers", "did you mean 'TCPServer'"),
    ],
)
def test_what_is_no_implementation_is_refused(offered, said):
    """The message says what is missing, what there is, and what to write."""
    with pytest.raises(UsageError, match=re.escape(said)):
        implementation(offered)


def test_an_implementation_that_cannot_be_imported_is_told(tmp_path):
    """What goes wrong in its module is shown at its line."""
    (tmp_path / "broken_impl.py").write_text("import socketserver\n1 / 0\n")
    with pytest.raises(TargetError, match=r"importing 'broken_impl.py' failed at .*broken_impl.py:2"):
        implementation("broken_impl.py", tmp_path)


def test_it_is_named_by_text(tmp_path, monkeypatch):
    """`--implementation` takes a module's name or a file, and hosts the handlers that are based on it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "named_impl.py").write_text(inspect.getsource(socketserver))
    (tmp_path / "named_app.py").write_text(
        "from named_impl import StreamRequestHandler\n\nclass Echo(StreamRequestHandler):\n"
        "    def handle(self):\n        self.wfile.write(self.rfile.readline())\n"
    )
    for wanted in ("named_impl", "named_impl.py"):
        target = load_target("named_app:Echo", implementation=wanted, root=tmp_path)
        assert target.describe().server == "named_impl:TCPServer"
    with Stage(target) as stage:
        assert stage.play(HELLO).replies == (b"hello\n", b"hello\n")


class Curious(OTHER.BaseRequestHandler):
    """A base class whose defaults do something."""

    def setup(self):
        return self.request.fileno()

    def handle(self):
        return 7

    def finish(self):
        if self.client_address:
            raise ValueError("unreachable")


class Failing(OTHER.BaseRequestHandler):
    """A base class with a default that raises."""

    def setup(self):
        raise ValueError("no")


def test_defaults_that_do_something_are_told():
    """Each default hook is called on objects that answer nothing: what it asks for, returns or raises is told."""
    implementation(SimpleNamespace(__name__="curious", BaseRequestHandler=Curious, TCPServer=OTHER.TCPServer))
    implementation(SimpleNamespace(__name__="failing", BaseRequestHandler=Failing, TCPServer=OTHER.TCPServer))
    assert [hook[:2] for hook in default_hooks(Curious)] == [
        ("setup", "touches"),
        ("handle", "returns"),
        ("finish", "touches"),
    ]
    assert default_hooks(Failing)[0] == ("setup", "raises", "ValueError: no")
    assert {does for _, does, _ in default_hooks(Echo)} == {"nothing"}


def test_the_standard_library_is_asked_only_where_nothing_is_overridden():
    """A usual handler costs nothing; one that leaves everything to the base class has that base class asked."""
    assert default_hooks(socketserver.StreamRequestHandler) == ()
    assert [does for _, does, _ in default_hooks(type("Bare", (socketserver.BaseRequestHandler,), {}))] == [
        "nothing"
    ] * 3
