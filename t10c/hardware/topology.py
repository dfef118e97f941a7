"""Geometry of meshes and tori: how far cores are apart, and how loaded links become.

Routing is dimension-ordered: along x to the column of the destination, then along y. Neighbours
have one link in each direction. A torus has links between its ends, too, and a flow goes the
shorter way round, in the direction of growing coordinates where both are equally long. Routing and
topology as in Dally and Towles, Principles and Practices of Interconnection Networks, chapter 8.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t10c.hardware.spec import HardwareSpec

IntArray = NDArray[np.int64]

_CHUNK_FLOWS = 1 << 19
"""Flows looked at together: their arrays stay at some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cores at (x, y) with 0 <= x < width, 0 <= y < height; `wraps` tells a torus from a mesh."""

    width: int
    height: int
    wraps: bool

    @property
    def links(self) -> int:
        """Number of links, each of one direction."""
        across = self.height * _links_along(self.width, self.wraps)
        return across + self.width * _links_along(self.height, self.wraps)


def _links_along(length: int, wraps: bool) -> int:
    """Links of one line of cores, both directions."""
    return 0 if length == 1 else 2 * (length if wraps else length - 1)


@dataclass(frozen=True, slots=True)
class LinkLoads:
    """What flows that run at the same time put on the links.

    `most_bytes` pass over the most loaded link and `total_bytes` over all links together; `hops` is
    the longest way of any flow.
    """

    most_bytes: int
    total_bytes: int
    hops: int


def grid_of(spec: HardwareSpec) -> Grid | None:
    """The grid of a mesh or torus, rows along y; None for chips whose cores are all neighbours."""
    if spec.interconnect.kind == "all-to-all":
        return None
    assert spec.core_grid is not None, "a specification of a mesh or torus has a grid"
    rows, columns = spec.core_grid
    return Grid(columns, rows, spec.interconnect.kind == "torus2d")


def hops(grid: Grid, x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike) -> IntArray:
    """Links on the way from (x0, y0) to (x1, y1): arrays that broadcast to the result's shape."""
    across = _distance(grid.width, grid.wraps, _whole(x0), _whole(x1))
    along = _distance(grid.height, grid.wraps, _whole(y0), _whole(y1))
    return across + along


def link_loads(
    grid: Grid, x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike, size_bytes: ArrayLike
) -> LinkLoads:
    """The loads of flows of `size_bytes` from (x0, y0) to (x1, y1).

    All arguments are whole numbers, of shape (flows,) or scalars, at positions of the grid. Flows
    of 0 bytes, and of a core to itself, are free. Sums below 2^53 bytes are exact.
    """
    flows = np.broadcast_arrays(*(np.atleast_1d(_whole(a)) for a in (x0, y0, x1, y1, size_bytes)))
    across = _Loads(grid.height, grid.width, grid.wraps)
    along = _Loads(grid.width, grid.height, grid.wraps)
    total = longest = 0
    for begin in range(0, len(flows[0]), _CHUNK_FLOWS):
        part = slice(begin, begin + _CHUNK_FLOWS)
        fromx, fromy, tox, toy, size = (flow[part] for flow in flows)
        far = across.add(fromy, fromx, tox, size) + along.add(tox, fromy, toy, size)
        total += int(far @ size)
        longest = max(longest, int(far[size > 0].max(initial=0)))
    return LinkLoads(max(across.most(), along.most()), total, longest)


class _Loads:
    """Loads of the links along one dimension: `lines` lines of `length` cores.

    A flow adds its bytes where its links begin and takes them off where they end, so that a running
    sum over the line gives every link's load. `changes` is (2 directions * lines * length,): link i
    of a line leads from core i to the next one in the first half, and back in the second.
    """

    def __init__(self, lines: int, length: int, wraps: bool) -> None:
        self.lines, self.length, self.wraps = lines, length, wraps
        self.changes = np.zeros(2 * lines * length)

    def add(self, line: IntArray, begin: IntArray, end: IntArray, size: IntArray) -> IntArray:
        """Add flows from `begin` to `end` on a line; their number of links."""
        if self.length == 1:
            return np.zeros(len(size), np.int64)
        ahead, far = _way(self.length, self.wraps, begin, end)
        base = np.where(ahead, line, line + self.lines) * self.length
        low, high = np.where(ahead, begin, end), np.where(ahead, end, begin)
        weights = size.astype(np.float64)
        cells = len(self.changes)
        self.changes += np.bincount(base + low, weights, cells)
        self.changes -= np.bincount(base + high, weights, cells)
        round_the_end = low > high
        if round_the_end.any():
            self.changes += np.bincount(base[round_the_end], weights[round_the_end], cells)
        return far

    def most(self) -> int:
        """Bytes on the most loaded link."""
        return int(self.changes.reshape(-1, self.length).cumsum(axis=1).max(initial=0))


def _way(
    length: int, wraps: bool, begin: IntArray, end: IntArray
) -> tuple[NDArray[np.bool_], IntArray]:
    """Whether the way leads to growing coordinates (at first), and its number of links."""
    if not wraps:
        return end >= begin, np.abs(end - begin)
    ahead = (end - begin) % length
    return 2 * ahead <= length, np.minimum(ahead, length - ahead)


def _distance(length: int, wraps: bool, begin: IntArray, end: IntArray) -> IntArray:
    return _way(length, wraps, begin, end)[1]


def _whole(values: ArrayLike) -> IntArray:
    return np.asarray(values, np.int64)
