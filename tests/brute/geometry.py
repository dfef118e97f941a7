"""The rules of docs/plans.md for one operand: blocks, temporal factors, chunks and pieces.

A second statement of what `t10c.ir.plan` derives, so that a slip in either shows.
"""

import itertools
import math

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, Rotation


def block_length(expression: TensorExpression, split: tuple[int, ...], axis: str) -> int:
    """S[a]: the smallest length such that F[a] blocks of it cover the axis."""
    position = [a.name for a in expression.axes].index(axis)
    length = 1
    while length * split[position] < expression.axes[position].length:
        length += 1
    return length


def levels_on_axis(plan: Plan, axis: str) -> list[int]:
    """Positions of the rotations on an axis, most significant first: the larger operand set."""
    found = [i for i, rotation in enumerate(plan.rotations) if rotation.axis == axis]
    return sorted(found, key=lambda i: len(plan.rotations[i].operands), reverse=True)


def on_axis(plan: Plan, axis: str) -> list[Rotation]:
    """The rotations on an axis, most significant first."""
    return [plan.rotations[i] for i in levels_on_axis(plan, axis)]


def tile_length(expression: TensorExpression, plan: Plan, axis: str) -> int:
    """u[a]: the smallest length such that T[a] tiles of it cover the block."""
    steps = math.prod(rotation.radix for rotation in on_axis(plan, axis))
    block, length = block_length(expression, plan.split, axis), 1
    while length * steps < block:
        length += 1
    return length


def tiles_in_piece(plan: Plan, operand: Operand, axis: str) -> int:
    """Number n of consecutive tiles a piece spans: the rotations that leave the operand alone."""
    others = [r for r in on_axis(plan, axis) if operand.name not in r.operands]
    return math.prod(rotation.radix for rotation in others)


def piece_elements(expression: TensorExpression, plan: Plan, operand: Operand) -> int:
    """Elements of a core's piece, halo included."""
    elements = 1
    for dim in operand.dims:
        reach = 0
        for axis, stride in dim.terms:
            tiles = tiles_in_piece(plan, operand, axis)
            block = block_length(expression, plan.split, axis)
            length = min(block, tiles * tile_length(expression, plan, axis))
            reach += abs(stride) * (length - 1)
        elements *= reach + 1
    return elements


def core_coordinates(split: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Coordinates of every used core, in the order of core numbers (last axis fastest)."""
    return list(itertools.product(*(range(factor) for factor in split)))


def sharing_groups(
    expression: TensorExpression, split: tuple[int, ...], operand: Operand
) -> list[list[int]]:
    """Core numbers that need the same sub-tensor: equal coordinates on the operand's axes."""
    own = [i for i, axis in enumerate(expression.axes) if axis.name in operand.axes]
    groups: dict[tuple[int, ...], list[int]] = {}
    for core, coordinates in enumerate(core_coordinates(split)):
        groups.setdefault(tuple(coordinates[i] for i in own), []).append(core)
    return list(groups.values())


def sharing(expression: TensorExpression, split: tuple[int, ...], operand: Operand) -> int:
    """P_X: the size of a sharing group."""
    return len(sharing_groups(expression, split, operand)[0])


def rotations_of(plan: Plan, operand: Operand) -> list[int]:
    """Positions in the plan of the rotations that shift the operand."""
    return [i for i, r in enumerate(plan.rotations) if operand.name in r.operands]


def replicas(expression: TensorExpression, plan: Plan, operand: Operand) -> int:
    """Copies of each piece in a sharing group."""
    pieces = math.prod(plan.rotations[i].radix for i in rotations_of(plan, operand))
    group = sharing(expression, plan.split, operand)
    if group % pieces:
        raise ValueError(f"{pieces} pieces of {operand.name} do not divide its group of {group}")
    return group // pieces
