"""Shifts of candidates: rotations, their loop order, and what they cost (docs/plans.md)."""

import numpy as np

from t10c.hardware.kernels import move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Rotation
from t10c.search.candidates import Candidates
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable


def shift_rounds(spec: HardwareSpec, piece_bytes: IntArray) -> IntArray:
    """Rounds in which a piece passes through the shift buffer."""
    if spec.shift_buffer.policy == "double":
        return np.ones_like(piece_bytes)
    return -(-piece_bytes // spec.shift_buffer.size_bytes)


def shift_cycles(
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


def rotation_order(
    expression: TensorExpression,
    rotations: list[Rotation],
    piece_bytes: IntArray,
    spec: HardwareSpec,
) -> tuple[Rotation, ...]:
    """Rotations with the dearest shift outermost (docs/plans.md); ties keep their order."""
    once = move_cycles(spec, piece_bytes) + 2 * sync_cycles(spec) * shift_rounds(spec, piece_bytes)
    position = {operand.name: i for i, operand in enumerate(expression.operands)}
    return tuple(
        sorted(rotations, key=lambda r: -sum(float(once[position[name]]) for name in r.operands))
    )
