"""The habits of this house, as tests: what a linter cannot say.

The tables of known exceptions are ratchets: an entry may be lowered or removed, never raised, and an entry that is no
longer needed fails the test too.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handshaker.harness.invariants.base import REGISTRY

ROOT = Path(__file__).resolve().parents[1]
PACKAGE_FOLDERS = ("harness", "strategies", "targets", "reports", "src")
FOLDERS = (*PACKAGE_FOLDERS, "tests", "benchmarks", "examples", "docs", ".ci")
TEXTS = {".py", ".md", ".toml", ".txt", ".json", ".jsonl", ".sh", ".cfg", ".in", ""}

LINES_PER_FILE = 400
LINES_PER_FUNCTION = 40

# file: lines. Known to be too long; may only shrink.
LONG_FILES: dict[str, int] = {}

# file:function: lines. Known to be too long; may only shrink.
LONG_FUNCTIONS: dict[str, int] = {}

# file:function: why it imports a module of ours only when it runs.
LOCAL_IMPORTS: dict[str, str] = {
    "src/handshaker/__main__.py:main": "loading takes long enough for Ctrl-C to come meanwhile",
}

# Put together from pieces, so that this file does not mention them itself.
MACHINE_PLACES = [f"/{name}/" for name in ("root", "home", "work")]
REGISTRY_HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "com"))]

# What a user pays for only when it is used.
HEAVY = ("scapy", "hypothesis", "psutil", "rich", "xdist")
ENGINE = tuple(
    f"handshaker.{part}" for part in ("harness.networks", "harness.runner", "harness.campaign", "strategies", "targets")
)


def files_in(*folders: str) -> list[Path]:
    """The files of *folders*: neither links (src links to the other folders) nor what tools write."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    return [path for path in found if path.is_file() and not path.is_symlink() and not _written_by_tools(path)]


def _written_by_tools(path: Path) -> bool:
    names = {"__pycache__", ".handshaker", ".hypothesis"}
    return any(part in names or part.endswith(".egg-info") for part in path.relative_to(ROOT).parts)


def name_of(path: Path) -> str:
    """The path as it is written in the tables of this file."""
    return path.relative_to(ROOT).as_posix()


PYTHON = [path for path in files_in(*FOLDERS) if path.suffix == ".py"]
PACKAGE = [path for path in files_in(*PACKAGE_FOLDERS) if path.suffix == ".py"]
ALL_TEXTS = [
    path for path in (*files_in(*FOLDERS), *(p for p in ROOT.iterdir() if p.is_file())) if path.suffix in TEXTS
]
every_module = pytest.mark.parametrize("path", PACKAGE, ids=name_of)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions_of(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of a file, nested ones included, under its qualified name."""
    todo: list[tuple[str, ast.AST]] = [("", tree_of(path))]
    while todo:
        outer, node = todo.pop()
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            name = f"{outer}.{child.name}".lstrip(".") if named else outer
            todo.append((name, child))
            if named and not isinstance(child, ast.ClassDef):
                yield name, child


def ratchet(lengths: dict[str, int], limit: int, known: dict[str, int]) -> dict[str, str]:
    """What is wrong: lengths over *limit* that are not known, and known ones that the table states too high."""
    wrong = {
        name: f"{length} lines, at most {limit}"
        for name, length in lengths.items()
        if length > limit and name not in known
    }
    for name, stated in known.items():
        length = lengths.get(name, 0)
        if length > stated:
            wrong[name] = f"has grown from {stated} to {length} lines"
        elif length < stated:
            wrong[name] = f"is down to {length} lines: lower its entry, or remove it at {limit}"
    return wrong


def test_the_ratchet_only_turns_one_way():
    """Growth, new excess, and outdated entries are all reported; an entry that is exact is not."""
    lengths = {"short": 3, "new": 11, "exact": 12, "grown": 14, "shrunk": 12}
    assert set(ratchet(lengths, 10, {"exact": 12, "grown": 13, "shrunk": 13, "gone": 20})) == {
        "new",
        "grown",
        "shrunk",
        "gone",
    }


def test_files_are_short():
    """No file has more than 400 lines, except the known ones."""
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert ratchet(lengths, LINES_PER_FILE, LONG_FILES) == {}


def test_functions_are_short():
    """No function has more than 40 lines, except the known ones."""
    lengths = {}
    for path in PYTHON:
        for name, node in functions_of(path):
            lengths[f"{name_of(path)}:{name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert ratchet(lengths, LINES_PER_FUNCTION, LONG_FUNCTIONS) == {}


@every_module
def test_modules_say_why_they_exist(path):
    """Every module opens with a docstring."""
    assert ast.get_docstring(tree_of(path))


def module_name(path: Path) -> str:
    """The name under which a file of the package is imported."""
    inside = path.relative_to(ROOT / "src" if path.is_relative_to(ROOT / "src") else ROOT).with_suffix("")
    parts = [part for part in inside.parts if part != "__init__"]
    return ".".join(parts if parts[0] == "handshaker" else ["handshaker", *parts])


def defined_in(tree: ast.Module) -> set[str]:
    """The public names that a module defines itself; type variables are written for its own annotations only."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and not _is_type_variable(node.value):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def _is_type_variable(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in {"TypeVar", "ParamSpec"}
    )


