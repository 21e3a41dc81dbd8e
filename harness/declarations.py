"""What a test module declares for its campaign or its Cases, checked by name and by type before anything is played."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.settings import Settings

__all__ = ["declared_settings", "globs"]

_TYPES: Final = {field.name: str(field.type) for field in fields(Settings)}
_EXPECTED: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number of seconds"),
    "float | None": ((int, float, type(None)), "a number of seconds, or None for no limit"),
    "bool": ((bool,), "True or False"),
    "bytes": ((bytes,), "bytes, such as b'PING'"),
    "str": ((str,), "a text"),
}


def declared_settings(target: str, declared: Mapping[str, Any], allowed: frozenset[str]) -> Settings:
    """The Settings of what is *declared* for *target*, with the names in *allowed*.

    `allowed_exceptions` are exception classes or their names, `implementation` is a module or its name. Raises
    UsageError for another name, for a value of another type, and for what Settings refuses.
    """
    for name in declared:
        if name not in allowed:
            raise UsageError(f"{name}={declared[name]!r}: there is no such declaration; {did_you_mean(name, allowed)}")
    return Settings(target=target, **{name: _typed(name, value) for name, value in declared.items()})


def globs(name: str, value: Any) -> tuple[str, ...]:
    """The texts of *value*. Raises UsageError when it is one text, or not an iterable of texts."""
    found = _several(name, value, "texts")
    for each in found:
        if not isinstance(each, str):
            raise UsageError(f"{name}={value!r}: {each!r} is not a text; write {name}=['…']")
    return found


def _typed(name: str, value: Any) -> Any:
    if name == "implementation":
        return value if isinstance(value, str) else getattr(value, "__name__", repr(value))
    if name == "allowed_exceptions":
        return tuple(map(_name_of, _several(name, value, "exception classes")))
    if _TYPES[name] not in _EXPECTED:
        return globs(name, value)
    types, expected = _EXPECTED[_TYPES[name]]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"{name}={value!r}: expected {expected}")
    return value


def _several(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        shown = getattr(value, "__name__", None) or repr(value)
        raise UsageError(f"{name}={shown}: expected several {what}; write {name}=[{shown}]")
    return tuple(value)


def _name_of(exception: Any) -> str:
    if isinstance(exception, str):
        return exception.replace(":", ".")
    if isinstance(exception, type) and issubclass(exception, BaseException):
        return f"{exception.__module__}.{exception.__qualname__}"
    raise UsageError(f"allowed_exceptions: {exception!r} is not an exception class, nor its name as 'module:Class'")
