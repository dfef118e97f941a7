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
from t10c.ir.formula import IntArray

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
    links = Links(grid)
    links.add(x0, y0, x1, y1, size_bytes)
    return links.loads()


class Links:
    """The links of a grid, and what flows at the same time put on them."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._across = _Loads(grid.height, grid.width, grid.wraps)
        self._along = _Loads(grid.width, grid.height, grid.wraps)
        self._longest = 0

    def loads(self) -> LinkLoads:
        """The loads of all that was added."""
        loads = self._across.all(), self._along.all()
        most, total = (max(x.max(initial=0) for x in loads), sum(x.sum() for x in loads))
        return LinkLoads(int(most), int(total), self._longest)

    def add(
        self, x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike, size_bytes: ArrayLike
    ) -> None:
        """Add flows, as `link_loads` takes them."""
        flows = np.broadcast_arrays(
            *(np.atleast_1d(_whole(a)) for a in (x0, y0, x1, y1, size_bytes))
        )
        for begin in range(0, len(flows[0]), _CHUNK_FLOWS):
            part = slice(begin, begin + _CHUNK_FLOWS)
            fromx, fromy, tox, toy, size = (flow[part] for flow in flows)
            far = self._across.add(fromy, fromx, tox, size)
            far += self._along.add(tox, fromy, toy, size)
            self._longest = max(self._longest, int(far[size > 0].max(initial=0)))

    def add_spread(
        self,
        source: tuple[IntArray, IntArray],
        group: IntArray,
        size_bytes: IntArray,
        members: tuple[IntArray, IntArray],
        begins: IntArray,
    ) -> None:
        """Add flows from every source (ways,) to each member of its group, without listing them.

        Sources and members are given by x and y; group g has the members from `begins[g]` up to
        `begins[g + 1]`. On a mesh only: on a torus the way round depends on both ends.
        """
        assert not self.grid.wraps, "a torus has two ways round"
        (sx, sy), (mx, my) = source, members
        owner = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
        # along x: a line of cores for every row in which a group has sources
        rows, row_of_way = np.unique(group * self.grid.height + sy, return_inverse=True)
        from_cores = _entries(row_of_way, sx, size_bytes, self.grid.width)
        to_columns = _entries(owner, mx, np.ones_like(mx), self.grid.width)
        line = (rows // self.grid.height, rows % self.grid.height)
        self._across.add_all(line, from_cores, to_columns, own_sends=True)
        # along y: a line for every column in which a group has members
        columns, column_of = np.unique(owner * self.grid.width + mx, return_inverse=True)
        from_rows = _entries(group, sy, size_bytes, self.grid.height)
        to_cores = _entries(column_of, my, np.ones_like(my), self.grid.height)
        line = (columns // self.grid.width, columns % self.grid.width)
        self._along.add_all(line, to_cores, from_rows, own_sends=False)
        far = _farthest(source, group, size_bytes, members, owner, len(begins) - 1)
        self._longest = max(self._longest, far)


@dataclass(frozen=True)
class _Entries:
    """What lies where on lines: sums of `value` by (line, place), in order; all (entries,)."""

    line: IntArray
    place: IntArray
    value: IntArray


def _entries(line: IntArray, place: IntArray, value: IntArray, length: int) -> _Entries:
    key, same = np.unique(line * length + place, return_inverse=True)
    total = np.rint(np.bincount(same, value, len(key))).astype(np.int64)
    return _Entries(key // length, key % length, total)


def _farthest(
    source: tuple[IntArray, IntArray],
    group: IntArray,
    size_bytes: IntArray,
    members: tuple[IntArray, IntArray],
    owner: IntArray,
    groups: int,
) -> int:
    """Most links between a source and a member of its group: by the extremes of x + y and x - y."""
    longest = 0
    sends = size_bytes > 0
    for sign in (1, -1):
        ours = (source[0] + sign * source[1])[sends]
        theirs = members[0] + sign * members[1]
        for way in (1, -1):
            most = np.full(groups, np.iinfo(np.int64).min // 4)
            least = np.full(groups, np.iinfo(np.int64).max // 4)
            np.maximum.at(most, group[sends], way * ours)
            np.minimum.at(least, owner, way * theirs)
            longest = max(longest, int((most - least).max(initial=0)))
    return longest


class _Loads:
    """Loads of the links along one dimension: `lines` lines of `length` cores.

    A flow adds its bytes where its links begin and takes them off where they end, so that a running
    sum over the line gives every link's load. `changes` is (2 directions * lines * length,): link i
    of a line leads from core i to the next one in the first half, and back in the second.
    """

    def __init__(self, lines: int, length: int, wraps: bool) -> None:
        self.lines, self.length, self.wraps = lines, length, wraps
        self.changes = np.zeros(2 * lines * length)
        self.loads: NDArray[np.float64] | None = None

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

    def add_all(
        self, lines: tuple[IntArray, IntArray], own: _Entries, shared: _Entries, own_sends: bool
    ) -> None:
        """Add flows from every sender to every taker on lines: bytes times the number of takers.

        `lines` are (group, number of the line of cores). Of the entries `own` are those of a line,
        `shared` those of a group, on all its lines; `own_sends` says which of them are the senders.
        """
        group, number = lines
        if self.length == 1 or not len(group):
            return
        here = np.searchsorted(own.line, np.arange(len(group) + 1))
        there = np.searchsorted(shared.line, np.arange(int(group.max()) + 2))
        counts = np.diff(there)[group]
        flows = np.diff(here) * counts
        begin = 0
        dense = int(flows.sum()) > len(group) * self.length
        ends = np.cumsum(np.full(len(group), self.length) if dense else flows)
        while begin < len(group):
            limit = (ends[begin - 1] if begin else 0) + _CHUNK_FLOWS
            end = max(begin + 1, int(np.searchsorted(ends, limit, side="right")))
            mine = slice(int(here[begin]), int(here[end]))
            if dense:
                first, last = int(group[begin]), int(group[end - 1]) + 1
                part = slice(int(there[first]), int(there[last]))
                self._add_dense(
                    number[begin:end],
                    self._table(own, mine, begin, end - begin),
                    self._table(shared, part, first, last - first)[group[begin:end] - first],
                    own_sends,
                )
            else:
                line = own.line[mine]
                times = counts[line]
                row = np.repeat(np.arange(mine.start, mine.stop), times)
                nth = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
                other = there[group[own.line[row]]] + nth
                ends_of = own.place[row], shared.place[other]
                origin, target = ends_of if own_sends else ends_of[::-1]
                size = own.value[row] * shared.value[other]
                self.add(number[own.line[row]], origin, target, size)
            begin = end

    def _table(self, entries: _Entries, part: slice, first: int, count: int) -> IntArray:
        """Entries as a table (lines, length) of `count` lines from `first` on."""
        cell = (entries.line[part] - first) * self.length + entries.place[part]
        table = np.bincount(cell, entries.value[part], count * self.length)
        return np.rint(table).astype(np.int64).reshape(count, self.length)

    def _add_dense(
        self, number: IntArray, own: IntArray, shared: IntArray, own_sends: bool
    ) -> None:
        """Add what cores of lines send to each of so many takers: tables (lines, length)."""
        sent, taken = (own, shared) if own_sends else (shared, own)
        if self.loads is None:
            self.loads = np.zeros((2 * self.lines, self.length))
        before, served = np.cumsum(sent, axis=1), np.cumsum(taken, axis=1)
        order = np.argsort(number, kind="stable")
        distinct, begins = np.unique(number[order], return_index=True)
        ahead = before * (served[:, -1:] - served)  # over the link from core i to the next one
        self.loads[distinct] += np.add.reduceat(ahead[order], begins, axis=0)
        back = (before[:, -1:] - before) * served  # over the link to core i from the next one
        self.loads[distinct + self.lines] += np.add.reduceat(back[order], begins, axis=0)

    def all(self) -> NDArray[np.float64]:
        """Bytes on every link, (2 directions * lines, length)."""
        loads = self.changes.reshape(-1, self.length).cumsum(axis=1)
        return loads if self.loads is None else loads + self.loads


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
