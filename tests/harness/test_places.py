"""Where a server listens, and what is cleaned up after it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from handshaker.harness import places
from handshaker.harness.places import NOWHERE, PATH_BYTES_MAX, Place, in_a_place, shown_address
from handshaker.harness.transports import TRANSPORTS


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_place_can_be_bound_and_leaves_nothing_behind(transport):
    """A free port of this machine, or a path in a folder that goes with all that is in it."""
    row = TRANSPORTS[transport]
    with Place(transport) as place, socket.socket(row.family, row.type) as server:
        server.bind(place.address)
        if row.unix:
            with socket.socket(row.family, row.type) as beside:
                beside.bind(f"{place.folder}/peer")
        folder = place.folder
    assert bool(folder) is row.unix
    assert not folder or not Path(folder).exists()


def test_a_place_in_memory_is_only_a_name():
    """No folder is made."""
    place = Place("unix-dgram", files=False)
    assert (place.address, place.folder) == (NOWHERE, "")


def test_paths_are_short_enough_wherever_temporary_files_lie(monkeypatch, tmp_path):
    """A deep folder for temporary files is not used, for the path of a Unix socket is bounded."""
    deep = tmp_path / ("x" * PATH_BYTES_MAX)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    places._top.cache_clear()
    try:
        with Place("unix") as place, socket.socket(socket.AF_UNIX) as server:
            server.bind(place.address)
    finally:
        places._top.cache_clear()


def test_what_a_killed_process_left_is_swept(monkeypatch, tmp_path):
    """The folder's name tells whose it is: those of dead processes go, those of living ones and of others stay."""
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone, ours = tmp_path / f"hs-{int(dead.stdout)}-abc", tmp_path / f"hs-{os.getpid()}-abc"
    other = tmp_path / "hs-somebody"
    for folder in (gone, ours, other):
        folder.mkdir()
        (folder / "server").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(places, "PATH_BYTES_MAX", 4096)
    places._top.cache_clear()
    try:
        with Place("unix"):
            assert [gone.exists(), ours.exists(), other.exists()] == [False, True, True]
    finally:
        places._top.cache_clear()


def test_our_own_places_are_recognised():
    """What lies in one is ours, not the handler's doing."""
    with Place("unix") as place:
        assert in_a_place(place.address)
        assert in_a_place(place.folder)
    assert not in_a_place("/tmp/hs-x/server")
    assert not in_a_place("/srv/this-12-app/file")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/tmp/x", "/tmp/x"),
        (b"\0name\xff", "@name\\xff"),
        ("", "(no address)"),
        (None, "(no address)"),
    ],
)
def test_addresses_are_shown_in_the_form_that_people_know(address, shown):
    """Host and port, a path, @name, or words."""
    assert shown_address(address) == shown
