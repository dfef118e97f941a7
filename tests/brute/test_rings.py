"""Rings as arrays are those of the program's formulas; strides are those of all their cores."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given

from t10c.ir.expression import Axis, ScalarStep, TensorExpression
from t10c.ir.formula import evaluate
from t10c.ir.plan import Plan, Rotation
from t10c.lower.frame import Frame
from t10c.search.placement import offsets, placement_rule
from t10c.search.rings import ring_sources, ring_stride

from .budget import examples
from .expressions import KINDS, expressions, plans, tensor_of


def rings(expression, plan):
    """Every operand that shifts with every rotation that it shifts in."""
    operands = {operand.name: operand for operand in expression.operands}
    for level, rotation in enumerate(plan.rotations):
        for name in rotation.operands:
            yield operands[name], level, rotation.radix


@pytest.mark.parametrize("rule", ["digits", "linear"])
@examples(400)
@given(st.data())
def test_sources_are_those_of_the_formulas(rule, data):
    expression = data.draw(st.sampled_from(KINDS).flatmap(expressions))
    plan = data.draw(plans(expression))
    assume(placement_rule(expression, plan) == rule)
    assume(offsets(expression, plan) is not None)
    frame = Frame(expression, plan, inline=True)
    cores = np.arange(frame.cores)
    for operand, level, radix in rings(expression, plan):
        wanted = evaluate(str(frame.ring_source(operand, level)), {"core": cores})
        found = ring_sources(expression, plan, operand, level)
        assert found.tolist() == np.broadcast_to(wanted, len(cores)).tolist()
        strides = {
            stride
            for stride in range(1, frame.cores)
            if frame.cores % (stride * radix) == 0
            and all(found[c] == neighbour(c, stride, radix) for c in range(frame.cores))
        }
        stride = ring_stride(expression, plan, operand, level)
        assert strides == (set() if stride is None else {stride})


def neighbour(core: int, stride: int, radix: int) -> int:
    """The core whose digit is one more."""
    digit = core // stride % radix
    return core + ((digit + 1) % radix - digit) * stride


def test_a_ring_over_neighbouring_axes_is_one_digit():
    b, m, n = Axis("b", 2, "m"), Axis("m", 3, "m"), Axis("n", 5, "n")
    k = Axis("k", 60, "k", reduction=True)
    expression = TensorExpression(
        "matmul",
        (b, m, n, k),
        (tensor_of("A", b, m, k), tensor_of("B", n, k)),
        tensor_of("C", b, m, n),
        (ScalarStep("Mul", ("A", "B")),),
    )
    plan = Plan((2, 3, 5, 1), (Rotation("k", 6, ("B",)), Rotation("k", 5, ("A",))))
    second = expression.operands[1]
    assert ring_stride(expression, plan, second, 0) == 5
    assert ring_sources(expression, plan, second, 0)[[0, 24, 25, 29]].tolist() == [5, 29, 0, 4]
