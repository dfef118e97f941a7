"""Rings as arrays: the core whose piece a shift brings, for every core (docs/plans.md).

`t10c.lower.frame` states the same as formulas, and a test holds the two equal.
"""

import math

import numpy as np

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, replicas, sharing
from t10c.search.placement import core_coordinates, free_digits, offsets, placement_rule
from t10c.search.space import IntArray


def ring_stride(
    expression: TensorExpression, plan: Plan, operand: Operand, level: int
) -> int | None:
    """Distance in core numbers of neighbours on a ring; None where rings follow no digit.

    Rings that follow a digit of the core number, `core // stride % radix`, bring every core the
    piece of the core whose digit is one more, all others being equal.
    """
    radix = plan.rotations[level].radix
    if placement_rule(expression, plan) == "linear":
        sources = _found_sources(expression, plan, operand, level)
        stride = int(sources[0])
        fits = stride > 0 and len(sources) % (stride * radix) == 0
        same = fits and np.array_equal(sources, _along_digit(len(sources), stride, radix))
        return stride if same else None
    weight = math.prod(r.radix for r in plan.rotations[:level] if operand.name in r.operands)
    for begin, length, stride in _runs(expression, plan, operand):
        if begin <= weight < begin * length:
            fits = weight % begin == 0 and begin * length % (weight * radix) == 0
            return weight // begin * stride if fits else None
    return None


def _runs(expression: TensorExpression, plan: Plan, operand: Operand) -> list[tuple[int, int, int]]:
    """Where ranks in a sharing group follow core numbers: (least rank, length, stride) of runs.

    Axes that the operand lacks and that are neighbours in the core number are one run.
    """
    shared = {expression.axis_index[axis] for axis in expression.lacks(operand)}
    found: list[tuple[int, int, int]] = []
    rank, place = 1, 1
    for index in reversed(range(len(plan.split))):
        factor = plan.split[index]
        if index in shared and factor > 1:
            if found and found[-1][2] * found[-1][1] == place:
                begin, length, stride = found.pop()
                found.append((begin, length * factor, stride))
            else:
                found.append((rank, factor, place))
            rank *= factor
        place *= factor
    return found


def ring_sources(
    expression: TensorExpression, plan: Plan, operand: Operand, level: int
) -> IntArray:
    """The core whose piece every used core receives when a rotation shifts, (cores,).

    It is in the same sharing group, its offset in the rotation is one more, its other offsets and
    its rank among replicas are equal.
    """
    if placement_rule(expression, plan) == "digits":
        stride = ring_stride(expression, plan, operand, level)
        if stride is not None:
            radix = plan.rotations[level].radix
            return _along_digit(math.prod(plan.split), stride, radix)
    return _found_sources(expression, plan, operand, level)


def _along_digit(cores: int, stride: int, radix: int) -> IntArray:
    """Sources on rings that follow a digit of the core number, (cores,)."""
    numbers = np.arange(cores, dtype=np.int64)
    last = numbers // stride % radix == radix - 1
    return numbers + np.where(last, stride - stride * radix, stride)


def _found_sources(
    expression: TensorExpression, plan: Plan, operand: Operand, level: int
) -> IntArray:
    """Sources, (cores,): cores are numbered by group, offsets and rank, and found by the number."""
    radix = plan.rotations[level].radix
    coordinates = core_coordinates(plan.split)
    found = offsets(expression, plan, coordinates)
    assert found is not None, "rings are those of a plan with a placement"
    key = _replica_rank(expression, plan, operand, coordinates)
    for index, axis in enumerate(expression.axes):
        if axis.name in operand.axes:
            key = key * plan.split[index] + coordinates[:, index]
    for other, rotation in enumerate(plan.rotations):
        if operand.name in rotation.operands and other != level:
            key = key * rotation.radix + found[other]
    holder = np.empty(len(key), dtype=np.int64)
    holder[key * radix + found[level]] = np.arange(len(key))
    sources: IntArray = holder[key * radix + (found[level] + 1) % radix]
    return sources


def _replica_rank(
    expression: TensorExpression, plan: Plan, operand: Operand, coordinates: IntArray
) -> IntArray:
    """Rank of every core among those that hold the same piece of the operand, (cores,)."""
    rank = np.zeros(len(coordinates), dtype=np.int64)
    if placement_rule(expression, plan) == "linear":
        for digit in free_digits(expression, plan, operand):
            value = coordinates[:, digit.axis] // digit.scale % digit.prime
            rank = rank * digit.prime + value
        return rank
    for name in expression.lacks(operand):
        index = expression.axis_index[name]
        rank = rank * plan.split[index] + coordinates[:, index]
    return rank // (sharing(expression, plan, operand) // replicas(expression, plan, operand))
