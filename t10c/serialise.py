"""Frozen dataclasses as JSON values and back, driven by their type hints.

Tuples of (name, value) pairs become JSON objects, other tuples lists; field names stay. Fields
whose metadata say `omit_default` are left out while they have their default. Where one of several
dataclasses may stand, the key `op` says which: its name in small letters. Decoding checks every
value against its hint and names the path of the first that is wrong.
"""

import hashlib
import json
import math
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from t10c.commons import Plain
from t10c.errors import InvalidInputError

T = TypeVar("T")

TAG = "op"
"""Key that says which of several dataclasses an object is."""


@lru_cache(maxsize=256)
def field_hints(cls: type) -> dict[str, Any]:
    """Type of every field of a dataclass, in order."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


@lru_cache(maxsize=256)
def omitted_defaults(cls: type) -> dict[str, Any]:
    """Defaults of the fields that are left out while they have them."""
    return {f.name: f.default for f in fields(cls) if f.metadata.get("omit_default")}


Encoder = Callable[[Any], Any]


def encode(value: object) -> Any:
    """A dataclass, tuple or scalar as JSON values."""
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    cls: type = type(value)
    encoder = _class_encoder(cls)
    return value if encoder is None else encoder(value)


@lru_cache(maxsize=256)
def _class_encoder(cls: type) -> Encoder | None:
    """What makes a JSON object of a dataclass's instances; None for other types."""
    if not is_dataclass(cls):
        return None
    hints, omitted = field_hints(cls), omitted_defaults(cls)
    names = tuple(hints)
    found = ((position, _encoder(hint)) for position, hint in enumerate(hints.values()))
    changed = [(position, encoder) for position, encoder in found if encoder is not None]

    def encoded(value: Any) -> dict[str, Any]:
        values = [getattr(value, name) for name in names]
        for position, encoder in changed:
            values[position] = encoder(values[position])
        fields = dict(zip(names, values, strict=True))
        for name, default in omitted.items():
            if getattr(value, name) == default:
                del fields[name]
        return fields

    return encoded


@lru_cache(maxsize=1024)
def _encoder(hint: object) -> Encoder | None:
    """What makes JSON values of a field's values; None where they are JSON values already."""
    classes, inner = tagged(hint), pair_value(hint)
    if classes:
        tags = {cls: tag for tag, cls in classes.items()}
        return lambda value: (
            {TAG: tags[type(value)], **encode(value)} if type(value) in tags else encode(value)
        )
    if inner is not None:
        return lambda value: (
            {name: encode(item) for name, item in value}
            if isinstance(value, tuple)
            else encode(value)
        )
    if get_origin(hint) is tuple:
        arguments = get_args(hint)
        item = _encoder(arguments[0]) if arguments[-1:] == (Ellipsis,) else encode
        many: Encoder = list if item is None else lambda value: [item(part) for part in value]
        return lambda value: many(value) if isinstance(value, tuple) else encode(value)
    plain = get_origin(hint) is Literal or hint in (str, int, float, bool)
    return None if plain or (isinstance(hint, type) and issubclass(hint, StrEnum)) else encode


@lru_cache(maxsize=1024)
def tagged(hint: object) -> dict[str, type]:
    """The dataclasses of a union of several, by tag; empty where the hint is none."""
    if get_origin(hint) not in (Union, types.UnionType):
        return {}
    found: dict[str, type] = {
        a.__name__.lower(): a for a in get_args(hint) if isinstance(a, type) and is_dataclass(a)
    }
    return found if len(found) > 1 else {}


@lru_cache(maxsize=1024)
def pair_value(hint: object) -> object | None:
    """T where the hint is tuple[tuple[str, T], ...], else None."""
    arguments = get_args(hint)
    if get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        inner = get_args(arguments[0])
        if get_origin(arguments[0]) is tuple and len(inner) == 2 and inner[0] is str:
            value: object = inner[1]
            return value
    return None


def decode(cls: type[T], value: object, path: str) -> T:
    """`value` as an instance of the dataclass; InvalidInputError names the first wrong path."""
    result = _decode(cls, value, path)
    assert isinstance(result, cls)
    return result


