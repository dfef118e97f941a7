"""Which dimensions of its home a plan may cut beyond what is known of its split."""

import numpy as np

from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.schedule.holders import MOST_CUTS, most_of_more_cuts


def rows_of(*lengths: int) -> TensorExpression:
    """A copy of a tensor, all dimensions of which may be cut but the last."""
    names = [f"d{i}" for i in range(len(lengths))]
    roles = ["parallel"] * (len(lengths) - 1) + ["normalised"]
    axes = tuple(Axis(*own) for own in zip(names, lengths, roles, strict=True))  # type: ignore[arg-type]
    dims = tuple(Dim(((axis.name, 1),), axis.length) for axis in axes)
    step = ScalarStep("Relu", ("A",))
    inputs = (Operand("A", dims),)
    return TensorExpression("rowwise", axes, inputs, Operand("B", dims), (step,))


def test_most_of_all_that_may_be_cut_as_well() -> None:
    """Axes of one element and axes that are never cut add nothing; the seventh is not looked at."""
    expression = rows_of(4, 1, 6, 8, 2, 2, 9, 5)
    may_be_cut = 0b111101
    values = np.random.default_rng(3).random(MOST_CUTS)
    found = most_of_more_cuts(expression, values)
    for cuts in range(MOST_CUTS):
        more = [other for other in range(MOST_CUTS) if other & ~may_be_cut == cuts & ~may_be_cut]
        assert found[cuts] == max(values[other] for other in more if other & cuts == cuts)


def test_what_is_never_cut() -> None:
    """Only the last dimension is among the first six here, and it stays whole."""
    values = np.random.default_rng(4).random(MOST_CUTS)
    found = most_of_more_cuts(rows_of(3, 5), values)
    assert found[1] == values[1]
    assert found[0] == max(values[0], values[1])
    assert found[2] == max(values[2], values[3])
