"""Who receives and sends how much in an exchange, from where pieces lie before and after.

A core takes what it holds itself from its own memory; all else comes from cores that hold it, which
share the demand equally if there are several (on a grid the nearest one sends it). Where several
sources hold an element, the first one named serves.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from t10c.ir.formula import IntArray
from t10c.program.placed import distinct_rows
from t10c.simulate.boxes import (
    Boxes,
    FloatArray,
    cell_grid,
    element_grid,
    elements_before,
    overlap,
    run_in_box,
)
from t10c.simulate.elements import Tensors, Traffic, traffic_through_views
from t10c.simulate.geometry import Geometry
from t10c.simulate.pairs import NO_PAIRS, Pairs, pairs_between
from t10c.simulate.pull import pulled
from t10c.simulate.store import Lying

_MANY_ELEMENTS = 1024
"""Per stretch of a flattened tensor: where there are more, stretches are quicker to look at."""


def move_traffic(
    into: Lying, tensor: str, sources: Sequence[Lying], tensors: Tensors, at: Geometry
) -> Traffic:
    """What filling a buffer with its piece of `tensor` takes, from buffers through views."""
    return _traffic(into.boxes.padded(at.cores), tensor, sources, tensors, at)


def _traffic(
    wanted: Boxes, tensor: str, sources: Sequence[Lying], tensors: Tensors, at: Geometry
) -> Traffic:
    """Traffic to boxes of a tensor: from one source, or through views as long as they are boxes."""
    none = Traffic(np.zeros(at.cores), np.zeros((at.cores, at.chips)), NO_PAIRS)
    if not sources or not wanted.high.any():
        return none
    own = [source for source in sources if source.tensor == tensor]
    if own:
        held = own[0].boxes.padded(at.cores)
        if len(sources) == 1 or _serves(held, wanted):
            return _between(wanted, held, tensors.shapes[tensor], at)
    view = tensors.views.get(tensor)
    if view is not None and not own:
        shapes = [tensors.shapes[name] for name in view.inputs]
        parts = pulled(view, wanted, tensors.shapes[tensor], shapes)
        if parts is not None:
            total = none
            for name, part in zip(view.inputs, parts, strict=True):
                made_of = tensors.behind(name)
                some = [source for source in sources if source.tensor in made_of]
                total = total + _traffic(part, name, some, tensors, at)
            return total
    return traffic_through_views(wanted, tensor, sources, tensors, at)


def part_traffic(
    into: Lying, sources: Sequence[Lying], shape: tuple[int, ...], at: Geometry
) -> Traffic:
    """What filling a part of a buffer takes: all that the sources hold of its tensor.

    Every element that a source holds goes to all cores that want it; copies share the work.
    """
    wanted = into.boxes.padded(at.cores)
    total = Traffic(np.zeros(at.cores), np.zeros((at.cores, at.chips)), NO_PAIRS)
    for source in sources:
        held = source.boxes.padded(at.cores)
        received, to_chip = np.zeros(at.cores), np.zeros((at.cores, at.chips))
        for chip in range(at.chips):
            arriving, leaving, own = _common(_masked(wanted, at.chip == chip), held, shape)
            received += np.maximum(arriving - own, 0)
            to_chip[:, chip] += _each_sends(held, leaving, own)
        total = total + Traffic(received, to_chip, _pairs(wanted, held, shape, at))
    return total


def _pairs(wanted: Boxes, held: Boxes, shape: tuple[int, ...], at: Geometry) -> Pairs | None:
    """Who sends to whom, where that matters."""
    return None if at.grid is None else pairs_between(wanted, held, shape, at)


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
    box, run = (held, wanted) if held.shape == shape else (wanted, held)
    grid, stretches = cell_grid(box), cell_grid(run)
    on_boxes, on_runs = grid.covering(box), stretches.covering(run)
    if box is held:
        on_boxes = np.minimum(on_boxes, 1)
    else:
        on_runs = np.minimum(on_runs, 1)
    of_runs = grid.run_sums(on_boxes, run)
    of_boxes = _stretch_sums(stretches.bounds[0], on_runs, box)
    own = run_in_box(run, box)
    return (of_runs, of_boxes, own) if box is held else (of_boxes, of_runs, own)


def _stretch_sums(bounds: IntArray, values: FloatArray, boxes: Boxes) -> FloatArray:
    """The sum over every box of values of elements, (cores,).

    `values` are those of stretches of the flattened tensor between `bounds`.
    """
    if int(bounds[-1]) < _MANY_ELEMENTS * len(values):
        of_elements = np.repeat(values, np.diff(bounds)).reshape(boxes.shape)
        return element_grid(boxes.shape).sums(of_elements, boxes)
    first, same = distinct_rows(boxes.rows())
    some = boxes.take(first)
    result, before = np.zeros(some.cores), np.zeros(some.cores, dtype=np.int64)
    for end, value in zip(bounds[1:].tolist(), values.tolist(), strict=True):
        there = elements_before(np.full(some.cores, end, dtype=np.int64), some)
        result += value * (there - before)
        before = there
    return np.asarray(result[same])


def _serves(held: Boxes, wanted: Boxes) -> bool:
    """Whether all that any core wants is held by some core."""
    if held.shape != wanted.shape:  # a run: then all of the tensor must be held
        return bool(np.all(cell_grid(held).covering(held) > 0))
    grid = cell_grid(held, wanted)
    return bool(np.all((grid.covering(held) > 0) | (grid.covering(wanted) == 0)))


def _between(wanted: Boxes, held: Boxes, shape: tuple[int, ...], at: Geometry) -> Traffic:
    """Traffic between two ways in which one tensor lies."""
    if held.shape == wanted.shape:
        received, to_chip = _between_boxes(wanted, held, at)
    else:
        received, to_chip = _between_runs_and_boxes(wanted, held, shape, at)
    return Traffic(received.astype(np.float64), to_chip, _pairs(wanted, held, shape, at))


def _between_boxes(wanted: Boxes, held: Boxes, at: Geometry) -> tuple[IntArray, FloatArray]:
    """Received, (cores,), and sent to every chip, (cores, chips), among boxes, or among runs."""
    own = overlap(wanted, held)
    grid = cell_grid(wanted, held)
    share = grid.elements() / np.maximum(grid.covering(held), 1)
    to_chip = np.zeros((at.cores, at.chips))
    for chip in range(at.chips):
        here = at.chip == chip
        demand = grid.covering(_masked(wanted, here)) - grid.covering(_masked(own, here))
        to_chip[:, chip] = grid.sums(demand * share, held)
    return wanted.sizes - own.sizes, to_chip


def _between_runs_and_boxes(
    wanted: Boxes, held: Boxes, shape: tuple[int, ...], at: Geometry
) -> tuple[IntArray, FloatArray]:
    """The same where one side has boxes of the tensor, the other one runs of its elements."""
    by_boxes = wanted.shape == shape
    own = run_in_box(held, wanted) if by_boxes else run_in_box(wanted, held)
    demand_of = _wanted_by_boxes if by_boxes else _wanted_by_runs
    to_chip = np.zeros((at.cores, at.chips))
    for chip in range(at.chips):
        here = at.chip == chip
        demand = demand_of(_masked(wanted, here), held)
        to_chip[:, chip] = _each_sends(held, demand, np.where(here, own, 0))
    return wanted.sizes - own, to_chip


def _wanted_by_boxes(boxes: Boxes, runs: Boxes) -> FloatArray:
    """How often all elements of every run are wanted by boxes, together, (cores,)."""
    grid = cell_grid(boxes)
    return grid.run_sums(grid.covering(boxes), runs)


def _wanted_by_runs(runs: Boxes, boxes: Boxes) -> IntArray:
    """Elements of every box that runs want, (cores,).

    Runs follow each other in order of the cores, as in an even spread: each is wanted once.
    """
    filled = runs.sizes > 0
    high = runs.high[filled].max(axis=0, initial=0)
    low = np.minimum(runs.low[filled].min(axis=0, initial=runs.shape[0]), high)
    cores = (boxes.cores, 1)
    return run_in_box(Boxes(runs.shape, np.tile(low, cores), np.tile(high, cores)), boxes)


def _masked(boxes: Boxes, keep: npt.NDArray[np.bool_]) -> Boxes:
    """The boxes, empty on cores that are not kept."""
    return Boxes(boxes.shape, boxes.low * keep[:, None], boxes.high * keep[:, None])


def _each_sends(held: Boxes, demand: FloatArray | IntArray, own: IntArray) -> FloatArray:
    """What every core sends of the `demand` for its box, (cores,): cores with equal boxes share it.

    `own` is what cores want of their own boxes: none of that is sent.
    """
    _, same = distinct_rows(held.rows())
    kept = np.bincount(same, own)[same]
    return np.maximum(demand - kept, 0) / np.bincount(same)[same]
