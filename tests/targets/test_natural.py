"""The server that a handler was written for."""

from __future__ import annotations

import functools
import http.client
import http.server
import socketserver
import sys
import threading
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest

from handshaker.harness.errors import UsageError
from handshaker.targets.base import LOOPBACK
from handshaker.targets.loading import load, parse
from handshaker.targets.natural import natural_server, servers_beside
from handshaker.targets.stdlib import StdlibTarget, load_target


class OwnHTTP(http.server.BaseHTTPRequestHandler): ...


class OwnWSGI(WSGIRequestHandler): ...


class Plain(socketserver.StreamRequestHandler): ...


@pytest.mark.parametrize(
    ("handler", "server"),
    [
        (http.server.SimpleHTTPRequestHandler, http.server.HTTPServer),
        (OwnHTTP, http.server.HTTPServer),
        (OwnWSGI, WSGIServer),
        (SimpleXMLRPCRequestHandler, SimpleXMLRPCServer),
        (Plain, socketserver.TCPServer),
        (None, socketserver.TCPServer),
    ],
)
def test_known_bases_have_their_server(handler: type | None, server: type) -> None:
    """The nearest known base decides; a sentence says which server and why."""
    natural = natural_server(handler)
    assert natural.server_class is server
    assert server.__qualname__ in natural.reason


def module(tmp_path: Path, name: str, source: str) -> Any:
    """The module *name* with this *source*, imported."""
    (tmp_path / f"{name}.py").write_text(f"import http.server, socketserver\n{source}\nhere = globals()\n")
    load(parse(f"{name}:here"), tmp_path)
    return sys.modules[name]


def test_the_server_beside_the_handler_is_taken(tmp_path: Path) -> None:
    """A server class in the handler's module is where it lives, also for a subclass in another module."""
    found = module(
        tmp_path,
        "hk_beside",
        "class Own(http.server.BaseHTTPRequestHandler): pass\n"
        "class Gram(socketserver.UDPServer): pass\n"
        "class Home(socketserver.TCPServer): pass\n"
        "class Threaded(socketserver.ThreadingMixIn, Home): pass\n",
    )
    assert natural_server(found.Own).server_class is found.Home
    assert natural_server(type("Elsewhere", (found.Own,), {"__module__": __name__})).server_class is found.Home


def test_of_two_servers_the_one_with_this_handler_as_default_is_taken(tmp_path: Path) -> None:
    """A constructor's default handler says for whom it is."""
    found = module(
        tmp_path,
        "hk_default",
        "class A(socketserver.StreamRequestHandler): pass\n"
        "class First(socketserver.TCPServer): pass\n"
        "class Second(socketserver.TCPServer):\n"
        "    def __init__(self, address, handler=A): super().__init__(address, handler)\n",
    )
    assert natural_server(found.A).server_class is found.Second


def test_servers_that_cannot_be_told_apart_or_made_are_not_taken(tmp_path: Path) -> None:
    """Two equal candidates, or one that asks for more than an address and a handler: the search goes on."""
    found = module(
        tmp_path,
        "hk_equal",
        "class A(http.server.BaseHTTPRequestHandler): pass\n"
        "class One(socketserver.TCPServer): pass\n"
        "class Two(socketserver.TCPServer): pass\n"
        "class Greedy(socketserver.TCPServer):\n"
        "    def __init__(self, address, store): super().__init__(address, A)\n",
    )
    assert natural_server(found.A).server_class is http.server.HTTPServer


def test_a_handler_whose_servers_all_speak_datagrams_does_so_too(tmp_path: Path) -> None:
    """BaseRequestHandler says nothing; the server class beside it does."""
    found = module(
        tmp_path,
        "hk_gram",
        "class A(socketserver.BaseRequestHandler): pass\nclass Gram(socketserver.UDPServer): pass\n",
    )
    assert natural_server(found.A).server_class is found.Gram


