"""Steps that work along the rows of a row-wise operator: reductions and running sums.

Each takes the values, the array axes of the rows, which are whole, and the step's attributes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from t10c.execute.element_types import Array, computing_type

Rows = tuple[int, ...]
Attributes = Mapping[str, Any]


def _reduced(function: np.ufunc, x: Array, rows: Rows, _: Attributes) -> Array:
    """One value per row, kept as dimensions of length 1."""
    wide = computing_type(x.dtype)
    result: Array = function.reduce(x, axis=rows, dtype=wide, keepdims=True)
    return result.astype(x.dtype, copy=False)


def _mean(x: Array, rows: Rows, _: Attributes) -> Array:
    """The mean of every row; that of integers is rounded towards zero."""
    wide = computing_type(x.dtype)
    if wide.kind in "iu":
        wide = np.dtype(np.float64)
    result: Array = np.mean(x, axis=rows, dtype=wide, keepdims=True)
    return result.astype(x.dtype, copy=False)


def _running(function: np.ufunc, x: Array, rows: Rows, attributes: Attributes) -> Array:
    """Sums or products up to every element, without it if `exclusive`, from behind if `reverse`."""
    axis, wide = rows[0], computing_type(x.dtype)
    line = np.flip(x, axis) if attributes.get("reverse", 0) else x
    total: Array = function.accumulate(line, axis=axis, dtype=wide)
    if attributes.get("exclusive", 0):
        shifted = np.full_like(total, function.identity)
        np.moveaxis(shifted, axis, -1)[..., 1:] = np.moveaxis(total, axis, -1)[..., :-1]
        total = shifted
    if attributes.get("reverse", 0):
        total = np.flip(total, axis)
    return total.astype(x.dtype, copy=False)


def _window_sum(x: Array, rows: Rows, attributes: Attributes) -> Array:
    """The sum of `size` neighbours, (size - 1) // 2 of them before; absent ones count as zero."""
    size = int(attributes["size"])
    line = np.moveaxis(x, rows[0], -1).astype(computing_type(x.dtype), copy=False)
    length, total = line.shape[-1], np.zeros_like(line)
    for move in range(-((size - 1) // 2), size // 2 + 1):
        to = slice(max(0, -move), min(length, length - move))
        if to.start < to.stop:
            total[..., to] += line[..., to.start + move : to.stop + move]
    return np.moveaxis(total, -1, rows[0]).astype(x.dtype, copy=False)


ROW_FUNCTIONS: dict[str, Callable[[Array, Rows, dict[str, Any]], Array]] = {
    "ReduceMax": partial(_reduced, np.maximum),
    "ReduceMin": partial(_reduced, np.minimum),
    "ReduceSum": partial(_reduced, np.add),
    "ReduceProd": partial(_reduced, np.multiply),
    "ReduceMean": _mean,
    "CumSum": partial(_running, np.add),
    "CumProd": partial(_running, np.multiply),
    "WindowSum": _window_sum,
}
