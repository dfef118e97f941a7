"""What a core lacks when a layout changes: elements needed, less those it already holds.

A view ties the needed box to the source's box atom by atom. Counts are exact where every merged
dimension is merged on one side only; elsewhere nothing counts as held, so that a count is never too
small.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from t10c.schedule.atoms import Atom, View
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
    wanted, elements = wanted_boxes(need, view)
    factors = common_factors(view, held.flat)
    if factors is None:
        return elements
    cores = min(len(need.start), len(held.start))
    needed, lying = wanted.of_cores(cores), layout_bounds(held).of_cores(cores)
    overlap = np.zeros(len(elements), dtype=np.int64)
    overlap[:cores] = math.prod(
        (factor.count(needed, lying) for factor in factors), start=np.ones((), np.int64)
    )
    return elements - np.minimum(overlap, elements)


@dataclass(frozen=True)
class Bounds:
    """Boxes, `start` <= index < `stop`: an array per dimension, all of one shape."""

    start: tuple[IntArray, ...]
    stop: tuple[IntArray, ...]

    def of_cores(self, count: int) -> "Bounds":
        """The boxes of the first cores."""
        return Bounds(
            tuple(side[:count] for side in self.start), tuple(side[:count] for side in self.stop)
        )


def layout_bounds(layout: Layout) -> Bounds:
    """The boxes of a layout, (cores,) each."""
    return Bounds(tuple(layout.start.T), tuple(layout.stop.T))


def wanted_boxes(need: Layout, view: View) -> tuple[Bounds, IntArray]:
    """What cores need through a view: boxes in its region's coordinates, and source elements.

    All are (cores,).
    """
    start, stop = _clip_to_region(need, view)
    wanted = np.where(need.elements > 0, np.prod(np.maximum(stop - start, 0), axis=1), 0)
    for index, atom in enumerate(view.atoms):
        if not atom.source:
            # copies along a broadcast dimension are one source element
            dim = next((d for d, dims in enumerate(view.view_dims) if index in dims), None)
            if dim is not None and len(view.view_dims[dim]) == 1:
                length = np.maximum(stop[:, dim] - start[:, dim], 1)
                wanted = wanted // length
    return Bounds(tuple(start.T), tuple(stop.T)), wanted


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


@dataclass(frozen=True)
class Factor:
    """What some dimensions add to the number of elements that needed and held boxes both have.

    That number is the product over the factors of a view, each a function of the bounds of its own
    dimensions alone. `run` factors take one held dimension `dim`, made of `atoms`, each along a
    needed dimension of its own (`others`); `merged` ones take one needed dimension, its atoms along
    held dimensions. In `others` -1 stands for no dimension: a single index, or a broadcast atom.
    """

    kind: Literal["run", "merged"]
    dim: int
    atoms: tuple[Atom, ...]
    others: tuple[int, ...]

    @property
    def need_dims(self) -> tuple[int, ...]:
        """Needed dimensions whose bounds count."""
        return self._along if self.kind == "run" else (self.dim,)

    @property
    def held_dims(self) -> tuple[int, ...]:
        """Held dimensions whose bounds count."""
        return (self.dim,) if self.kind == "run" else self._along

    @property
    def _along(self) -> tuple[int, ...]:
        return tuple(dim for dim in self.others if dim >= 0)

    def count(self, need: Bounds, held: Bounds) -> IntArray:
        """Indices along these dimensions that are needed (in the region's coordinates) and held.

        Bounds of needed and of held boxes broadcast against each other, and so does the result:
        pairs of boxes, or all of some with all of others.
        """
        counted = _count_in_run if self.kind == "run" else _count_merged
        return counted(self, need, held)


def common_factors(view: View, flat: bool) -> tuple[Factor, ...] | None:
    """The factors of a view whose source lies in boxes, or `flat` in runs; None: nothing counts."""
    source_dims = view.source_dims
    if flat:
        source_dims = (tuple(a for dim in view.source_dims for a in dim),)
    owner = {a: d for d, dims in enumerate(view.view_dims) for a in dims if not view.atoms[a].fixed}
    held_dim = {a: d for d, dims in enumerate(source_dims) for a in dims}
    factors: dict[tuple[str, int], Factor] = {}
    for dim, atoms in enumerate(source_dims):
        targets = {owner[a] for a in atoms if a in owner}
        if all(len(view.view_dims[t]) == 1 for t in targets):
            others = tuple(owner.get(a, -1) for a in atoms)
            factors["run", dim] = _factor("run", dim, view, atoms, others)
            continue
        target = min(targets)
        merged = view.view_dims[target]
        others = tuple(held_dim.get(a, -1) for a in merged)
        if flat or len(targets) > 1 or any(d >= 0 and len(source_dims[d]) != 1 for d in others):
            return None
        factors["merged", target] = _factor("merged", target, view, merged, others)
    return tuple(factors.values())


def _factor(
    kind: Literal["run", "merged"],
    dim: int,
    view: View,
    atoms: tuple[int, ...],
    others: tuple[int, ...],
) -> Factor:
    return Factor(kind, dim, tuple(view.atoms[a] for a in atoms), others)


def _count_in_run(factor: Factor, need: Bounds, held: Bounds) -> IntArray:
    """Indices of the needed box whose source index, made of the atoms, lies in the held run.

    One sliced atom is an interval; several atoms are the digits of a mixed radix.
    """
    run_start, run_stop = held.start[factor.dim], held.stop[factor.dim]
    if not factor.atoms:  # a tensor without dimensions
        return (run_stop > run_start).astype(run_start.dtype)
    if len(factor.atoms) == 1:
        atom, dim = factor.atoms[0], factor.others[0]
        if dim < 0:
            return ((run_start <= atom.start) & (atom.start < run_stop)).astype(run_start.dtype)
        low = -((atom.start - run_start) // atom.step)
        high = -((atom.start - run_stop) // atom.step)
        first = np.maximum(low, need.start[dim])
        # arrays are compared faster with each other than with a number
        return np.asarray(np.maximum(np.minimum(high, need.stop[dim]), first) - first)
    lows: list[IntArray] = []
    highs: list[IntArray] = []
    for atom, dim in zip(factor.atoms, factor.others, strict=True):
        if atom.step != 1:
            return np.zeros_like(run_start)
        if dim < 0:
            lows.append(np.full_like(run_start, atom.start))
            highs.append(lows[-1] + 1)
        else:
            lows.append(need.start[dim] + atom.start)
            highs.append(need.stop[dim] + atom.start)
    sizes = [atom.length for atom in factor.atoms]
    below = _digits_below(run_start, lows, highs, sizes)
    return _digits_below(run_stop, lows, highs, sizes) - below


def _count_merged(factor: Factor, need: Bounds, held: Bounds) -> IntArray:
    """Indices of the needed run along a merged dimension that lie in the held box."""
    run_start, run_stop = need.start[factor.dim], need.stop[factor.dim]
    lows, highs = [], []
    for atom, dim in zip(factor.atoms, factor.others, strict=True):
        if not atom.source:
            lows.append(np.zeros_like(run_start))
            highs.append(lows[-1] + atom.size)
        else:
            if atom.step != 1:
                return np.zeros_like(run_start)
            lows.append(np.clip(held.start[dim] - atom.start, 0, atom.size))
            highs.append(np.clip(held.stop[dim] - atom.start, 0, atom.size))
    sizes = [atom.size for atom in factor.atoms]
    below = _digits_below(run_start, lows, highs, sizes)
    return _digits_below(run_stop, lows, highs, sizes) - below


def _digits_below(
    bound: IntArray, lows: list[IntArray], highs: list[IntArray], sizes: list[int]
) -> IntArray:
    """Numbers below `bound` whose mixed-radix digits all lie in [low, high)."""
    lengths = [np.maximum(high - low, 0) for low, high in zip(lows, highs, strict=True)]
    count = np.zeros((), dtype=bound.dtype)
    inside = np.ones((), dtype=bool)
    weight = math.prod(sizes)
    for index, size in enumerate(sizes):
        weight //= size
        digit = bound // weight if index == 0 else bound // weight % size
        rest = np.ones((), dtype=bound.dtype)
        for length in lengths[index + 1 :]:
            rest = rest * length
        below = np.minimum(np.maximum(digit - lows[index], 0), lengths[index])
        count = count + np.where(inside, below * rest, 0)
        inside = inside & (lows[index] <= digit) & (digit < highs[index])
    return count
