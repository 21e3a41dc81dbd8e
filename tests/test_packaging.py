"""What is built is what people get: real files where the checkout has links, working without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("harness", "strategies", "targets", "reports")
SOURCES = (*FOLDERS, "src", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md")


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed; what it said is shown when it does not."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, check=False, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A copy of the checkout, with an sdist and the wheel that was built from that sdist in its `dist`."""
    copy = tmp_path_factory.mktemp("copy")
    forget = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=forget)
        else:
            shutil.copy(source, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    return copy


@pytest.fixture(scope="session")
def members(built):
    """The regular files of both archives, under their names inside the import package, with their sizes."""
    with (
        tarfile.open(next(built.glob("dist/*.tar.gz"))) as sdist,
        zipfile.ZipFile(next(built.glob("dist/*.whl"))) as wheel,
    ):
        in_sdist = {member.name.partition("/src/")[2]: member.size for member in sdist if member.isreg()}
        in_wheel = {member.filename: member.file_size for member in wheel.infolist() if not member.is_dir()}
    return {"sdist": in_sdist, "wheel": in_wheel}


@pytest.mark.parametrize("archive", ["sdist", "wheel"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_archives_hold_real_files(built, members, archive, folder):
    """Every module of every folder is in both archives as a real file with its whole content."""
    ours = {path.relative_to(built).as_posix(): path.stat().st_size for path in (built / folder).rglob("*.py")}
    assert f"{folder}/__init__.py" in ours
    packed = {name.removeprefix("handshaker/"): size for name, size in members[archive].items()}
    assert {name: packed.get(name) for name in ours} == ours


def test_the_wheel_holds_the_package_and_nothing_else(members):
    """Tests, benchmarks and bare top-level packages named `reports` or `strategies` stay out of site-packages."""
    tops = {name.split("/")[0] for name in members["wheel"]}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"handshaker"}
    assert "handshaker/py.typed" in members["wheel"]


@pytest.fixture(scope="session")
def installed(built, tmp_path_factory):
    """The Python of a fresh environment that has the wheel, and sees the dependencies of this one."""
    home = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin" / "python"
    wheel = next(built.glob("dist/*.whl"))
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    # A path in a .pth file is appended as it is: the checkout's own editable installation stays invisible.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def test_the_wheel_works_in_a_fresh_environment(installed, tmp_path):
    """Every folder can be imported there, from the wheel's files and not from the checkout."""
    modules = ["handshaker", "handshaker.harness.case", *(f"handshaker.{folder}" for folder in FOLDERS)]
    code = f"import {', '.join(modules)}; print(*[m.__file__ for m in ({', '.join(modules)})], sep='\\n')"
    places = run(installed, "-c", code, cwd=tmp_path).splitlines()
    assert len(places) == len(modules)
    assert [place for place in places if not Path(place).is_relative_to(installed.parents[1])] == []


def test_plain_data_works_in_a_fresh_environment(installed, tmp_path):
    """A Case made there has the digest that it has here."""
    code = "from handshaker.harness.case import *; print(Case((Script((Step('send', b'a'),)),)).digest)"
    assert run(installed, "-c", code, cwd=tmp_path) == run(sys.executable, "-c", code, cwd=tmp_path)


def test_the_commands_are_announced(installed, tmp_path):
    """The wheel brings the `handshaker` command and the pytest plugin."""
    code = (
        "from importlib.metadata import distribution\n"
        "for entry in distribution('handshaker').entry_points: print(entry.group, entry.name, entry.load().__name__)"
    )
    announced = run(installed, "-c", code, cwd=tmp_path).splitlines()
    assert sorted(line.rsplit(" ", 1)[0] for line in announced) == ["console_scripts handshaker", "pytest11 handshaker"]
    assert (installed.parent / "handshaker").is_file()
