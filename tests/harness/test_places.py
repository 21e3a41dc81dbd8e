"""Where a server listens, and what is cleaned up after it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from handshaker.harness import places
from handshaker.harness.places import NOWHERE, PATH_BYTES_MAX, Place, in_a_place, keep_room, shown_address
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


def test_the_folder_of_a_process_goes_with_its_last_user():
    """Each Place has a folder of its own in it, and an address that nobody had before."""
    with Place("unix") as one:
        room = Path(one.folder).parent
        with Place("unix") as other:
            assert Path(other.folder).parent == room
            assert other.address != one.address
        assert room.exists()
    assert not room.exists()


def test_who_makes_many_places_keeps_their_folder():
    """It is empty between two of them, and goes when all are made."""
    with keep_room():
        with Place("unix") as place:
            room = Path(place.folder).parent
        assert not list(room.iterdir())
    assert not room.exists()


def test_what_a_server_leaves_beside_its_socket_goes_too():
    """Whatever it is: the next Case must not find it."""
    with Place("unix") as place:
        folder = Path(place.folder)
        (folder / "lock").mkdir()
        (folder / "lock" / "owner").touch()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(place.beside("peer"))
    assert not folder.exists()


def test_a_forked_child_removes_nothing_of_its_parent():
    """It has a folder of its own, which goes when it ends, even if somebody is still in it."""
    with Place("unix") as place:
        folder = Path(place.folder)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                place.close()
                with keep_room(), Place("unix") as own:
                    os.write(writing, own.folder.encode())
                places._leave_for_good()
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as told:
            theirs = Path(os.fsdecode(told.read()))
        os.waitpid(child, 0)
        assert folder.exists()
        assert theirs.parent.name.startswith(f"hs-{child}-")
        assert not theirs.parent.exists()


def test_a_place_that_is_open_at_the_end_goes_with_its_process():
    """Nothing is left behind."""
    program = "from handshaker.harness.places import Place; place = Place('unix'); print(place.folder)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert not Path(done.stdout.strip()).parent.exists()


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
