"""A resolved specification as a JSON document in base units, and back; its content hash.

Plan files carry this document, so that a plan needs no specification file to be read again.
Pairs of (name, value) tuples become JSON objects; everything else keeps its field's name.
"""

import hashlib
import json
import math
import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from t10c.errors import InvalidInputError
from t10c.hardware.forms import FAMILIES
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.units import shorten

Document = dict[str, Any]


def to_document(spec: HardwareSpec) -> Document:
    """The specification as JSON values: base units, kernels, sources and notes included."""
    document = _encode(spec)
    assert isinstance(document, dict)
    return document


def from_document(document: object) -> HardwareSpec:
    """The specification of a document; InvalidInputError names the key that is wrong."""
    spec = _decode(HardwareSpec, document, "hardware")
    assert isinstance(spec, HardwareSpec)
    if spec.clock_hz <= 0 or spec.core_count < 1:
        raise InvalidInputError("hardware: has no clock or no cores")
    missing = [family for family in FAMILIES if family not in dict(spec.kernels)]
    if missing:
        raise InvalidInputError(f"hardware.kernels.{missing[0]}: is missing")
    return spec


def spec_hash(spec: HardwareSpec) -> str:
    """sha256 of the canonical JSON of the document."""
    text = json.dumps(to_document(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _encode(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        return {
            field.name: _encode_field(getattr(value, field.name), hints[field.name])
            for field in fields(value)
        }
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return value


def _encode_field(value: object, hint: object) -> object:
    if _pair_value(hint) is not None:
        assert isinstance(value, tuple)
        return {name: _encode(item) for name, item in value}
    return _encode(value)


def _pair_value(hint: object) -> object | None:
    """T where the hint is tuple[tuple[str, T], ...], else None."""
    arguments = get_args(hint)
    if get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        inner = get_args(arguments[0])
        if get_origin(arguments[0]) is tuple and len(inner) == 2 and inner[0] is str:
            value: object = inner[1]
            return value
    return None


def _decode(hint: object, value: object, path: str) -> object:
    """`value` as the type `hint` says; InvalidInputError with the path if it is not that."""
    if isinstance(hint, type) and is_dataclass(hint):
        return _decode_dataclass(hint, value, path)
    pair_value = _pair_value(hint)
    if pair_value is not None:
        items = _mapping(value, path).items()
        return tuple((name, _decode(pair_value, item, f"{path}.{name}")) for name, item in items)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _decode(arguments[0], value, path)
    if origin is Literal:
        if value not in arguments:
            raise _wrong(path, value, f"one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        return _decode_tuple(arguments, value, path)
    return _decode_scalar(hint, value, path)


def _decode_dataclass(cls: type, value: object, path: str) -> object:
    mapping = _mapping(value, path)
    names = [field.name for field in fields(cls)]
    for name in mapping:
        if name not in names:
            raise InvalidInputError(f"{path}.{shorten(name)}: unknown key")
    for name in names:
        if name not in mapping:
            raise InvalidInputError(f"{path}.{name}: is missing")
    hints = get_type_hints(cls)
    return cls(**{name: _decode(hints[name], mapping[name], f"{path}.{name}") for name in names})


def _decode_tuple(arguments: tuple[object, ...], value: object, path: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise _wrong(path, value, "a list")
    if arguments[-1] is Ellipsis:
        return tuple(_decode(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise _wrong(path, value, f"a list of {len(arguments)}")
    return tuple(
        _decode(hint, item, f"{path}[{i}]")
        for i, (hint, item) in enumerate(zip(arguments, value, strict=True))
    )


def _decode_scalar(hint: object, value: object, path: str) -> object:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return float(value)
        raise _wrong(path, value, "a number of at least 0")
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        if value >= 0:
            return value
        raise _wrong(path, value, "a whole number of at least 0")
    if (hint is bool and isinstance(value, bool)) or (hint is str and isinstance(value, str)):
        return value
    kind = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    raise _wrong(path, value, kind.get(hint, str(hint)))  # type: ignore[call-overload]


def _mapping(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise _wrong(path, value, "an object")
    return value


def _wrong(path: str, value: object, right: str) -> InvalidInputError:
    return InvalidInputError(f"{path}: is {shorten(repr(value))}; it must be {right}")
