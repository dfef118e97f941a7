"""DeformConv: the input sampled at every kernel element's own place, times the kernel.

x, offset -> V[b,g,(c k),p]   the kernel elements of every output position, linear, zeros around
O[b,g,o,p] += V[b,g,(c k),p] * W[g,o,(c k)]
"""

import math

import numpy as np

from t10c.ir.expression import Dim, TensorExpression
from t10c.onnx_import.attributes import LoweringError, argument, check_enumerable, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.lowering.sampling import (
    PlacedNeighbours,
    Sampled,
    combined,
    neighbours,
    weighed,
)
from t10c.onnx_import.lowering.window import Window, read_window
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("DeformConv")
def lower_deform_conv(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A gather and weighted sum at the displaced places, a matmul, the bias as a fused step."""
    data, kernel, output = node.inputs[0], node.inputs[1], node.outputs[0]
    source, weight, target = (builder.shape(name) for name in (data, kernel, output))
    groups, sharing = integer(node, "group", 1), integer(node, "offset_group", 1)
    if source[1] != weight[1] * groups or weight[0] % groups or source[1] % sharing:
        raise LoweringError(
            f"{source[1]} input channels, weight {list(weight)} and {groups} groups do not match"
        )
    window = read_window(node, weight[2:], source[2:], target[2:])
    compose = Composer(builder)
    sampled = _sampled(builder, node, window, sharing, target[2:])
    depth, points = math.prod(weight[1:]), math.prod(target[2:])
    values = compose.reshape("values", sampled, (source[0], groups, depth, points))
    outputs = weight[0] // groups
    taps = compose.reshape("kernel", kernel, (groups, outputs, depth))
    expression = _product(source[0], groups, outputs, depth, points)
    product = builder.temporary("product", (source[0], groups, outputs, points), output)
    builder.compute("", expression, (taps, values), product)
    bias = argument(node, 3)
    joined = builder.temporary("joined", target, output) if bias else output
    builder.reshape(product, joined, "join")
    if bias:
        arguments = [broadcast(builder, joined, output), broadcast(builder, bias, output, first=1)]
        add_pointwise(builder, "bias", output, arguments, [Step("Add", (0, 1))])


def _product(batch: int, groups: int, outputs: int, depth: int, points: int) -> TensorExpression:
    axes = AxisList()
    g = Dim(axes.add("b", groups, "batch"), groups)
    o = Dim(axes.add("m", outputs, "m"), outputs)
    b = Dim(axes.add("n0", batch, "n"), batch)
    p = Dim(axes.add("n1", points, "n"), points)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    return product_expression(axes, (g, o, k), (b, g, k, p), (b, g, o, p))


def _sampled(
    builder: GraphBuilder, node: ResolvedNode, window: Window, sharing: int, target: Shape
) -> str:
    """The input at every place: [batch, offset group, channels of it, kernel element, position]."""
    compose, data, offset = Composer(builder), node.inputs[0], node.inputs[2]
    batch, channels, *sizes = builder.shape(data)
    taps, points, rank = math.prod(window.kernel), math.prod(target), len(sizes)
    kind = builder.element_type(data)
    mask = argument(node, 4)
    if mask:
        mask = compose.reshape("mask", mask, (batch, sharing, taps, points))
    moves = compose.reshape("offset", offset, (batch, sharing, taps, rank, points))
    found = []
    for d, size in enumerate(sizes):
        move = compose.cut(f"offset{d}", moves, 3, d, d + 1)
        places = compose.weight(f"places{d}", _places(window, target, d).astype(kind))
        shape, dims = (batch, sharing, taps, points), (0, 1, 2, 2, 3)
        at = compose.pointwise(
            f"at{d}", shape, kind, [(move, dims), (places, (2, 3))], [Step("Add", (0, 1))]
        )
        axis = Sampled(size, "linear", "zeros", 0.0, size - 1.0)
        near = neighbours(builder, at, axis, f"axis{d}", "" if d else mask)
        found.append(PlacedNeighbours(near, size, (0, 1, 2, 3)))
    index, weight = combined(builder, (batch, sharing, taps, points), found, kind)
    table = (batch, sharing, channels // sharing, math.prod(sizes))
    return weighed(
        builder, compose.reshape("table", data, table), index, weight,
        batch=2, lead=2, neighbours=2**rank,
    )  # fmt: skip


def _places(window: Window, target: Shape, d: int) -> np.ndarray:
    """Where along dimension d each kernel element lies without its offset: [element, position]."""
    check_enumerable(math.prod(window.kernel) * math.prod(target), "elements of windows")
    taps = np.indices(window.kernel)[d].reshape(-1, 1) * window.dilations[d]
    points = np.indices(target)[d].reshape(1, -1) * window.strides[d]
    places: np.ndarray = taps + points - window.pads_begin[d]
    return places
