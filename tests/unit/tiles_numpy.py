"""Runs an expression tile by tile with the kernels of t10c.execute, on random tiles.

Every block of every axis is a core of its own, and is cut into tiles that reach beyond its end.
What no existing point reads is rubbish: NaN, or a number that spoils the result.
"""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from t10c.execute.kernels import (
    Partial,
    Tile,
    body_type,
    combine,
    contribution,
    fallback,
    finish,
    identity,
)
from t10c.ir.expression import Axis, Dim, Operand, TensorExpression

Arrays = dict[str, np.ndarray]


def random_cuts(axis: Axis, rng: np.random.Generator, most: int) -> list[tuple[int, int, int]]:
    """(start, length, stop) of the tiles of an axis, all of one length, some short or empty."""
    if not axis.splittable:
        return [(0, axis.length, axis.length)]
    blocks = int(rng.integers(1, most + 1))
    block = -(-axis.length // blocks) + int(rng.integers(0, 2))
    tiles = int(rng.integers(1, most + 1))
    length = -(-block // tiles)
    return [
        (start, length, min(first + block, axis.length))
        for first in range(0, blocks * block, block)
        for start in range(first, first + block, length)
    ]


def rubbish(shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """Contents of memory that nobody wrote."""
    if dtype.kind == "f" or "float" in dtype.name:
        return np.full(shape, np.nan).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(90, 127 if "4" not in dtype.name else 92, shape).astype(dtype)


def cut_window(
    operand: Operand, array: np.ndarray, tile: Tile, rng: np.random.Generator
) -> np.ndarray:
    """The operand's part of the tile on every core, rubbish where no existing point reads."""
    axes = {a: i for i, a in enumerate(tile.length)}
    cores = len(next(iter(tile.start.values()))) if axes else 1
    places, needed = [], []
    for dim in operand.dims:
        place, need = _dimension(dim, tile, axes, cores)
        places.append(place)
        needed.append(need)
    rank = len(operand.dims)
    shape = (cores, *(place.shape[1] for place in places))
    index = [
        np.clip(place, 0, dim.size - 1).reshape(cores, *(-1 if e == d else 1 for e in range(rank)))
        for d, (place, dim) in enumerate(zip(places, operand.dims, strict=True))
    ]
    held = np.ones(shape, bool)
    for d, (place, need, dim) in enumerate(zip(places, needed, operand.dims, strict=True)):
        keep = need & (place >= 0) & (place < dim.size)
        held &= keep.reshape(cores, *(-1 if e == d else 1 for e in range(rank)))
    values = array[tuple(np.broadcast_arrays(*index))] if rank else np.full(cores, array)
    return np.where(held, values.reshape(shape), rubbish(shape, array.dtype, rng))


def _dimension(
    dim: Dim, tile: Tile, axes: Mapping[str, int], cores: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a window's dimension, and which of them an existing point reads."""
    if dim.entries:
        return np.tile(np.arange(dim.size), (cores, 1)), np.ones((cores, dim.size), bool)
    lows, hull = np.full(cores, dim.offset), 1
    for axis, stride in dim.terms:
        ends = stride * tile.start[axis], stride * (tile.start[axis] + tile.length[axis] - 1)
        lows = lows + np.minimum(*ends)
        hull += abs(stride) * (tile.length[axis] - 1)
    need = np.zeros((cores, hull), bool)
    for core in range(cores):
        spans = [
            range(int(tile.start[a][core]), int(min(tile.start[a][core] + n, tile.stop[a][core])))
            for a, n in ((a, tile.length[a]) for a, _ in dim.terms)
        ]
        for point in itertools.product(*spans):
            at = dim.offset + sum(s * i for (_, s), i in zip(dim.terms, point, strict=True))
            need[core, at - lows[core]] = True
    return lows[:, None] + np.arange(hull), need


def run_tiled(
    expression: TensorExpression,
    inputs: list[np.ndarray],
    shape: tuple[int, ...],
    rng: np.random.Generator,
    most: int = 2,
) -> np.ndarray:
    """The expression's output, from random tiles whose results combine in random order."""
    arrays = {o.name: a for o, a in zip(expression.inputs, inputs, strict=True)}
    if expression.kernel == "fallback":
        return fallback(expression, arrays)
    cuts = {axis.name: random_cuts(axis, rng, most) for axis in expression.axes}
    while math.prod(map(len, cuts.values())) > 400:
        largest = max(cuts, key=lambda name: len(cuts[name]))
        length = expression.axes[expression.axis_index[largest]].length
        cuts[largest] = [(0, length, length)]
    output = expression.output.axes
    rest = [name for name in cuts if name not in output]
    boxes = list(itertools.product(*(range(len(cuts[name])) for name in output)))
    rounds = list(itertools.product(*(range(len(cuts[name])) for name in rest)))
    rng.shuffle(rounds)
    total: Partial | None = None
    for number in rounds:
        choice = [dict(zip([*output, *rest], [*box, *number], strict=True)) for box in boxes]
        tile = _tile(expression, cuts, choice, [*output, *rest])
        windows = {
            o.name: cut_window(o, arrays[o.name], tile, rng)
            for o in expression.inputs
            if not (o.fused and _only_later(expression, o.name))
        }
        given = contribution(tile, windows)
        for part in given:
            assert part.shape == (len(boxes), *(tile.length[a] for a in output))
        if total is None:
            total = given
            if expression.reduce_op and rng.integers(2):
                start = identity(expression, given[0].shape, *(part.dtype for part in given))
                assert [part.dtype for part in start] == [part.dtype for part in given]
                total = combine(expression, start, given)
        else:
            total = combine(expression, *((total, given) if rng.integers(2) else (given, total)))
    assert total is not None
    tile = _tile(expression, cuts, [dict(zip(output, box, strict=True)) for box in boxes], output)
    later = {name for step in expression.epilogue for name in step.inputs}
    if any(name in {f"s{i}" for i in range(len(expression.body))} for name in later):
        tile, later = _tile(expression, cuts, choice, [*output, *rest]), set(arrays)
    windows = {
        o.name: cut_window(o, arrays[o.name], tile, rng)
        for o in expression.inputs
        if o.name in later
    }
    kind = body_type(expression, arrays)
    found = finish(tile, total, windows, kind)
    assert found.shape == (len(boxes), *(tile.length[a] for a in output))
    return _joined(expression, found, tile, shape)


def _only_later(expression: TensorExpression, name: str) -> bool:
    return not any(name in step.inputs for step in expression.body)


def _tile(
    expression: TensorExpression,
    cuts: dict[str, list[tuple[int, int, int]]],
    choice: list[dict[str, int]],
    names: list[str] | tuple[str, ...],
) -> Tile:
    """One tile per chosen cut of every axis."""
    found = {name: np.array([cuts[name][c[name]] for c in choice]) for name in names}
    return Tile(
        expression,
        {name: rows[:, 0] for name, rows in found.items()},
        {name: int(rows[0, 1]) for name, rows in found.items()},
        {name: rows[:, 2] for name, rows in found.items()},
    )


def _joined(
    expression: TensorExpression, found: np.ndarray, tile: Tile, shape: tuple[int, ...]
) -> np.ndarray:
    """The output tensor from the existing points of all parts; each is written once."""
    output, axes = expression.output, expression.output.axes
    result = np.full(shape, 77).astype(found.dtype)
    written = np.zeros(shape, int)
    for core in range(len(found)):
        counts = [
            max(0, min(tile.length[a], int(tile.stop[a][core] - tile.start[a][core]))) for a in axes
        ]
        if 0 in counts:
            continue
        grid = dict(zip(axes, np.indices(counts), strict=True))
        index = tuple(
            np.broadcast_to(
                dim.offset + sum(s * (tile.start[a][core] + grid[a]) for a, s in dim.terms), counts
            )
            for dim in output.dims
        )
        result[index] = found[core][tuple(slice(n) for n in counts)]
        np.add.at(written, index, 1)
    if expression.output.dims:
        assert written.max() == 1
    return result
