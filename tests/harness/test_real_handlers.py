"""Handlers that nobody wrote for this suite: what is said of them is exactly what was found true by hand.

Each plays the sweep's boundary scripts and some generated Cases in this process. A slug too many is a false positive.
"""

from __future__ import annotations

import fcntl
import functools
import http.server
import itertools
import select
import socketserver
from typing import Any

import pytest

from handshaker.harness.campaign.traffic import Traffic
from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.case import Case, Script, Step
from handshaker.harness.errors import TargetError
from handshaker.harness.invariants.base import by_slug
from handshaker.harness.settings import Settings
from handshaker.harness.verdict import Level
from handshaker.targets.stdlib import StdlibTarget, load_target

GENERATED = 150
SETTINGS = Settings("app:Handler")

Key = tuple[str, str]


def said(target: Any, *, generated: int = GENERATED, network: str = "memory") -> tuple[set[Key], set[Key]]:
    """What is said of *target*, as (slug, exception): its MUST and its SHOULD violations."""
    loaded = load_target(target, server=None, factory=None, root=".") if isinstance(target, str) else target
    found: dict[Level, set[Key]] = {Level.MUST: set(), Level.SHOULD: set()}
    with Workbench(loaded, Settings(target=loaded.text, seed=1), network) as bench:
        traffic = Traffic(bench)
        cases = itertools.chain(
            traffic.boundary(), (drawn.case for drawn in itertools.islice(traffic.generator(), generated))
        )
        for case in cases:
            for seen in bench.sightings(case):
                found[by_slug(seen.invariant).level].add((seen.invariant, seen.violation.exception))
    return found[Level.MUST], found[Level.SHOULD]


