"""TopK by ranks: how many elements of its row come before an element says where it goes.

    rank[r, i]  = sum over j of (x[r, j] > x[r, i], or equal and j < i)     reduce
    index[r, k] = sum over i of (rank[r, i] == k ? i : 0)                   reduce
    value[r, k] = x[r, index[r, k]]                                         gather

All pairs of a row are compared, which every core can do for its own; rows too long for that are
sorted by one core.
"""

import math

from t10c.onnx_import.attributes import LoweringError, integer, result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.gather import add_gather_elements
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

LONGEST_ROW = 4096
"""Comparing all pairs of n elements on a thousand cores is n * n / 1000 steps each; sorting them on
one is n * log n: about here that is less."""

PAIR_LIMIT = 2**28
"""Most comparisons in all rows."""


@lowers("TopK")
def lower_top_k(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Ranks by comparing all pairs of a row, where those are not too many."""
    source, values, indices = node.inputs[0], node.outputs[0], result(node, 1)
    compose, shape = Composer(builder), builder.shape(source)
    axis = integer(node, "axis", -1) % len(shape)
    length, count = shape[axis], builder.shape(values or indices)[axis]
    if length == 1:
        return _of_one(builder, source, values, indices)
    pairs = math.prod(shape) * length
    if length > LONGEST_ROW:
        raise LoweringError(f"its rows of {length:,} are longer than {LONGEST_ROW:,}")
    if pairs > PAIR_LIMIT:
        raise LoweringError(f"its rows have {pairs:,} pairs, more than {PAIR_LIMIT:,}")
    rank = _ranks(builder, source, axis, bool(integer(node, "largest", 1)))
    taken = (*shape[:axis], count, *shape[axis + 1 :])
    at = [d if d != axis else len(shape) for d in range(len(shape))]
    tensors: list[Placed] = [
        (rank, at),
        (compose.iota("places", count, "int64"), (axis,)),
        (compose.iota("positions", length, "int64"), (len(shape),)),
    ]
    steps = [Step("Equal", (0, 1)), Step("Where", ("s0", 2, "0"))]
    space, reduced = (*taken, length), (len(shape),)
    index = compose.reduce("", space, reduced, "int64", tensors, steps, "sum", indices)
    if values:
        add_gather_elements(builder, "values", (source, index), values, axis)
    return None


def _of_one(builder: GraphBuilder, source: str, values: str, indices: str) -> None:
    """Rows of one element."""
    if values:
        builder.reshape(source, values, "values")
    if indices:
        Composer(builder).constant(0, indices)


def _ranks(builder: GraphBuilder, source: str, axis: int, largest: bool) -> str:
    """How many elements of its row come before each element; equal ones in order."""
    compose, shape = Composer(builder), builder.shape(source)
    rank, kind = len(shape), "int64"
    other = [d if d != axis else rank for d in range(rank)]
    iota = compose.iota("order", shape[axis], kind)
    tensors: list[Placed] = [
        (source, range(rank)),
        (source, other),
        (iota, (axis,)),
        (iota, (rank,)),
    ]
    steps = [
        Step("Greater" if largest else "Less", (1, 0)),
        Step("Equal", (1, 0)),
        Step("Less", (3, 2)),
        Step("And", ("s1", "s2")),
        Step("Or", ("s0", "s3")),
        Step("Where", ("s4", "1", "0")),
    ]
    space = (*shape, shape[axis])
    return compose.reduce("ranks", space, (rank,), kind, tensors, steps, "sum")
