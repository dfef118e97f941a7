"""Gather: the entries of a table that an index names, from the part of the table that is there.

What a tile gives is a value and whether it was found, so that tiles of the table combine exactly,
whatever the element type.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from t10c.execute.element_types import Array, BoolArray
from t10c.execute.form import form_of, per_expression
from t10c.execute.tiles import Tile, opened
from t10c.ir.expression import Dim, TensorExpression

Windows = Mapping[str, Array]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a gather reads: `picked` axes are read point by point, `copied` ones whole.

    `selected` are the table's axes that the index names, in order; `tuples` says that the index's
    last dimension has one entry for each of them.
    """

    table: str
    index: str
    table_dims: tuple[Dim, ...]
    index_dims: tuple[Dim, ...]
    picked: Names
    copied: Names
    selected: Names
    tuples: bool
    order: tuple[int, ...]


@per_expression
def _layout(expression: TensorExpression) -> _Layout:
    table, index = expression.inputs[:2]
    form, role = form_of(expression), {axis.name: axis.role for axis in expression.axes}
    selected = tuple(axis for axis in table.axes if role[axis] == "table")
    tuples = bool(index.dims) and index.dims[-1].entries
    picked = tuple(axis for axis in form.output if axis in index.axes)
    copied = tuple(a for a in form.output if a in table.axes and a not in picked)
    found = (*picked, *copied)
    return _Layout(
        table.name,
        index.name,
        table.dims,
        index.dims[:-1] if tuples else index.dims,
        picked,
        copied,
        selected,
        tuples,
        tuple(found.index(axis) for axis in form.output if axis in found),
    )


def gathered(tile: Tile, windows: Windows) -> tuple[Array, BoolArray]:
    """Values of the table's part, zero where the index names none of it, and where it does.

    Both are (cores, *output axes). A negative index counts from the table's end.
    """
    layout, length = _layout(tile.expression), tile.length
    table = windows[layout.table]
    cores, inner = table.shape[0], (*layout.picked, *layout.selected, *layout.copied)
    seen = opened(table, layout.table_dims, length, inner)
    places, found = _places(tile, windows, layout)
    at: list[Array | slice] = [np.arange(cores).reshape(-1, *[1] * len(layout.picked))]
    for position, size in enumerate(seen.shape[1 : 1 + len(layout.picked)]):
        shape = [1] * (len(layout.picked) + 1)
        shape[position + 1] = size
        at.append(np.arange(size).reshape(shape))
    at += [*places, *[slice(None)] * len(layout.copied)]
    values = seen[tuple(at)]
    full = (cores, *(length[axis] for axis in (*layout.picked, *layout.copied)))
    found = np.broadcast_to(found.reshape(*found.shape, *[1] * len(layout.copied)), full)
    values = np.where(found, values, np.zeros((), values.dtype))
    return _placed(values, layout, tile), _placed(found, layout, tile)


def _places(tile: Tile, windows: Windows, layout: _Layout) -> tuple[list[Array], BoolArray]:
    """The place within the tile along every selected axis, and whether all of them are in it."""
    index = windows[layout.index]
    columns = [index[..., d] for d in range(index.shape[-1])] if layout.tuples else [index]
    sizes = {axis.name: axis.length for axis in tile.expression.axes}
    found: BoolArray = np.ones((index.shape[0], *[1] * len(layout.picked)), bool)
    places = []
    for axis, column in zip(layout.selected, columns, strict=bool(layout.selected)):
        wanted = opened(column, layout.index_dims, tile.length, layout.picked).astype(np.int64)
        wanted = np.where(wanted < 0, wanted + sizes[axis], wanted)
        shape = (-1, *[1] * len(layout.picked))
        start, stop = tile.start[axis].reshape(shape), tile.stop[axis].reshape(shape)
        local = wanted - start
        found = found & (local >= 0) & (local < tile.length[axis]) & (wanted < stop)
        places.append(np.clip(local, 0, tile.length[axis] - 1))
    return places, found


def _placed(values: Array, layout: _Layout, tile: Tile) -> Array:
    """The values with the output's axes in its order."""
    moved = values.transpose(0, *(position + 1 for position in layout.order))
    output = form_of(tile.expression).output
    found = (*layout.picked, *layout.copied)
    if len(found) == len(output):
        return moved
    at = [tile.length[axis] if axis in found else 1 for axis in output]
    shape = (values.shape[0], *(tile.length[axis] for axis in output))
    return np.broadcast_to(moved.reshape(values.shape[0], *at), shape)
