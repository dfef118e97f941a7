"""How many cores hold anything of what is read, at most, and how many need a piece, at least.

Cores form a grid, in which every part of an axis lies on as many cores as any other. Plans that cut
a tensor where it is read slice by slice leave most cores without any of a slice; if more cores need
a piece of it than hold anything, one of them receives all of that piece.
"""

import numpy as np

from t10c.ir.expression import Dim, Operand, TensorExpression
from t10c.schedule.shares import home_grid
from t10c.schedule.windows import Extent
from t10c.search.candidates import Candidates
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable

MOST_CUTS = 64
"""Sets of dimensions are numbered below it: the first six of an output are told apart."""


def holding_cores(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, extent: Extent
) -> IntArray:
    """Cores that have some of the output's home within a window of an extent, at most, (plans,)."""
    cores = np.prod(candidates.splits, axis=1).astype(np.float64)
    _, parts = home_grid(expression, table, candidates)
    for position, column in _plain_dims(expression.output):
        axis = expression.axis_index[expression.output.axes[column]]
        split, block = candidates.splits[:, axis], candidates.blocks[:, axis]
        cores *= _held_share(extent, position, split, block, parts[:, column])
    return _count(cores)


def cut_dims(expression: TensorExpression, table: SlotTable, candidates: Candidates) -> IntArray:
    """Which dimensions of its home a plan cuts, as a number less than MOST_CUTS: (plans,)."""
    _, parts = home_grid(expression, table, candidates)
    return _numbered_cuts(expression, parts)


def cut_dims_of_splits(expression: TensorExpression, splits: IntArray) -> IntArray:
    """Dimensions of the output that every plan of a split cuts, numbered likewise: (splits,)."""
    axes = [expression.axis_index[name] for name in expression.output.axes]
    return _numbered_cuts(expression, splits[:, axes])


def _numbered_cuts(expression: TensorExpression, parts: IntArray) -> IntArray:
    """Numbers of what is cut; `parts` (n, axes of the output) are those of its axes."""
    cuts = np.zeros(len(parts), dtype=np.int64)
    for position, column in _plain_dims(expression.output):
        cuts |= (parts[:, column] > 1).astype(np.int64) << position
    return cuts


def most_of_more_cuts(expression: TensorExpression, values: FloatArray) -> FloatArray:
    """The largest of the values of all cuts that plans with some cuts may have, (MOST_CUTS,)."""
    most = values.copy()
    numbers = np.arange(MOST_CUTS)
    for position, column in _plain_dims(expression.output):
        axis = expression.axes[expression.axis_index[expression.output.axes[column]]]
        if axis.splittable and axis.length > 1:
            most = np.maximum(most, most[numbers | 1 << position])
    return most


def holding_cores_of_cuts(
    expression: TensorExpression, cuts: IntArray, extent: Extent, core_count: int
) -> IntArray:
    """`holding_cores` of any plans that cut such dimensions in at least two parts, (cuts,)."""
    held = np.full(len(cuts), float(core_count))
    for position, column in _plain_dims(expression.output):
        length = expression.lengths[expression.axis_index[expression.output.axes[column]]]
        split = np.arange(1, max(2, min(length, core_count)) + 1)
        block = -(-length // split)
        share = _held_share(extent, position, split, block, np.maximum(split, 2))
        held[(cuts >> position) & 1 == 1] *= float(share.max())
    return _count(held)


def needing_cores(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, operand: int
) -> IntArray:
    """Cores that need as much of an input as `needed_bytes` says of one, at least, (plans,).

    Those with full chunks of full blocks: every tuple of chunks lies on as many cores. Only the
    one core is sure where a dimension is not a single axis as it is.
    """
    own = expression.inputs[operand]
    axes = [name for dim in own.dims for name, _ in dim.terms]
    plain = all(_is_axis(expression, dim) for dim in own.dims if dim.terms)
    if not plain or len(set(axes)) < len(axes):
        return np.ones(len(candidates), dtype=np.int64)
    count: IntArray = np.prod(candidates.splits, axis=1)
    for name in axes:
        axis = expression.axis_index[name]
        full = expression.lengths[axis] // candidates.blocks[:, axis]
        count = count // candidates.splits[:, axis] * np.maximum(full, 1)
    for slot in table.by_operand[operand]:
        axis, parts = table.slots[slot].axis, candidates.factors[:, slot]
        chunk = candidates.steps[:, axis] // parts * candidates.tiles[:, axis]
        count = count // parts * np.maximum(candidates.blocks[:, axis] // chunk, 1)
    return count


def _plain_dims(output: Operand) -> list[tuple[int, int]]:
    """Positions of dimensions that are one axis without gaps, with the axis' among the output's."""
    column = {name: i for i, name in enumerate(output.axes)}
    return [
        (position, column[dim.terms[0][0]])
        for position, dim in enumerate(output.dims[: MOST_CUTS.bit_length() - 1])
        if len(dim.terms) == 1 and dim.terms[0][1] == 1
    ]


def _is_axis(expression: TensorExpression, dim: Dim) -> bool:
    """Whether a dimension is all of one axis."""
    if len(dim.terms) != 1 or dim.terms[0][1] != 1 or dim.offset != 0:
        return False
    return dim.reach == 1 and expression.lengths[expression.axis_index[dim.terms[0][0]]] == dim.size


def _held_share(
    extent: Extent, position: int, split: IntArray, block: IntArray, parts: IntArray
) -> FloatArray:
    """Share of the parts of a dimension, cut in blocks first, that a window touches at most.

    An index is in one part, and indices in a row are in few blocks.
    """
    if extent is None:
        return np.ones(len(parts))
    blocks = np.minimum(split, (extent[position] - 2) // block + 2)
    touched = np.minimum(blocks * (parts // split), extent[position])
    share: FloatArray = touched / parts
    return share


def _count(cores: FloatArray) -> IntArray:
    return np.floor(cores * (1 + 1e-9)).astype(np.int64)
