"""Layouts of many plans at once: what chosen cores hold under every plan of a pool, in arrays.

Equal, row by row, to `place` and `operand_layout` or `output_layout` of one plan after the other
(layout.py), which is the readable statement of the same rules. Arrays of a `PlacedPool` are (plans,
cores), with a 1 in place of either where they do not differ along it. Placements that are not by
the digit rule are found plan by plan and put in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, Share, cut_shares
from t10c.schedule.layout import (
    AxisBoxes,
    Layout,
    PlacedPlan,
    boxes_of_dims,
    first_runs,
    replica_rank,
)
from t10c.schedule.levels import Levels, rotation_levels
from t10c.search.placement import offsets
from t10c.search.space import BoolArray, IntArray

LayoutRole = Literal["in", "after", "out"]
"""Before the first step, after the loops, or (the output) after the final reduction as well."""

_CHUNK_ROWS = 1 << 16


def stacked_layout(
    expression: TensorExpression,
    plans: Sequence[Plan],
    operand: Operand,
    role: LayoutRole,
    cores: IntArray,
) -> Layout:
    """What the cores of these numbers hold of an operand, plan after plan: (plans * cores, dims).

    Cores that a plan does not use hold nothing. ValueError if a plan has no placement.
    """
    return joined_layout(placed_pools(expression, plans, cores), operand, role)


def placed_pools(
    expression: TensorExpression, plans: Sequence[Plan], cores: IntArray
) -> "tuple[PlacedPool, ...]":
    """The plans on these cores, in pools small enough for arrays over all of their cores."""
    step = max(1, _CHUNK_ROWS // max(1, len(cores)))
    parts = [plans[i : i + step] for i in range(0, len(plans), step)]
    return tuple(PlacedPool(expression, tuple(part), cores) for part in parts)


def joined_layout(pools: "Sequence[PlacedPool]", operand: Operand, role: LayoutRole) -> Layout:
    """Layouts of the pools' plans, one after the other."""
    parts = [pool.layout(operand, role) for pool in pools]
    if len(parts) == 1:
        return parts[0]
    dims = len(operand.dims) or 1
    empty = np.zeros((0, dims), dtype=np.int64)
    return Layout(
        np.concatenate([empty, *(part.start for part in parts)]),
        np.concatenate([empty, *(part.stop for part in parts)]),
        flat=not operand.dims,
    )


