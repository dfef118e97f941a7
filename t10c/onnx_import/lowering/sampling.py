"""Sampling a tensor at points between its elements: what GridSample, DeformConv and RoiAlign share.

Along every dimension a point has neighbours, 1 (nearest), 2 (linear) or 4 (cubic), each with a
position and a weight; both are pointwise in the point's coordinate. The neighbours of all
dimensions are gathered at once, and a reduction weighs them:

    x[..p] -> position[..p,k], weight[..p,k] -> index[..p,k0,k1] -> G = T[index] -> sum G * weight
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from t10c.ir.expression import Dim, ReduceOp, ScalarStep
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.gather import index_expression

Mode = Literal["nearest", "linear", "cubic"]
Padding = Literal["zeros", "border", "reflection"]

_NEIGHBOURS: dict[Mode, tuple[int, ...]] = {
    "nearest": (0,),
    "linear": (0, 1),
    "cubic": (-1, 0, 1, 2),
}
"""Positions of the neighbours, counted from the element at or before the point."""

_ALPHA = -0.75
"""Coefficient of the cubic filter, as the standard fixes it for GridSample."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One dimension of a sampled tensor; reflection is about `low` and `high`."""

    size: int
    mode: Mode
    padding: Padding
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Of every point along one dimension: [points.., neighbours]; weights may be missing ('')."""

    positions: str
    weights: str


class Chain:
    """Scalar steps in the making; each method returns the value it makes."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, op: str, *inputs: int | str, **attributes: str | int | float) -> str:
        """One step."""
        self.steps.append(Step(op, inputs, tuple(sorted(attributes.items()))))
        return f"s{len(self.steps) - 1}"

    def reflected(self, x: int | str, low: float, high: float) -> str:
        """x thrown back between two borders, as often as it takes."""
        span = high - low
        if span <= 0:
            return self.add("Clip", x, repr(low), repr(low))
        far = self.add("Abs", self.add("Sub", x, repr(low)))
        turns = self.add("Floor", self.add("Div", far, repr(span)))
        rest = self.add("Sub", far, self.add("Mul", turns, repr(span)))
        half = self.add("Mul", turns, "0.5")
        odd = self.add("Greater", half, self.add("Floor", half))
        forth, back = self.add("Add", rest, repr(low)), self.add("Sub", repr(high), rest)
        return self.add("Where", odd, back, forth)

    def outside(self, x: int | str, low: float, high: float) -> str:
        """Whether x lies beyond one of two limits."""
        return self.add("Or", self.add("Less", x, repr(low)), self.add("Greater", x, repr(high)))


def placed_inside(chain: Chain, x: int | str, axis: Sampled) -> int | str:
    """A coordinate beyond the borders, brought inside them; zeros leave it where it is."""
    if axis.padding == "zeros":
        return x
    outside = chain.outside(x, axis.low, axis.high)
    if axis.padding == "border":
        inside = chain.add("Clip", x, "0.0", repr(axis.size - 1.0))
    else:
        inside = chain.reflected(x, axis.low, axis.high)
    return chain.add("Where", outside, inside, x)


def neighbours(
    builder: GraphBuilder, coordinates: str, axis: Sampled, suffix: str, mask: str = ""
) -> Neighbours:
    """Positions (int64, inside the tensor) and weights of each point's neighbours.

    `coordinates` have the shape [points..]; `mask`, of the same shape, is a further factor of the
    weights.
    """
    compose, offsets = Composer(builder), _NEIGHBOURS[axis.mode]
    points, kind = builder.shape(coordinates), builder.element_type(coordinates)
    shape, along = (*points, len(offsets)), tuple(range(len(points)))
    reach = compose.weight(f"{suffix}.reach", np.array(offsets).astype(kind))
    tensors: list[str | Placed] = [(coordinates, along), (reach, (len(points),))]
    chain = Chain()
    at: int | str = _position(chain, axis)
    if axis.padding == "reflection":
        at = chain.reflected(at, axis.low, axis.high)
    at = chain.add("Clip", at, "0.0", repr(axis.size - 1.0))
    chain.add("Cast", at, to="int64")
    positions = compose.pointwise(f"{suffix}.at", shape, "int64", tensors, chain.steps)
    chain = Chain()
    at = _position(chain, axis)
    factors: list[int | str] = []
    if axis.mode != "nearest":
        distance = chain.add("Abs", chain.add("Sub", 0, at))
        factors.append(_height(chain, distance, axis.mode))
    if axis.padding == "zeros":
        outside = chain.outside(at, 0.0, axis.size - 1.0)
        factors.append(chain.add("Where", outside, "0.0", "1.0"))
    if mask:
        factors.append(len(tensors))
        tensors.append((mask, along))
    if not factors:
        return Neighbours(positions, "")
    product = factors[0]
    for factor in factors[1:]:
        product = chain.add("Mul", product, factor)
    if isinstance(product, int):
        chain.add("Identity", product)
    weights = compose.pointwise(f"{suffix}.weight", shape, kind, tensors, chain.steps)
    return Neighbours(positions, weights)


def _position(chain: Chain, axis: Sampled) -> str:
    """Where a neighbour is: the point (0) rounded, and how far from there (1)."""
    return chain.add("Add", chain.add("Round" if axis.mode == "nearest" else "Floor", 0), 1)


