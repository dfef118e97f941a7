"""Known indices of the gather and scatter families lie within the dimension they select from."""

import numpy as np

from t10c.onnx_import.attributes import DamagedNodeError, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.resolved import ResolvedNode


def check_indices(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Check an operator whose second input has positions along `axis` of its first.

    Raises DamagedNodeError for an index, if they are known, that is out of range.
    """
    table, known = builder.shape(node.inputs[0]), builder.value(node.inputs[1])
    if known is not None:
        axis = integer(node, "axis", 0) % len(table)
        _check(known, table[axis], axis)


def check_index_tuples(builder: GraphBuilder, node: ResolvedNode, batch: int = 0) -> None:
    """The same where the last dimension of the second input has a position per dimension.

    The first `batch` dimensions are not selected from.
    """
    table, known = builder.shape(node.inputs[0]), builder.value(node.inputs[1])
    if known is not None:
        for column in range(known.shape[-1]):
            _check(known[..., column], table[batch + column], batch + column)


def _check(indices: np.ndarray, size: int, dimension: int) -> None:
    wrong = indices[(indices < -size) | (indices >= size)]
    if wrong.size:
        raise DamagedNodeError(
            f"index {int(wrong[0])} is out of range for dimension {dimension} of its first input, "
            f"whose size is {size}"
        )
