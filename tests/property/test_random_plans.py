"""Random legal plans of every kind of expression, executed: exactly what the expression says.

T10C_RANDOM_PLANS is the number of plans; `make prove` runs many and prints a table.
"""

import math
import os
from dataclasses import replace

import numpy as np
import pytest
from random_expressions import KINDS, MULTIPLY, Drawn, plain
from random_plans import Case, draw_case, mismatch, run_program

from t10c.execute.element_types import dtype_of
from t10c.hardware.load import load_spec
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.plan import Plan, Rotation, replicas
from t10c.schedule.idle import IdleCut

COUNT = int(os.environ.get("T10C_RANDOM_PLANS", "320"))
EACH = -(-COUNT // len(KINDS))


@pytest.mark.parametrize("kind", KINDS)
def test_random_plans_compute_what_the_expression_says(kind):
    for number in range(EACH):
        case = draw_case(KINDS.index(kind) + number * len(KINDS))
        assert mismatch(case) == "", str(case)


def test_what_is_drawn_covers_the_space():
    cases = [draw_case(seed) for seed in range(600)]
    plans = [case.plan for case in cases]
    assert {len(plan.rotations) for plan in plans} == {0, 1, 2, 3, 4}
    assert any(math.prod(plan.split) == 64 for plan in plans)
    outputs = [case.drawn.expression.output for case in cases]
    rotating = [
        case
        for case, output in zip(cases, outputs, strict=True)
        if any(output.name in r.operands for r in case.plan.rotations)
    ]
    shared = [
        c for c in cases if replicas(c.drawn.expression, c.plan, c.drawn.expression.output) > 1
    ]
    twice = [p for p in plans if len({r.axis for r in p.rotations}) < len(p.rotations)]
    together = [p for p in plans if any(len(r.operands) > 1 for r in p.rotations)]
    cut = [case for case in cases if any(idle.ratio > 1 for idle in case.idle.values())]
    displaced = [
        case
        for case in cases
        if any(set(case.idle) & set(rotation.operands) for rotation in case.plan.rotations)
    ]
    ragged = [
        case
        for case in cases
        if any(n % f for n, f in zip(case.drawn.expression.lengths, case.plan.split, strict=True))
    ]
    for found in (rotating, shared, twice, together, cut, displaced, ragged):
        assert len(found) >= 20
    assert len({id(case) for case in rotating} & {id(case) for case in shared}) >= 3


# Plans that went wrong once


def case_of(
    expression: TensorExpression,
    plan: Plan,
    idle: dict[str, tuple[tuple[str, int], ...]],
    ranges: dict[str, tuple[int, int]] | None = None,
    **types: str,
) -> Case:
    """A case of float64 operands; `types` gives those of others."""
    names = [operand.name for operand in expression.operands]
    drawn = Drawn("", expression, dict.fromkeys(names, "float64") | types, ranges or {})
    spec = replace(load_spec("ipu-mk2"), core_count=12)
    return Case(0, drawn, plan, {n: IdleCut(1, cut, 0, 0.0) for n, cut in idle.items()}, spec)


def test_index_tuples_spread_over_cores_keep_all_their_entries():
    i, e = Axis("i", 5, "index"), Axis("e", 3, "element")
    v, w = (Axis(name, 2, "table", reduction=True) for name in "vw")
    index = (plain(i), Dim((), 2, entries=True))
    expression = TensorExpression(
        "gather",
        (i, e, v, w),
        (Operand("T", (plain(v), plain(w), plain(e))), Operand("X", index)),
        Operand("C", (plain(i), plain(e))),
        (ScalarStep("Gather", ("T", "X")),),
        "sum",
    )
    half = (("i", 2),)
    for split, cut in (((2, 1, 1, 1), ()), ((2, 2, 2, 1), half), ((5, 1, 1, 2), half)):
        case = case_of(expression, Plan(split), {"X": cut}, {"X": (-2, 1)}, X="int64")
        assert mismatch(case) == ""


def test_points_that_do_not_exist_do_not_reach_the_next_group():
    """Output channel 4 of a group of 4, in chunks of 2, is channel 0 of the next group."""
    g, o, h = Axis("g", 3, "group"), Axis("o", 4, "out_channel"), Axis("h", 3, "out_spatial")
    c = Axis("c", 2, "in_channel", reduction=True)
    grouped = Dim((("g", 4), ("o", 1)), 12)
    expression = TensorExpression(
        "conv",
        (g, o, c, h),
        (
            Operand("A", (Dim((("g", 2), ("c", 1)), 6), plain(h))),
            Operand("B", (grouped, plain(c))),
        ),
        Operand("C", (grouped, plain(h))),
        MULTIPLY,
        "sum",
    )
    plan = Plan((1, 1, 1, 3), (Rotation("o", 3, ("B",)),))
    for idle in ({}, {"B": ()}):
        assert mismatch(case_of(expression, plan, idle)) == ""


def test_a_weight_may_have_elements_that_no_window_reaches():
    h, k = Axis("h", 3, "out_spatial"), Axis("k", 2, "kernel", reduction=True)
    dim = Dim((("h", 4), ("k", 2)), 12)
    expression = TensorExpression(
        "pool",
        (h, k),
        (Operand("A", (dim,)),),
        Operand("C", (plain(h),)),
        (ScalarStep("Identity", ("A",)),),
        "sum",
    )
    for split in ((1, 1), (3, 1), (1, 2)):
        assert mismatch(case_of(expression, Plan(split), {"A": ()})) == ""


def test_parts_of_8_bit_floats_begin_where_the_core_says():
    """NumPy alone makes no windows of all of these types."""
    i, e = Axis("i", 4, "index"), Axis("e", 6, "element")
    v = Axis("v", 3, "table", reduction=True)
    expression = TensorExpression(
        "gather",
        (i, e, v),
        (Operand("T", (plain(v), plain(e))), Operand("X", (plain(i),))),
        Operand("C", (plain(i), plain(e))),
        (ScalarStep("Gather", ("T", "X")),),
        "sum",
    )
    plan = Plan((2, 1, 1), (Rotation("e", 2, ("T",)),))
    for kind in ("float8e4m3fn", "float8e5m2"):
        case = case_of(expression, plan, {}, X="int64", T=kind, C=kind)
        table = np.arange(18).reshape(3, 6).astype(dtype_of(kind))
        index = np.array([2, -3, 1, 0])
        (got,) = run_program(case, case.program(), [{"T": table, "X": index}])
        assert np.array_equal(got.astype(np.float32), table[index].astype(np.float32))