def _height(chain: Chain, distance: str, mode: Mode) -> str:
    """The filter at a distance: a triangle, or Keys' cubic convolution kernel."""
    if mode == "linear":
        return chain.add("Max", chain.add("Sub", "1.0", distance), "0.0")

    def polynomial(*coefficients: float) -> str:
        value: str = repr(coefficients[0])
        for coefficient in coefficients[1:]:
            product = chain.add("Mul", value, distance)
            value = chain.add("Add", product, repr(coefficient)) if coefficient else product
        return value

    a = _ALPHA
    near = polynomial(a + 2, -(a + 3), 0.0, 1.0)
    far = polynomial(a, -5 * a, 8 * a, -4 * a)
    is_near = chain.add("LessOrEqual", distance, "1.0")
    is_far = chain.add("Less", distance, "2.0")
    return chain.add("Where", is_near, near, chain.add("Where", is_far, far, "0.0"))


@dataclass(frozen=True, slots=True)
class PlacedNeighbours:
    """Neighbours along one dimension, and which of the points' dimensions those points have."""

    found: Neighbours
    size: int
    points: tuple[int, ...]


def combined(
    builder: GraphBuilder,
    points: Shape,
    axes: Sequence[PlacedNeighbours],
    kind: str,
    base: Placed | None = None,
) -> tuple[str, str]:
    """Index and weight of all neighbours of every point: both [points.., neighbours..].

    The index counts elements of the dimensions in row-major order, from `base` on; the weight is
    the product of those along the dimensions, as `kind`; '' where there is none.
    """
    compose, rank = Composer(builder), len(points)
    counts = tuple(builder.shape(axis.found.positions)[-1] for axis in axes)
    placed = [(*axis.points, rank + number) for number, axis in enumerate(axes)]
    chain = Chain()
    tensors: list[str | Placed] = []
    total: int | str = ""
    for axis, dims in zip(axes, placed, strict=True):
        tensors.append((axis.found.positions, dims))
        if total != "":
            total = chain.add("Mul", total, str(axis.size))
            total = chain.add("Add", total, len(tensors) - 1)
        else:
            total = 0
    if base is not None:
        tensors.append(base)
        total = chain.add("Add", total, len(tensors) - 1)
    shape = (*points, *counts)
    index = axes[0].found.positions
    if chain.steps:
        index = compose.pointwise("index", shape, "int64", tensors, chain.steps)
    weighted = [
        (axis.found.weights, dims)
        for axis, dims in zip(axes, placed, strict=True)
        if axis.found.weights
    ]
    if not weighted:
        return index, ""
    steps = [Step("Mul", (f"s{i - 2}" if i > 1 else 0, i)) for i in range(1, len(weighted))]
    if builder.element_type(weighted[0][0]) != kind:
        steps.append(Step("Cast", (f"s{len(steps) - 1}" if steps else 0,), (("to", kind),)))
    if not steps and builder.shape(weighted[0][0]) == shape:
        return index, weighted[0][0]
    steps = steps or [Step("Identity", (0,))]
    return index, compose.pointwise("weight", shape, kind, weighted, steps)


def weighed(
    builder: GraphBuilder,
    table: str,
    index: str,
    weight: str,
    batch: int,
    lead: int,
    neighbours: int,
    into: str = "",
    reduce_op: ReduceOp = "sum",
    epilogue: Sequence[ScalarStep] = (),
) -> str:
    """Neighbours gathered from the table, times their weights, reduced: [lead.., channels, points].

    The table is [batch.., channels, elements]; index and weight are [lead.., points, neighbours]
    with all points and all neighbours in any number of dimensions. The `lead` dimensions, of which
    the first `batch` are the table's too, stand before the channels in the result.
    """
    compose = Composer(builder)
    shape = builder.shape(index)
    points = math.prod(shape[lead:]) // neighbours
    flat = (*shape[:lead], points, neighbours)
    index = compose.reshape("index.flat", index, flat)
    weight = weight and compose.reshape("weight.flat", weight, flat)
    line = compose.reshape("index.line", index, (*shape[:lead], points * neighbours))
    gathered = _gathered(builder, table, line, batch, lead)
    channels = builder.shape(gathered)[lead]
    gathered = compose.reshape("gathered.points", gathered, (*flat[:lead], channels, *flat[lead:]))
    space, kind = builder.shape(gathered), builder.element_type(table)
    kept, last = space[:-1], len(space) - 1
    everything = tuple(range(len(space)))
    tensors: list[Placed] = [(gathered, everything)]
    step = Step("Identity", (0,))
    if weight:
        tensors.append((weight, (*everything[:lead], *everything[lead + 1 :])))
        step = Step("Mul", (0, 1))
    if neighbours > 1:
        return compose.reduce(
            "sampled", space, (last,), kind, tensors, [step], reduce_op, into, epilogue
        )
    if weight:
        gathered = compose.pointwise("weighed", space, kind, tensors, [step])
    return compose.reshape("sampled", gathered, kept, into)


def _gathered(builder: GraphBuilder, table: str, index: str, batch: int, lead: int) -> str:
    """C[lead.., e, i] = T[batch.., e, X[lead.., i]]."""
    compose = Composer(builder)
    *leading, channels, elements = builder.shape(table)
    points = builder.shape(index)
    shape = (*points[:lead], channels, *points[lead:])
    if elements == 1:
        thin = (*leading, *(1 for _ in points[batch:lead]), channels, 1)
        return compose.expand("gathered", compose.reshape("single", table, thin), shape)
    axes = AxisList()
    i = [Dim(axes.add(f"i{d}", n, "index"), n) for d, n in enumerate(points)]
    e = Dim(axes.add("e", channels, "element"), channels)
    v = Dim(axes.add("v", elements, "table", reduction=True), elements)
    gathered = builder.temporary("gathered", shape, table)
    expression = index_expression(axes, (*i[:batch], e, v), tuple(i), (*i[:lead], e, *i[lead:]))
    builder.compute("gathered", expression, (table, index), gathered)
    return gathered
