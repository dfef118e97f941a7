"""From which core to which core elements go: what links of a mesh have to carry.

Of several cores that hold what a core wants, the nearest one sends it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from t10c.ir.formula import IntArray
from t10c.program.placed import distinct_rows
from t10c.simulate.boxes import Boxes, FloatArray, cell_grid, element_grid
from t10c.simulate.geometry import Geometry

_MOST_PAIRS = 1 << 24
"""More pairs of cores than that are not followed."""

_MOST_LISTED = 1 << 20
"""Where pairs need not be listed to know the loads of links, more of them are not listed."""

_MOST_CHOICES = 1 << 25
"""The nearest of several holders is looked for among so many at most; else any serves."""

_MOST_OVERLAPPING = 1 << 13
"""Boxes that overlap are looked at one by one, up to so many."""


@dataclass(frozen=True)
class Spread:
    """Elements that go from cores to all cores of groups: source, group and elements, (ways,) each.

    Group g has the cores `members[begins[g] : begins[g + 1]]`.
    """

    source: IntArray
    group: IntArray
    elements: FloatArray
    members: IntArray
    begins: IntArray


@dataclass(frozen=True)
class Pairs:
    """Elements that go from cores to cores, (pairs,) each; a pair may occur several times.

    `spreads` are what would be too many pairs.
    """

    source: IntArray
    target: IntArray
    elements: FloatArray
    spreads: tuple[Spread, ...] = ()

    def __add__(self, other: "Pairs") -> "Pairs":
        """Both."""
        return Pairs(
            np.concatenate([self.source, other.source]),
            np.concatenate([self.target, other.target]),
            np.concatenate([self.elements, other.elements]),
            (*self.spreads, *other.spreads),
        )


NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True)
class Groups:
    """Cores with equal boxes: `members` in order of their group, which begin at `begins`.

    `of_core` is the group of every core, -1 for none: (layouts, cores), since groups may be those
    of several layouts, one after the other.
    """

    members: IntArray
    begins: IntArray
    of_core: IntArray

    @property
    def counts(self) -> IntArray:
        """Cores of every group."""
        return np.diff(self.begins)


def grouped(boxes: Boxes) -> tuple[Boxes, Groups]:
    """Distinct boxes, and the cores that have them; cores without elements are in no group."""
    cores = np.flatnonzero(boxes.sizes > 0)
    some = boxes.take(cores)
    first, same = distinct_rows(some.rows())
    order = np.argsort(same, kind="stable")
    begins = np.searchsorted(same[order], np.arange(len(first) + 1))
    of_core = np.full((1, boxes.cores), -1, dtype=np.int64)
    of_core[0, cores] = same
    return some.take(first), Groups(cores[order], begins, of_core)


def joined(groups: Sequence[Groups]) -> Groups:
    """The groups of several layouts, numbered one after the other."""
    counts = np.cumsum([0, *(len(g.begins) - 1 for g in groups)])
    cores = np.cumsum([0, *(len(g.members) for g in groups)])
    begins = [g.begins[:-1] + start for g, start in zip(groups, cores, strict=False)]
    of_core = [
        np.where(g.of_core >= 0, g.of_core + n, -1) for g, n in zip(groups, counts, strict=False)
    ]
    return Groups(
        np.concatenate([g.members for g in groups]),
        np.concatenate([*begins, cores[-1:]]),
        np.concatenate(of_core),
    )


@dataclass(frozen=True)
class Incidences:
    """Groups that want what pieces have, and how many elements: (incidences,) each, in order."""

    groups: IntArray
    pieces: IntArray
    sizes: FloatArray


def pairs_between(wanted: Boxes, held: Boxes, shape: tuple[int, ...], at: Geometry) -> Pairs | None:
    """Who sends what to whom; None where there are too many pairs, or boxes overlap too much."""
    (boxes, want), (pieces, have) = grouped(wanted), grouped(held)
    if not len(want.members) or not len(have.members):
        return NO_PAIRS
    met = _incidences(boxes, pieces, shape)
    return None if met is None else expanded(met, want, have, at)


def _incidences(wanted: Boxes, held: Boxes, shape: tuple[int, ...]) -> Incidences | None:
    """What distinct boxes want of distinct pieces; None where boxes overlap too much."""
    if wanted.shape != held.shape:  # runs of the flattened tensor on one side
        mine, yours = element_grid(wanted.shape), element_grid(held.shape)
        size = np.ones(math.prod(shape))
    else:
        mine = yours = cell_grid(wanted, held)
        size = mine.elements().reshape(-1)
    owner, asking = yours.numbered(held), mine.numbered(wanted)
    if owner is None or (asking is None and wanted.cores > _MOST_OVERLAPPING):
        return None
    owner = owner.reshape(-1)
    if asking is not None:
        return met(asking.reshape(-1), owner, size)
    found = []
    cells = np.arange(len(owner)).reshape(mine.shape)
    for number, box in enumerate(mine.slices(wanted)):
        inside = cells[box].reshape(-1)
        found.append(met(np.full_like(inside, number), owner[inside], size[inside]))
    return gathered(found)


def met(groups: IntArray, pieces: IntArray, sizes: FloatArray) -> Incidences:
    """Sums of sizes by group and piece, where there are both (numbers that are not negative)."""
    some = (groups >= 0) & (pieces >= 0)
    if not some.all():
        groups, pieces, sizes = groups[some], pieces[some], sizes[some]
    if not len(groups):
        return Incidences(groups, pieces, sizes)
    width = int(pieces.max()) + 1
    key = groups * width + pieces
    begins = np.concatenate([[0], np.flatnonzero(np.diff(key)) + 1])  # runs are soon few
    sizes = np.add.reduceat(sizes, begins)
    key, same = np.unique(key[begins], return_inverse=True)
    return Incidences(key // width, key % width, np.bincount(same, sizes).astype(np.float64))


def gathered(found: Sequence[Incidences]) -> Incidences:
    """Incidences of several groups, in order."""
    return Incidences(
        np.concatenate([f.groups for f in found]),
        np.concatenate([f.pieces for f in found]),
        np.concatenate([f.sizes for f in found]),
    )


def expanded(found: Incidences, want: Groups, have: Groups, at: Geometry) -> Pairs | None:
    """Every member of a group gets its own from the nearest holder of the piece."""
    counts = want.counts[found.groups]
    total = int(counts.sum())
    if total > _MOST_LISTED and _can_spread(found, have, at):
        source = have.members[have.begins[found.pieces]]
        spread = Spread(source, found.groups, found.sizes, want.members, want.begins)
        return replace(NO_PAIRS, spreads=(spread,))
    if total > _MOST_PAIRS:
        return None
    row = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    target = want.members[want.begins[found.groups[row]] + nth]
    piece = found.pieces[row]
    copies = have.counts[piece]
    source = have.members[have.begins[piece] + nth % copies]
    most = int(copies.max(initial=1))
    if most > 1 and total * most <= _MOST_CHOICES:
        choices = have.begins[piece][:, None] + np.minimum(np.arange(most), copies[:, None] - 1)
        far = at.hops(have.members[choices], np.broadcast_to(target[:, None], choices.shape))
        source = have.members[choices[np.arange(total), np.argmin(far, axis=1)]]
    own = np.any(have.of_core[:, target] == piece, axis=0)
    return Pairs(np.where(own, target, source), target, found.sizes[row])


def _can_spread(found: Incidences, have: Groups, at: Geometry) -> bool:
    """Whether loads follow from sources and groups: on a mesh, where only one core has a piece."""
    on_mesh = at.grid is not None and not at.grid.wraps
    return on_mesh and not np.any(have.counts[found.pieces] > 1)
