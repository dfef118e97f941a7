"""Layout-only operators on whole tensors: what a view of tensors looks like."""

import numpy as np

from t10c.execute.element_types import Array, dtype_of
from t10c.ir.graph import LayoutOp, Tensor
from t10c.program.views import moved


def apply_view(operator: LayoutOp, inputs: list[Array], output: Tensor) -> Array:
    """The output of a layout-only operator, in the output's element type."""
    kind = dtype_of(output.element_type)
    result = moved(operator, inputs, output.shape, _literal(operator.fill, inputs[0]))
    if operator.op_type == "BitCast":
        return np.asarray(result, order="C").view(kind)
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite
        return result.astype(kind, copy=False)


def _literal(text: str, like: Array) -> Array:
    """A literal in the type of an array; whole numbers stay exact."""
    exact = like.dtype.kind in "iu" and text.removeprefix("-").isdigit()
    return np.asarray(int(text) if exact else float(text)).astype(like.dtype)
