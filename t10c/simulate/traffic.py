"""Who receives and sends how much in an exchange, from where pieces lie before and after.

A core takes what it holds itself from its own memory; all else comes from cores that hold it, which
share the demand equally if there are several. Where several sources hold an element, the first one
named serves.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t10c.ir.formula import IntArray
from t10c.ir.graph import LayoutOp
from t10c.program.placed import distinct_rows
from t10c.program.views import moved
from t10c.simulate.boxes import (
    Boxes,
    FloatArray,
    cell_grid,
    element_grid,
    overlap,
    run_in_box,
)
from t10c.simulate.pull import pulled
from t10c.simulate.store import Lying

_NOWHERE = -1
"""Number of an element that no core holds: what a pad puts around."""


@dataclass(frozen=True)
class Traffic:
    """Elements that every core receives from others and sends to others, (cores,) each.

    `to_chip` is what every core sends to each chip's other cores, (cores, chips).
    """

    received: FloatArray
    sent: FloatArray
    to_chip: FloatArray

    def __add__(self, other: "Traffic") -> "Traffic":
        """Both, at the same time."""
        return Traffic(
            self.received + other.received, self.sent + other.sent, self.to_chip + other.to_chip
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


def move_traffic(
    into: Lying, tensor: str, sources: Sequence[Lying], tensors: Tensors, cores: int, chips: int
) -> Traffic:
    """What filling a buffer with its piece of `tensor` takes, from buffers through views."""
    return _traffic(into.boxes.padded(cores), tensor, sources, tensors, chips)


def _traffic(
    wanted: Boxes, tensor: str, sources: Sequence[Lying], tensors: Tensors, chips: int
) -> Traffic:
    """Traffic to boxes of a tensor: from one source, or through views as long as they are boxes."""
    nothing = np.zeros(wanted.cores)
    none = Traffic(nothing, nothing, np.zeros((wanted.cores, chips)))
    if not sources or not wanted.high.any():
        return none
    own = [source for source in sources if source.tensor == tensor]
    if own:
        held = own[0].boxes.padded(wanted.cores)
        if len(sources) == 1 or _serves(held, wanted):
            return _between(wanted, held, tensors.shapes[tensor], chips)
    view = tensors.views.get(tensor)
    if view is not None and not own:
        shapes = [tensors.shapes[name] for name in view.inputs]
        parts = pulled(view, wanted, tensors.shapes[tensor], shapes)
        if parts is not None:
            total = none
            for name, part in zip(view.inputs, parts, strict=True):
                made_of = tensors.behind(name)
                some = [source for source in sources if source.tensor in made_of]
                total = total + _traffic(part, name, some, tensors, chips)
            return total
    return _through_views(wanted, tensor, sources, tensors, chips)


def part_traffic(
    into: Lying, sources: Sequence[Lying], shape: tuple[int, ...], cores: int, chips: int
) -> Traffic:
    """What filling a part of a buffer takes: all that the sources hold of its tensor.

    Every element that a source holds goes to all cores that want it; copies share the work.
    """
    number = chip_of(cores, chips)
    received, to_chip = np.zeros(cores), np.zeros((cores, chips))
    wanted = into.boxes.padded(cores)
    for source in sources:
        held = source.boxes.padded(cores)
        for chip in range(chips):
            arriving, leaving, own = _common(_masked(wanted, number == chip), held, shape)
            received += np.maximum(arriving - own, 0)
            to_chip[:, chip] += np.maximum(leaving - own, 0) / _copies(held)
    return Traffic(received, to_chip.sum(axis=1), to_chip)


def _common(
    wanted: Boxes, held: Boxes, shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Elements common to boxes of cores: of every wanted box, of every held box, on one core.

    The first counts elements that any core holds, the second how often any core wants them.
    """
    if wanted.shape == held.shape:
        grid = cell_grid(wanted, held)
        size = grid.elements()
        there = grid.sums((grid.covering(held) > 0) * size, wanted)
        demand = grid.sums(grid.covering(wanted) * size, held)
        return there, demand, overlap(wanted, held).sizes
    grid = element_grid(shape)
    box, run = (held, wanted) if held.shape == shape else (wanted, held)
    on_boxes = grid.covering(box).reshape(-1)
    on_runs = element_grid(run.shape).covering(run)
    along = on_boxes > 0 if box is held else on_boxes
    total = np.concatenate([[0.0], np.cumsum(along)])
    of_runs = total[run.high[:, 0]] - total[run.low[:, 0]]
    weights = on_runs if box is held else (on_runs > 0).astype(np.float64)
    of_boxes = grid.sums(weights.reshape(shape), box)
    own = run_in_box(run, box)
    return (of_runs, of_boxes, own) if box is held else (of_boxes, of_runs, own)


