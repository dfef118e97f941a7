"""Element types in NumPy: which there are, and which type kernels compute and accumulate in."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from t10c.ir.expression import ReduceOp

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
DType = np.dtype[Any]

_FLOATS = ("bfloat16", "float16", "float32", "float64")
"""Floats that may meet in one step, the narrowest first."""

_SINGLE = np.dtype(np.float32)


@lru_cache(maxsize=64)
def dtype_of(element_type: str) -> DType:
    """NumPy's type of a graph's element type (`float32`, `int4`, ...)."""
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    name = names.get(element_type, element_type.upper())
    return np.dtype(helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(name)))


@lru_cache(maxsize=64)
def computing_type(dtype: DType) -> DType:
    """The type a step computes in before it rounds to `dtype`: NumPy's own, floats 32 bits wide."""
    name = dtype.name
    if name == "float16" or (dtype.kind == "V" and "float" in name):
        return np.dtype(np.float32)
    if dtype.kind == "V":
        return np.dtype(np.uint8 if name.startswith("u") else np.int8)
    return dtype


@lru_cache(maxsize=256)
def accumulating_type(dtype: DType, reduce_op: ReduceOp) -> DType:
    """The type in which a reduction of values of `dtype` holds its partial results.

    Narrow floats are summed in 32 bits. Integers are summed in their own type, which wraps, except
    for a mean: its total is held in 64 bits.
    """
    wide = computing_type(dtype)
    if reduce_op == "mean" and wide.kind in "iu":
        return np.dtype(np.uint64 if wide.kind == "u" else np.int64)
    return wide


@lru_cache(maxsize=64)
def float_rank(dtype: DType) -> int:
    """Position of a float among those that may meet in a step, the narrowest 0; -1 for others."""
    return _FLOATS.index(dtype.name) if dtype.name in _FLOATS else -1


def widened(array: Array, output: DType) -> Array:
    """An operand as a kernel computes with it whose result is stored as `output`.

    Floats have at least 32 bits within an operator, and as many as its result; results are rounded
    when they are stored. 32-bit integers have 64 where the result has: what casts made wider.
    """
    kind = array.dtype
    if float_rank(kind) >= 0:
        wanted = max((kind, _SINGLE, output), key=float_rank)
        return array.astype(wanted, copy=False)
    if kind == np.int32 and output == np.int64:
        return array.astype(output)
    return array


@lru_cache(maxsize=256)
def lowest(dtype: DType) -> Any:
    """The neutral element of a maximum."""
    if dtype.kind == "b":
        return np.False_
    return dtype.type(np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf)


@lru_cache(maxsize=256)
def highest(dtype: DType) -> Any:
    """The neutral element of a minimum."""
    if dtype.kind == "b":
        return np.True_
    return dtype.type(np.iinfo(dtype).max if dtype.kind in "iu" else np.inf)
