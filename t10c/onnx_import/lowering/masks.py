"""Operators that compare positions: Trilu, EyeLike, OneHot and Hardmax.

Positions that are known become a mask or the weight 0, 1, 2, ...; all else is pointwise.
"""

import math

import numpy as np

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import argument, integer, normalise_axes
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.elementwise import Step, from_front_steps
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("Trilu")
def lower_trilu(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Where(mask, x, 0), the mask a constant; compared with k where that is data."""
    source, output, offset = node.inputs[0], node.outputs[0], argument(node, 1)
    compose, upper = Composer(builder), bool(integer(node, "upper", 1))
    shape, kind = builder.shape(source), builder.element_type(source)
    rows, columns = shape[-2:]
    if offset and builder.value(offset) is None:
        compare = Step("GreaterOrEqual" if upper else "LessOrEqual", (1, 2))
        limit = compose.reshape("k", offset, ())
        steps = [compare, Step("Where", ("s0", 0, "0"))]
        distance = builder.derived_weight(
            "distance", (rows, columns), "int64", lambda: _distance(rows, columns)
        )
        arguments = (source, distance, limit)
        compose.pointwise("", shape, kind, arguments, steps, output)
        return None
    k = int(builder.constant(offset, "k").reshape(-1)[0]) if offset else 0
    if k <= 1 - rows if upper else k >= columns - 1:
        return builder.reshape(source, output)

    def visible() -> np.ndarray:
        distance = _distance(rows, columns)
        return distance >= k if upper else distance <= k

    mask = builder.derived_weight("mask", (rows, columns), "bool", visible)
    tensors = (source, mask)
    compose.pointwise("", shape, kind, tensors, [Step("Where", (1, 0, "0"))], output)
    return None


def _distance(rows: int, columns: int) -> np.ndarray:
    """How far right of the diagonal each element lies."""
    distance: np.ndarray = np.arange(columns) - np.arange(rows)[:, None]
    return distance


@lowers("EyeLike", node_class=NodeClass.LAYOUT_ONLY)
def lower_eye(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A weight: only the shape of its input counts."""
    output, k = node.outputs[0], integer(node, "k", 0)
    rows, columns = builder.shape(node.inputs[0])
    kind = builder.element_type(output)
    eye = builder.derived_weight(
        "eye", (rows, columns), kind, lambda: np.eye(rows, columns, k).astype(kind)
    )
    builder.reshape(eye, output)


@lowers("OneHot")
def lower_one_hot(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Positions compared with 0, 1, 2, ...; where they are equal the one value, else the other."""
    indices, output = node.inputs[0], node.outputs[0]
    compose, shape = Composer(builder), builder.shape(output)
    axis = integer(node, "axis", -1) % len(shape)
    depth = shape[axis]
    counted = _counted_from_front(builder, indices, depth)
    iota = compose.iota("positions", depth, builder.element_type(counted))
    tensors: list[Placed] = [
        (counted, [d for d in range(len(shape)) if d != axis]),
        (iota, [axis]),
    ]
    ends = [_entry(builder, node.inputs[2], entry, tensors) for entry in (1, 0)]
    steps = [Step("Equal", (0, 1)), Step("Where", ("s0", *ends))]
    compose.pointwise("", shape, builder.element_type(output), tensors, steps, output)


def _counted_from_front(builder: GraphBuilder, indices: str, depth: int) -> str:
    """Whole indices, negative ones counted from the front."""
    kind = builder.element_type(indices)
    if kind.startswith("uint"):
        return indices
    steps: list[Step] = []
    index: int | str = 0
    if not kind.startswith("int"):
        kind, index = "int64", "s0"
        steps.append(Step("Cast", (0,), (("to", kind),)))
    steps += from_front_steps(index, depth, len(steps))
    shape = builder.shape(indices)
    return Composer(builder).pointwise("indices", shape, kind, (indices,), steps)


def _entry(builder: GraphBuilder, values: str, entry: int, tensors: list[Placed]) -> int | str:
    """One of two values: a literal, or an argument that is added to the tensors."""
    known, compose = builder.value(values), Composer(builder)
    if known is not None:
        return literal_text(known.reshape(-1)[entry])
    name = ("off", "on")[entry]
    cut = compose.cut(f"{name}.entry", values, 0, entry, entry + 1)
    tensors.append((compose.reshape(name, cut, ()), ()))
    return len(tensors) - 1


@lowers("Hardmax")
def lower_hardmax(builder: GraphBuilder, node: ResolvedNode) -> None:
    """1 at the first largest element of each row, else 0: its position compared with all."""
    source, output = node.inputs[0], node.outputs[0]
    compose, shape = Composer(builder), builder.shape(source)
    old = builder.opset < 13
    (axis,) = normalise_axes((integer(node, "axis", 1 if old else -1),), len(shape))
    rows = (*shape[:axis], math.prod(shape[axis:])) if old else shape
    if rows[axis] == 1:
        return compose.constant(1, output)
    flat = compose.reshape("rows", source, rows)
    find = Step("ArgMax", (0,), (("select_last_index", 0),))
    at = range(len(rows))
    largest = compose.reduce("largest", rows, [axis], "int64", [(flat, at)], [find], "max")
    iota = compose.iota("positions", rows[axis], "int64")
    tensors: list[Placed] = [(largest, [d for d in at if d != axis]), (iota, [axis])]
    steps = [Step("Equal", (0, 1)), Step("Where", ("s0", "1", "0"))]
    kind, direct = builder.element_type(source), rows == shape
    made = compose.pointwise("", rows, kind, tensors, steps, output if direct else "")
    return None if direct else builder.reshape(made, output, "join")
