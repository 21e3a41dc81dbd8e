"""From the text of TARGET to the object it names.

`module:attr[.attr]`, `module`, `path/to/file.py`, `path/to/file.py:attr`. The current folder is importable, but never
hides the standard library: a user's `queue.py` must not replace the one that socketserver's neighbours import. A file
in a package is imported under its proper name, so that its relative imports work; any other file as `python file.py`
would run it, with its own folder importable, under the name of its stem.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from handshaker.harness.errors import TargetError, UsageError, did_you_mean
from handshaker.targets.candidates import Candidate, candidates, imported_candidates, possible_factories
from handshaker.targets.homes import innermost_user_line, is_library

__all__ = ["TargetSpec", "import_hang_message", "load", "load_module", "parse"]

_T = TypeVar("_T")

_SHOWN_MAX: Final = 8

_FORMS: Final = "write module:name, module, path/to/file.py or path/to/file.py:name"


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """TARGET taken apart: either a module's dotted name or the path of a file, and the attributes to follow in it."""

    text: str
    module: str = ""
    path: str = ""
    attributes: tuple[str, ...] = ()


def parse(text: str) -> TargetSpec:
    """Take TARGET apart, without looking at the world. Raises UsageError when it has none of the four forms."""
    place, colon, dotted = text.rpartition(":")
    if not colon:
        place, dotted = text, ""
    elif not dotted:
        raise UsageError(f"{text!r}: nothing follows the colon; {_FORMS}")
    attributes = tuple(dotted.split(".")) if dotted else ()
    if place.endswith(":"):
        raise UsageError(f"{text!r}: write one colon, as in {place.rstrip(':')}:{dotted}")
    if not text.strip():
        raise UsageError(f"{text!r} is no target; {_FORMS}")
    if not place or not all(name.isidentifier() for name in attributes):
        raise UsageError(f"{text!r} names nothing that can be imported; {_FORMS}")
    if place.endswith(".py") or "/" in place or os.sep in place:
        return TargetSpec(text, path=place, attributes=attributes)
    if not all(name.isidentifier() for name in place.split(".")):
        raise UsageError(f"{text!r}: {place!r} is neither a module's dotted name nor a path to a .py file; {_FORMS}")
    return TargetSpec(text, module=place, attributes=attributes)


def load(spec: TargetSpec, root: str | os.PathLike[str] = ".") -> Any:
    """Import what *spec* names, with *root* importable, and return the object.

    A module without attributes stands for the only handler, server or factory that it defines. Raises UsageError when
    there is no such file, module or attribute, or when a module defines none or several of them; TargetError when
    importing fails.
    """
    folder = Path(root).resolve()
    module = _imported(spec, folder)
    if spec.attributes:
        return _follow(module, spec, folder)
    return getattr(module, _the_only_one(module, spec).name)


def load_module(text: str, root: str | os.PathLike[str] = ".") -> Any:
    """The module, file or object in a module that *text* names, with *root* importable; errors as in `load`."""
    spec, folder = parse(text), Path(root).resolve()
    module = _imported(spec, folder)
    return _follow(module, spec, folder) if spec.attributes else module


def _imported(spec: TargetSpec, folder: Path) -> ModuleType:
    _make_importable(folder)
    return _import_file(spec, folder) if spec.path else _import_module(spec, folder)


def _make_importable(folder: Path) -> None:
    """Put *folder* behind the standard library and before installed packages."""
    if str(folder) in sys.path or ("" in sys.path and folder == Path.cwd()):
        return
    installed = [place for place, entry in enumerate(sys.path) if "site-packages" in entry or "dist-packages" in entry]
    sys.path.insert(installed[0] if installed else len(sys.path), str(folder))
    importlib.invalidate_caches()


def _import_module(spec: TargetSpec, folder: Path) -> ModuleType:
    try:
        return _run_import(spec, lambda: importlib.import_module(spec.module))
    except ModuleNotFoundError:
        raise UsageError(_no_module(spec, folder)) from None


