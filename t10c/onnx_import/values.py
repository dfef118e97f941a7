"""Values for graph inputs (`--value NAME=VALUE`), which makes them constants."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from t10c.errors import InvalidInputError, UsageError
from t10c.onnx_import.tensors import (
    VALUE_LIMIT_BYTES,
    TensorFact,
    element_type_name,
    known,
    shape_text,
)

_SHOWN = 8
"""Elements of a value that a message shows."""


def value_flag(name: str, value: np.ndarray) -> str:
    """The flag as typed, shortened: `--value axes=[0,1]`."""
    numbers = [_text(number) for number in value.reshape(-1)[:_SHOWN].tolist()]
    if value.ndim == 0:
        return f"--value {name}={numbers[0]}"
    more = ",..." if value.size > _SHOWN else ""
    return f"--value {name}=[{','.join(numbers)}{more}]"


def _text(number: object) -> str:
    return str(number).lower() if isinstance(number, bool) else str(number)


def as_array(name: str, value: object) -> np.ndarray:
    """Numbers as an array; raises UsageError for anything else."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise UsageError(
            f"--value {name}: not a number or a list of numbers, all rows of the same length\n"
            f"write for instance --value {name}=5 or --value '{name}=[0,1]'"
        )
    return array


def fixed_input(name: str, value: np.ndarray, fact: TensorFact) -> TensorFact:
    """An input of the given type and shape that holds `value` in every inference.

    Raises UsageError if the element type cannot hold it, InvalidInputError if the shapes differ.
    """
    flag, kind = value_flag(name, value), element_type_name(fact.element_type)
    if fact.element_type == TensorProto.STRING or kind.startswith("complex"):
        raise UsageError(f"{flag}: input '{name}' holds {kind}, which cannot be given")
    if value.size == 1:
        value = value.reshape(())
    elif value.shape != fact.shape:
        raise InvalidInputError(
            f"{flag} has the shape {shape_text(value.shape)}, but input '{name}' is "
            f"{shape_text(fact.shape)}"
        )
    cast = _cast(value, fact.element_type)
    if cast is None:
        raise UsageError(f"{flag}: input '{name}' takes {kind}, which cannot hold this value")
    if math.prod(fact.shape) * cast.itemsize > VALUE_LIMIT_BYTES:
        return replace(fact, fixed=True, source=numpy_helper.from_array(cast, name))
    return known(np.array(np.broadcast_to(cast, fact.shape)), fact.element_type)


def _cast(value: np.ndarray, element_type: int) -> np.ndarray | None:
    """The value in another type; None if it does not survive (floats may be rounded)."""
    dtype = helper.tensor_dtype_to_np_dtype(element_type)
    with np.errstate(all="ignore"):
        cast = np.asarray(value.astype(dtype))
    if dtype.kind == "b":
        return cast if np.isin(value, (0, 1)).all() else None
    if dtype.kind in "iu" or element_type_name(element_type).lstrip("u").startswith("int"):
        exact = np.array_equal(cast.astype(np.object_), value.astype(np.object_))
        return cast if exact else None
    wide, narrow = value.astype(np.float64), cast.astype(np.float64)
    return None if bool((np.isfinite(wide) & ~np.isfinite(narrow)).any()) else cast


def value_notes(values: Mapping[str, np.ndarray]) -> list[str]:
    """What the graph's warnings say of inputs that were given values."""
    return [
        f"input '{name}' is fixed: {value_flag(name, value)}; the plan holds for this value only"
        for name, value in values.items()
    ]
