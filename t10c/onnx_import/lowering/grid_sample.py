"""GridSample and AffineGrid, in any number of spatial dimensions."""

import math
from typing import cast

import numpy as np

from t10c.ir.expression import Dim
from t10c.onnx_import.attributes import LoweringError, integer, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.lowering.sampling import (
    Chain,
    Mode,
    Padding,
    PlacedNeighbours,
    Sampled,
    combined,
    neighbours,
    placed_inside,
    weighed,
)
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_MODES: dict[str, Mode] = {
    "nearest": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "cubic": "cubic",
    "bicubic": "cubic",
}
_PADDINGS = ("zeros", "border", "reflection")


@lowers("GridSample")
def lower_grid_sample(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Coordinates and weights pointwise, a gather of all neighbours, a weighted sum of them."""
    data, grid, output = node.inputs[0], node.inputs[1], node.outputs[0]
    batch, channels, *sizes = builder.shape(data)
    points, kind = math.prod(builder.shape(output)[2:]), builder.element_type(data)
    axes = _sampled_axes(node, tuple(sizes))
    if axes[0].mode != "nearest" and not kind.endswith(("float16", "float32", "float64")):
        raise LoweringError(f"interpolating {kind} is not supported")
    if kind == "bool" and axes[0].padding == "zeros":
        raise LoweringError("truth values among zeros are not supported")
    compose = Composer(builder)
    flat = compose.reshape("grid", grid, (batch, points, len(sizes)))
    aligned = bool(integer(node, "align_corners", 0))
    found = []
    for number, axis in enumerate(axes):
        coordinate = _coordinate(builder, flat, number, axis, aligned)
        near = neighbours(builder, coordinate, axis, f"axis{number}")
        found.append(PlacedNeighbours(near, axis.size, (0, 1)))
    index, weight = combined(builder, (batch, points), found, kind)
    table = compose.reshape("table", data, (batch, channels, math.prod(sizes)))
    count = math.prod(builder.shape(index)[2:])
    sampled = weighed(builder, table, index, weight, batch=1, lead=1, neighbours=count)
    builder.reshape(sampled, output)


def _sampled_axes(node: ResolvedNode, sizes: Shape) -> tuple[Sampled, ...]:
    """How each dimension is sampled; corners that are aligned are the borders themselves."""
    mode, padding = text(node, "mode", "linear"), text(node, "padding_mode", "zeros")
    if mode not in _MODES or padding not in _PADDINGS:
        raise LoweringError(f"sampling by {mode!r} with {padding!r} is unknown")
    rim = 0.0 if integer(node, "align_corners", 0) else 0.5
    return tuple(
        Sampled(size, _MODES[mode], cast(Padding, padding), -rim, size - 1 + rim) for size in sizes
    )


def _coordinate(builder: GraphBuilder, grid: str, number: int, axis: Sampled, aligned: bool) -> str:
    """Where every point lies along one dimension, which the grid names last first, from -1 to 1."""
    compose = Composer(builder)
    batch, points, rank = builder.shape(grid)
    place = rank - 1 - number
    column = compose.cut(f"grid{number}", grid, 2, place, place + 1)
    chain, kind = Chain(), builder.element_type(grid)
    at: int | str = 0
    if kind not in ("float32", "float64"):
        kind = "float32"
        at = chain.add("Cast", at, to=kind)
    at = chain.add("Add", at, "1.0")
    if aligned:
        at = chain.add("Mul", chain.add("Div", at, "2.0"), repr(axis.size - 1.0))
    else:
        at = chain.add("Mul", at, repr(float(axis.size)))
        at = chain.add("Div", chain.add("Sub", at, "1.0"), "2.0")
    if axis.mode == "nearest":
        at = chain.add("Round", at)
    placed_inside(chain, at, axis)
    shape, tensors = (batch, points), [(column, (0, 1, 1))]
    return compose.pointwise(f"at{number}", shape, kind, tensors, chain.steps)


@lowers("AffineGrid")
def lower_affine_grid(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul of theta with the constant positions of all elements."""
    theta, output = node.inputs[0], node.outputs[0]
    batch, rank, depth = builder.shape(theta)
    target = builder.shape(output)
    sizes, kind = target[1:-1], builder.element_type(output)
    aligned = bool(integer(node, "align_corners", 0))
    points = math.prod(sizes)
    weight = builder.derived_weight(
        "positions", (points, depth), kind, lambda: _positions(sizes, aligned).astype(kind)
    )
    axes = AxisList()
    m = Dim(axes.add("m", points, "m"), points)
    b = Dim(axes.add("n0", batch, "n"), batch)
    n = Dim(axes.add("n1", rank, "n"), rank)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    product = builder.temporary("product", (batch, points, rank), output)
    expression = product_expression(axes, (m, k), (b, n, k), (b, m, n))
    builder.compute("", expression, (weight, theta), product)
    builder.reshape(product, output, "shape")


def _positions(sizes: Shape, aligned: bool) -> np.ndarray:
    """Coordinates of all elements, the last dimension first, then 1: [elements, dimensions + 1]."""
    lines = []
    for size in sizes:
        at = np.arange(size, dtype=np.float64)
        step = (2.0 / (size - 1) if size > 1 else 0.0) if aligned else 2.0 / size
        lines.append(at * step - 1.0 if aligned else (at + 0.5) * step - 1.0)
    grid = np.stack(np.meshgrid(*lines, indexing="ij")[::-1], axis=-1).reshape(-1, len(sizes))
    return np.concatenate([grid, np.ones((len(grid), 1))], axis=1)
