"""Layouts and views against sets of elements: who holds what, and what a core has to receive."""

import math
from collections import Counter
from itertools import product

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given

from t10c.ir.expression import Dim, Operand, TensorExpression
from t10c.ir.graph import Graph, LayoutOp, Tensor
from t10c.ir.plan import Plan, replicas
from t10c.schedule.layout import (
    Layout,
    even_layout,
    operand_layout,
    output_layout,
    place,
    received_elements,
)
from t10c.schedule.views import resolve_views

from .budget import examples
from .expressions import KINDS, expressions, plans
from .geometry import block_length, core_coordinates, levels_on_axis, sharing_groups, tile_length

Element = tuple[int, ...]


def placed_plan(expression: TensorExpression, plan: Plan):
    """The plan with its placement, or no example where it has none."""
    try:
        return place(expression, plan)
    except ValueError:
        assume(False)


def axis_indices(placed, axis: str, name: str, core: int, positions: list[int]) -> list[int]:
    """Indices of an axis that a core's piece covers when rotation l has shifted positions[l]."""
    expression, plan = placed.expression, placed.plan
    index = [a.name for a in expression.axes].index(axis)
    block = block_length(expression, plan.split, axis)
    tile = tile_length(expression, plan, axis)
    levels = levels_on_axis(plan, axis)
    held = []
    for offset in range(block):
        point = core_coordinates(plan.split)[core][index] * block + offset
        if point >= expression.axes[index].length:
            continue
        digit, inside = offset // tile, True
        for level in reversed(levels):
            radix = plan.rotations[level].radix
            own, digit = digit % radix, digit // radix
            if name in plan.rotations[level].operands:
                chunk = (int(placed.offsets[level][core]) + positions[level]) % radix
                inside &= chunk == own
        if inside:
            held.append(point)
    return held


def end_positions(plan: Plan) -> list[int]:
    """Shifts of every rotation over the whole loop nest, counted one by one."""
    positions = [0] * len(plan.rotations)
    previous = None
    for point in product(*(range(r.radix) for r in plan.rotations)):
        if previous is not None:
            for level, (a, b) in enumerate(zip(previous, point, strict=True)):
                # within a round the loop moves on; a wrap to 0 begins the next round without one
                positions[level] += a != b and b != 0
        previous = point
    return positions


def piece(placed, operand: Operand, core: int, positions: list[int]) -> set[Element]:
    """Elements of the operand's piece on a core: all between the first and last of each dim."""
    axes = {a: axis_indices(placed, a, operand.name, core, positions) for a in operand.axes}
    if not all(axes.values()):
        return set()
    ranges = []
    for dim in operand.dims:
        reached = [
            dim.offset + sum(s * i for (_, s), i in zip(dim.terms, point, strict=True))
            for point in product(*(axes[a] for a, _ in dim.terms))
        ]
        ranges.append(range(max(0, min(reached)), min(dim.size, max(reached) + 1)))
    return set(product(*ranges))


def boxes(layout: Layout) -> list[set[Element]]:
    """Elements of every core's box."""
    return [
        set(product(*(range(a, b) for a, b in zip(low, high, strict=True))))
        for low, high in zip(layout.start.tolist(), layout.stop.tolist(), strict=True)
    ]


def simple(operand: Operand) -> bool:
    """Whether every dimension is at most one axis, so that pieces of different cores are disjoint."""
    return all(len(dim.terms) <= 1 for dim in operand.dims)


@pytest.mark.parametrize("kind", KINDS)
def test_operand_layouts_hold_the_pieces(kind):
    @examples(8)
    @given(data=st.data())
    def check(data):
        expression = data.draw(expressions(kind))
        plan = data.draw(plans(expression))
        placed = placed_plan(expression, plan)
        for positions, after in (([0] * len(plan.rotations), False), (end_positions(plan), True)):
            for operand in expression.operands:
                if not operand.dims:
                    continue
                held = boxes(operand_layout(placed, operand, after))
                for core, box in enumerate(held):
                    assert box == piece(placed, operand, core, positions), (operand, core)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_a_sharing_group_cover_the_sub_tensor_equally_often(kind):
    @examples(8)
    @given(data=st.data())
    def check(data):
        expression = data.draw(expressions(kind))
        plan = data.draw(plans(expression))
        placed = placed_plan(expression, plan)
        for operand in expression.operands:
            if not operand.dims or not simple(operand):
                continue
            copies = replicas(expression, plan, operand)
            for after in (False, True):
                held = boxes(operand_layout(placed, operand, after))
                for group in sharing_groups(expression, plan.split, operand):
                    count = Counter(e for core in group for e in held[core])
                    whole = set(product(*sub_tensor(expression, plan, operand, group[0])))
                    assert count == dict.fromkeys(whole, copies)

    check()


def sub_tensor(
    expression: TensorExpression, plan: Plan, operand: Operand, core: int
) -> list[list[int]]:
    """Indices per dimension of what a core needs of an operand in all."""
    coordinates = core_coordinates(plan.split)[core]
    place_of = {a.name: i for i, a in enumerate(expression.axes)}
    ranges = []
    for dim in operand.dims:
        if not dim.terms:
            ranges.append([dim.offset])
            continue
        ((axis, stride),) = dim.terms
        block = block_length(expression, plan.split, axis)
        low = coordinates[place_of[axis]] * block
        high = min(low + block, expression.axes[place_of[axis]].length)
        ranges.append([dim.offset + stride * i for i in range(low, high)])
    return ranges


@pytest.mark.parametrize("kind", KINDS)
def test_after_its_reduction_every_output_element_lies_on_one_core(kind):
    @examples(12)
    @given(data=st.data())
    def check(data):
        expression = data.draw(expressions(kind))
        plan = data.draw(plans(expression))
        placed = placed_plan(expression, plan)
        held = boxes(output_layout(placed))
        count = Counter(element for box in held for element in box)
        shape = [dim.size for dim in expression.output.dims]
        assert count == dict.fromkeys(product(*map(range, shape)) if shape else [(0,)], 1)
        resident = boxes(operand_layout(placed, expression.output, after_loops=True))
        assert all(own <= piece for own, piece in zip(held, resident, strict=True))

    check()


@pytest.mark.parametrize(
    ("shape", "cores"), [((), 3), ((1,), 3), ((5,), 3), ((2, 3), 4), ((4, 4), 4), ((3, 5), 16)]
)
def test_even_layouts_hold_runs_of_the_row_major_order(shape, cores):
    held = boxes(even_layout(shape, cores))
    share = math.ceil(math.prod(shape) / cores)
    assert len(held) == cores
    assert [e for box in held for e in sorted(box)] == [(i,) for i in range(math.prod(shape))]
    assert max(map(len, held)) == share
