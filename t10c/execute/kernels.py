"""What one compute instruction does on a tile, on all cores at once.

    tile, windows --contribution--> partial --combine--> ... --finish--> output's part

A contribution is what the body gives over the tile, reduced over the tile's part of the reduction
axes. Contributions combine in any order. Points outside a tensor (padding) or beyond a core's share
take no part, whatever their windows hold there.
"""

import math
from collections.abc import Mapping

import numpy as np

from t10c.execute.counts import valid_points
from t10c.execute.element_types import Array, BoolArray, DType, accumulating_type
from t10c.execute.form import Form, body_type, form_of
from t10c.execute.functions import divide
from t10c.execute.gather import gathered
from t10c.execute.products import CHUNK_BYTES, product
from t10c.execute.reductions import Partial, combine, identity, neutral, reduced
from t10c.execute.reference import fallback
from t10c.execute.scalar import apply_steps
from t10c.execute.tiles import Tile, on_window, opened
from t10c.ir.expression import Dim, Operand

__all__ = [
    "Partial",
    "Tile",
    "body_type",
    "combine",
    "contribution",
    "fallback",
    "finish",
    "identity",
]

Windows = Mapping[str, Array]


def contribution(tile: Tile, windows: Windows) -> Partial:
    """What the body gives over the tile: arrays (cores, *output axes).

    `windows` has the operands of the body by name, (cores, *hull) each. Raises
    UnsupportedOperatorError for an operator in a step that is not known.
    """
    expression, form = tile.expression, form_of(tile.expression)
    if expression.kernel == "gather":
        return gathered(tile, windows)
    if form.sides is not None:
        return (product(tile, windows),)
    cores = next(iter(windows.values())).shape[0]
    chunk = max(1, CHUNK_BYTES // (8 * math.prod(tile.length[axis] for axis in form.grid)))
    if chunk >= cores:
        return _over_grid(tile, windows, form)
    parts = []
    for first in range(0, cores, chunk):
        part = slice(first, first + chunk)
        some = {name: window[part] for name, window in windows.items()}
        parts.append(_over_grid(tile.of_cores(part), some, form))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _over_grid(tile: Tile, windows: Windows, form: Form) -> Partial:
    """The body at every point of the tile, reduced."""
    expression = tile.expression
    if form.copied is not None and expression.reduce_op is not None:
        return _of_windows(tile, windows[form.copied.name], form, form.copied)
    env = _opened_inputs(tile, windows, form)
    value = apply_steps(expression.body, env, 0, form.normalised)
    cores = next(iter(windows.values())).shape[0]
    if expression.reduce_op is None:
        return (_on_output(value, cores, tile, form),)
    return reduced(tile, value, _inside(tile, form, form.guarded), value.dtype)


def _of_windows(tile: Tile, window: Array, form: Form, operand: Operand) -> Partial:
    """The reduction of an operand as it is: what is not in the tensor is replaced before opening.

    Elements of overlapping windows are so looked at once.
    """
    operation = tile.expression.reduce_op
    assert operation is not None
    kind = window.dtype
    outside = [(dim, m) for _, dim in form.guarded if (m := tile.inside(dim)) is not None]
    if outside:
        wide = accumulating_type(kind, operation)
        keep = on_window(operand.dims, outside)
        window = np.where(keep, window.astype(wide, copy=False), neutral(operation, wide))
    values = opened(window, operand.dims, tile.length, form.grid)
    return reduced(tile, values, _inside(tile, form, ()), kind)


def _opened_inputs(tile: Tile, windows: Windows, form: Form) -> dict[str, Array]:
    """The body's operands along the grid."""
    return {
        operand.name: opened(windows[operand.name], operand.dims, tile.length, form.grid)
        for operand in form.inner
    }


def _inside(tile: Tile, form: Form, guarded: tuple[tuple[str, Dim], ...]) -> BoolArray | None:
    """Which points of the grid count, as an array that broadcasts to it; None if all do."""
    inside: BoolArray | None = None
    for _, dim in guarded:
        within = tile.inside(dim)
        if within is not None:
            mask = opened(within, (dim,), tile.length, form.grid)
            inside = mask if inside is None else inside & mask
    for position, axis in zip(form.reduced, form.reduction_axes, strict=True):
        exist = tile.existing(axis)
        if exist is not None:
            shape = [1] * (len(form.grid) + 1)
            shape[0], shape[position] = exist.shape
            mask = exist.reshape(shape)
            inside = mask if inside is None else inside & mask
    return inside


def _on_output(value: Array, cores: int, tile: Tile, form: Form) -> Array:
    """A value on the grid that has no extent beyond the output's axes, as (cores, *output)."""
    shape = (cores, *(tile.length[axis] for axis in form.output))
    kept = value.reshape(value.shape[: len(shape)]) if value.ndim > len(shape) else value
    return kept if kept.shape == shape else np.broadcast_to(kept, shape)


def finish(tile: Tile, partial: Partial, windows: Windows, kind: DType | None = None) -> Array:
    """The output's part (cores, *output axes) from the whole reduction: mean, index, epilogue.

    `windows` has the operands of the epilogue over the tile's part of the output's axes; the tile
    need not have other axes. `kind` is the body's element type (`body_type`), to which the
    reduction is rounded before the epilogue; without it, it stays in the type it accumulated in.
    The result has the type that the last step yields, which the tensor's own type may rename.
    """
    expression, form = tile.expression, form_of(tile.expression)
    value = _reduction_value(tile, partial, form, kind)
    if not expression.epilogue:
        return value
    axes = form.grid if form.epilogue_reads_body else form.output
    env: dict[str, Array] = {}
    if form.epilogue_reads_body:
        env = _opened_inputs(tile, windows, form)
        apply_steps(expression.body, env, 0, form.normalised)
        value = value.reshape(*value.shape, *[1] * (len(axes) - len(form.output)))
    for operand in form.outer:
        env[operand.name] = opened(windows[operand.name], operand.dims, tile.length, axes)
    env["acc"] = value
    result = apply_steps(expression.epilogue, env, len(expression.body), form.normalised)
    return _on_output(result, value.shape[0], tile, form)


def _reduction_value(tile: Tile, partial: Partial, form: Form, kind: DType | None) -> Array:
    """What the epilogue finds in `acc`: the reduction's result in the body's type."""
    expression, value = tile.expression, partial[0]
    if form.argument is not None:
        return partial[1]
    if expression.reduce_op == "mean":
        count = valid_points(tile)
        with np.errstate(all="ignore"):
            value = divide(value, count.astype(value.dtype))
    return value if kind is None else value.astype(kind, copy=False)
