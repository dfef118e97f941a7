"""Costs of candidates: memory per core and cycles, for arrays of (split, t) at once.

Formulas: DESIGN section 4 (tiles, pieces, shifts, loop order) and section 5 (kernel costs).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import (
    epilogue_cycles,
    move_cycles,
    reduction_cycles,
    sync_cycles,
    tile_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Rotation
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.temporal import SlotTable


@dataclass(frozen=True)
class Candidates:
    """Legal (split, t) pairs of one expression and what DESIGN section 4 derives from them.

    `splits`, `blocks` (S), `steps` (T), `tiles` (u): (candidates, axes); `factors`: (candidates,
    slots); `piece_elements`: (candidates, operands); `replicas` of the output: (candidates,).
    """

    splits: IntArray
    blocks: IntArray
    factors: IntArray
    steps: IntArray
    tiles: IntArray
    piece_elements: IntArray
    replicas: IntArray

    def __len__(self) -> int:
        return len(self.splits)

    def take(self, selection: IntArray | BoolArray) -> "Candidates":
        """The selected candidates, in the order of the selection."""
        return Candidates(
            self.splits[selection],
            self.blocks[selection],
            self.factors[selection],
            self.steps[selection],
            self.tiles[selection],
            self.piece_elements[selection],
            self.replicas[selection],
        )


@dataclass(frozen=True)
class Costs:
    """Memory and time of candidates, each (candidates,) unless noted; cycles, bytes per core.

    `piece_bytes` is (candidates, operands); `rotates` says whether anything shifts. `end` is the
    uniform transition or, for pointwise and pool operators, the closing sync.
    """

    piece_bytes: IntArray
    memory_bytes: IntArray
    rotates: BoolArray
    compute: FloatArray
    shift: FloatArray
    reduction: FloatArray
    epilogue: FloatArray
    end: FloatArray

    @property
    def total(self) -> FloatArray:
        """Cycles of the operator with the uniform transition."""
        return self.compute + self.epilogue + self.shift + self.reduction + self.end

    @property
    def communication(self) -> FloatArray:
        """Cycles that are not computing: shifts, final reduction and end."""
        return self.shift + self.reduction + self.end

    def take(self, selection: IntArray | BoolArray) -> "Costs":
        """The selected candidates, in the order of the selection."""
        return Costs(
            self.piece_bytes[selection],
            self.memory_bytes[selection],
            self.rotates[selection],
            self.compute[selection],
            self.shift[selection],
            self.reduction[selection],
            self.epilogue[selection],
            self.end[selection],
        )


def padding_ratio(blocks: IntArray, steps: IntArray) -> FloatArray:
    """prod S / prod (T * u): the share of the temporally padded blocks that is useful work."""
    padded = steps * -(-blocks // steps)
    useful = np.prod(blocks.astype(np.float64), axis=1)
    ratio: FloatArray = useful / np.prod(padded.astype(np.float64), axis=1)
    return ratio


def derive_candidates(
    expression: TensorExpression,
    table: SlotTable,
    splits: IntArray,
    blocks: IntArray,
    steps: IntArray,
    factors: IntArray,
) -> Candidates:
    """Tiles and pieces of legal candidates (arguments have one row per candidate)."""
    tiles = -(-blocks // steps)
    pieces = np.empty((len(splits), len(expression.operands)), dtype=np.int64)
    for index, operand in enumerate(expression.operands):
        elements = np.ones(len(splits), dtype=np.int64)
        slot_of = {table.slots[i].axis: i for i in table.by_operand[index]}
        for dim in operand.dims:
            span = np.ones(len(splits), dtype=np.int64)
            for name, stride in dim.terms:
                axis = expression.axis_index[name]
                length = blocks[:, axis]
                if axis in slot_of:
                    chunks = steps[:, axis] // factors[:, slot_of[axis]]
                    length = np.minimum(length, chunks * tiles[:, axis])
                elif table.by_axis[axis]:
                    length = np.minimum(length, steps[:, axis] * tiles[:, axis])
                span += abs(stride) * (length - 1)
            elements *= span
        pieces[:, index] = elements
    own = list(table.by_operand[-1])
    sharing = np.prod(splits[:, list(table.shared_axes[-1])], axis=1)
    replicas = sharing // np.prod(factors[:, own], axis=1)
    return Candidates(splits, blocks, factors, steps, tiles, pieces, replicas)


def evaluate_candidates(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> Costs:
    """Memory per core and cycles of every candidate."""
    costs = evaluate_unshifted(expression, table, candidates, spec)
    return with_shifts(table, candidates, costs, spec)


def with_shifts(
    table: SlotTable, candidates: Candidates, costs: Costs, spec: HardwareSpec
) -> Costs:
    """The costs with the cycles of all shifts added."""
    return replace(costs, shift=_shift_cycles(table, candidates, costs.piece_bytes, spec))


def evaluate_unshifted(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> Costs:
    """Memory per core, and cycles without the shifts: a bound from below on the cycles."""
    rotating = [np.any(candidates.factors[:, list(own)] > 1, axis=1) for own in table.by_operand]
    piece_bytes = candidates.piece_elements * spec.element_bytes
    if spec.accumulator_bytes != spec.element_bytes:
        wide = rotating[-1] | (candidates.replicas > 1)
        piece_bytes[wide, -1] = candidates.piece_elements[wide, -1] * spec.accumulator_bytes
    memory = np.sum(piece_bytes, axis=1)
    if spec.shift_buffer.policy == "double":
        for index, moves in enumerate(rotating):
            memory += np.where(moves, piece_bytes[:, index], 0)
    else:
        memory += spec.shift_buffer.size_bytes
    steps = np.prod(candidates.steps, axis=1)
    output = candidates.piece_elements[:, -1].astype(np.float64)
    own_output = output / candidates.replicas
    return Costs(
        piece_bytes=piece_bytes,
        memory_bytes=memory,
        rotates=np.any(np.stack(rotating), axis=0),
        compute=steps * tile_cycles(spec, expression, candidates.tiles),
        shift=np.zeros(len(candidates)),
        reduction=reduction_cycles(spec, candidates.replicas, output),
        epilogue=epilogue_cycles(spec, expression, own_output),
        end=end_cycles(spec, expression, piece_bytes[:, -1]),
    )


def end_cycles(
    spec: HardwareSpec, expression: TensorExpression, output_bytes: IntArray
) -> FloatArray:
    """The uniform end of an operator (DESIGN section 5): a sync, or a move and six syncs."""
    sync = sync_cycles(spec)
    if expression.kernel in ("pointwise", "pool"):
        return np.full(np.shape(output_bytes), sync)
    return move_cycles(spec, output_bytes) + 6 * sync


def shift_rounds(spec: HardwareSpec, piece_bytes: IntArray) -> IntArray:
    """Rounds in which a piece passes through the shift buffer."""
    if spec.shift_buffer.policy == "double":
        return np.ones_like(piece_bytes)
    return -(-piece_bytes // spec.shift_buffer.size_bytes)


def _shift_cycles(
    table: SlotTable, candidates: Candidates, piece_bytes: IntArray, spec: HardwareSpec
) -> FloatArray:
    """Cycles of all shifts: sum over loops of rounds * (radix - 1) * cost, dearest outermost.

    The rotations of an axis follow from its factors sorted ascending: level j has radix
    t[j] / t[j-1] and moves every operand from rank j on, so its cost is a suffix sum.
    """
    rotating = np.flatnonzero(np.any(candidates.factors > 1, axis=1))
    cycles = np.zeros(len(candidates))
    if not len(rotating):
        return cycles
    factors = candidates.factors[rotating]
    bytes_ = piece_bytes[rotating]
    once = move_cycles(spec, bytes_) + 2 * sync_cycles(spec) * shift_rounds(spec, bytes_)
    radices, costs = [], []
    for slots in table.by_axis:
        if slots and np.any(factors[:, list(slots)] > 1):
            axis_radices, axis_costs = rotation_levels(table, slots, factors, once)
            radices += axis_radices
            costs += axis_costs
    radix = np.stack(radices, axis=1).astype(np.float64)
    cost = np.stack(costs, axis=1)
    order = np.argsort(-cost, axis=1, kind="stable")
    radix = np.take_along_axis(radix, order, axis=1)
    cost = np.take_along_axis(cost, order, axis=1)
    rounds = np.cumprod(radix, axis=1) / radix
    cycles[rotating] = np.sum(rounds * (radix - 1) * cost, axis=1)
    return cycles


def rotation_levels(
    table: SlotTable, slots: tuple[int, ...], factors: IntArray, once: FloatArray
) -> tuple[list[IntArray], list[FloatArray]]:
    """Radix and cost of each rotation level on one axis; radix 1 where there is no such level."""
    operands = [table.slots[i].operand for i in slots]
    if len(slots) == 1:
        return [factors[:, slots[0]]], [np.where(factors[:, slots[0]] > 1, once[:, operands[0]], 0)]
    if len(slots) == 2:
        first, second = factors[:, slots[0]], factors[:, slots[1]]
        one, other = once[:, operands[0]], once[:, operands[1]]
        low, high = np.minimum(first, second), np.maximum(first, second)
        return [low, high // low], [
            np.where(low > 1, one + other, 0.0),
            np.where(high > low, np.where(first > second, one, other), 0.0),
        ]
    chosen = factors[:, list(slots)]
    order = np.argsort(chosen, axis=1, kind="stable")
    ascending = np.take_along_axis(chosen, order, axis=1)
    moving = np.take_along_axis(once[:, operands], order, axis=1)
    suffix = np.cumsum(moving[:, ::-1], axis=1)[:, ::-1]
    radices, costs = [ascending[:, 0]], [suffix[:, 0]]
    for level in range(1, len(slots)):
        radices.append(ascending[:, level] // ascending[:, level - 1])
        costs.append(suffix[:, level])
    return radices, [np.where(r > 1, c, 0.0) for r, c in zip(radices, costs, strict=True)]


def lower_bound_cycles(expression: TensorExpression, spec: HardwareSpec) -> float:
    """No plan is faster: useful work at the kernel's best rate on all cores, or the least end.

    The best rate per point is taken over all short lengths of short axes, and at the asymptote of
    long ones (kernel costs per point fall with the tile).
    """
    tiles = _rate_probes(expression)
    per_point = float(
        np.min(tile_cycles(spec, expression, tiles) / np.prod(tiles.astype(np.float64), axis=1))
    )
    compute = per_point * expression.points / spec.core_count
    elements = math.prod(
        axis.length for axis in expression.axes if axis.name in expression.output.axes
    )
    share = np.array([elements * spec.element_bytes / spec.core_count])
    end = end_cycles(spec, expression, share.astype(np.int64))
    return max(compute, float(end[0]))


_SHORT_AXIS = 32
_LONG_TILE = 48 * 1024
_MOST_PROBES = 50_000


def _rate_probes(expression: TensorExpression) -> IntArray:
    """Tiles at which the cost per point may be least: short axes in full, long axes very long."""
    choices: list[IntArray] = []
    probes = 1
    for axis in expression.axes:
        short = axis.length <= _SHORT_AXIS and probes * axis.length <= _MOST_PROBES
        if not axis.splittable:
            choices.append(np.array([axis.length]))
        else:
            longest = np.array([_LONG_TILE * -(-axis.length // _LONG_TILE)])
            choices.append(np.arange(1, axis.length + 1) if short else longest)
        probes *= len(choices[-1])
    grid = np.meshgrid(*choices, indexing="ij")
    return np.stack([g.ravel() for g in grid], axis=1) if choices else np.ones((1, 0), np.int64)


def rotation_order(
    expression: TensorExpression,
    rotations: list[Rotation],
    piece_bytes: IntArray,
    spec: HardwareSpec,
) -> tuple[Rotation, ...]:
    """Rotations with the dearest shift outermost (DESIGN section 4); ties keep their order."""
    once = move_cycles(spec, piece_bytes) + 2 * sync_cycles(spec) * shift_rounds(spec, piece_bytes)
    position = {operand.name: i for i, operand in enumerate(expression.operands)}
    return tuple(
        sorted(rotations, key=lambda r: -sum(float(once[position[name]]) for name in r.operands))
    )
