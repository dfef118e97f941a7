"""Where a plan's cores are on a mesh or torus, and how long its rings are there."""

from typing import Any

import numpy as np

from t10c.hardware.topology import grid_of, hops
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan
from t10c.ir.positions import CorePositions, PositionDigit
from t10c.report.text import shorten
from t10c.schedule.result import ModelPlan
from t10c.search.rings import ring_sources

RingHops = dict[tuple[int, str], int]
"""Hops of the longest way in a shift, by number of the rotation and name of the operand."""


def ring_hops(plan: ModelPlan, expression: TensorExpression, chosen: Plan) -> RingHops:
    """How far the shifts of an operator go; empty on chips whose cores are all neighbours."""
    grid = grid_of(plan.spec)
    if grid is None or plan.positions is None:
        return {}
    x, y = plan.positions.arrays()
    found: RingHops = {}
    for level, rotation in enumerate(chosen.rotations):
        for operand in expression.operands:
            if operand.name in rotation.operands:
                source = ring_sources(expression, chosen, operand, level)
                core = np.arange(len(source))
                far = hops(grid, x[source], y[source], x[core], y[core])
                found[level, operand.name] = int(far.max())
    return found


def positions_document(plan: ModelPlan) -> dict[str, Any]:
    """The formulas of positions, and the longest way on any ring; empty without a grid."""
    if plan.positions is None:
        return {}
    x, y = plan.positions.formulas()
    longest, operator = _longest(plan)
    return {
        "positions": {
            "x": x,
            "y": y,
            "longest_ring_hops": longest,
            "longest_ring_operator": operator,
        }
    }


def positions_lines(plan: ModelPlan) -> list[str]:
    """The same for people: one line, or none."""
    if plan.positions is None:
        return []
    longest, operator = _longest(plan)
    rings = "no rings"
    if longest:
        rings = f"rings of at most {hops_text(longest)}, at {shorten(operator, 40)}"
    return [f"positions  {positions_text(plan.positions)}; {rings}"]


def hops_text(number: int) -> str:
    """A number of hops."""
    return f"{number:,} hop{'' if number == 1 else 's'}"


def positions_text(positions: CorePositions) -> str:
    """How core numbers are laid out: `x 25 folded, x 30 by 25, y 750 folded`, least digit first."""
    digits = [_digit_text(digit) for digit in positions.digits if digit.radix > 1]
    return f"{positions.width} x {positions.height}: {', '.join(digits) or 'one core'}"


def _digit_text(digit: PositionDigit) -> str:
    size = f"{digit.columns} x {digit.rows} snake"
    strides = f" by {digit.x_stride}, {digit.y_stride}"
    far = digit.x_stride > 1 or digit.y_stride > 1
    if digit.rows == 1:
        size, strides = f"x {digit.columns}", f" by {digit.x_stride}"
    elif digit.columns == 1:
        size, strides = f"y {digit.rows}", f" by {digit.y_stride}"
    return size + (strides if far else "") + (" folded" if digit.folded > 2 else "")


def _longest(plan: ModelPlan) -> tuple[int, str]:
    """Hops of the longest way on any ring, and the first operator that has it; 0 and '' if none."""
    names: dict[tuple[int, Plan], str] = {}
    for operator in plan.operators:
        names.setdefault((operator.problem, operator.plan), operator.name)
    longest, where = 0, ""
    for (problem, chosen), name in names.items():
        expression = plan.problems[problem].expression
        far = max(ring_hops(plan, expression, chosen).values(), default=0)
        if far > longest:
            longest, where = far, name
    return longest, where
