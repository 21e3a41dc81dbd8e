"""What a handler can be hosted over, in principle and on this machine."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
from collections.abc import Iterator
from typing import Any

import pytest

from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.transports import TRANSPORTS
from handshaker.targets import combining
from handshaker.targets.combining import check_names, combinations, possible_transports, require_available, unavailable
from handshaker.targets.stdlib import StdlibTarget


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


@pytest.fixture
def _asked_afresh() -> Iterator[None]:
    """What is remembered about this machine does not reach a test, nor leave it."""
    combining.unavailable.cache_clear()
    yield
    combining.unavailable.cache_clear()


def test_the_base_class_says_which_transports_are_possible() -> None:
    """The usual one comes first; a handler without a kind can speak all of them."""
    assert possible_transports("stream") == ("tcp", "tcp6", "unix")
    assert possible_transports("datagram") == ("udp", "udp6", "unix-dgram")
    assert set(possible_transports("base")) == set(TRANSPORTS)


def test_all_concurrencies_come_from_the_simplest_to_the_hardest() -> None:
    """Over the transport that the target has."""
    told = StdlibTarget(Echo, transport="unix").describe()
    assert combinations(told) == (("unix", "plain"), ("unix", "threading"), ("unix", "forking"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_this_machine_has_every_transport(transport: str) -> None:
    """The suite needs them all."""
    assert unavailable(transport, "forking") == ""


@pytest.mark.usefixtures("_asked_afresh")
@pytest.mark.parametrize("transport", ["tcp6", "udp6"])
def test_a_machine_without_ipv6_says_so(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked by binding to ::1, and told before anything is tested."""

    class NoSixes(socket.socket):
        def bind(self, address: Any) -> None:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket, "socket", NoSixes)
    with pytest.raises(TargetError, match=rf"--transport {transport}: IPv6 is not available.*::1.*Cannot assign"):
        require_available(transport, "plain")


@pytest.mark.usefixtures("_asked_afresh")
def test_a_machine_without_unix_sockets_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked by making one."""

    def no_socket(*_: Any) -> Any:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_socket)
    assert unavailable("unix").endswith("making one fails with Address family not supported by protocol")


@pytest.mark.usefixtures("_asked_afresh")
def test_a_system_that_cannot_fork_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only for forking servers."""
    monkeypatch.delattr(os, "fork")
    assert unavailable("tcp", "threading") == ""
    with pytest.raises(TargetError, match="--concurrency forking over tcp: this system cannot fork"):
        StdlibTarget(Echo, concurrency="forking")


def test_unknown_names_are_answered_with_close_ones() -> None:
    """For transports and concurrencies alike."""
    with pytest.raises(UsageError, match="no transport 'tcp5'; did you mean 'tcp"):
        check_names("tcp5", "")
    with pytest.raises(UsageError, match="no concurrency 'threads'; did you mean 'threading'"):
        StdlibTarget(Echo, concurrency="threads")
