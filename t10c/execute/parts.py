"""Parts of buffers: tiles of operands and of partial results, on all cores at once."""

from collections.abc import Mapping

import numpy as np

from t10c.execute.element_types import Array
from t10c.execute.kernels import Tile
from t10c.ir.expression import Dim, TensorExpression
from t10c.ir.formula import Value, evaluate
from t10c.ir.program import Access, Piece
from t10c.program.windows import sliding_windows, strided


def part_origin(
    piece: Piece, access: Access, lengths: Mapping[str, int], values: Mapping[str, Value]
) -> list[Value]:
    """Local index per dimension at which a part of a piece begins, a number or (cores,) each.

    The part is `lengths` long along its axes and begins at the access's offsets.
    """
    offsets = {axis: evaluate(formula, values) for axis, formula in access.offsets}
    whole = piece.lengths
    found: list[Value] = []
    for dim in piece.dims:
        begin: Value = 0
        for axis, stride in dim.terms:
            offset = offsets.get(axis, 0)
            if stride < 0:
                offset = whole[axis] - lengths[axis] - offset
            begin = begin + abs(stride) * offset
        found.append(begin if isinstance(begin, int) else begin[: piece.cores])
    return found


def open_output(expression: TensorExpression, part: Array, lengths: Mapping[str, int]) -> Array:
    """A part of the output, (cores, *hull), by axes: (cores, *output axes), the same memory."""
    output = expression.output
    return _open_axes(part, output.dims, output.axes, lengths)


def _open_axes(
    window: Array, dims: tuple[Dim, ...], axes: tuple[str, ...], lengths: Mapping[str, int]
) -> Array:
    """A window of an operand, (cores, *hull), by axes: (cores, *lengths of `axes`), not copied."""
    strides = dict.fromkeys(axes, 0)
    start = window
    for number, dim in enumerate(dims, start=1):
        for axis, stride in dim.terms:
            strides[axis] += stride * window.strides[number]
            if stride < 0:
                skipped = [slice(None)] * window.ndim
                skipped[number] = slice(-stride * (lengths[axis] - 1), None)
                start = start[tuple(skipped)]
    return strided(
        start,
        (len(window), *(lengths[axis] for axis in axes)),
        (window.strides[0], *(strides[axis] for axis in axes)),
    )


def existing_output(tile: Tile) -> Array:
    """Which points of the output exist on a core; broadcasts to (cores, *output axes)."""
    output = tile.expression.output
    found = np.ones((1,) * (len(output.axes) + 1), bool)
    if all(len(dim.terms) < 2 for dim in output.dims):
        return found
    for position, axis in enumerate(output.axes, start=1):
        exist = tile.existing(axis)
        if exist is not None:
            shape = [1] * found.ndim
            shape[0], shape[position] = exist.shape
            found = found & exist.reshape(shape)
    return found


def window(array: Array, begin: list[Value], extent: tuple[int, ...], copy: bool = False) -> Array:
    """The part of every core's array that begins at `begin`: (cores, *extent).

    It is the array's own memory where all cores begin at the same place, and `copy` is not set.
    """
    if not extent:
        return array.copy() if copy else array
    if all(isinstance(b, int) for b in begin):
        part = array[:, *(slice(b, b + n) for b, n in zip(begin, extent, strict=True))]
        return part.copy() if copy else part
    windows = sliding_windows(array, extent, tuple(range(1, array.ndim)))
    return np.asarray(windows[(np.arange(len(array)), *begin)])


def write_back(array: Array, begin: list[Value], extent: tuple[int, ...], part: Array) -> None:
    """Put a part that `window` gave back where it is not the array's own memory."""
    if all(isinstance(b, int) for b in begin):
        return
    windows = sliding_windows(array, extent, tuple(range(1, array.ndim)), writeable=True)
    windows[(np.arange(len(array)), *begin)] = part
