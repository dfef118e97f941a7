"""Cycles of compute tiles, tabulated over the lengths that tiles of one expression can have."""

import math
from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import tile_cycles
from t10c.ir.expression import TensorExpression
from t10c.search.bound import compute_bound_rate
from t10c.search.space import TIE, FloatArray, IntArray, Thresholds

_BATCH_CELLS = 2**17
_MOST_POINTS = 1e300


@dataclass(frozen=True)
class TileTable:
    """Kernel cycles by tile, one cell per combination of lengths.

    `lengths` has the lengths of every axis, ascending; a tile's cell is the sum over the axes of
    position * `strides`. `cycles` (cells,) is the kernel's time for the tile, `rate` (cells,) the
    least cycles per point of all tiles that are nowhere longer. Where there would be too many
    cells, one stands for all tiles, and `cycles` is None.
    """

    lengths: tuple[IntArray, ...]
    strides: tuple[int, ...]
    cycles: FloatArray | None
    rate: FloatArray

    def cells(self, axis: int, lengths: IntArray | FloatArray) -> IntArray:
        """What tiles of the given lengths along the axis add to the number of their cell."""
        if self.cycles is None:
            return np.zeros(len(lengths), dtype=np.int64)
        cells: IntArray = np.searchsorted(self.lengths[axis], lengths) * self.strides[axis]
        return cells


def tile_lengths(length: int, most_pieces: int, least_padding_ratio: float) -> IntArray:
    """Lengths that a tile may have along an axis cut into up to `most_pieces`, ascending.

    Blocks and steps may each pad down to the threshold, so together to its square. ceil(ceil(L/F)
    / T) = ceil(L / (F T)), hence one number of pieces stands for both.
    """
    root = math.isqrt(length) + 1
    few = np.arange(1, min(root, most_pieces, length) + 1)
    lengths = -(-length // few)
    if most_pieces > root:  # lengths of more pieces are short
        lengths = np.concatenate([lengths, np.arange(1, min(root, length) + 1)])
    lengths = np.unique(lengths)
    pieces = -(-length // lengths)
    useful = length / (pieces * lengths) >= (least_padding_ratio * TIE) ** 2
    found: IntArray = lengths[useful & (pieces <= most_pieces) & (-(-length // pieces) == lengths)]
    return found


def tabulate_tiles(
    expression: TensorExpression, spec: HardwareSpec, thresholds: Thresholds, most_cells: int
) -> TileTable:
    """The table of all tiles that may occur, if it has at most `most_cells` cells."""
    lengths = _all_lengths(expression, spec, thresholds, most_cells)
    if lengths is None:
        return TileTable((), (), None, np.array([compute_bound_rate(expression, spec)]))
    shape = [len(found) for found in lengths]
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    cycles = np.empty(math.prod(shape))
    points = np.empty(len(cycles))
    for begin in range(0, len(cycles), _BATCH_CELLS):
        batch = np.arange(begin, min(begin + _BATCH_CELLS, len(cycles)))
        tiles = np.empty((len(batch), len(shape)))
        for axis, (found, stride) in enumerate(zip(lengths, strides, strict=True)):
            tiles[:, axis] = found[batch // stride % len(found)]
        cycles[batch] = tile_cycles(spec, expression, tiles)
        points[batch] = points_of(tiles)
    rate = np.where(points < _MOST_POINTS, cycles / points, 0.0)
    for length, stride in zip(shape, strides, strict=True):
        if length > 1:
            along = rate.reshape(-1, length, stride)
            rate = np.minimum.accumulate(along, axis=1).ravel()
    return TileTable(tuple(lengths), strides, cycles, rate)


def points_of(lengths: IntArray | FloatArray) -> FloatArray:
    """Points of boxes of (boxes, axes) lengths; those of a fallback may exceed any float."""
    with np.errstate(over="ignore"):
        points: FloatArray = np.prod(lengths.astype(np.float64), axis=1)
    return np.minimum(points, _MOST_POINTS)


def _all_lengths(
    expression: TensorExpression, spec: HardwareSpec, thresholds: Thresholds, most_cells: int
) -> list[IntArray] | None:
    """Lengths of tiles along every axis; None if there are too many combinations."""
    lengths = []
    cells = 1
    for axis in expression.axes:
        found = np.array([axis.length])
        if axis.splittable:
            pieces = min(axis.length, spec.core_count**2)
            if min(math.isqrt(axis.length), pieces) > most_cells:
                return None
            found = tile_lengths(axis.length, pieces, thresholds.padding)
        lengths.append(found)
        cells *= len(found)
    return lengths if cells <= most_cells else None
