"""Values of frozen dataclasses as bytes and back, exactly, driven by their type hints.

All values of one field stand together in a column: a search has thousands of small records, and
columns make them quick to read and short. What a dataclass declares is stored, so that a new field
cannot be forgotten; a hint that is not understood is refused before anything is stored.
"""

import base64
import json
import math
import types
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from t10c.serialise import field_hints

T = TypeVar("T")

_SCALARS = (bool, int, float, str, type(None))
_ARRAY_KINDS = "biuf"
_COMPRESSED_BYTES = 2**14
"""Arrays of so many bytes are compressed: lists of plans are long, and repeat themselves."""


class CodecError(ValueError):
    """Bytes that are no value of the type that was asked for."""


def to_bytes(cls: type[T], value: T) -> bytes:
    """A value of the dataclass `cls`; TypeError if it has a field that cannot be stored."""
    hint: Any = cls
    column = _column(hint).encode([value])
    return json.dumps(column, ensure_ascii=False, separators=(",", ":")).encode()


def from_bytes(cls: type[T], data: bytes) -> T:
    """What `to_bytes` was given; CodecError if these bytes are nothing of the kind."""
    hint: Any = cls
    codec = _column(hint)
    try:
        (value,) = codec.decode(json.loads(data))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise CodecError(f"no {cls.__name__}: {error}") from error
    if not isinstance(value, cls):
        raise CodecError(f"no {cls.__name__}")
    return value


@dataclass(frozen=True, slots=True)
class _Column:
    """Values of one type to JSON and back."""

    encode: Callable[[list[Any]], Any]
    decode: Callable[[Any], list[Any]]


@lru_cache(maxsize=256)
def _column(hint: Any) -> _Column:
    """How values of a type are stored; TypeError for a type that is not understood."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return _record_column(hint)
    if origin is np.ndarray:
        return _Column(lambda v: list(map(_packed, v)), lambda c: list(map(_unpacked, c)))
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return _sequence_column(_column(arguments[0]))
    if origin is tuple:
        return _product_column([_column(argument) for argument in arguments])
    if hint in _SCALARS or _is_choice_of_scalars(hint):
        return _Column(_scalars, _scalars)
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        return _optional_column(_column(next(a for a in arguments if a is not type(None))))
    raise TypeError(f"values of {hint} cannot be stored: teach t10c/cache/codec.py")


def _is_choice_of_scalars(hint: Any) -> bool:
    """Whether it is a Literal, or a union of scalars: JSON tells these apart."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return all(isinstance(argument, _SCALARS) for argument in arguments)
    if origin in (Union, types.UnionType):
        return all(
            argument in _SCALARS or _is_choice_of_scalars(argument) for argument in arguments
        )
    return False


def _scalars(values: list[Any]) -> list[Any]:
    for value in values:
        if type(value) not in _SCALARS:
            raise TypeError(f"{value!r} is no plain number or text")
    return values


def _record_column(cls: Any) -> _Column:
    columns = {name: _column(hint) for name, hint in field_hints(cls).items()}
    if not columns or any(field.kw_only or not field.init for field in fields(cls)):
        raise TypeError(f"{cls.__name__} is not made of its fields in order")

    def encode(values: list[Any]) -> Any:
        if any(type(value) is not cls for value in values):
            raise TypeError(f"a value is no {cls.__name__}")
        stored = {
            name: column.encode([getattr(value, name) for value in values])
            for name, column in columns.items()
        }
        return [len(values), stored]

    def decode(stored: Any) -> list[Any]:
        count, parts = stored
        if parts.keys() != columns.keys():
            raise CodecError(f"{cls.__name__} has other fields")
        decoded = [column.decode(parts[name]) for name, column in columns.items()]
        if any(len(values) != count for values in decoded):
            raise CodecError(f"{cls.__name__} has columns of different lengths")
        return list(map(cls, *decoded))

    return _Column(encode, decode)


def _optional_column(item: _Column) -> _Column:
    """Values that may be missing: which are there, and those in one column."""

    def encode(values: list[Any]) -> Any:
        present = [value is not None for value in values]
        return [present, item.encode([value for value in values if value is not None])]

    def decode(stored: Any) -> list[Any]:
        present, items = stored[0], item.decode(stored[1])
        if not all(isinstance(there, bool) for there in present) or sum(present) != len(items):
            raise CodecError("other values are missing")
        left = iter(items)
        return [next(left) if there else None for there in present]

    return _Column(encode, decode)


def _sequence_column(item: _Column) -> _Column:
    """Tuples of any length: their lengths, and all items in one column."""

    def encode(values: list[Any]) -> Any:
        return [[len(value) for value in values], item.encode(list(chain.from_iterable(values)))]

    def decode(stored: Any) -> list[Any]:
        lengths, items = stored[0], item.decode(stored[1])
        if sum(lengths) != len(items) or any(length < 0 for length in lengths):
            raise CodecError("tuples have other lengths")
        bounds = accumulate(lengths, initial=0)
        return [tuple(items[first:last]) for first, last in pairwise(bounds)]

    return _Column(encode, decode)


def _product_column(items: list[_Column]) -> _Column:
    """Tuples of a fixed length: a column for every position."""

    def encode(values: list[Any]) -> Any:
        if any(len(value) != len(items) for value in values):
            raise TypeError(f"a tuple has other than {len(items)} items")
        return [item.encode([value[i] for value in values]) for i, item in enumerate(items)]

    def decode(stored: Any) -> list[Any]:
        columns = [item.decode(part) for item, part in zip(items, stored, strict=True)]
        return list(zip(*columns, strict=True))

    return _Column(encode, decode)


def _packed(array: "np.ndarray[Any, Any]") -> list[Any]:
    """An array of numbers as its type, shape and little-endian bytes."""
    if array.dtype.kind not in _ARRAY_KINDS:
        raise TypeError(f"arrays of {array.dtype} cannot be stored")
    kind = array.dtype.newbyteorder("<")
    data = np.ascontiguousarray(array, dtype=kind).tobytes()
    packing = ["zlib"] if len(data) >= _COMPRESSED_BYTES else []
    data = zlib.compress(data, level=1) if packing else data
    return [kind.str, list(array.shape), base64.b64encode(data).decode(), *packing]


def _unpacked(stored: Any) -> "np.ndarray[Any, Any]":
    kind, shape, text, *packing = stored
    dtype = np.dtype(kind)
    if dtype.kind not in _ARRAY_KINDS or packing not in ([], ["zlib"]):
        raise CodecError(f"an array of {kind}, packed as {packing}")
    data = base64.b64decode(text, validate=True)
    if packing:
        data = _unzipped(data, math.prod(shape) * dtype.itemsize)
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _unzipped(data: bytes, size_bytes: int) -> bytes:
    """What was compressed, of a known size: whatever it says, no more memory than that is taken."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, size_bytes + 1)
    except zlib.error as error:
        raise CodecError(f"an array that does not unpack: {error}") from error
    if len(found) != size_bytes or not stream.eof:
        raise CodecError("an array of another size")
    return found
