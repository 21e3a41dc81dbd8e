"""Settings that live with a project: `[tool.handshaker]` in pyproject.toml, under the names of the options of `run`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from handshaker.harness.errors import UsageError, did_you_mean

__all__ = ["read_config"]


def read_config(folder: str, allowed: dict[str, type]) -> dict[str, Any]:
    """The table `[tool.handshaker]` of *folder*'s pyproject.toml, with `-` in keys as `_`.

    Raises UsageError for a file that is not TOML, a key that no option has, or a value of another type.
    """
    path = Path(folder) / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("handshaker", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from None
    if not isinstance(table, dict):
        raise UsageError(f"{path}: tool.handshaker = {table!r}: expected a table [tool.handshaker]")
    return {_known(key, allowed, path): _typed(key, value, allowed, path) for key, value in table.items()}


def _known(key: str, allowed: dict[str, type], path: Path) -> str:
    name = key.replace("-", "_")
    if name not in allowed:
        keys = [known.replace("_", "-") for known in allowed]
        raise UsageError(f"{path}: [tool.handshaker] has no key {key!r}; {did_you_mean(key, keys)}")
    return name


def _typed(key: str, value: Any, allowed: dict[str, type], path: Path) -> Any:
    expected = allowed[key.replace("-", "_")]
    wanted = list if expected is tuple else expected
    if type(value) is not wanted:
        raise UsageError(f"{path}: [tool.handshaker] {key} = {value!r}: expected {wanted.__name__}")
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        raise UsageError(f"{path}: [tool.handshaker] {key} = {value!r}: expected a list of texts")
    return tuple(value) if isinstance(value, list) else value