@every_module
def test_all_is_what_can_be_imported(path):
    """`__all__` names everything public that a module defines, and every name in it can be imported."""
    module = importlib.import_module(module_name(path))
    defined = defined_in(tree_of(path))
    listed = getattr(module, "__all__", None)
    if listed is None:
        assert path.name in {"__init__.py", "__main__.py"}, "write __all__"
        listed = []
    assert defined - set(listed) == set(), "public by name but not in __all__"
    assert [name for name in listed if not hasattr(module, name)] == []
    assert len(listed) == len(set(listed))


def test_tests_say_what_they_promise():
    """The docstring of every test is the behaviour, as a sentence."""
    mute = [
        f"{name_of(path)}:{name}"
        for path in PYTHON
        if path.name.startswith("test_")
        for name, node in functions_of(path)
        if name.rpartition(".")[2].startswith("test_") and not (ast.get_docstring(node) or "").endswith((".", "?"))
    ]
    assert mute == []


def imports_inside(node: ast.AST) -> Iterator[str]:
    """The modules of ours that are imported by a statement somewhere inside *node*."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names if alias.name.split(".")[0] == "handshaker")
        elif isinstance(inner, ast.ImportFrom) and (inner.level or (inner.module or "").split(".")[0] == "handshaker"):
            yield inner.module or "."


def test_modules_of_ours_are_imported_at_the_top():
    """No function imports a module of ours while it runs: the layers stay visible to the linter and to readers."""
    local = {
        f"{name_of(path)}:{name}" for path in PACKAGE for name, node in functions_of(path) if any(imports_inside(node))
    }
    assert local == set(LOCAL_IMPORTS)


def test_no_file_names_a_machine():
    """Nothing in the tree mentions a place on somebody's machine, or a host that packages come from."""
    places = [rf"(?<![\w.]){re.escape(place)}" for place in MACHINE_PLACES]
    wanted = re.compile("|".join([*places, *map(re.escape, REGISTRY_HOSTS)]))
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in ALL_TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if wanted.search(line)
    ]
    assert found == []


def test_the_architecture_fits_on_a_page():
    """docs/ARCHITECTURE.md has at most 60 lines."""
    assert 10 <= len((ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 60


def loaded_by(module: str) -> set[str]:
    """The names of all modules that are loaded in a new process after *module* was imported."""
    code = f"import sys, {module}; print(*sorted(sys.modules), sep='\\n')"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def starting_with(names: set[str], prefixes: tuple[str, ...]) -> set[str]:
    """Those of *names* that are one of *prefixes* or inside one."""
    return {name for name in names if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)}


def test_importing_handshaker_is_cheap():
    """`import handshaker` loads neither the engine nor any of the heavy dependencies."""
    loaded = loaded_by("handshaker")
    assert "handshaker" in loaded
    assert starting_with(loaded, (*HEAVY, "pytest", "click", *ENGINE)) == set()


@pytest.mark.parametrize("module", ["handshaker.harness.pytest_plugin"])
def test_the_pytest_plugin_is_cheap(module):
    """Every pytest run of a user who has handshaker installed loads the plugin: so it loads nothing heavy."""
    assert starting_with(loaded_by(module), ("scapy", "hypothesis", *ENGINE)) == set()


@pytest.mark.parametrize("path", [path for path in PACKAGE if "exhibits" not in path.parts], ids=name_of)
def test_scapy_is_never_loaded_by_an_import(path):
    """Scapy (GPL-2.0) is imported inside functions that need it, never at the top of a module."""
    top = {alias.name for node in tree_of(path).body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module or "" for node in tree_of(path).body if isinstance(node, ast.ImportFrom)}
    assert [name for name in top if name.split(".")[0] == "scapy"] == []


def test_the_readme_shows_a_report_at_once():
    """By line 20 a reader has seen a failing handler and our report of it."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if not lines:
        pytest.skip("README.md has not been written yet")
    importlib.import_module("handshaker.harness.invariants")
    beginning = "\n".join(lines[:20])
    assert "RequestHandler" in beginning
    assert [slug for slug in REGISTRY if slug in beginning]
