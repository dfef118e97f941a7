"""Pools over regions of interest: RoiAlign samples each region at a fixed number of points."""

import math
from collections.abc import Sequence

import numpy as np

from t10c.ir.expression import ReduceOp, ScalarStep
from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import LoweringError, integer, number, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.sampling import (
    Chain,
    Neighbours,
    PlacedNeighbours,
    Sampled,
    combined,
    neighbours,
    weighed,
)
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("RoiAlign")
def lower_roi_align(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Points pointwise, a gather of their neighbours, a weighted mean or maximum of each bin."""
    data, rois, owners = node.inputs[:3]
    batch, channels, *sizes = builder.shape(data)
    regions, _, *bins = builder.shape(node.outputs[0])
    samples, kind = integer(node, "sampling_ratio", 0), builder.element_type(data)
    if samples <= 0:
        raise LoweringError("its number of sampling points depends on the size of each region")
    compose = Composer(builder)
    found = []
    for dimension, (size, count) in enumerate(zip(sizes, bins, strict=True)):
        at, inside = _points(builder, node, rois, dimension, count, samples, size)
        axis = Sampled(size, "linear", "border", 0.0, size - 1.0)
        near = neighbours(builder, at, axis, f"axis{dimension}", inside)
        found.append(PlacedNeighbours(_in_a_line(builder, near), size, (0, 1 + dimension)))
    lines = (regions, *(2 * samples * count for count in bins))
    elements = sizes[0] * sizes[1]
    base: Placed | None = None
    if batch > 1:
        offset = [Step("Mul", (0, str(elements)))]
        starts = compose.pointwise("image", (regions,), "int64", [owners], offset)
        base = (starts, (0,))
    index, weight = (
        _by_bin(builder, tensor, bins, name)
        for tensor, name in zip(
            combined(builder, lines, found, kind, base), ("index", "weight"), strict=True
        )
    )
    columns = compose.transpose("channels", data, (1, 0, 2, 3))
    table = compose.reshape("table", columns, (channels, batch * elements))
    reduce_op: ReduceOp = "max" if text(node, "mode", "avg") == "max" else "sum"
    mean = ScalarStep("Mul", ("acc", repr(1.0 / samples**2)))
    pooled = weighed(
        builder, table, index, weight, batch=0, lead=1, neighbours=4 * samples**2,
        reduce_op=reduce_op, epilogue=(mean,) if reduce_op == "sum" else (),
    )  # fmt: skip
    builder.reshape(pooled, node.outputs[0])


def _in_a_line(builder: GraphBuilder, near: Neighbours) -> Neighbours:
    """Neighbours of all points of a region along a dimension: [regions, points x neighbours, 1]."""
    compose, shape = Composer(builder), builder.shape(near.positions)
    line = (shape[0], math.prod(shape[1:]), 1)
    return Neighbours(
        compose.reshape("line.at", near.positions, line),
        compose.reshape("line.weight", near.weights, line),
    )


def _by_bin(builder: GraphBuilder, tensor: str, bins: Sequence[int], name: str) -> str:
    """From lines times lines to [regions, bins.., what a bin has along both dimensions]."""
    compose, (regions, rows, columns, *_) = Composer(builder), builder.shape(tensor)
    split = (regions, bins[0], rows // bins[0], bins[1], columns // bins[1])
    cut = compose.reshape(f"{name}.cut", tensor, split)
    return compose.transpose(f"{name}.bins", cut, (0, 1, 3, 2, 4))


def _points(
    builder: GraphBuilder,
    node: ResolvedNode,
    rois: str,
    dimension: int,
    bins: int,
    samples: int,
    size: int,
) -> tuple[str, str]:
    """Sampling points along one dimension, inside the image, and 0 for those far outside it.

    Both are [regions, bins, samples]. Regions are (x, y, x, y): the last dimension first.
    """
    compose, kind = Composer(builder), builder.element_type(rois)
    regions = builder.shape(rois)[0]
    scale = repr(number(node, "spatial_scale", 1.0))
    half = "half_pixel" if builder.opset >= 16 else "output_half_pixel"
    half = text(node, "coordinate_transformation_mode", half)
    first = compose.cut(f"start{dimension}", rois, 1, 1 - dimension, 2 - dimension)
    last = compose.cut(f"end{dimension}", rois, 1, 3 - dimension, 4 - dimension)
    place = np.arange(bins)[:, None] + (np.arange(samples) + 0.5) / samples
    places = compose.weight(f"places{dimension}", place.astype(kind))

    def position(chain: Chain) -> str:
        start = chain.add("Mul", 0, scale)
        end = chain.add("Mul", 1, scale)
        if half == "half_pixel":
            start, end = chain.add("Sub", start, "0.5"), chain.add("Sub", end, "0.5")
            length = chain.add("Sub", end, start)
        else:
            length = chain.add("Max", chain.add("Sub", end, start), "1.0")
        pace = chain.add("Div", length, repr(float(bins)))
        return chain.add("Add", start, chain.add("Mul", pace, 2))

    shape = (regions, bins, samples)
    tensors: list[str | Placed] = [(first, (0, 0)), (last, (0, 0)), (places, (1, 2))]
    chain = Chain()
    chain.add("Clip", position(chain), "0.0", repr(size - 1.0))
    at = compose.pointwise(f"at{dimension}", shape, kind, tensors, chain.steps)
    chain = Chain()
    outside = chain.outside(position(chain), -1.0, float(size))
    chain.add("Where", outside, "0.0", "1.0")
    return at, compose.pointwise(f"inside{dimension}", shape, kind, tensors, chain.steps)


@lowers("MaxRoiPool", node_class=NodeClass.FALLBACK)
def lower_max_roi_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """On one core: which elements a bin covers is data."""
    raise LoweringError("which elements a bin covers depends on data")
