"""Layouts: which box of a tensor every core holds, in every state that a plan puts it in."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import (
    Plan,
    block_lengths,
    piece_axis_lengths,
    reduction_shares,
    replicas,
    sharing,
    tile_lengths,
)
from t10c.search.placement import core_coordinates, free_digits, offsets, placement_rule
from t10c.search.space import IntArray


@dataclass(frozen=True)
class Layout:
    """Box of a tensor on every core: `start` <= index < `stop`, both (cores, dimensions).

    Cores from `len(start)` on hold nothing. `flat` layouts hold a run of the row-major order
    instead: one dimension over all elements.
    """

    start: IntArray
    stop: IntArray
    flat: bool = False

    @cached_property
    def elements(self) -> IntArray:
        """Elements on every core, (cores,)."""
        held: IntArray = np.prod(np.maximum(self.stop - self.start, 0), axis=1)
        return held

    def repeated(self, times: int) -> "Layout":
        """The layout so many times, one after the other: (times * cores, dimensions)."""
        if times == 1:
            return self
        return Layout(np.tile(self.start, (times, 1)), np.tile(self.stop, (times, 1)), self.flat)


AxisBoxes = dict[str, tuple[IntArray, IntArray]]
"""Per axis the interval that every core holds, (cores,) each."""


def even_layout(shape: tuple[int, ...], core_count: int) -> Layout:
    """A tensor spread evenly: core i holds the i-th run of ceil(size / C) elements."""
    size = math.prod(shape)
    share = -(-size // core_count)
    start = np.minimum(np.arange(core_count, dtype=np.int64) * share, size)
    stop = np.minimum(start + share, size)
    return Layout(start[:, None], stop[:, None], flat=True)


@dataclass(frozen=True)
class PlacedPlan:
    """A plan with its placement: offsets per rotation, computed once for all operands."""

    expression: TensorExpression
    plan: Plan
    coordinates: IntArray
    offsets: tuple[IntArray, ...]


def place(expression: TensorExpression, plan: Plan, cores: IntArray | None = None) -> PlacedPlan:
    """The plan with the offsets of its cores (ValueError if it has no placement).

    `cores` selects used cores by number; without it all used cores are meant.
    """
    coordinates = core_coordinates(plan.split, cores)
    found = offsets(expression, plan, coordinates)
    if found is None:
        raise ValueError(f"plan {plan} has no placement")
    return PlacedPlan(expression, plan, coordinates, tuple(found))


def operand_layout(placed: PlacedPlan, operand: Operand, after_loops: bool = False) -> Layout:
    """What every core holds of the operand before the first step, or after the loops.

    After the loops rotation l has advanced by rounds * (r_l - 1), rounds = product of the radices
    outside it (docs/plans.md).
    """
    return _layout(operand, _axis_boxes(placed, operand, after_loops), len(placed.coordinates))


def boxes_of_dims(
    operand: Operand, axis_boxes: AxisBoxes, shape: tuple[int, ...]
) -> tuple[IntArray, IntArray]:
    """Boxes of the operand's dimensions from those of its axes: start and stop, (*shape, dims).

    `shape` is what the axes' intervals broadcast to: (cores,), or (plans, cores).
    """
    start = np.empty((*shape, len(operand.dims)), dtype=np.int64)
    stop = np.empty_like(start)
    empty = np.zeros((1,) * len(shape), dtype=bool)
    for low, high in axis_boxes.values():
        empty = empty | (high <= low)
    for index, dim in enumerate(operand.dims):
        first = np.full((1,) * len(shape), dim.offset, dtype=np.int64)
        last = first + dim.reach
        for axis, stride in dim.terms:
            low, high = axis_boxes[axis]
            first = first + stride * low
            last = last + stride * (high - 1)
        first = np.clip(first, 0, dim.size)
        start[..., index] = first
        stop[..., index] = np.where(empty, first, np.clip(last, 0, dim.size))
    return start, stop


def _layout(operand: Operand, axis_boxes: AxisBoxes, cores: int) -> Layout:
    """Boxes of the operand's dimensions from those of its axes."""
    if not operand.dims:
        return Layout(np.zeros((cores, 1), np.int64), np.ones((cores, 1), np.int64), flat=True)
    return Layout(*boxes_of_dims(operand, axis_boxes, (cores,)))


def output_layout(placed: PlacedPlan) -> Layout:
    """Where the output lies when the operator has ended, its final reduction included.

    The q replicas of a piece reduce-scatter it, each keeps the share of its rank (ir/plan.py).
    Never more than a core holds, but less where a dimension of several axes leaves holes.
    """
    expression, output = placed.expression, placed.expression.output
    boxes = _axis_boxes(placed, output, after_loops=True)
    shares = replicas(expression, placed.plan, output)
    rank = replica_rank(placed, output, shares)
    for share in reduction_shares(expression, placed.plan):
        part = rank % share.parts
        rank = rank // share.parts
        low, high = boxes[share.axis]
        low = low + part * share.length
        high = np.minimum(high, low + share.length)
        boxes[share.axis] = (np.minimum(low, high), high)
    layout = _layout(output, boxes, len(placed.coordinates))
    # what no axis divides stays with the first of the replicas
    kept = np.where(rank[:, None] == 0, layout.stop, layout.start)
    stop = kept if layout.flat else first_runs(output, layout.start, kept, boxes)
    return Layout(layout.start, stop, layout.flat)


