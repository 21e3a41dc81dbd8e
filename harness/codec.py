"""Plain data as JSON and back, by the fields' own type annotations: never pickle, and a damaged field is named.

Bytes are written as text, one character per byte, so that a saved case can be read and edited. Sequences come back
as tuples, mappings as plain dicts. A document is an envelope: `{"format": "handshaker/1", "kind": …, …fields…}`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from handshaker.harness.errors import CaseFileError

__all__ = ["FORMAT", "T", "decode", "digest", "dumps", "encode", "loads"]

FORMAT = 1

T = TypeVar("T")


def encode(value: object) -> Any:
    """The JSON value of plain data; fields that hold their default are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _encode_as(getattr(value, field.name), _hints(type(value))[field.name])
            for field in dataclasses.fields(value)
            if not _is_default(field, getattr(value, field.name))
        }
    return _encode_open(value)


def _is_default(field: dataclasses.Field[Any], value: object) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(field.default == value)
    return field.default_factory is not dataclasses.MISSING and bool(field.default_factory() == value)


def _encode_as(value: object, hint: Any) -> Any:
    """Equal values are written alike (1 in a float field is 1.0); bytes declared as bytes need no mark."""
    if hint is bytes and isinstance(value, bytes):
        return value.decode("latin-1")
    if hint is float and isinstance(value, (int, float)):
        return value + 0.0
    if isinstance(value, tuple) and typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        each = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else inner
        return [_encode_as(item, item_hint) for item, item_hint in zip(value, each, strict=True)]
    return encode(value) if dataclasses.is_dataclass(value) else _encode_open(value)


def _encode_open(value: object) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).decode("latin-1")}
    if isinstance(value, Mapping):
        return {str(key): _encode_open(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_encode_open(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode(value)
    raise TypeError(f"{value!r} is not plain data")


def decode(cls: type[T], value: object, *, where: str = "") -> T:
    """Build *cls* from a JSON value.

    Raises CaseFileError, naming *where* and the field, when a field is missing, unknown, or of the wrong type.
    """
    try:
        return typing.cast(T, _decode(cls, value, ""))
    except _Damaged as damage:
        place = f"{where}: " if where else ""
        raise CaseFileError(f"{place}field {damage.field!r}: {damage.problem}") from None
    except RecursionError:
        place = f"{where}: " if where else ""
        raise CaseFileError(f"{place}nested more deeply than any {cls.__name__}") from None


class _Damaged(Exception):
    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field, self.problem = field or "(the whole document)", problem


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(hint: Any, value: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _decode_dataclass(hint, value, path)
    if origin is tuple:
        return _decode_tuple(typing.get_args(hint), value, path)
    if origin in (types.UnionType, typing.Union):
        return _decode_union(typing.get_args(hint), value, path)
    if hint is bytes:
        return _decode_bytes(value, path)
    if hint in (str, int, float, bool, types.NoneType) or isinstance(hint, enum.EnumType):
        return _decode_scalar(hint, value, path)
    if origin is Mapping:
        return _decode_mapping(value, path)
    return _decode_open(value, path)


def _decode_dataclass(cls: type, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _Damaged(path, f"expected an object for {cls.__name__}, found {_short(value)}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name in value:
        if name not in fields:
            raise _Damaged(f"{path}.{name}".lstrip("."), f"unknown; {cls.__name__} has {', '.join(fields)}")
    known = {}
    for name, field in fields.items():
        inner = f"{path}.{name}".lstrip(".")
        if name in value:
            known[name] = _decode(_hints(cls)[name], value[name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _Damaged(inner, f"missing; {cls.__name__} needs it")
    try:
        return cls(**known)
    except ValueError as error:
        raise _Damaged(path, str(error)) from None


def _decode_tuple(inner: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Damaged(path, f"expected a list, found {_short(value)}")
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_decode(inner[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if len(inner) != len(value):
        raise _Damaged(path, f"expected {len(inner)} items, found {len(value)}")
    return tuple(
        _decode(hint, item, f"{path}[{index}]") for index, (hint, item) in enumerate(zip(inner, value, strict=True))
    )


def _decode_union(inner: tuple[Any, ...], value: Any, path: str) -> Any:
    problems = []
    for hint in inner:
        try:
            return _decode(hint, value, path)
        except _Damaged as damage:
            problems.append(damage)
    raise max(problems, key=lambda damage: len(damage.field))


def _decode_bytes(value: Any, path: str) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise _Damaged(path, f"character {value[error.start]!r} is not a byte (0 to 255)") from None
    raise _Damaged(path, f"expected text, one character per byte, found {_short(value)}")


def _decode_scalar(hint: type, value: Any, path: str) -> Any:
    if issubclass(hint, enum.Enum):
        return _decode_enum(hint, value, path)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        expected = "null" if hint is types.NoneType else hint.__name__
        raise _Damaged(path, f"expected {expected}, found {_short(value)}")
    return value


def _decode_enum(hint: type[enum.Enum], value: Any, path: str) -> enum.Enum:
    try:
        return hint(value)
    except ValueError:
        allowed = ", ".join(repr(member.value) for member in hint)
        raise _Damaged(path, f"expected one of {allowed}; found {_short(value)}") from None


def _decode_mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Damaged(path, f"expected an object, found {_short(value)}")
    return {key: _decode_open(item, f"{path}.{key}") for key, item in value.items()}


def _decode_open(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            return _decode_bytes(value["bytes"], path)
        return _decode_mapping(value, path)
    if isinstance(value, list):
        return tuple(_decode_open(item, f"{path}[{index}]") for index, item in enumerate(value))
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def digest(value: object) -> str:
    """Twelve hexadecimal digits that are the same for equal data on every machine and in every version of Python."""
    text = json.dumps(encode(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def dumps(value: object) -> str:
    """One document, with its format and kind, ready to be written to a file."""
    kind = type(value).__name__.lower()
    return json.dumps({"format": f"handshaker/{FORMAT}", "kind": kind, kind: encode(value)}, indent=1) + "\n"


def loads(cls: type[T], text: str, *, where: str) -> T:
    """Read a document that `dumps` wrote.

    Raises CaseFileError naming *where* (a file) when it is no JSON, of another kind, newer, or has a damaged field.
    """
    kind = cls.__name__.lower()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaseFileError(
            f"{where}: not JSON ({error}); expected a file that handshaker wrote; repair it or delete it"
        ) from None
    if not isinstance(document, dict) or not str(document.get("format", "")).startswith("handshaker/"):
        raise CaseFileError(f"{where}: field 'format': expected 'handshaker/{FORMAT}'; this is no handshaker file")
    version = str(document["format"]).removeprefix("handshaker/")
    if version != str(FORMAT):
        raise CaseFileError(
            f"{where}: field 'format': {document['format']!r} cannot be read by this handshaker, which reads "
            f"'handshaker/{FORMAT}'; upgrade handshaker or save the file again"
        )
    if document.get("kind") != kind or kind not in document:
        raise CaseFileError(f"{where}: field 'kind': expected {kind!r}, found {_short(document.get('kind'))}")
    return decode(cls, document[kind], where=where)
