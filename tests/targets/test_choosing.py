"""What is tested and what hosts it, where TARGET alone does not say it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handshaker.harness.errors import UsageError
from handshaker.targets.base import TargetKind, spelled
from handshaker.targets.loading import load, parse
from handshaker.targets.stdlib import StdlibTarget, load_target
from tests.targets.conftest import Write

BOTH = """
    import socketserver

    class Base(socketserver.BaseRequestHandler):
        def handle(self): self.send(self.read())

    class OfDatagrams(Base):
        def read(self): return self.request[0]
        def send(self, data): self.request[1].sendto(data, self.client_address)

    class OfConnections(Base):
        def read(self): return self.request.recv(100)
        def send(self, data): self.request.sendall(data)

    class Shouting(OfConnections):
        def send(self, data): super().send(data.upper())

    class Lines(socketserver.StreamRequestHandler):
        def handle(self): self.wfile.write(self.rfile.readline(9))

    class Grams(socketserver.UDPServer): pass
    class Stream(socketserver.TCPServer): pass

    def make(): return Stream(("127.0.0.1", 0), Lines)
    def host(handler): return Stream(("127.0.0.1", 0), handler)
"""


def commands(error: BaseException) -> list[str]:
    """The commands that a message says to write."""
    return [line.strip() for line in str(error).splitlines() if line.startswith("    ")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}.py:Grams", ["handshaker run {}.py:OfDatagrams --server {}.py:Grams"]),
        ("./{}.py:Grams", ["handshaker run {}.py:OfDatagrams --server {}.py:Grams"]),
        ("{}:Grams", ["handshaker run {}:OfDatagrams --server {}:Grams"]),
        (
            "{}.py:Stream",
            ["handshaker run {}.py:Shouting --server {}.py:Stream", "handshaker run {}.py:Lines --server {}.py:Stream"],
        ),
    ],
)
def test_for_a_server_class_the_handlers_that_fit_it_are_proposed(
    write: Write, tmp_path: Path, text: str, said: list[str]
) -> None:
    """Handlers for its type of socket that are no base of others, in the spelling of the user."""
    write("hk_both.py", BOTH)
    with pytest.raises(UsageError, match="Base, OfDatagrams, OfConnections, Shouting, Lines; write") as caught:
        load_target(text.format("hk_both"), root=tmp_path)
    assert commands(caught.value) == [line.format("hk_both", "hk_both") for line in said]


def test_for_a_server_class_that_no_handler_fits_all_are_proposed(write: Write, tmp_path: Path) -> None:
    """The user then sees why: the next message is about the transport."""
    write(
        "hk_none.py",
        """
        import socketserver
        class A(socketserver.StreamRequestHandler):
            def handle(self): pass
        class B(A):
            def handle(self): pass
        class Grams(socketserver.UDPServer): pass
        """,
    )
    with pytest.raises(UsageError) as caught:
        load_target("hk_none:Grams", root=tmp_path)
    assert [line.split()[2] for line in commands(caught.value)] == ["hk_none:A", "hk_none:B"]


def test_a_class_elsewhere_is_spelled_by_its_module(write: Write, tmp_path: Path) -> None:
    """Only what lies in the file that was named has that file's path."""
    write("hk_sub/hk_base.py", BOTH)
    write("hk_sub/hk_user.py", "from hk_base import Lines\nclass Mine(Lines): pass\n")
    mine = load(parse("hk_sub/hk_user.py:Mine"), tmp_path)
    assert spelled(mine, "hk_sub/hk_user.py:Mine") == "hk_sub/hk_user.py:Mine"
    assert spelled(mine, "../x/hk_sub/hk_user.py:Mine") == "hk_user:Mine"
    assert spelled(mine.__mro__[1], "hk_sub/hk_user.py:Mine") == "hk_base:Lines"


HIDDEN = """
    import socketserver

    class _Echo(socketserver.StreamRequestHandler):
        def handle(self): self.wfile.write(self.rfile.readline(100))

    def plain(): return socketserver.TCPServer(("127.0.0.1", 0), _Echo)
"""


@pytest.mark.parametrize("text", ["hk_hidden.py", "hk_hidden"])
def test_a_module_and_a_factory_test_what_the_factory_makes(write: Write, tmp_path: Path, text: str) -> None:
    """Where the module offers no handler, the one that the server brings is the subject."""
    write("hk_hidden.py", HIDDEN)
    told = load_target(text, factory=f"{text}:plain", root=tmp_path).describe()
    assert (told.kind, told.handler) == (TargetKind.SERVER_FACTORY, "hk_hidden:_Echo")


def test_a_module_with_several_handlers_and_a_factory_tests_what_the_factory_makes(
    write: Write, tmp_path: Path
) -> None:
    """Which of the handlers is meant is what the factory says, unless it is given one itself: then that is asked."""
    write("hk_both.py", BOTH)
    assert load_target("hk_both.py", factory="hk_both.py:make", root=tmp_path).describe().handler == "hk_both:Lines"
    with pytest.raises(UsageError, match=r"'hk_both\.py:host' is given its handler") as caught:
        load_target("hk_both.py", factory="hk_both.py:host", root=tmp_path)
    assert "handshaker run hk_both.py:Lines --factory hk_both.py:host" in commands(caught.value)


def test_the_only_handler_of_a_module_is_given_to_the_factory(write: Write, tmp_path: Path) -> None:
    """A module that offers nothing else stands for its handler; so does one whose factory asks for a handler."""
    write("hk_alone.py", HIDDEN.replace("_Echo", "Echo").replace("def plain", "def _plain"))
    write("hk_hosting.py", BOTH)
    for factory in ("hk_hosting:make", "hk_hosting:host"):
        told = load_target("hk_alone.py", factory=factory, root=tmp_path).describe()
        assert (told.kind, told.handler) == (TargetKind.HANDLER_CLASS, "hk_alone:Echo")


def test_a_factory_beside_a_file_in_a_folder_is_found(write: Write, tmp_path: Path) -> None:
    """TARGET's folder is importable before the factory is looked for."""
    write("hk_folder/hk_inner.py", HIDDEN)
    told = load_target("hk_folder/hk_inner.py", factory="hk_inner:plain", root=tmp_path).describe()
    assert told.handler == "hk_inner:_Echo"
    assert isinstance(sys.modules["hk_inner"], type(sys))


def test_a_factory_without_handler_names_the_form_to_write(write: Write, tmp_path: Path) -> None:
    """A factory that asks for a handler, and a module that has none."""
    write("hk_hosting.py", BOTH)
    write("hk_empty.py", "x = 1\n")
    with pytest.raises(UsageError, match="are none; name one") as caught:
        load_target("hk_empty.py", factory="hk_hosting:host", root=tmp_path)
    assert commands(caught.value) == ["handshaker run module:Handler --factory hk_hosting:host"]


def test_a_target_object_is_never_replaced_by_its_factory(write: Write, tmp_path: Path) -> None:
    """TARGET with a name in it says what is tested."""
    write("hk_both.py", BOTH)
    target: StdlibTarget = load_target("hk_both.py:Shouting", factory="hk_both.py:make", root=tmp_path)
    assert target.describe().handler == "hk_both:Shouting"
