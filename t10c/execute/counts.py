"""How many points a mean is taken over: those of the reduction axes that lie in the tensor.

The dimensions of a window that may leave the tensor are independent unless they share a reduction
axis, so the count is a product of counts per group of such dimensions.
"""

import math

import numpy as np

from t10c.execute.element_types import BoolArray, IntArray
from t10c.execute.form import form_of
from t10c.execute.tiles import Tile
from t10c.ir.expression import Dim


def valid_points(tile: Tile) -> IntArray:
    """Points of the whole reduction inside all tensors; broadcasts to (cores, *output axes)."""
    form = form_of(tile.expression)
    sizes = {axis.name: axis.length for axis in tile.expression.axes}
    dims = [dim for _, dim in form.guarded]
    counted = {axis for dim in dims for axis, _ in dim.terms}
    rest = math.prod(sizes[axis] for axis in form.reduction_axes if axis not in counted)
    total: IntArray = np.full((1,) * (len(form.output) + 1), rest, np.int64)
    for group in _groups(dims, form.reduction_axes):
        total = total * _inside(tile, group, sizes)
    return total


def _groups(dims: list[Dim], reduction_axes: tuple[str, ...]) -> list[list[Dim]]:
    """The dimensions in groups that share no reduction axis."""
    groups: list[tuple[set[str], list[Dim]]] = []
    for dim in dims:
        axes, members = {axis for axis, _ in dim.terms if axis in reduction_axes}, [dim]
        for group in [group for group in groups if group[0] & axes]:
            groups.remove(group)
            axes, members = axes | group[0], group[1] + members
        groups.append((axes, members))
    return [members for _, members in groups]


def _inside(tile: Tile, dims: list[Dim], sizes: dict[str, int]) -> IntArray:
    """Points of the group's reduction axes inside the tensor: (cores, *output axes or 1)."""
    form = form_of(tile.expression)
    used = {axis for dim in dims for axis, _ in dim.terms}
    summed = [axis for axis in form.reduction_axes if axis in used]
    rank = 1 + len(form.output) + len(summed)
    at: dict[str, IntArray] = {}
    for position, axis in enumerate((*form.output, *summed), start=1):
        shape = [1] * rank
        if axis in summed:
            shape[position] = sizes[axis]
            at[axis] = np.arange(sizes[axis]).reshape(shape)
        elif axis in used:
            index = tile.start[axis][:, None] + np.arange(tile.length[axis])
            shape[0], shape[position] = index.shape
            at[axis] = index.reshape(shape)
    inside: BoolArray = np.ones((1,) * rank, bool)
    for dim in dims:
        place = dim.offset + sum((s * at[axis] for axis, s in dim.terms), np.zeros((), np.int64))
        inside = inside & (place >= 0) & (place < dim.size)
    count: IntArray = inside.sum(axis=tuple(range(1 + len(form.output), rank)))
    return count