@dataclass(frozen=True)
class PlacedPool:
    """Plans of one expression on chosen cores; what all operands share is computed once."""

    expression: TensorExpression
    plans: tuple[Plan, ...]
    cores: IntArray

    def layout(self, operand: Operand, role: LayoutRole) -> Layout:
        """What every core holds of the operand under every plan, (plans * cores, dims)."""
        if not operand.dims:
            return self._scalar(operand, role)
        boxes = self._axis_boxes(operand, role != "in")
        first = self._reduced(operand, boxes) if role == "out" else None
        shape = (len(self.plans), len(self.cores))
        start, stop = boxes_of_dims(operand, boxes, shape)
        if first is not None:
            # what no axis divides stays with the first of the replicas
            stop = np.where(first[..., None], stop, start)
            stop = first_runs(operand, start, stop, boxes)
        start[~self._used] = 0
        stop[~self._used] = 0
        rows = (-1, len(operand.dims))
        return Layout(start.reshape(rows), stop.reshape(rows))

    def _scalar(self, operand: Operand, role: LayoutRole) -> Layout:
        """A single element, on every used core, or on the first of those that have reduced it."""
        held = self._used
        if role == "out":
            held = held & self._reduced(operand, {})
        stop = held.reshape(-1, 1).astype(np.int64)
        return Layout(np.zeros_like(stop), stop, flat=True)

    @cached_property
    def _split(self) -> IntArray:
        """Split factors, (plans, axes)."""
        return np.array([plan.split for plan in self.plans], dtype=np.int64)

    @cached_property
    def _levels(self) -> Levels:
        return rotation_levels(self.expression, self.plans)

    @cached_property
    def _used(self) -> BoolArray:
        """Which cores a plan uses."""
        used: BoolArray = self.cores < np.prod(self._split, axis=1)[:, None]
        return used

    @cached_property
    def _coordinates(self) -> tuple[IntArray, ...]:
        """Per axis the coordinate of every core (any, where the core is not used)."""
        found = [np.zeros((1, 1), dtype=np.int64)] * self._split.shape[1]
        rest = self.cores[None, :]
        for axis in reversed(range(len(found))):
            factor = self._split[:, axis, None]
            if (factor > 1).any():
                rest, found[axis] = _divided(rest, factor)
        return tuple(found)

    @cached_property
    def _blocks(self) -> IntArray:
        """Block lengths S, (plans, axes)."""
        return -(-np.array(self.expression.lengths, dtype=np.int64) // self._split)

    @cached_property
    def _tiles(self) -> IntArray:
        """Compute tiles u, (plans, axes)."""
        return -(-self._blocks // self._levels.steps)

    @cached_property
    def _linear(self) -> IntArray:
        """Plans that the digit rule does not place."""
        return np.flatnonzero(self._levels.overlapping(self._split))

    def _row_coordinates(self, row: int) -> IntArray:
        """Coordinates of the cores under one plan, (cores, axes)."""
        shape = (len(self.plans), len(self.cores))
        return np.stack([np.broadcast_to(c, shape)[row] for c in self._coordinates], axis=1)

    @cached_property
    def _offsets(self) -> tuple[IntArray, ...]:
        """Per level the offset of every core."""
        levels = self._levels
        shape = (len(self.plans), len(self.cores))
        found = [np.zeros(shape, dtype=np.int64) for _ in range(levels.count)]
        for number, operand in enumerate(self.expression.operands):
            if not levels.moves[:, :, number].any():
                continue
            rank = self._group_rank(operand)
            for level in range(levels.count):
                radix = np.where(levels.moves[:, level, number], levels.radix[:, level], 1)
                if (radix > 1).any():
                    rank, digit = _divided(rank, radix[:, None])
                    found[level] += digit
        found = [_divided(o, levels.radix[:, i, None])[1] for i, o in enumerate(found)]
        for row in self._linear.tolist():
            plan = self.plans[row]
            own = offsets(self.expression, plan, self._row_coordinates(row))
            if own is None:
                raise ValueError(f"plan {plan} has no placement")
            for level, offset in enumerate(own):
                found[level][row] = offset
        return tuple(found)

    @cached_property
    def _end_offsets(self) -> tuple[IntArray, ...]:
        """Per level the chunk that every core ends with."""
        radix = self._levels.radix
        # no position may be large: rounds multiply up
        ends = self._levels.rounds % radix * (radix - 1) % radix
        return tuple(
            _divided(offset + ends[:, level, None], radix[:, level, None])[1]
            for level, offset in enumerate(self._offsets)
        )

    def _number(self, operand: Operand) -> int:
        """Position of the operand among the expression's."""
        return next(i for i, o in enumerate(self.expression.operands) if o.name == operand.name)

    def _group_rank(self, operand: Operand) -> IntArray:
        """Rank of every core in the operand's sharing group."""
        rank = np.zeros((1, 1), dtype=np.int64)
        for name in self.expression.lacks(operand):
            axis = self.expression.axis_index[name]
            if (self._split[:, axis] > 1).any():
                rank = rank * self._split[:, axis, None] + self._coordinates[axis]
        return rank

    def _axis_boxes(self, operand: Operand, after_loops: bool) -> AxisBoxes:
        """Per axis of the operand, the interval of it that every core holds."""
        number = self._number(operand)
        boxes = {}
        for name in operand.axes:
            axis = self.expression.axis_index[name]
            length = self.expression.axes[axis].length
            block = self._blocks[:, axis, None]
            low = self._coordinates[axis] * block
            high = np.minimum(low + block, length)
            weights = self._levels.chunk_weights(axis, number)
            digits = self._end_offsets if after_loops else self._offsets
            chunk = _weighted(weights, digits)
            if chunk is not None:
                pace = self._tiles[:, axis] * self._levels.chunk_tiles(axis, number)
                low = low + chunk * pace[:, None]
                high = np.minimum(low + pace[:, None], high)
            boxes[name] = (np.minimum(low, high), high)
        return boxes

    def _reduced(self, output: Operand, boxes: AxisBoxes) -> BoolArray:
        """Cut `boxes` to the shares of the final reduction; who keeps what no axis divides."""
        number = len(self.expression.inputs)
        lacked = [self.expression.axis_index[name] for name in self.expression.lacks(output)]
        sharing = np.prod(self._split[:, lacked], axis=1)
        copies = sharing // self._levels.pieces(number)
        shape = (len(self.plans), len(self.cores))
        if not (copies > 1).any():
            return np.ones(shape, dtype=bool)
        rank = _divided(self._group_rank(output), (sharing // copies)[:, None])[0]
        rank = _whole(rank, shape)
        for row in self._linear.tolist():
            placed = PlacedPlan(self.expression, self.plans[row], self._row_coordinates(row), ())
            rank[row] = replica_rank(placed, output, int(copies[row]))
        for name, (low, high) in boxes.items():
            boxes[name] = (_whole(low, shape), _whole(high, shape))
        shares = self._shares(output, copies)
        for number in range(max(map(len, shares))):
            rank = _cut(boxes, rank, [own[number] if number < len(own) else None for own in shares])
        first: BoolArray = rank == 0
        return first

    def _shares(self, output: Operand, copies: IntArray) -> list[tuple[Share, ...]]:
        """How every plan's `copies` replicas share an output piece; equal pieces are cut once."""
        number = len(self.expression.inputs)
        axes = [self.expression.axis_index[name] for name in output.axes]
        held = [self._levels.chunk_tiles(axis, number) * self._tiles[:, axis] for axis in axes]
        lengths = [np.minimum(self._blocks[:, a], h) for a, h in zip(axes, held, strict=True)]
        keys = list(zip(copies.tolist(), *(column.tolist() for column in lengths), strict=True))
        shares = {
            key: cut_shares(dict(zip(output.axes, key[1:], strict=True)), key[0])
            for key in set(keys)
        }
        return [shares[key] for key in keys]


def _cut(boxes: AxisBoxes, rank: IntArray, shares: Sequence[Share | None]) -> IntArray:
    """Cut the boxes of every plan by its share (None: none); the rank that is left."""
    parts = np.array([share.parts if share else 1 for share in shares])[:, None]
    lengths = np.array([share.length if share else 0 for share in shares])
    rank, part = _divided(rank, parts)
    for axis in sorted({share.axis for share in shares if share}):
        rows = np.flatnonzero([share is not None and share.axis == axis for share in shares])
        length = lengths[rows, None]
        low, high = boxes[axis]
        start = low[rows] + part[rows] * length
        stop = np.minimum(high[rows], start + length)
        low[rows], high[rows] = np.minimum(start, stop), stop
    return rank


def _weighted(weights: IntArray, digits: Sequence[IntArray]) -> IntArray | None:
    """Sum of the levels' digits (plans, cores), each times its weight (plans, levels)."""
    total: IntArray | None = None
    for level, digit in enumerate(digits):
        weight = weights[:, level, None]
        if weight.any():
            total = digit * weight if total is None else total + digit * weight
    return total


def _divided(number: IntArray, divisor: IntArray) -> tuple[IntArray, IntArray]:
    """Quotient and remainder, both without sign; numpy's own remainder is several times slower."""
    quotient = number // divisor
    return quotient, number - quotient * divisor


def _whole(values: IntArray, shape: tuple[int, int]) -> IntArray:
    """An array of its own over all plans and cores."""
    return np.array(np.broadcast_to(values, shape))