def _no_module(spec: TargetSpec, folder: Path) -> str:
    parent, _, last = spec.module.rpartition(".")
    found = f"{spec.text!r}: there is no module {spec.module!r}, neither in {folder} nor installed"
    owner = sys.modules.get(parent) if parent else None
    if owner is not None and hasattr(owner, last) and not spec.attributes:
        return f"{found}; {last!r} is a name in {parent!r}: write {parent}:{last}"
    if (folder / f"{spec.module}.py").exists():
        return f"{found}; there is a file: write {spec.module}.py"
    paths = getattr(owner, "__path__", None) if parent else [str(folder), *sys.path]
    names = [item.name for item in pkgutil.iter_modules(paths)] if paths is not None else []
    known = [f"{parent}.{name}" for name in names] if parent else [*names, *sys.stdlib_module_names]
    near = did_you_mean(spec.module, known)
    return f"{found}; {near if near.startswith('did') else _FORMS}"


def _import_file(spec: TargetSpec, folder: Path) -> ModuleType:
    path = (folder / spec.path).resolve()
    if path.is_dir():
        raise UsageError(f"{spec.text!r}: {spec.path} is a folder; name a .py file in it")
    if not path.is_file():
        raise UsageError(f"{spec.text!r}: there is no file {path}; {_near_files(path)}")
    if path.suffix != ".py":
        raise UsageError(f"{spec.text!r}: {spec.path} is not a .py file; {_FORMS}")
    top = path.parent
    while (top / "__init__.py").is_file() and top.name.isidentifier():
        top = top.parent
    _make_importable(top)
    if top != path.parent and _may_use(top, path):
        return _import_from_package(spec, path, top)
    return _import_alone(spec, path)


def _near_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    return did_you_mean(path.name, [file.name for file in path.parent.glob("*.py")])


def _may_use(top: Path, path: Path) -> bool:
    """A package called like a module of the standard library cannot be imported by its own name."""
    return path.relative_to(top).parts[0] not in sys.stdlib_module_names


def _import_from_package(spec: TargetSpec, path: Path, top: Path) -> ModuleType:
    parts = path.relative_to(top).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    module = _run_import(spec, lambda: importlib.import_module(name))
    if not path.samefile(module.__file__ or os.devnull):
        raise TargetError(
            f"{spec.text!r}: {name!r} is imported from {module.__file__} and hides this file; "
            f"write {name}{spec.text[len(spec.path) :]} to test that one, or uninstall it"
        )
    return module