def chip_of(cores: int, chips: int) -> IntArray:
    """The chip of every core, (cores,): consecutive cores are on one chip."""
    return np.arange(cores, dtype=np.int64) // -(-cores // chips)


def _serves(held: Boxes, wanted: Boxes) -> bool:
    """Whether all that any core wants is held by some core."""
    if held.shape != wanted.shape:  # a run: then all of the tensor must be held
        return bool(np.all(cell_grid(held).covering(held) > 0))
    grid = cell_grid(held, wanted)
    return bool(np.all((grid.covering(held) > 0) | (grid.covering(wanted) == 0)))


# One source that holds the tensor itself


def _between(wanted: Boxes, held: Boxes, shape: tuple[int, ...], chips: int) -> Traffic:
    """Traffic between two ways in which one tensor lies."""
    flat = (len(wanted.shape) == 1 and wanted.shape != shape, held.shape != shape)
    if held.shape == wanted.shape:
        own = overlap(wanted, held)
        grid = cell_grid(wanted, held)
        both, own_sizes = grid.covering(own), own.sizes
    elif len(held.shape) == 1 and math.prod(wanted.shape) == held.shape[0] and flat[1]:
        own_sizes = run_in_box(held, wanted)
        grid, both = element_grid(wanted.shape), None
    else:
        own_sizes = run_in_box(wanted, held)
        grid, both = element_grid(held.shape), None
    received = (wanted.sizes - own_sizes).astype(np.float64)
    number = chip_of(wanted.cores, chips)
    to_chip = np.zeros((wanted.cores, chips))
    copies = _copies(held)
    for chip in range(chips):
        here = number == chip
        some = wanted if chips == 1 else _masked(wanted, here)
        mine = np.where(here, own_sizes, 0)
        if both is not None:
            demand = grid.covering(some)
            demand -= both if chips == 1 else grid.covering(_masked(own, here))
            demand *= grid.elements()
            holding = np.maximum(grid.covering(held), 1)
            to_chip[:, chip] = grid.sums(demand / holding, held)
        elif grid.shape == wanted.shape and held.shape != grid.shape:
            demand = np.cumsum(grid.covering(some).reshape(-1))
            total = np.concatenate([[0.0], demand])
            sums = total[held.high[:, 0]] - total[held.low[:, 0]]
            to_chip[:, chip] = np.maximum(sums - mine, 0) / copies
        else:  # every element is wanted once: an even spread
            lengths = np.concatenate([[0], np.cumsum(some.sizes)])
            share = lengths[-1] / max(1, int(wanted.sizes.sum()))
            to_chip[:, chip] = np.maximum(held.sizes * share - mine, 0) / copies
    return Traffic(received, to_chip.sum(axis=1), to_chip)


def _masked(boxes: Boxes, keep: npt.NDArray[np.bool_]) -> Boxes:
    """The boxes, empty on cores that are not kept."""
    return Boxes(boxes.shape, boxes.low * keep[:, None], boxes.high * keep[:, None])


def _copies(held: Boxes) -> FloatArray:
    """How many cores hold the same box as each core, (cores,)."""
    _, same = distinct_rows(held.rows())
    return np.bincount(same)[same].astype(np.float64)


# Several sources, or views in between


@dataclass(frozen=True)
class _Pieces:
    """Distinct pieces of all sources: `element` numbers the pieces' elements on a tensor.

    `piece` is the number of the piece of every element number; `of_core` has for each source the
    piece of every core, `copies` how many cores hold each piece.
    """

    piece: IntArray
    of_core: tuple[IntArray, ...]
    copies: FloatArray


