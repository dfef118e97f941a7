"""The parts of layouts that a view looks at: many views of one tensor differ in where they look.

A recurrence reads hundreds of slices of a tensor, one per step. What a plan holds of a slice is its
box within a window, counted from the window's first index, and of all slices most plans hold the
same few boxes. Seen through windows, views that differ in their place only are one view.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.schedule.atoms import Atom, View
from t10c.schedule.layout import Layout
from t10c.schedule.numbering import numbered
from t10c.schedule.received_matrix import first_alike
from t10c.search.space import IntArray

SmallArray = NDArray[np.int32]

_UNLIMITED = 2**31 - 1

Extent = tuple[int, ...] | None
"""Lengths of a window; None for no window: all of the layout is looked at."""


@dataclass(frozen=True, slots=True)
class Window:
    """Indices `low` <= index < low + extent along every dimension of a layout."""

    low: tuple[int, ...]
    extent: tuple[int, ...]


def extent_of(window: Window | None) -> Extent:
    """Lengths of a window, None of none."""
    return None if window is None else window.extent


def clipped(layout: Layout, window: Window) -> SmallArray:
    """Starts and stops of a layout's boxes within a window, from its first index: (cores, sides).

    Boxes that are empty there are all the same.
    """
    low = np.array(window.low, dtype=np.int64)
    return clipped_to(layout.start, layout.stop, low, window.extent)


def clipped_to(
    start: IntArray, stop: IntArray, low: IntArray, extent: tuple[int, ...]
) -> SmallArray:
    """The same of boxes (..., dims) within windows that begin at `low`, which is broadcast."""
    boxes = np.concatenate([start - low, stop - low], axis=-1, dtype=np.int32, casting="unsafe")
    dims = len(extent)
    limit = np.array(extent * 2, dtype=np.int32)
    np.minimum(np.maximum(boxes, 0, out=boxes), limit, out=boxes)
    boxes[(boxes[..., dims:] <= boxes[..., :dims]).any(axis=-1)] = 0
    return boxes


def shown_alike(layout: Layout, lows: IntArray, extent: tuple[int, ...], cores: int) -> IntArray:
    """Numbers that tell apart what windows show of layouts, (layouts, windows, numbers).

    The layout is of several, `cores` rows of each, which windows of one extent look at, `lows`
    (windows, dims). Where all numbers are the same, so are the boxes within the window.
    """
    count = len(layout.start) // cores
    unlimited = [dim for dim, length in enumerate(extent) if length == _UNLIMITED]
    sides = [side.reshape(count, cores, -1) for side in (layout.start, layout.stop)]
    whole = np.concatenate([side[:, :, unlimited] for side in sides], axis=2)
    found = [np.broadcast_to(first_alike(whole.reshape(count, -1))[1][:, None], (count, len(lows)))]
    for dim, length in enumerate(extent):
        if length == _UNLIMITED:
            continue
        first, way = first_alike(np.concatenate([side[:, :, dim] for side in sides], axis=1))
        own = [side[first, :, dim] for side in sides]
        every, window = np.unique(lows[:, dim], return_inverse=True)
        shown = _shown_along(own[0], own[1], every, length)
        found.append(shown[way[:, None], window.ravel()])
    return np.stack(found, axis=2)


def _shown_along(start: IntArray, stop: IntArray, lows: IntArray, extent: int) -> IntArray:
    """Numbers of what windows show of layouts along one dimension, (layouts, windows).

    `start` and `stop` are (layouts, cores).
    """
    begins = _earliest(start, stop, lows, extent)
    row = np.repeat(np.arange(len(start)), len(lows))
    count, which = numbered(np.stack([row, begins.ravel()], axis=1))
    some = np.empty(count, dtype=np.int64)
    some[which] = np.arange(len(which))
    row, low = row[some], begins.ravel()[some, None]
    boxes = np.concatenate([start[row] - low, stop[row] - low], axis=1)
    np.minimum(np.maximum(boxes, 0, out=boxes), extent, out=boxes)
    return first_alike(boxes)[1][which].reshape(begins.shape)


def _earliest(start: IntArray, stop: IntArray, lows: IntArray, extent: int) -> IntArray:
    """Where windows begin that show the same, as early as boxes tell, (layouts, windows).

    Where no box begins or ends within a window, it shows the same as one that begins where the
    last box before did.
    """
    # sides of all layouts in one rising row, those of each after those of the one before
    span = max(int(stop.max(initial=0)), int(lows.max(initial=0))) + extent + 1
    base = np.arange(len(start))[:, None] * span
    known = np.unique(np.concatenate([base, start + base, stop + base], axis=1))
    low = lows + base
    after = np.searchsorted(known, low, side="right")
    within = np.searchsorted(known, low + extent, side="left") > after
    found: IntArray = np.where(within, lows, known[after - 1] - base)
    return found


@dataclass(frozen=True)
class Windowed:
    """A view without its place: `need` and `held` are the windows that place it.

    None: all of the layout is looked at.
    """

    view: View
    need: Window | None = None
    held: Window | None = None

    @property
    def extents(self) -> tuple[Extent, Extent]:
        """Lengths of both windows."""
        return extent_of(self.need), extent_of(self.held)


def windowed(view: View, shape: tuple[int, ...], source: tuple[int, ...]) -> Windowed:
    """A view by which a tensor of a shape shows a source, told apart from where it looks.

    Only dimensions of the source that are one atom each, read without gaps, can be told apart.
    """
    if not shape or not source or max(*shape, *source) >= _UNLIMITED:
        return Windowed(view)
    need = None
    if view.extent != shape:
        need = Window(view.region_start, view.extent)
        view = view._replace(region_start=(0,) * len(shape))
    atoms, low, extent = list(view.atoms), [], []
    for dim in view.source_dims:
        place = (0, _UNLIMITED)
        if len(dim) == 1 and atoms[dim[0]].step == 1:
            atom = atoms[dim[0]]
            size = 1 if atom.fixed else atom.size
            if (atom.start, size) != (0, atom.length):
                place = (atom.start, size)
                atoms[dim[0]] = Atom(atom.size, fixed=atom.fixed, source=atom.source, length=size)
        low.append(place[0])
        extent.append(place[1])
    if all(size == _UNLIMITED for size in extent):
        return Windowed(view, need, None)
    return Windowed(view._replace(atoms=tuple(atoms)), need, Window(tuple(low), tuple(extent)))