def decode_tuple(item: type[T], value: object, path: str) -> tuple[T, ...]:
    """A JSON list as a tuple of the dataclass `item`."""
    if not isinstance(value, list):
        raise wrong(path, value, "a list")
    return tuple(decode(item, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def _decode(hint: object, value: object, path: str) -> object:
    if isinstance(hint, type) and is_dataclass(hint):
        return _decode_dataclass(hint, value, path)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        members = [member.value for member in hint]
        if value not in members:
            raise wrong(path, value, f"one of {', '.join(members)}")
        return hint(value)
    inner = pair_value(hint)
    if inner is not None:
        items = mapping(value, path).items()
        return tuple((name, _decode(inner, item, f"{path}.{name}")) for name, item in items)
    origin, arguments = get_origin(hint), get_args(hint)
    classes = tagged(hint)
    if classes:
        return _decode_tagged(classes, value, path)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, path)
    if origin is Literal:
        if value not in arguments:
            raise wrong(path, value, f"one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        return _decode_items(arguments, value, path)
    return _decode_scalar(hint, value, path)


def _decode_union(arguments: tuple[object, ...], value: object, path: str) -> object:
    if value is None and type(None) in arguments:
        return None
    scalars = [a for a in arguments if a in (str, int, float, bool)]
    if scalars and isinstance(value, str | int | float) and type(value) in scalars:
        return value
    return _decode(next(a for a in arguments if a is not type(None)), value, path)


def _decode_tagged(classes: dict[str, type], value: object, path: str) -> object:
    given = dict(mapping(value, path))
    if TAG not in given:
        raise InvalidInputError(f"{path}.{TAG}: is missing")
    tag = given.pop(TAG)
    if not isinstance(tag, str) or tag not in classes:
        raise wrong(f"{path}.{TAG}", tag, f"one of {', '.join(classes)}")
    return _decode_dataclass(classes[tag], given, path)


def _decode_dataclass(cls: type, value: object, path: str) -> object:
    given = mapping(value, path)
    hints = field_hints(cls)
    for name in given:
        if name not in hints:
            raise InvalidInputError(f"{path}.{name[:60]}: unknown key")
    for name in hints:
        if name not in given and name not in omitted_defaults(cls):
            raise InvalidInputError(f"{path}.{name}: is missing")
    present = {name: hint for name, hint in hints.items() if name in given}
    try:
        return cls(**{n: _decode(hint, given[n], f"{path}.{n}") for n, hint in present.items()})
    except ValueError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def _decode_items(arguments: tuple[object, ...], value: object, path: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise wrong(path, value, "a list")
    if arguments[-1] is Ellipsis:
        return tuple(_decode(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise wrong(path, value, f"a list of {len(arguments)}")
    return tuple(
        _decode(hint, item, f"{path}[{i}]")
        for i, (hint, item) in enumerate(zip(arguments, value, strict=True))
    )


def _decode_scalar(hint: object, value: object, path: str) -> object:
    if hint is float:
        return number(value, path)
    if hint is int:
        return whole_number(value, path)
    if (hint is bool and isinstance(value, bool)) or (hint is str and isinstance(value, str)):
        return value
    kinds = {bool: "true or false", str: "text"}
    kind = kinds.get(hint, str(hint)) if isinstance(hint, type) else str(hint)
    raise wrong(path, value, kind)


def number(value: object, path: str) -> float:
    """`value` if it is a finite JSON number, else InvalidInputError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(path, value, "a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise wrong(path, value, "a finite number")
    return result


def whole_number(value: object, path: str) -> int:
    """`value` if it is a whole JSON number, else InvalidInputError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(path, value, "a whole number")
    return value


def mapping(value: object, path: str) -> dict[str, Any]:
    """`value` if it is a JSON object, else InvalidInputError."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise wrong(path, value, "an object")
    return value


def wrong(path: str, value: object, right: str) -> InvalidInputError:
    """The error for a value of the wrong kind."""
    shown = "".join(c if c.isprintable() else "?" for c in repr(value))
    return InvalidInputError(f"{path}: is {shown[:60]}; it must be {right}")


PLAIN = Plain()
"""Of documents that are JSON values throughout."""


def content_hash(document: Mapping[str, Any], aside: Collection[str], parts: Plain = PLAIN) -> str:
    """sha256 of all that a JSON object says but for the keys `aside`, however it is laid out."""
    says = {key: value for key, value in document.items() if key not in aside}
    digest = hashlib.sha256()
    for text in parts.text(says, sort_keys=True, separators=(",", ":")):
        digest.update(text.encode())
    return digest.hexdigest()


def file_bytes(document: Mapping[str, Any], parts: Plain = PLAIN) -> bytes:
    """A plan or program file: the document as one line of compact JSON."""
    texts = parts.text(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return b"".join([*[text.encode() for text in texts], b"\n"])


def schema_of(data: bytes) -> str:
    """What a file says in its key `schema`; empty if it is no JSON object, or says no text."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    schema = document.get("schema") if isinstance(document, dict) else None
    return schema if isinstance(schema, str) else ""


def own_document(
    document: object, schema: str, version: int, write_one: str, again: str
) -> dict[str, Any]:
    """A document that says it is of this schema, `t10c.KIND`, and version; else InvalidInputError.

    `write_one` says how to come by one, `again` what to do with one of an older version.
    """
    kind = schema.removeprefix("t10c.")
    if not isinstance(document, dict) or document.get("schema") != schema:
        other = document.get("schema") if isinstance(document, dict) else None
        its = f"is {other[:40]!r}, not" if isinstance(other, str) else "is not"
        raise InvalidInputError(f"not a t10c {kind} (its schema {its} {schema!r})\n{write_one}")
    found = document.get("version")
    if type(found) is not int or found != version:
        newer = type(found) is int and found > version
        remedy = "upgrade t10c" if newer else again
        raise InvalidInputError(
            f"{kind} schema version {found!r}; this t10c reads version {version}\n{remedy}"
        )
    return document
