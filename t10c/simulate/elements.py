"""Traffic through views that make no boxes of boxes: element by element of distinct boxes."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from t10c.ir.formula import IntArray
from t10c.ir.graph import LayoutOp
from t10c.program.views import moved
from t10c.simulate.boxes import Boxes, FloatArray
from t10c.simulate.geometry import Geometry
from t10c.simulate.pairs import Groups, Incidences, Pairs, expanded, gathered, grouped, joined, met
from t10c.simulate.store import Lying

_NOWHERE = -1
"""Number of an element that no core holds: what a pad puts around."""


@dataclass(frozen=True)
class Traffic:
    """Elements that every core receives from others, (cores,), and sends to them.

    `to_chip` is what every core sends to each chip's other cores, (cores, chips). `pairs` say who
    sends to whom, on a grid; None where that was not followed.
    """

    received: FloatArray
    to_chip: FloatArray
    pairs: Pairs | None

    def __add__(self, other: "Traffic") -> "Traffic":
        """Both, at the same time."""
        mine, yours = self.pairs, other.pairs
        return Traffic(
            self.received + other.received,
            self.to_chip + other.to_chip,
            None if mine is None or yours is None else mine + yours,
        )


@dataclass(frozen=True)
class Tensors:
    """Shapes of tensors, and the views that make some of others."""

    shapes: Mapping[str, tuple[int, ...]]
    views: Mapping[str, LayoutOp]

    def behind(self, tensor: str) -> frozenset[str]:
        """The tensors that one may be made of by views, itself included."""
        view = self.views.get(tensor)
        inputs = view.inputs if view is not None else ()
        return frozenset({tensor}).union(*(self.behind(name) for name in inputs))


def traffic_through_views(
    wanted: Boxes, tensor: str, sources: Sequence[Lying], tensors: Tensors, at: Geometry
) -> Traffic:
    """Traffic to boxes of a tensor that is made of others, element by element of distinct boxes."""
    laid = [grouped(source.boxes.padded(at.cores)) for source in sources]
    have = joined([groups for _, groups in laid])
    pieces = _Pieces.of([boxes for boxes, _ in laid], sources, tensors)
    boxes, want = grouped(wanted)
    numbers = pieces.numbers(tensor, {s.tensor for s in sources}).reshape(wanted.shape)
    repeated = _repeats(tensor, {s.tensor for s in sources}, tensors)
    found = [met(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for number, bounds in enumerate(zip(boxes.low, boxes.high, strict=True)):
        elements = numbers[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))].reshape(-1)
        elements = elements[elements != _NOWHERE]
        if repeated:
            elements = np.unique(elements)
        owners = pieces.piece[elements]
        found.append(met(np.full_like(owners, number), owners, np.ones(len(owners))))
    return _summed(gathered(found), want, have, at)


def _summed(found: Incidences, want: Groups, have: Groups, at: Geometry) -> Traffic:
    """Traffic by core of what groups want of pieces."""
    copies = np.maximum(1, have.counts)
    count = len(copies)
    totals = np.bincount(found.groups, found.sizes, len(want.counts))
    of_core = want.of_core[0]
    asks = of_core >= 0
    received = np.where(asks, totals[of_core] if len(totals) else 0.0, 0.0)
    members = np.zeros((len(want.counts), at.chips))
    np.add.at(members, (of_core[asks], at.chip[asks]), 1)
    sent = np.zeros((count, at.chips))
    np.add.at(sent, found.pieces, found.sizes[:, None] * members[found.groups])
    key = found.groups * count + found.pieces
    for layout in have.of_core:
        cores = np.flatnonzero(asks & (layout >= 0))
        wanted = of_core[cores] * count + layout[cores]
        place = np.minimum(np.searchsorted(key, wanted), max(0, len(key) - 1))
        hit = (key[place] == wanted) if len(key) else np.zeros(len(cores), dtype=bool)
        own = np.where(hit, found.sizes[place] if len(key) else 0.0, 0.0)
        received[cores] -= own
        np.subtract.at(sent, (layout[cores], at.chip[cores]), own)
    share = (
        np.maximum(sent, 0)
        / np.maximum(1, np.pad(have.counts, (0, count - len(have.counts))))[:, None]
    )
    to_chip = np.zeros((at.cores, at.chips))
    for layout in have.of_core:
        to_chip += np.where((layout >= 0)[:, None], share[layout], 0.0)
    pairs = None if at.grid is None else expanded(found, want, have, at)
    return Traffic(received, to_chip, pairs)


@dataclass(frozen=True)
class _Pieces:
    """Elements of all sources, numbered one after the other: `piece` says which piece each is in.

    `begins` is the number of every source's first element, `names` its tensor.
    """

    tensors: Tensors
    names: tuple[str, ...]
    begins: tuple[int, ...]
    piece: IntArray

    @classmethod
    def of(cls, distinct: Sequence[Boxes], sources: Sequence[Lying], tensors: Tensors) -> "_Pieces":
        """Number the elements and pieces of all sources; `distinct` are their distinct boxes."""
        owners, begins = [], [0]
        known = 0
        for boxes, source in zip(distinct, sources, strict=True):
            painted = _painted(boxes, math.prod(tensors.shapes[source.tensor]))
            owners.append(np.where(painted >= 0, painted + known, _NOWHERE))
            begins.append(begins[-1] + len(painted))
            known += boxes.cores
        names = tuple(source.tensor for source in sources)
        return cls(tensors, names, tuple(begins), np.concatenate(owners))

    def numbers(self, tensor: str, left: Set[str]) -> IntArray:
        """The number of the source element that every element of a tensor is, of its shape.

        `left` are the tensors of sources that may still be used.
        """
        shape = self.tensors.shapes[tensor]
        result = np.full(shape, _NOWHERE, dtype=np.int64)
        for name, begin, end in zip(self.names, self.begins, self.begins[1:], strict=False):
            if name == tensor and name in left:
                held = self.piece[begin:end] != _NOWHERE
                own = np.where(held, np.arange(begin, end), _NOWHERE).reshape(shape)
                result = np.where(result == _NOWHERE, own, result)
        view, rest = self.tensors.views.get(tensor), left - {tensor}
        if view is None or not rest or not np.any(result == _NOWHERE):
            return result
        parts = [self.numbers(name, rest) for name in view.inputs]
        through = moved(view, parts, shape, np.asarray(_NOWHERE))
        return np.where(result == _NOWHERE, through, result)


def _painted(boxes: Boxes, size: int) -> IntArray:
    """For every element of a tensor the number of a box that it is in, flat."""
    result = np.full(boxes.shape, _NOWHERE, dtype=np.int64)
    for number in np.flatnonzero(boxes.sizes > 0):
        bounds = zip(boxes.low[number], boxes.high[number], strict=True)
        result[tuple(slice(low, high) for low, high in bounds)] = number
    return result.reshape(size)


def _repeats(tensor: str, left: Set[str], tensors: Tensors) -> bool:
    """Whether a tensor has elements of its sources several times."""
    view = tensors.views.get(tensor)
    if view is None or not left - {tensor}:
        return False
    if view.kind == "expand" or len(set(view.inputs)) < len(view.inputs):
        return True
    return any(_repeats(name, left - {tensor}, tensors) for name in view.inputs)
