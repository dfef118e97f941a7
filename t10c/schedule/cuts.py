"""Which dimensions of its output a plan cuts: what readers of slices receive depends on it.

Sets of dimensions are numbered. Only the first six dimensions are told apart, and of them those
that are one axis without gaps.
"""

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.schedule.shares import home_grid
from t10c.search.candidates import Candidates
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable

_MOST_DIMS = 6

CUT_SETS = 1 << _MOST_DIMS
"""Number of sets of dimensions that may be cut; a set's number has a bit per dimension."""


def cut_dims(expression: TensorExpression, table: SlotTable, candidates: Candidates) -> IntArray:
    """The set of dimensions that each plan cuts at home, by number, (plans,)."""
    _, parts = home_grid(expression, table, candidates)
    return _numbered(expression, parts)


def cut_dims_of_splits(expression: TensorExpression, splits: IntArray) -> IntArray:
    """The set of dimensions that every plan of a split cuts, by number, (splits,)."""
    axes = [expression.axis_index[name] for name in expression.output.axes]
    return _numbered(expression, splits[:, axes])


def most_of_more_cuts(expression: TensorExpression, values: FloatArray) -> FloatArray:
    """Of every set the largest value of those that it is part of, (CUT_SETS,)."""
    most = values.copy()
    numbers = np.arange(CUT_SETS)
    for position, _ in plain_dims(expression):
        most = np.maximum(most, most[numbers | 1 << position])
    return most


def plain_dims(expression: TensorExpression) -> list[tuple[int, int]]:
    """Dimensions of the output by whose cuts plans are told apart, each with its axis.

    Both are positions, of the axis among those of the output. An axis along two dimensions counts
    once, and one of a single element not at all.
    """
    output = expression.output
    column = {name: i for i, name in enumerate(output.axes)}
    position_of: dict[int, int] = {}
    for position, dim in enumerate(output.dims[:_MOST_DIMS]):
        if len(dim.terms) == 1 and dim.terms[0][1] == 1:
            name = dim.terms[0][0]
            if expression.lengths[expression.axis_index[name]] > 1:
                position_of.setdefault(column[name], position)
    return [(position, axis) for axis, position in position_of.items()]


def _numbered(expression: TensorExpression, parts: IntArray) -> IntArray:
    """Numbers of the sets; `parts` (n, axes of the output) says into how many every axis is cut."""
    cuts = np.zeros(len(parts), dtype=np.int64)
    for position, axis in plain_dims(expression):
        cuts |= (parts[:, axis] > 1).astype(np.int64) << position
    return cuts
