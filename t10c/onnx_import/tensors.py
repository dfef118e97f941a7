"""What is known of a tensor: type, shape, perhaps its value, and whether it is fixed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from t10c.errors import InvalidInputError
from t10c.ir.expression import ELEMENT_LIMIT
from t10c.onnx_import.external import read_small_external

VALUE_LIMIT_BYTES = 64 * 1024
"""No value larger than this is ever held or computed."""

_ELEMENT_TYPES = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}

_BITS_OF_NAMES = {"float": 32, "double": 64, "bool": 8, "string": 128, "complex64": 64}


@dataclass(frozen=True, slots=True)
class TensorFact:
    """A tensor of known shape; `element_type` is ONNX's number.

    `fixed` means that it is the same in every inference; `value` is given only for fixed tensors
    of at most 64 KiB. `source` is where the value stands that was not read.
    """

    element_type: int
    shape: tuple[int, ...]
    value: np.ndarray | None = None
    fixed: bool = False
    source: TensorProto | SparseTensorProto | None = field(default=None, compare=False, repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor."""
        return math.prod(self.shape) * element_bits(self.element_type) // 8


@dataclass(frozen=True, slots=True)
class OpenFact:
    """A tensor whose shape depends on data.

    `element_type` is 0 where not even that is known; `dims` is None where the rank is not, and has
    None for every open dimension.
    """

    element_type: int = 0
    dims: tuple[int | None, ...] | None = None


@lru_cache(maxsize=64)
def element_type_name(element_type: int) -> str:
    """NumPy's name of an ONNX element type where there is one: `float32`, `bfloat16`, `int4`."""
    name: str = TensorProto.DataType.Name(element_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


@lru_cache(maxsize=64)
def element_bits(element_type: int) -> int:
    """Bits of one element (a string counts as 16 bytes)."""
    name = TensorProto.DataType.Name(element_type).lower()
    if name in _BITS_OF_NAMES:
        return _BITS_OF_NAMES[name]
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    return int(digits[0]) if digits else 8


def shape_text(shape: Sequence[int]) -> str:
    """A shape as users type it: `1x3x224x224`; `scalar` for rank 0."""
    return "x".join(str(size) for size in shape) if shape else "scalar"


def check_size(name: str, shape: Sequence[int]) -> None:
    """Refuse shapes that no model has; raises InvalidInputError naming the tensor."""
    sizes = [size or 1 for size in shape]
    if min(sizes, default=1) < 0 or math.prod(sizes) > ELEMENT_LIMIT:
        raise InvalidInputError(
            f"tensor '{name}' would have the shape {shape_text(shape)}\n"
            f"sizes must be positive, and their product at most {ELEMENT_LIMIT}"
        )


def known(value: np.ndarray, element_type: int) -> TensorFact:
    """A fixed tensor of known value, which becomes read-only."""
    value.setflags(write=False)
    return TensorFact(element_type, tuple(value.shape), value, fixed=True)


def int64(value: int | Sequence[int]) -> TensorFact:
    """A constant of integers: a scalar or a list."""
    return known(np.array(value, np.int64), TensorProto.INT64)


def boolean(value: bool) -> TensorFact:
    """A constant truth value."""
    return known(np.array(value), TensorProto.BOOL)


def from_proto(tensor: TensorProto, name: str, directory: Path | None) -> TensorFact:
    """An initializer or tensor attribute; its value is read if it is small and stands in the file.

    Of external data, only small integers are read (they may be shapes), and only if the file is
    there. Raises InvalidInputError if the data contradict the declared shape or type.
    """
    shape = tuple(tensor.dims)
    if tensor.data_type not in _ELEMENT_TYPES:
        raise InvalidInputError(f"tensor '{name}' has no valid element type ({tensor.data_type})")
    check_size(name, shape)
    fact = TensorFact(tensor.data_type, shape, fixed=True, source=tensor)
    if 0 in shape:
        return empty(fact)
    if fact.size_bytes > VALUE_LIMIT_BYTES:
        return fact
    if tensor.data_location == TensorProto.EXTERNAL:
        inline = read_small_external(tensor, fact.size_bytes, directory)
        if inline is None:
            return fact
        tensor = inline
    try:
        value = np.array(numpy_helper.to_array(tensor))
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"the data of tensor '{name}' do not fill its shape {shape_text(shape)}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return known(value, tensor.data_type)


def sparse_fact(tensor: SparseTensorProto) -> TensorFact:
    """A sparse initializer: a weight of unknown value."""
    return TensorFact(tensor.values.data_type, tuple(tensor.dims), fixed=True, source=tensor)


def empty(fact: TensorFact) -> TensorFact:
    """A tensor without elements: its value is known from its shape."""
    dtype = helper.tensor_dtype_to_np_dtype(fact.element_type)
    return known(np.zeros(fact.shape, dtype), fact.element_type)
