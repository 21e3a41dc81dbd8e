"""Why a target could not be hosted, and what to write so that it can."""

from __future__ import annotations

import errno
import socketserver
import sys
from pathlib import Path
from typing import Any

import pytest

from handshaker.harness.errors import TargetError
from handshaker.targets.base import LOOPBACK
from handshaker.targets.loading import load, parse
from handshaker.targets.stdlib import StdlibTarget, load_target


class Needy(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.server.resolver.resolve()  # type: ignore[attr-defined]


class Stocked(socketserver.StreamRequestHandler):
    def __init__(self, store: Any, request: Any, client_address: Any, server: Any) -> None:
        super().__init__(request, client_address, server)


def failure(action: Any) -> BaseException:
    """The exception that *action* raises."""
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def hosted(target: StdlibTarget) -> Any:
    """A server of *target*, closed."""
    with target.new_server(lambda handler: handler, LOOPBACK) as server:
        return server


def test_a_missing_attribute_of_the_server_is_named_with_the_factory_to_write() -> None:
    """The factory sets the very attribute, and the command that uses it follows."""
    target = StdlibTarget(Needy, text="app:Needy")
    said = str(target.preflight_error(failure(lambda: hosted(target).resolver)))
    assert "asks for self.server.resolver" in said
    assert "        server.resolver = ...\n" in said
    assert "handshaker run app:Needy --factory hosting:make_server" in said


def test_the_factory_to_write_is_python() -> None:
    """What is printed can be pasted: it compiles, and it makes the server."""
    target = StdlibTarget(Needy, text="app:Needy")
    said = str(target.preflight_error(failure(lambda: hosted(target).resolver)))
    block = said.split("\n\n")[1]
    names: dict[str, Any] = {}
    source = "\n".join(line[4:] for line in block.splitlines())
    exec(source.replace(__name__, "socketserver").replace("Needy", "StreamRequestHandler"), names)
    with names["make_server"]() as server:
        assert server.resolver is ...


def test_an_attribute_error_of_the_handler_itself_is_not_the_servers() -> None:
    """Only what the server lacks can be set on it."""
    target = StdlibTarget(Needy, text="app:Needy")
    said = str(target.preflight_error(failure(lambda: None.nothing)))  # type: ignore[attr-defined]
    assert "AttributeError: 'NoneType' object has no attribute 'nothing'" in said
    assert "server.nothing" not in said


def test_a_greedy_server_beside_the_handler_is_the_one_to_make(tmp_path: Path) -> None:
    """The constructor that handshaker could not call is written out, with what is missing."""
    (tmp_path / "hk_greedy.py").write_text(
        "import socketserver\n"
        "class A(socketserver.BaseRequestHandler):\n    def handle(self): self.server.store\n"
        "class S(socketserver.TCPServer):\n"
        "    def __init__(self, address, store, port_file=None): super().__init__(address, A)\n"
    )
    target = load_target("hk_greedy:A", root=tmp_path)
    said = str(target.preflight_error(failure(lambda: hosted(target).store)))
    assert "server = hk_greedy.S(('127.0.0.1', 0), store=...)" in said
    assert "server.store = ..." not in said


def test_a_handler_with_arguments_of_its_own_is_told_about_partial() -> None:
    """A server cannot pass them: the missing name stands in the line to write."""
    target = StdlibTarget(Stocked, text="app:Stocked")
    error = failure(lambda: Stocked(None, LOOPBACK, None))  # type: ignore[call-arg]
    assert "bound = functools.partial(Stocked, store=...)" in str(target.preflight_error(error))


def test_an_address_in_use_asks_for_port_0() -> None:
    """The usual accident of a factory with a fixed port."""
    error = OSError(errno.EADDRINUSE, "Address already in use")
    assert "give it port 0" in str(StdlibTarget(Needy).preflight_error(error))


def test_a_target_error_passes_unchanged() -> None:
    """What is explained already is not explained again."""
    error = TargetError("known")
    assert StdlibTarget(Needy).preflight_error(error) is error


def test_the_line_is_the_users_own(tmp_path: Path) -> None:
    """Of a failing factory the innermost line in user code is named, not that of the library below."""
    (tmp_path / "hk_factory.py").write_text("import json\ndef make_server():\n    return json.loads('{')\n")
    target = StdlibTarget(load(parse("hk_factory:make_server"), tmp_path))
    with pytest.raises(TargetError, match=r"JSONDecodeError.*hk_factory\.py:3"):
        target.describe()
    assert "hk_factory" in sys.modules
