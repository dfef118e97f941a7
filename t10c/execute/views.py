"""Layout-only operators on whole tensors: what a view of tensors looks like."""

import numpy as np

from t10c.execute.element_types import Array, dtype_of
from t10c.ir.graph import LayoutOp, Tensor


def apply_view(operator: LayoutOp, inputs: list[Array], output: Tensor) -> Array:
    """The output of a layout-only operator, in the output's element type."""
    kind = dtype_of(output.element_type)
    result = _moved(operator, inputs, output.shape)
    if operator.op_type == "BitCast":
        return np.ascontiguousarray(result).view(kind)
    return result.astype(kind, copy=False)


def _moved(operator: LayoutOp, inputs: list[Array], shape: tuple[int, ...]) -> Array:
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
            result[...] = _literal(operator.fill, first)
            result[
                tuple(
                    slice(start, start + length)
                    for start, length in zip(operator.starts, first.shape, strict=True)
                )
            ] = first
            return result


def _literal(text: str, like: Array) -> Array:
    """A literal in the type of an array; whole numbers stay exact."""
    exact = like.dtype.kind in "iu" and text.removeprefix("-").isdigit()
    return np.asarray(int(text) if exact else float(text)).astype(like.dtype)
