"""How many cores hold anything of what is read, at most, and how many need a piece, at least.

Cores form a grid, in which every part of an axis lies on as many cores as any other. Plans that cut
a tensor where it is read slice by slice leave most cores without any of a slice; if more cores need
a piece of it than hold anything, one of them receives all of that piece.
"""

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Dim, TensorExpression
from t10c.schedule.choices import Choices
from t10c.schedule.cuts import plain_dims
from t10c.schedule.kinds import Kinds
from t10c.schedule.shares import home_grid
from t10c.schedule.windows import Extent
from t10c.search.candidates import Candidates
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable, slot_table


class CoreCounts:
    """Numbers of cores of every kind of plans; those of rows are remembered."""

    def __init__(self, choices: tuple[Choices, ...], spec: HardwareSpec) -> None:
        self._choices = choices
        self._core_count = spec.core_count
        self._holding: dict[tuple[int, Extent], tuple[IntArray, IntArray]] = {}
        self._needing: dict[tuple[int, int], IntArray] = {}

    def holding(self, number: int, extent: Extent, own: Kinds) -> IntArray:
        """Cores that hold any of the output within a window of an extent at most, (kinds,)."""
        choices = self._choices[number]
        expression, listed = choices.problem.expression, choices.listed
        if (number, extent) not in self._holding:
            self._holding[number, extent] = (
                holding_cores(expression, slot_table(expression), listed.candidates, extent),
                holding_cores_of_cuts(expression, listed.rest.cuts, extent, self._core_count),
            )
        of_rows, of_parts = self._holding[number, extent]
        found = np.zeros(len(own), dtype=np.int64)
        some = np.flatnonzero(own.member_of >= 0)
        np.maximum.at(found, own.member_of[some], of_rows[some])
        found[own.listed :] = np.maximum(found[own.listed :], of_parts[own.rests])
        return found

    def needing(self, number: int, operand: int, own: Kinds) -> IntArray:
        """Cores that need as much of an operand as `Kinds.needed` says, at least, (kinds,).

        Of what is not listed nothing is said to be needed, and any number will do.
        """
        choices = self._choices[number]
        if (number, operand) not in self._needing:
            expression = choices.problem.expression
            self._needing[number, operand] = needing_cores(
                expression, slot_table(expression), choices.listed.candidates, operand
            )
        found = np.full(len(own), self._core_count)
        some = np.flatnonzero(own.member_of >= 0)
        np.minimum.at(found, own.member_of[some], self._needing[number, operand][some])
        return found


def holding_cores(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, extent: Extent
) -> IntArray:
    """Cores that have some of the output's home within a window of an extent, at most, (plans,)."""
    cores = np.prod(candidates.splits, axis=1).astype(np.float64)
    _, parts = home_grid(expression, table, candidates)
    for position, column in plain_dims(expression):
        axis = expression.axis_index[expression.output.axes[column]]
        split, block = candidates.splits[:, axis], candidates.blocks[:, axis]
        cores *= _held_share(extent, position, split, block, parts[:, column])
    return _count(cores)


def holding_cores_of_cuts(
    expression: TensorExpression, cuts: IntArray, extent: Extent, core_count: int
) -> IntArray:
    """`holding_cores` of any plans that cut such sets of dimensions at least, (cuts,)."""
    held = np.full(len(cuts), float(core_count))
    for position, column in plain_dims(expression):
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
