"""Layout-only operators on whole tensors: where the elements of a view come from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from t10c.ir.graph import LayoutOp
from t10c.program.placed import BoolArray

Array = npt.NDArray[Any]


def moved(
    operator: LayoutOp, inputs: Sequence[Array], shape: tuple[int, ...], fill: Array
) -> Array:
    """The inputs' elements where the operator puts them; `fill` is what a pad puts around them."""
    first = inputs[0]
    match operator.kind:
        case "reshape":
            return first.reshape(shape)
        case "transpose":
            return first.transpose(operator.perm)
        case "expand":
            return np.broadcast_to(first, shape)
        case "concat":
            return np.concatenate(inputs, axis=operator.axis)
        case "slice":
            rows = [
                start + step * np.arange(length)
                for start, step, length in zip(operator.starts, operator.steps, shape, strict=True)
            ]
            return np.asarray(first[np.ix_(*rows)]) if rows else first
        case "pad":
            result = np.empty(shape, first.dtype)
            result[...] = fill
            result[
                tuple(
                    slice(start, start + length)
                    for start, length in zip(operator.starts, first.shape, strict=True)
                )
            ] = first
            return result


def known_elements(
    operator: LayoutOp, known: Sequence[BoolArray | None], shapes: Sequence[tuple[int, ...]]
) -> BoolArray | None:
    """Which elements of a view are known, by those of its inputs; None stands for all.

    `shapes` are those of the inputs, then of the output. What a pad puts around is known.
    """
    if all(marks is None for marks in known):
        return None
    marks = [
        np.broadcast_to(np.True_, shape) if given is None else given
        for given, shape in zip(known, shapes[:-1], strict=True)
    ]
    result: BoolArray = moved(operator, marks, shapes[-1], np.asarray(True))
    return None if result.all() else result
