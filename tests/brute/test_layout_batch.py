"""Layouts of many plans at once against the layouts of one plan after the other."""

import random

import numpy as np
import pytest
from random_expressions import KINDS, draw_expression
from random_plans import draw_plan

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, reduction_shares
from t10c.schedule import layout_batch
from t10c.schedule.layout import Layout, operand_layout, output_layout, place
from t10c.schedule.layout_batch import LayoutRole, stacked_layout
from t10c.search.placement import placement_rule

from .expressions import unplaceable

SEEDS = 5
SAMPLE = np.array([0, 1, 2, 3, 5, 8, 11, 12, 17, 23, 31, 32, 40, 47, 53, 63, 64, 90])


def one_by_one(
    expression: TensorExpression,
    plans: list[Plan],
    operand: Operand,
    role: LayoutRole,
    cores: np.ndarray,
) -> Layout:
    """The layouts that plans have one at a time, stacked."""
    start, stop = [], []
    flat = False
    for plan in plans:
        used = cores[cores < np.prod(plan.split)]
        placed = place(expression, plan, used)
        if role == "out":
            layout = output_layout(placed)
        else:
            layout = operand_layout(placed, operand, role == "after")
        empty = np.zeros((len(cores) - len(used), layout.start.shape[1]), dtype=np.int64)
        start += [layout.start, empty]
        stop += [layout.stop, empty]
        flat = layout.flat
    return Layout(np.concatenate(start), np.concatenate(stop), flat)


def drawn_plans(kind: str, seed: int, count: int = 12) -> tuple[TensorExpression, list[Plan]]:
    """A random expression of a kind and random plans of it."""
    rng = random.Random(f"{kind} {seed}")
    expression = draw_expression(kind, rng).expression
    return expression, [draw_plan(expression, rng) for _ in range(count)]


def roles(expression: TensorExpression) -> list[tuple[Operand, LayoutRole]]:
    """Every operand in every role it can have."""
    found: list[tuple[Operand, LayoutRole]] = [(expression.output, "out")]
    for operand in expression.operands:
        found += [(operand, "in"), (operand, "after")]
    return found


def assert_same(got: Layout, want: Layout, what: object) -> None:
    """Equal element by element, and of the same type."""
    assert got.flat == want.flat, what
    assert (got.start.dtype, got.stop.dtype) == (np.int64, np.int64)
    assert np.array_equal(got.start, want.start), what
    assert np.array_equal(got.stop, want.stop), what


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_of_many_plans_are_those_of_each(kind, monkeypatch):
    for seed in range(SEEDS):
        # pools of a single plan, of a few, and one pool of all
        monkeypatch.setattr(layout_batch, "_CHUNK_ROWS", len(SAMPLE) * (1, 5, 100)[seed % 3])
        expression, plans = drawn_plans(kind, seed)
        for operand, role in roles(expression):
            got = stacked_layout(expression, plans, operand, role, SAMPLE)
            want = one_by_one(expression, plans, operand, role, SAMPLE)
            assert_same(got, want, (seed, operand.name, role, expression, plans))


def test_the_plans_drawn_have_what_can_differ():
    """Linear placements, several levels on an axis, reductions over several axes, holes."""
    seen = dict.fromkeys(("linear", "levels", "beside digits", "cuts", "runs", "scalar"), 0)
    for kind in KINDS:
        for seed in range(SEEDS):
            expression, plans = drawn_plans(kind, seed)
            rules = [placement_rule(expression, plan) for plan in plans]
            seen["linear"] += rules.count("linear")
            seen["beside digits"] += {"linear", "digits"} <= set(rules)
            for plan in plans:
                axes = [rotation.axis for rotation in plan.rotations]
                seen["levels"] += len(set(axes)) < len(axes)
                cut = {share.axis for share in reduction_shares(expression, plan)}
                seen["cuts"] += len(cut) > 1
                seen["runs"] += bool(cut) and any(len(d.terms) > 1 for d in expression.output.dims)
            seen["scalar"] += any(not operand.dims for operand in expression.operands)
    assert min(seen.values()) >= 5, seen


def test_no_plans_have_a_layout_without_rows():
    expression, _ = drawn_plans("matmul", 0)
    layout = stacked_layout(expression, [], expression.output, "out", SAMPLE)
    assert layout.start.shape == layout.stop.shape == (0, 2)


def test_a_plan_without_placement_is_an_error():
    expression, plan = unplaceable()
    plans = [Plan(plan.split), plan]
    with pytest.raises(ValueError, match="has no placement"):
        stacked_layout(expression, plans, expression.inputs[0], "in", SAMPLE)
