"""Sets of dimensions that plans cut, and those that include them."""

import numpy as np
from planned_graphs import chip

from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.schedule.cuts import CUT_SETS, cut_dims, cut_dims_of_splits, most_of_more_cuts
from t10c.schedule.problem import search_problem
from t10c.search import SearchOptions
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.templates import named_expression
from t10c.search.temporal import slot_table


def copied(*lengths: int) -> TensorExpression:
    """A copy of a tensor, every dimension of which may be cut."""
    axes = tuple(Axis(f"d{i}", length, "parallel") for i, length in enumerate(lengths))
    dims = tuple(Dim(((axis.name, 1),), axis.length) for axis in axes)
    step = ScalarStep("Relu", ("A",))
    return TensorExpression("pointwise", axes, (Operand("A", dims),), Operand("B", dims), (step,))


def test_most_of_all_that_may_be_cut_as_well() -> None:
    """Axes of one element add nothing, nor does the seventh dimension."""
    values = np.random.default_rng(3).random(CUT_SETS)
    found = most_of_more_cuts(copied(4, 1, 6, 8, 2, 2, 9), values)
    for cuts in range(CUT_SETS):
        more = [other for other in range(CUT_SETS) if other & ~0b111101 == cuts & ~0b111101]
        assert found[cuts] == max(values[other] for other in more if other & cuts == cuts)


def test_plans_cut_what_their_splits_cut() -> None:
    """And more, but nothing of one element, where replicas of a row share its home."""
    seen: list[Candidates] = []

    def visit(candidates: Candidates, _: Costs) -> None:
        seen.append(candidates)

    for lengths in ({"m": 1, "n": 4, "k": 16}, {"m": 6, "n": 4, "k": 8}):
        expression = named_expression("matmul", lengths)
        seen.clear()
        search_problem(expression, chip(16, 64), SearchOptions(pruning="exhaustive"), visit)
        more = 0
        for candidates in seen:
            own = cut_dims(expression, slot_table(expression), candidates)
            of_splits = cut_dims_of_splits(expression, candidates.splits)
            assert (of_splits & ~own == 0).all()
            more += int((own != of_splits).sum())
            marks = np.zeros(CUT_SETS)
            for cuts in np.unique(own):
                marks[:] = 0.0
                marks[cuts] = 1.0
                assert (most_of_more_cuts(expression, marks)[of_splits[own == cuts]] == 1).all()
        assert more > 0