def _import_alone(spec: TargetSpec, path: Path) -> ModuleType:
    name = _free_name(path)
    known = sys.modules.get(name)
    if known is not None:
        return known
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    loader = found.loader
    assert loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        _run_import(spec, lambda: loader.exec_module(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _free_name(path: Path) -> str:
    """The stem, unless it is no identifier or means another module already."""
    name = re.sub(r"\W", "_", path.stem)
    while name in sys.stdlib_module_names or not _is_free(name, path):
        name += "_"
    return name


def _is_free(name: str, path: Path) -> bool:
    known = sys.modules.get(name)
    filename = getattr(known, "__file__", None)
    return known is None or (filename is not None and Path(filename).exists() and path.samefile(filename))


def _run_import(spec: TargetSpec, execute: Callable[[], _T]) -> _T:
    """What *execute* returns. Raises ModuleNotFoundError for TARGET's own module only, TargetError for the rest."""
    try:
        return execute()
    except ModuleNotFoundError as error:
        if error.name and f"{spec.module}.".startswith(f"{error.name}."):
            raise
        raise TargetError(_failed(spec, error)) from error
    except (Exception, SystemExit) as error:
        raise TargetError(_failed(spec, error)) from error


def _failed(spec: TargetSpec, error: BaseException) -> str:
    said = f"{type(error).__name__}: {error}"
    line = innermost_user_line(error.__traceback__, skip=__file__)
    if isinstance(error, SyntaxError) and error.filename:
        said, line = f"{type(error).__name__}: {error.msg}", f"{error.filename}:{error.lineno}"
    if isinstance(error, SystemExit):
        said = f'it calls sys.exit({error.code!r}); guard that with `if __name__ == "__main__":`'
    if isinstance(error, ModuleNotFoundError):
        said += "; install it in this environment"
    return f"importing {spec.text!r} failed at {line}: {said}"


def _follow(module: ModuleType, spec: TargetSpec, folder: Path) -> Any:
    thing: Any = module
    done = module.__name__
    for name in spec.attributes:
        try:
            thing = getattr(thing, name)
        except AttributeError:
            near = _near_names(thing, name, spec, folder)
            raise UsageError(f"{spec.text!r}: {done!r} has no {name!r}; {near}") from None
        except Exception as error:
            raise TargetError(_failed(spec, error)) from error
        done = f"{done}.{name}"
    return thing


def _near_names(owner: Any, wrong: str, spec: TargetSpec, folder: Path) -> str:
    near = did_you_mean(wrong, [name for name in dir(owner) if not name.startswith("__")])
    if near.startswith("did") or not isinstance(owner, ModuleType):
        return near if near.startswith("did") else f"no name in it comes close to {wrong!r}"
    hidden = f"{spec.module}.py"
    if spec.module and is_library(owner.__file__ or "<") and (folder / hidden).exists():
        return f"that is {owner.__file__}; for the file in {folder} write ./{hidden}:{wrong}"
    return did_you_mean(wrong, [candidate.name for candidate in candidates(owner)])


def _the_only_one(module: ModuleType, spec: TargetSpec) -> Candidate:
    found = candidates(module)
    if len(found) == 1:
        return found[0]
    if found:
        return _refuse(
            f"{spec.text!r} defines several handlers, servers and factories; name one of them", spec.text, found
        )
    there, possible = imported_candidates(module), possible_factories(module)
    said = f"{spec.text!r} defines no handler, no server and no function that says it returns a server"
    if possible:
        said = "\n".join([_if_meant(said, possible), *_factory_commands(spec.text, possible)])
    if there:
        also = "\nit also imports these" if possible else "; it imports these"
        return _refuse(f"{said}{also}, name one of them to test it", spec.text, there)
    raise UsageError(said if possible else f"{said}; {_FORMS}")


def _if_meant(said: str, possible: tuple[str, ...]) -> str:
    which = "one of these returns a server, name it" if len(possible) > 1 else "this one returns a server, write"
    return (
        f"{said}; looked for is one whose return annotation is a server class, or whose name has the word server in "
        f"it; if {which}:"
    )


def _factory_commands(text: str, names: tuple[str, ...]) -> list[str]:
    more = [f"    ... and {len(names) - _SHOWN_MAX} more"] if len(names) > _SHOWN_MAX else []
    return [*(f"    handshaker run {text} --factory {text}:{name}" for name in names[:_SHOWN_MAX]), *more]


def _refuse(said: str, text: str, found: tuple[Candidate, ...]) -> Candidate:
    width = max(len(candidate.name) for candidate in found)
    commands = [f"    handshaker run {text}:{item.name.ljust(width)}  # {item.kind}" for item in found]
    raise UsageError("\n".join([f"{said}:", *commands]))


_FRAME: Final = re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.+?)\s*$', re.MULTILINE)
_SERVING: Final = ("serve_forever", "handle_request", "serve_until_stopped", "run_forever", "run_until_complete")
_WAITING: Final = ("accept", "select", "poll", "recv", "recv_into", "readinto")


def import_hang_message(stack_text: str, text: str = "TARGET", seconds: float | None = None) -> str:
    """What to say when importing *text* did not return within *seconds*; *stack_text* is what faulthandler wrote.

    The innermost frame comes first there. A server that is started by the import is named as such.
    """
    frames = [(match["file"], int(match["line"]), match["name"]) for match in _FRAME.finditer(stack_text)]
    limit = f" within {seconds:g} seconds" if seconds is not None else ""
    said = f"importing {text!r} did not return{limit}"
    if not frames:
        return f"{said}; nothing is known about where it stands"
    user = next((frame for frame in frames if not is_library(frame[0]) and frame[0] != __file__), frames[0])
    place = f"{user[0]}:{user[1]}"
    names = [name for _, _, name in frames]
    serving = next((name for name in names if name in _SERVING), None)
    if serving or names[0] in _WAITING:
        what = f"a server is started by the import: {serving or names[0]}() is called"
        return f'{said}: {what} at {place}; guard that call with `if __name__ == "__main__":`'
    return f"{said}: it stands at {place}, in {user[2]}; move what takes long out of the module's top level"
