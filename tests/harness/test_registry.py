"""The registry of files and entry points."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handshaker.harness.errors import UsageError
from handshaker.harness.registry import Registry

GROUP = "handshaker.tests_of_the_registry"

FILES = {
    "plain.py": "def sing(): return 'plain'\ndef stop(): pass\n",
    "made.py": "from functools import partial\nsing = partial(str, 'made')\nasync def stop(): pass\n",
    "helper.py": "def sing(): pass\n",
    "inner.py": "class Inner:\n    def sing(self): pass\n    def stop(self): pass\n",
    "broken.py": "def sing(): pass\ndef stop(): pass\nraise RuntimeError('imported')\n",
    "notes.txt": "def sing(): pass\ndef stop(): pass\n",
}
THIRD_PARTY = """
from types import SimpleNamespace
good = SimpleNamespace(sing=lambda: 'third', stop=lambda: None)
lacking = SimpleNamespace(sing=lambda: 'third', stop='no function')
"""
ENTRY_POINTS = f"""
[{GROUP}]
third = third_party:good
lacking = third_party:lacking
absent = third_party:absent
gone = not_there_at_all
plain = third_party:good
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Registry:
    """A registry over a package and an installed third party, both made for the test."""
    package = f"songs_{abs(hash(request.node.nodeid))}"
    (tmp_path / package).mkdir()
    for name, text in {"__init__.py": "", **FILES}.items():
        (tmp_path / package / name).write_text(text)
    (tmp_path / "third_party.py").write_text(THIRD_PARTY)
    installed = tmp_path / "third_party-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "third_party", raising=False)
    return Registry(package, GROUP, noun="song", verbs=("sing", "stop"))


def test_names(registry: Registry) -> None:
    """A file belongs when it defines every verb at its top level; entry points are named beside them."""
    assert registry.names() == ("absent", "broken", "gone", "lacking", "made", "plain", "third")


def test_listing_imports_nothing(registry: Registry) -> None:
    """Names are listed without importing any of the files, not even one that raises."""
    before = set(sys.modules)
    assert "broken" in registry.names()
    assert not {name for name in set(sys.modules) - before if name.startswith((registry.package + ".", "third_party"))}


def test_load(registry: Registry) -> None:
    """A name gives the module, or the third party's object; our file wins over a third party's of the same name."""
    assert [registry.load(name).sing() for name in ("plain", "made", "third")] == ["plain", "made", "third"]


def test_load_imports_one_file(registry: Registry) -> None:
    """Loading one thing does not import its neighbours."""
    registry.load("plain")
    assert f"{registry.package}.plain" in sys.modules
    assert f"{registry.package}.broken" not in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plian", r"no song is called 'plian'; did you mean 'plain'\?"),
        ("helper", r"no song is called 'helper'; allowed: absent, broken, gone, lacking, made, plain, third"),
        ("lacking", r"song 'lacking' of third-party lacks stop; 'third_party:lacking' must define sing, stop"),
        ("absent", r"song 'absent' of third-party cannot be imported from 'third_party:absent' \(AttributeError: "),
        ("gone", r"song 'gone' of third-party cannot be imported .*ModuleNotFoundError.*repair or remove that package"),
    ],
)
def test_refused(registry: Registry, name: str, message: str) -> None:
    """A name that cannot be used gets one message: what is wrong, whose it is, and what there is instead."""
    with pytest.raises(UsageError, match=message):
        registry.load(name)