RESETS = {("handler/reset-is-expected", "builtins.ConnectionError")}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch) -> None:
    """Some of the handlers answer with what is in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "target",
    ["http.server:BaseHTTPRequestHandler", "wsgiref.simple_server:WSGIRequestHandler", "pydoc"],
)
def test_only_resets_get_through_the_standard_librarys_http_handlers(target):
    """Their unread requests, long lines and silent peers are no defects."""
    assert said(target) == (set(), RESETS)


@pytest.mark.filterwarnings("ignore:.*CGIHTTPRequestHandler:DeprecationWarning")
@pytest.mark.parametrize("handler", ["SimpleHTTPRequestHandler", "CGIHTTPRequestHandler"])
def test_only_a_null_byte_in_a_path_gets_through_the_file_server(handler):
    """A null byte in the path makes it raise ValueError (python/cpython#103223), on plain sockets too."""
    must, should = said(f"http.server:{handler}")
    assert must <= {("handler/no-uncaught-exception", "builtins.ValueError")}
    assert should == RESETS


def test_the_buffered_file_of_xmlrpc_is_one_finding():
    """Its finish() meets the peer's reset as ECONNRESET or as EPIPE (bpo-14574): one defect, one fingerprint."""
    must, should = said("xmlrpc.server:SimpleXMLRPCRequestHandler")
    assert must == {("lifecycle/finish-does-not-raise", "builtins.ConnectionError")}
    assert should == RESETS


def test_the_log_configuration_listener_keeps_the_contract_of_its_framework():
    """Its hooks, files, resources and server are the standard library's, and none of them is blamed."""
    must, _ = said("logging.config:listen")
    assert not {slug for slug, _ in must if slug.startswith(("lifecycle/", "io/", "resources/", "server/"))}


class Careful(socketserver.StreamRequestHandler):
    """Everything right, as a careful person writes it."""

    timeout = 10

    def handle(self) -> None:
        try:
            while line := self.rfile.readline(1_000):
                self.wfile.write(b"%d\n" % len(line))
        except OSError:
            return


class CarefulWithSelect(socketserver.BaseRequestHandler):
    """Waits in select(), so it is played in real time."""

    def handle(self) -> None:
        try:
            while select.select([self.request], [], [], 0.02)[0] and (data := self.request.recv(1_000)):
                self.request.sendall(data.upper())
        except OSError:
            return


def test_nothing_is_said_of_a_careful_handler():
    """Neither MUST nor SHOULD."""
    assert said(StdlibTarget(Careful), generated=400) == (set(), set())


def test_nothing_is_said_of_a_careful_handler_that_is_played_in_real_time():
    """A peer that does not read cannot see the end of its connection, and the handler is not blamed for that."""
    deaf = Case((Script((Step("stop-reading"), Step("send", b"hello\n"), Step("half-close"))),))
    with Workbench(StdlibTarget(CarefulWithSelect), SETTINGS, "loopback") as bench:
        recorder = bench.run(deaf)
        assert bench.stage.in_real_time
        assert not recorder.stopped_by
        assert bench.judged(recorder, deaf) == []


class NamesItsPeer(socketserver.StreamRequestHandler):
    def setup(self) -> None:
        super().setup()
        self.peer = self.connection.getpeername()


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_peer_that_is_gone_before_it_is_asked_for_its_name_is_no_uncaught_exception(network):
    """getpeername() then fails with a plain OSError, which is the peer's departure like any other."""
    must, should = said(StdlibTarget(NamesItsPeer), generated=20, network=network)
    assert must == set()
    assert ("handler/reset-is-expected", "builtins.OSError") in should


class Counts(socketserver.StreamRequestHandler):
    """Every answer carries a number that moves on now and then, like a count of collections or of seconds."""

    served = itertools.count()

    def handle(self) -> None:
        self.wfile.write(b"%d %b" % (next(self.served) // 3, self.rfile.readline(100)))


def test_a_reply_that_drifts_does_not_depend_on_segmentation():
    """Two repeats may agree by chance; that the base differs from itself later shows that the cut is not to blame."""
    base = Case((Script((Step("send", b"hello\n"), Step("half-close"))),))
    cut = Case((Script((Step("send", b"hel"), Step("send", b"lo\n"), Step("half-close"))),))
    with Workbench(StdlibTarget(Counts), SETTINGS, "memory") as bench:
        assert [bench.related("segmentation", base, cut) for _ in range(6)] == [[]] * 6


class FirstPiece(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.request.recv(100))


def test_a_reply_that_is_cut_with_the_request_does():
    """The same check lets the real thing through."""
    base = Case((Script((Step("send", b"hello\n"), Step("half-close"))),))
    cut = Case((Script((Step("send", b"hel"), Step("send", b"lo\n"), Step("half-close"))),))
    with Workbench(StdlibTarget(FirstPiece), SETTINGS, "memory") as bench:
        (found,) = bench.related("segmentation", base, cut)
    assert found.invariant == "relation/segmentation"


class WantsMore(http.server.BaseHTTPRequestHandler):
    """Asks its server for something, but only when it answers a real request."""

    def do_GET(self) -> None:
        self.wfile.write(self.server.greeting)


def test_a_real_request_finds_out_that_the_server_does_not_fit():
    """The plain exchange of preflight is a request that an HTTP handler answers, not a line of words."""
    with Workbench(StdlibTarget(WantsMore, text="app:WantsMore"), SETTINGS, "memory") as bench:
        silent, plain = Traffic(bench).preflight()
        bench.preflight(silent)
        with pytest.raises(TargetError, match=r"asks for self\.server\.greeting"):
            bench.preflight(plain)


class MarksItsListener(socketserver.TCPServer):
    """Sets a flag on its descriptor while it is constructed, as XML-RPC servers used to."""

    def __init__(self, address: Any, handler: Any) -> None:
        super().__init__(address, handler)
        self.flags = fcntl.fcntl(self.fileno(), fcntl.F_GETFD)


def test_a_server_may_look_at_the_descriptor_of_its_listener():
    """It gets one that nobody connects to, and that is closed with the listener."""
    target = StdlibTarget(functools.partial(MarksItsListener, ("", 0), Careful))
    assert said(target, generated=20) == (set(), set())