def _through_views(
    wanted: Boxes, tensor: str, sources: Sequence[Lying], tensors: Tensors, chips: int
) -> Traffic:
    """Traffic to boxes of a tensor that is made of others, element by element of distinct boxes."""
    cores = wanted.cores
    pieces, starts = _pieces(sources, tensors, cores)
    holders: dict[str, list[int]] = {}
    for number, source in enumerate(sources):
        holders.setdefault(source.tensor, []).append(number)
    numbers = _numbers(tensor, holders, sources, starts, tensors, cores)
    numbers = numbers.reshape(wanted.shape)
    repeated = _repeats(tensor, holders, tensors)
    chip = chip_of(cores, chips)
    received = np.zeros(cores)
    sent = np.zeros((len(pieces.copies), chips))
    first, same = distinct_rows(wanted.rows())
    order = np.argsort(same, kind="stable")
    begins = np.searchsorted(same[order], np.arange(len(first) + 1))
    for box, core in enumerate(first):
        low, high = wanted.low[core], wanted.high[core]
        if np.any(high <= low):
            continue
        index = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        elements = numbers[index].reshape(-1)
        elements = elements[elements != _NOWHERE]
        if repeated:
            elements = np.unique(elements)
        counts = np.bincount(pieces.piece[elements], minlength=len(pieces.copies))
        group = order[begins[box] : begins[box + 1]]
        received[group] = len(elements)
        members = np.bincount(chip[group], minlength=chips)
        some = np.flatnonzero(counts)
        sent[some] += counts[some, None] * members
        for of_core in pieces.of_core:
            own = of_core[group]
            has = own >= 0
            received[group[has]] -= counts[own[has]]
            np.subtract.at(sent, (own[has], chip[group[has]]), counts[own[has]])
    share = np.maximum(sent, 0) / pieces.copies[:, None]
    to_chip = np.zeros((cores, chips))
    for of_core in pieces.of_core:
        has = of_core >= 0
        to_chip[has] += share[of_core[has]]
    return Traffic(received, to_chip.sum(axis=1), to_chip)


def _pieces(
    sources: Sequence[Lying], tensors: Tensors, cores: int
) -> tuple[_Pieces, tuple[tuple[int, Boxes, IntArray], ...]]:
    """Distinct pieces of the sources; per source its first element's number and distinct boxes."""
    owners: list[IntArray] = []
    of_core, copies = [], []
    starts = []
    known = pieces = 0
    for source in sources:
        held = source.boxes
        first, same = distinct_rows(held.rows())
        own = np.full(cores, _NOWHERE, dtype=np.int64)
        own[: held.cores] = np.where(held.sizes > 0, same + pieces, _NOWHERE)
        of_core.append(own)
        copies.append(np.bincount(same, minlength=len(first)))
        size = math.prod(tensors.shapes[source.tensor])
        painted = _painted(held.take(first), size)
        owners.append(np.where(painted >= 0, painted + pieces, _NOWHERE))
        starts.append((known, held, painted))
        known, pieces = known + size, pieces + len(first)
    counts = np.concatenate(copies).astype(np.float64)
    return _Pieces(np.concatenate(owners), tuple(of_core), counts), tuple(starts)


def _painted(boxes: Boxes, size: int) -> IntArray:
    """For every element of a tensor the number of a box that it is in, flat."""
    result = np.full(boxes.shape, _NOWHERE, dtype=np.int64)
    for number in np.flatnonzero(boxes.sizes > 0):
        bounds = zip(boxes.low[number], boxes.high[number], strict=True)
        result[tuple(slice(low, high) for low, high in bounds)] = number
    return result.reshape(size)


def _numbers(
    tensor: str,
    holders: Mapping[str, list[int]],
    sources: Sequence[Lying],
    starts: tuple[tuple[int, Boxes, IntArray], ...],
    tensors: Tensors,
    cores: int,
) -> IntArray:
    """The number of the source element that every element of a tensor is, of its shape."""
    shape = tensors.shapes[tensor]
    result = np.full(shape, _NOWHERE, dtype=np.int64)
    for number in holders.get(tensor, ()):
        start, _, painted = starts[number]
        own = np.where(painted >= 0, np.arange(len(painted)) + start, _NOWHERE).reshape(shape)
        result = np.where(result == _NOWHERE, own, result)
    view = tensors.views.get(tensor)
    rest = {name: found for name, found in holders.items() if name != tensor}
    if view is None or not rest or not np.any(result == _NOWHERE):
        return result
    parts = [_numbers(name, rest, sources, starts, tensors, cores) for name in view.inputs]
    through = moved(view, parts, shape, np.asarray(_NOWHERE))
    return np.where(result == _NOWHERE, through, result)


def _repeats(tensor: str, holders: Mapping[str, list[int]], tensors: Tensors) -> bool:
    """Whether a tensor has elements of its sources several times."""
    view = tensors.views.get(tensor)
    if view is None or (tensor in holders and len(holders) == 1):
        return False
    if view.kind == "expand" or len(set(view.inputs)) < len(view.inputs):
        return True
    return any(_repeats(name, holders, tensors) for name in view.inputs)