def first_runs(output: Operand, start: IntArray, stop: IntArray, boxes: AxisBoxes) -> IntArray:
    """Where the output's boxes (..., dims) stop without what the core does not compute.

    A dimension of several axes, such as (group, channel) of a grouped convolution, has holes where
    an inner axis is cut: only its first run without a hole is claimed.
    """
    if all(len(dim.terms) <= 1 for dim in output.dims):
        return stop
    stop = stop.copy()
    for index, dim in enumerate(output.dims):
        run = np.ones(stop.shape[:-1], dtype=np.int64)
        whole = np.ones(stop.shape[:-1], dtype=bool)
        for axis, stride in sorted(dim.terms, key=lambda term: term[1]):
            more = np.maximum(boxes[axis][1] - boxes[axis][0] - 1, 0)
            whole &= (more == 0) | (run >= stride)
            run += np.where(whole, stride * more, 0)
        stop[..., index] = np.minimum(stop[..., index], start[..., index] + run)
    return stop


def idle_layout(
    placed: PlacedPlan, operand: Operand, factors: tuple[tuple[str, int], ...]
) -> Layout:
    """Where a weight lies while other operators run: its active pieces cut by `factors`, per axis.

    The replicas of a piece share it: a core keeps the part that its rank among them selects, in
    mixed radix of the factors. Operands whose dimensions are single axes only (all weights but
    sliding ones, which are never cut into overlapping parts).
    """
    layout = operand_layout(placed, operand)
    if not factors or layout.flat:
        return layout
    shares = replicas(placed.expression, placed.plan, operand)
    rank = replica_rank(placed, operand, shares)
    start, stop = layout.start.copy(), layout.stop.copy()
    lengths = piece_axis_lengths(placed.expression, placed.plan, operand)
    dim_of = {axis: d for d, dim in enumerate(operand.dims) for axis, _ in dim.terms}
    for axis, parts in factors:
        part = rank % parts
        rank = rank // parts
        dim = dim_of[axis]
        stride = dict(operand.dims[dim].terms)[axis]
        chunk = -(-lengths[axis] // parts) * stride
        low = start[:, dim] + part * chunk
        stop[:, dim] = np.minimum(stop[:, dim], low + chunk)
        start[:, dim] = np.minimum(low, stop[:, dim])
    return Layout(start, stop)


def replica_rank(placed: PlacedPlan, operand: Operand, shares: int) -> IntArray:
    """Rank of every core among the `shares` cores that hold the same piece of the operand.

    The digit rule makes it the most significant digit of the core's rank in the operand's sharing
    group; otherwise the digits of its coordinates that the offsets leave free are the rank.
    """
    expression, plan = placed.expression, placed.plan
    if placement_rule(expression, plan) != "linear":
        rank = np.zeros(len(placed.coordinates), dtype=np.int64)
        for axis in expression.lacks(operand):
            index = expression.axis_index[axis]
            rank = rank * plan.split[index] + placed.coordinates[:, index]
        return rank // (sharing(expression, plan, operand) // shares)
    rank = np.zeros(len(placed.coordinates), dtype=np.int64)
    weight = 1
    for digit in free_digits(expression, plan, operand):
        rank += placed.coordinates[:, digit.axis] // digit.scale % digit.prime * weight
        weight *= digit.prime
    return rank


def _axis_boxes(placed: PlacedPlan, operand: Operand, after_loops: bool) -> AxisBoxes:
    """Per axis of the operand, the interval of it that every core holds, (cores,) each."""
    expression, plan = placed.expression, placed.plan
    blocks = block_lengths(expression, plan)
    tiles = tile_lengths(expression, plan)
    boxes = {}
    for name in operand.axes:
        axis = expression.axis_index[name]
        length = expression.axes[axis].length
        block_start = placed.coordinates[:, axis] * blocks[axis]
        block_stop = np.minimum(block_start + blocks[axis], length)
        chunk, chunk_length = _chunk(placed, operand, name, after_loops)
        if chunk is None:
            boxes[name] = (np.minimum(block_start, length), block_stop)
            continue
        low = block_start + chunk * (chunk_length * tiles[axis])
        high = np.minimum(low + chunk_length * tiles[axis], block_stop)
        boxes[name] = (np.minimum(low, high), high)
    return boxes


def _chunk(
    placed: PlacedPlan, operand: Operand, axis: str, after_loops: bool
) -> tuple[IntArray | None, int]:
    """Index of the operand's chunk along the axis on every core, and tiles per chunk.

    The rotation with the larger operand set is the more significant digit.
    """
    rounds = 1
    levels = []
    for rotation, offset in zip(placed.plan.rotations, placed.offsets, strict=True):
        if rotation.axis == axis:
            position = rounds * (rotation.radix - 1) if after_loops else 0
            digit = (offset + position) % rotation.radix
            levels.append((len(rotation.operands), rotation, digit))
        rounds *= rotation.radix
    levels.sort(key=lambda level: -level[0])
    chunk: IntArray | None = None
    tiles = 1
    for _, rotation, digit in levels:
        if operand.name in rotation.operands:
            chunk = digit if chunk is None else chunk * rotation.radix + digit
        else:
            tiles *= rotation.radix
    return chunk, tiles
