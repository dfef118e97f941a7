"""What a core lacks when a layout changes: elements needed, less those it already holds.

A view ties the needed box to the source's box atom by atom. Counts are exact where every merged
dimension is merged on one side only; elsewhere nothing counts as held, so that a count is never too
small.
"""

import math

import numpy as np

from t10c.schedule.atoms import View
from t10c.schedule.layout import Layout
from t10c.search.space import IntArray


def received_elements(need: Layout, views: tuple[View, ...], held: tuple[Layout, ...]) -> IntArray:
    """Elements that every core needs but does not hold, (cores of `need`,).

    `views` say how the needed tensor mirrors its sources, `held` how each source lies (parallel).
    Padding and constant regions, which no view covers, have no source and are free.
    """
    missing = np.zeros(len(need.start), dtype=np.int64)
    for view, layout in zip(views, held, strict=True):
        missing += _missing(need, view, layout)
    return missing


def _missing(need: Layout, view: View, held: Layout) -> IntArray:
    """Elements of one source that each core needs but does not hold."""
    start, stop = _clip_to_region(need, view)
    wanted = np.where(need.elements > 0, np.prod(np.maximum(stop - start, 0), axis=1), 0)
    for index, atom in enumerate(view.atoms):
        if not atom.source:
            # copies along a broadcast dimension are one source element
            dim = next((d for d, dims in enumerate(view.view_dims) if index in dims), None)
            if dim is not None and len(view.view_dims[dim]) == 1:
                length = np.maximum(stop[:, dim] - start[:, dim], 1)
                wanted = wanted // length
    cores = min(len(start), len(held.start))
    overlap = np.zeros(len(start), dtype=np.int64)
    overlap[:cores] = _overlap(start[:cores], stop[:cores], view, held, cores)
    missing: IntArray = wanted - np.minimum(overlap, wanted)
    return missing


def _clip_to_region(need: Layout, view: View) -> tuple[IntArray, IntArray]:
    """The needed box within the view's region, in the region's own coordinates."""
    if need.flat and len(view.view_dims) != 1:
        dims = len(view.view_dims)
        return (
            np.zeros((len(need.start), dims), np.int64),
            np.broadcast_to(np.array(view.extent, np.int64), (len(need.start), dims)),
        )
    low = np.array(view.region_start, dtype=np.int64)
    extent = np.array(view.extent, dtype=np.int64)
    start = np.clip(need.start - low, 0, extent)
    return start, np.clip(need.stop - low, 0, extent)


def _overlap(start: IntArray, stop: IntArray, view: View, held: Layout, cores: int) -> IntArray:
    """Elements of the needed box (region coordinates) that the same core holds of the source."""
    held_start, held_stop = held.start[:cores], held.stop[:cores]
    source_dims = view.source_dims
    if held.flat:
        source_dims = (tuple(a for dim in view.source_dims for a in dim),)
        if len(view.source_dims) == 0:
            return np.ones(cores, dtype=np.int64) * (held_stop[:, 0] > held_start[:, 0])
    total = np.ones(cores, dtype=np.int64)
    done: set[int] = set()
    owner = {a: d for d, dims in enumerate(view.view_dims) for a in dims}
    for dim, atoms in enumerate(source_dims):
        targets = {owner[a] for a in atoms if a in owner and not view.atoms[a].fixed}
        simple = all(len(view.view_dims[t]) == 1 for t in targets)
        if simple:
            count = _count_in_run(
                view, atoms, owner, start, stop, held_start[:, dim], held_stop[:, dim]
            )
        elif len(targets) == 1 and not held.flat:
            target = targets.pop()
            if target in done:
                continue
            done.add(target)
            sources = [d for d, s in enumerate(source_dims) if set(s) & set(view.view_dims[target])]
            if any(len(source_dims[d]) != 1 for d in sources):
                return np.zeros(cores, dtype=np.int64)
            count = _count_merged(view, source_dims, target, start, stop, held_start, held_stop)
        else:
            return np.zeros(cores, dtype=np.int64)
        total = total * count
    return total


def _count_in_run(
    view: View,
    atoms: tuple[int, ...],
    owner: dict[int, int],
    start: IntArray,
    stop: IntArray,
    run_start: IntArray,
    run_stop: IntArray,
) -> IntArray:
    """Indices of the needed box whose source index, made of `atoms`, lies in a run.

    One sliced atom is an interval; several atoms are the digits of a mixed radix.
    """
    if len(atoms) == 1:
        atom = view.atoms[atoms[0]]
        if atom.fixed or atoms[0] not in owner:
            return ((run_start <= atom.start) & (atom.start < run_stop)).astype(np.int64)
        dim = owner[atoms[0]]
        low = -((atom.start - run_start) // atom.step)
        high = -((atom.start - run_stop) // atom.step)
        common = np.minimum(high, stop[:, dim]) - np.maximum(low, start[:, dim])
        return np.asarray(np.maximum(common, 0), dtype=np.int64)
    lows, highs, sizes = [], [], []
    for position in atoms:
        atom = view.atoms[position]
        if atom.step != 1:
            return np.zeros(len(run_start), dtype=np.int64)
        if atom.fixed or position not in owner:
            low = np.full(len(run_start), atom.start)
            lows.append(low)
            highs.append(low + 1)
        else:
            lows.append(start[:, owner[position]] + atom.start)
            highs.append(stop[:, owner[position]] + atom.start)
        sizes.append(atom.length)
    return _digits_below(run_stop, lows, highs, sizes) - _digits_below(
        run_start, lows, highs, sizes
    )


def _count_merged(
    view: View,
    source_dims: tuple[tuple[int, ...], ...],
    target: int,
    start: IntArray,
    stop: IntArray,
    held_start: IntArray,
    held_stop: IntArray,
) -> IntArray:
    """Indices of the needed run along a merged dimension that lie in the held box."""
    lows, highs, sizes = [], [], []
    where = {dims[0]: d for d, dims in enumerate(source_dims) if len(dims) == 1}
    for position in view.view_dims[target]:
        atom = view.atoms[position]
        if not atom.source:
            lows.append(np.zeros(len(start), np.int64))
            highs.append(np.full(len(start), atom.size, np.int64))
        else:
            if atom.step != 1:
                return np.zeros(len(start), dtype=np.int64)
            lows.append(np.clip(held_start[:, where[position]] - atom.start, 0, atom.size))
            highs.append(np.clip(held_stop[:, where[position]] - atom.start, 0, atom.size))
        sizes.append(atom.size)
    return _digits_below(stop[:, target], lows, highs, sizes) - _digits_below(
        start[:, target], lows, highs, sizes
    )


def _digits_below(
    bound: IntArray, lows: list[IntArray], highs: list[IntArray], sizes: list[int]
) -> IntArray:
    """Numbers below `bound` whose mixed-radix digits all lie in [low, high)."""
    count = np.zeros(len(bound), dtype=np.int64)
    inside = np.ones(len(bound), dtype=bool)
    weight = math.prod(sizes)
    for index, size in enumerate(sizes):
        weight //= size
        digit = bound // weight if index == 0 else bound // weight % size
        rest = np.ones(len(bound), dtype=np.int64)
        for low, high in zip(lows[index + 1 :], highs[index + 1 :], strict=True):
            rest *= np.maximum(high - low, 0)
        below = np.clip(digit - lows[index], 0, np.maximum(highs[index] - lows[index], 0))
        count += np.where(inside, below * rest, 0)
        inside &= (lows[index] <= digit) & (digit < highs[index])
    return count
