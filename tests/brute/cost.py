"""Bytes and cycles of one plan, one number at a time (docs/plans.md, docs/cost-model.md).

Only the kernel cost functions are shared with the production search.
"""

import itertools
import math
from fractions import Fraction

import numpy as np

from t10c.hardware import kernels, tiles
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan

from .geometry import on_axis, piece_elements, replicas, rotations_of, tile_length


def number(value) -> float:
    """The one number in whatever a kernel cost function returns."""
    return float(np.asarray(value, dtype=float).reshape(()).item())


def piece_bytes(
    expression: TensorExpression, spec: HardwareSpec, plan: Plan, operand: Operand
) -> int:
    """Bytes of a piece, a rotating or replicated output being a partial sum."""
    bits = operand.bits if operand.bits > 0 else spec.element_bytes * 8
    if operand.name == expression.output.name and (
        rotations_of(plan, operand) or replicas(expression, plan, operand) > 1
    ):
        bits = partial_bits(expression, spec)
    return math.ceil(Fraction(bits * piece_elements(expression, plan, operand), 8))


def partial_bits(expression: TensorExpression, spec: HardwareSpec) -> int:
    """A partial sum is as wide as the accumulator, unless the output itself is wider.

    Sums of products of two operands of at most 8 bits are 32-bit integers at least.
    """
    widths = [spec.accumulator_bytes * 8, expression.output.bits]
    if expression.kernel in ("matmul", "conv"):
        factors = [operand.bits for operand in expression.inputs[:2]]
        if 0 not in factors and max(factors) <= 8:
            widths.append(32)
    return max(widths)


def memory_bytes(expression: TensorExpression, spec: HardwareSpec, plan: Plan) -> int:
    """Bytes per core: all pieces and the shift buffer."""
    total = 0
    for operand in expression.operands:
        held = piece_bytes(expression, spec, plan, operand)
        if spec.shift_buffer.policy == "double" and rotations_of(plan, operand):
            held *= 2
        total += held
    if spec.shift_buffer.policy == "fixed":
        total += spec.shift_buffer.size_bytes
    return total


def shift_costs(expression: TensorExpression, spec: HardwareSpec, plan: Plan) -> list[float]:
    """s_i of every rotation, in the plan's order: moves and syncs of all operands that shift."""
    sync = number(kernels.sync_cycles(spec))
    costs = []
    for rotation in plan.rotations:
        cost = 0.0
        for operand in expression.operands:
            if operand.name in rotation.operands:
                size = piece_bytes(expression, spec, plan, operand)
                rounds = 1
                if spec.shift_buffer.policy == "fixed":
                    rounds = math.ceil(size / spec.shift_buffer.size_bytes)
                cost += number(kernels.move_cycles(spec, size)) + 2 * sync * rounds
        costs.append(cost)
    return costs


def shift_cycles(radices: list[int], costs: list[float]) -> float:
    """All shifts of a loop nest, outermost first: a loop shifts radix - 1 times per round."""
    total, rounds = 0.0, 1
    for radix, cost in zip(radices, costs, strict=True):
        total += rounds * (radix - 1) * cost
        rounds *= radix
    return total


def best_order(expression: TensorExpression, spec: HardwareSpec, plan: Plan) -> Plan:
    """The plan with its loops in the cheapest of all orders."""
    costs = shift_costs(expression, spec, plan)
    order = min(
        itertools.permutations(range(len(costs))),
        key=lambda p: shift_cycles([plan.rotations[i].radix for i in p], [costs[i] for i in p]),
    )
    return Plan(plan.split, tuple(plan.rotations[i] for i in order))


def total_cycles(expression: TensorExpression, spec: HardwareSpec, plan: Plan) -> float:
    """Cycles of the plan with its loops in the order given."""
    output = expression.output
    elements = piece_elements(expression, plan, output)
    copies = replicas(expression, plan, output)
    steps = math.prod(rotation.radix for rotation in plan.rotations)
    tile = np.array([[tile_length(expression, plan, axis.name) for axis in expression.axes]])
    cycles = steps * number(tiles.tile_cycles(spec, expression, tile))
    radices = [rotation.radix for rotation in plan.rotations]
    cycles += shift_cycles(radices, shift_costs(expression, spec, plan))
    if copies > 1:
        cycles += number(
            kernels.reduction_cycles(spec, copies, elements, partial_bits(expression, spec))
        )
    cycles += number(kernels.epilogue_cycles(spec, expression, elements / copies))
    sync = number(kernels.sync_cycles(spec))
    if expression.kernel in ("pointwise", "pool"):
        return cycles + sync
    size = piece_bytes(expression, spec, plan, output)
    return cycles + number(kernels.move_cycles(spec, size)) + 6 * sync


def useful_share(expression: TensorExpression, plan: Plan) -> tuple[int, int]:
    """prod S and prod (T * u): what the temporal cut pads, as a fraction of two integers."""
    useful, padded = 1, 1
    for axis in expression.axes:
        block_only = Plan(plan.split)
        useful *= tile_length(expression, block_only, axis.name)
        steps = math.prod(rotation.radix for rotation in on_axis(plan, axis.name))
        padded *= steps * tile_length(expression, plan, axis.name)
    return useful, padded
