"""Positions of the elements that a MaxPool selects.

The windows are gathered into a dimension of their own, an ArgMax finds the element of each, and a
gather from the table of positions names it. Of a window that reaches beyond the input, elements
outside stand for the first one inside: they change no maximum and have its position.

    x[n,c,v] -> windows[n,c,o,k] -> slot[n,c,o] -> table[o,slot] -> + (n * channels + c) * elements
"""

import math

import numpy as np

from t10c.ir.expression import Dim, Operand, Role, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, check_enumerable
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape, plain_axes, plain_dims
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.gather import gather_expression
from t10c.onnx_import.lowering.window import Window


def add_indices(
    builder: GraphBuilder, data: str, output: str, window: Window, column_major: bool
) -> None:
    """Make `output`: for every window the position of its largest element in the whole input."""
    compose = Composer(builder)
    batch, channels, *source = builder.shape(data)
    target = builder.shape(output)[2:]
    places, table = _tables(window, tuple(source), target, column_major)
    outer, elements = (batch, channels), math.prod(source)
    windows, slots = table.shape
    origins = (elements * np.arange(batch * channels)).reshape(batch, channels, 1)
    if slots == 1 or elements == 1:
        chosen = compose.weight("positions", table[:, 0])
    else:
        flat = compose.reshape("flat", data, (*outer, elements))
        taken = builder.temporary("windows", (*outer, windows, slots), data)
        expression = gather_expression((*outer, elements), (windows, slots), 2)
        index = compose.weight("elements", places)
        builder.compute("windows", expression, (flat, index), taken)
        slot = _arg_max(builder, taken)
        chosen = _looked_up(builder, compose.weight("positions", table), slot)
    step = Step("Add", (0, 1))
    shape = (*outer, windows)
    kind = builder.element_type(output)
    base = compose.weight("origins", origins)
    found = compose.pointwise("indices", shape, kind, [chosen, base], [step])
    builder.reshape(found, output, "indices.shape")


def _tables(
    window: Window, source: Shape, target: Shape, column_major: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Of every window's elements: number within the channel, and the position to report."""
    check_enumerable(math.prod(target) * math.prod(window.kernel), "elements of windows")
    places = np.zeros((1, 1), np.int64)
    reported = np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for d, (size, n, k) in enumerate(zip(source, target, window.kernel, strict=True)):
        first = window.strides[d] * np.arange(n)[:, None] - window.pads_begin[d]
        at = first + window.dilations[d] * np.arange(k)
        held = np.clip(at, 0, size - 1)
        weight = math.prod(source[:d]) if column_major else math.prod(source[d + 1 :])
        shape = (len(places) * n, places.shape[1] * k)
        places = (places[:, None, :, None] * size + held[None, :, None, :]).reshape(shape)
        reported = (reported[:, None, :, None] + weight * held[None, :, None, :]).reshape(shape)
        inside = (inside[:, None, :, None] & (held == at)[None, :, None, :]).reshape(shape)
    if not inside.any(axis=1).all():
        raise LoweringError("a window lies in the padding as a whole")
    first_inside = inside.argmax(axis=1)[:, None]
    places = np.where(inside, places, np.take_along_axis(places, first_inside, 1))
    reported = np.where(inside, reported, np.take_along_axis(reported, first_inside, 1))
    return places, reported


def _arg_max(builder: GraphBuilder, windows: str) -> str:
    """The first largest element along the last dimension."""
    shape = builder.shape(windows)
    slot = builder.new_tensor(f"{builder.node}.slot", shape[:-1], "int64")
    dims = plain_dims(shape)
    last = ("select_last_index", 0)
    roles: list[Role] = ["parallel"] * (len(shape) - 1)
    expression = TensorExpression(
        kernel="reduce",
        axes=plain_axes(shape, [*roles, "reduced"]),
        inputs=(Operand("A", dims),),
        output=Operand("C", dims[:-1]),
        body=(ScalarStep("ArgMax", ("A",), (last,)),),
        reduce_op="max",
    )
    builder.compute("slot", expression, (windows,), slot)
    return slot


def _looked_up(builder: GraphBuilder, table: str, slot: str) -> str:
    """O[n,c,o] = T[o, slot[n,c,o]]."""
    slots = builder.shape(table)[1]
    axes = AxisList()
    *outer, o = (Dim(axes.add(f"i{d}", n, "index"), n) for d, n in enumerate(builder.shape(slot)))
    v = Dim(axes.add("v", slots, "table", reduction=True), slots)
    expression = TensorExpression(
        kernel="gather",
        axes=axes.axes,
        inputs=(Operand("T", (o, v)), Operand("X", (*outer, o))),
        output=Operand("C", (*outer, o)),
        body=(ScalarStep("Gather", ("T", "X")),),
        reduce_op="sum",
    )
    found = builder.new_tensor(f"{builder.node}.position", builder.shape(slot), "int64")
    builder.compute("position", expression, (table, slot), found)
    return found