TWO_KINDS = """
class Base(socketserver.BaseRequestHandler):
    def handle(self): self.send(self.read().upper())
class OfDatagrams(Base):
    def read(self): return self.request[0]
    def send(self, data): self.request[1].sendto(data, self.client_address)
class OfConnections(Base):
    def read(self): return self.request.recv(100)
    def send(self, data): self.request.sendall(data)
class Answers(OfDatagrams):
    def send(self, data): super().send(data + b"!")
class Stream(socketserver.ThreadingTCPServer): pass
class Grams(socketserver.ThreadingUDPServer): pass
"""


@pytest.mark.parametrize(
    ("handler", "server"), [("OfDatagrams", "Grams"), ("OfConnections", "Stream"), ("Answers", "Grams")]
)
def test_methods_that_handle_calls_decide_between_two_kinds_of_server(
    tmp_path: Path, handler: str, server: str
) -> None:
    """An inherited handle() may leave its request to methods that the class itself defines, or inherits."""
    found = module(tmp_path, f"hk_kinds_{handler}".lower(), TWO_KINDS)
    assert natural_server(getattr(found, handler)).server_class is getattr(found, server)
    assert servers_beside(getattr(found, handler)) == [getattr(found, server)]


def test_between_two_kinds_of_server_nothing_is_guessed(tmp_path: Path) -> None:
    """When no method says what a request is, the user is asked, with the commands to paste; a transport answers it."""
    found = module(tmp_path, "hk_undecided", TWO_KINDS)
    with pytest.raises(UsageError) as caught:
        load_target("hk_undecided.py:Base", root=tmp_path)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "handshaker run hk_undecided.py:Base --server hk_undecided.py:Stream",
        "handshaker run hk_undecided.py:Base --server hk_undecided.py:Grams",
    ]
    assert natural_server(found.Base, "udp").server_class is found.Grams


@contextmanager
def served(text: str) -> Iterator[tuple[str, int]]:
    """The address at which one request to the target *text* is answered."""
    server = load_target(text).new_server(lambda handler: handler, LOOPBACK)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    try:
        yield server.server_address[:2]  # type: ignore[misc]
    finally:
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("wsgiref.simple_server:WSGIRequestHandler", b"GET /a 0\n"),
        ("pydoc", b"text/html /a\n"),
        ("pydoc:_start_server", b"text/html /a\n"),
    ],
)
def test_shipped_http_servers_answer(text: str, body: bytes) -> None:
    """Each of them hosts its handler well enough for a plain exchange."""
    with served(text) as (host, port):
        client = http.client.HTTPConnection(host, port)
        client.request("GET", "/a")
        assert client.getresponse().read() == body
        client.close()


def test_the_wsgi_application_reads_its_body() -> None:
    """A body of the declared length is consumed, so that closing does not reset the connection."""
    with served("wsgiref.simple_server:WSGIRequestHandler") as (host, port):
        client = http.client.HTTPConnection(host, port)
        client.request("POST", "/a", body=b"abc")
        assert client.getresponse().read() == b"POST /a 3\n"
        client.close()


def test_the_shipped_xmlrpc_server_answers() -> None:
    """Its introspection functions and `add` are registered."""
    with (
        served("xmlrpc.server:SimpleXMLRPCRequestHandler") as (host, port),
        xmlrpc.client.ServerProxy(f"http://{host}:{port}") as proxy,
    ):
        assert proxy.system.listMethods() == [
            "add",
            "system.listMethods",
            "system.methodHelp",
            "system.methodSignature",
        ]


@pytest.mark.parametrize("text", ["logging.config:listen", "logging.config"])
def test_the_logging_listener_is_hosted_with_its_own_handler(text: str) -> None:
    """TARGET is what the documentation names, and no thread is started for it."""
    before = threading.active_count()
    told = load_target(text).describe()
    assert told.handler == "logging.config:listen.<locals>.ConfigStreamHandler"
    assert told.text == text
    assert threading.active_count() == before


def test_a_partial_lives_where_its_class_does() -> None:
    """functools.partial with directory= is hosted under HTTPServer and stays a partial."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=".")
    target = StdlibTarget(handler)
    server = target.new_server(lambda given: given, LOOPBACK)
    server.server_close()
    assert type(server) is http.server.HTTPServer
    assert server.RequestHandlerClass is handler
