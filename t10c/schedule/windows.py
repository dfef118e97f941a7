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
    boxes = np.concatenate([layout.start, layout.stop], axis=1, dtype=np.int32, casting="unsafe")
    dims = len(window.low)
    empty = np.zeros(len(boxes), dtype=bool)
    for dim, (low, extent) in enumerate(zip(window.low, window.extent, strict=True)):
        start, stop = boxes[:, dim], boxes[:, dims + dim]
        if (low, extent) != (0, _UNLIMITED):
            boxes[:, dim] = start = np.minimum(np.maximum(start - low, 0), extent)
            boxes[:, dims + dim] = stop = np.minimum(np.maximum(stop - low, 0), extent)
        empty |= stop <= start
    boxes[empty] = 0
    return boxes


def earliest(layout: Layout, window: Window, cores: int) -> IntArray:
    """Where windows begin that show the same, as early as boxes tell, (layouts, dims).

    Where no box begins or ends within a window, it shows the same as one that begins where the
    last box before did. The layout is of several, `cores` rows of each.
    """
    found = np.tile(np.array(window.low, dtype=np.int64), (len(layout.start) // cores, 1))
    for dim, (low, extent) in enumerate(zip(window.low, window.extent, strict=True)):
        if extent == _UNLIMITED:
            continue
        sides = np.concatenate(
            [side[:, dim].reshape(-1, cores) for side in (layout.start, layout.stop)], axis=1
        )
        within = ((sides > low) & (sides < low + extent)).any(axis=1)
        before = np.where(sides <= low, sides, 0).max(axis=1)
        found[:, dim] = np.where(within, low, before)
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
