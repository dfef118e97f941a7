"""Joining operands' cuts to plans: prefixes grow operand by operand, split after split.

A *prefix* is a split and one cut of each operand joined so far; with all operands it is a legal
plan. What a prefix needs later (steps, tile, floors) is carried along as sums and products gathered
from tables per cut, so that nothing is derived anew for every plan.
"""

import math
from dataclasses import dataclass

import numpy as np

from t10c.search.floors import Floors
from t10c.search.space import TIE, BoolArray, FloatArray, IntArray
from t10c.search.temporal import Cuts, SlotTable
from t10c.search.tile_table import TileTable


@dataclass(frozen=True)
class AxisState:
    """An axis that operands to come may still cut, per prefix.

    `factors` are those of the operands joined so far that have the axis; `steps` is T, `ratio` the
    useful share of the block, `cells` what the cut adds to the tile's cell (at most 0).
    """

    factors: tuple[FloatArray, ...]
    steps: FloatArray
    ratio: FloatArray
    cells: IntArray

    def take(self, selection: IntArray | slice) -> "AxisState":
        """The selected prefixes' state."""
        steps = self.steps[selection]
        single = len(self.factors) == 1
        factors = (steps,) if single else tuple(f[selection] for f in self.factors)
        return AxisState(factors, steps, self.ratio[selection], self.cells[selection])


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of plans in enumeration order, every array (prefixes,).

    `rows` is the split; `chosen` the cut of each operand joined. `steps`, `ratio` and `cells` hold
    what the axes that no later operand has contribute; the others are in `axes` by position.
    `memory` and `cycles` are sums of floors, without computing.
    """

    rows: IntArray
    chosen: tuple[IntArray, ...]
    axes: dict[int, AxisState]
    steps: FloatArray
    ratio: FloatArray
    cells: IntArray
    memory: FloatArray
    cycles: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, selection: IntArray | slice) -> "Prefixes":
        """The selected prefixes, in the order of the selection."""
        return Prefixes(
            self.rows[selection],
            tuple(cut[selection] for cut in self.chosen),
            {axis: state.take(selection) for axis, state in self.axes.items()},
            self.steps[selection],
            self.ratio[selection],
            self.cells[selection],
            self.memory[selection],
            self.cycles[selection],
        )


@dataclass(frozen=True)
class CutTable:
    """An operand's cuts of a block of splits with what a join gathers.

    `cells` holds per slot what a cut adds to the cell of the split's whole block; `closing` are
    the axes that no later operand has.
    """

    cuts: Cuts
    axes: tuple[int, ...]
    cells: tuple[IntArray, ...]
    floors: Floors
    closing: frozenset[int]

    def take(self, chosen: IntArray) -> "CutTable":
        """The table of the chosen cuts only, in ascending order."""
        return CutTable(
            self.cuts.take(chosen),
            self.axes,
            tuple(cells[chosen] for cells in self.cells),
            self.floors.take(chosen),
            self.closing,
        )


def whole_cells(tiles: TileTable, blocks: IntArray) -> IntArray:
    """Cells of tiles that are whole blocks, (splits,)."""
    total = np.zeros(len(blocks), dtype=np.int64)
    for axis in range(blocks.shape[1]):
        total += tiles.cells(axis, blocks[:, axis])
    return total


def cut_cells(tiles: TileTable, cuts: Cuts, axes: tuple[int, ...]) -> tuple[IntArray, ...]:
    """What each cut adds to the cell of the whole block, per slot, at most 0."""
    return tuple(
        tiles.cells(axis, np.ceil(block / factor)) - tiles.cells(axis, block)
        for axis, factor, block in zip(axes, cuts.factors, cuts.blocks, strict=True)
    )


def begin(rows: IntArray, cells: IntArray, floors: Floors) -> Prefixes:
    """Prefixes without operands: one per split of `rows`."""
    return Prefixes(
        rows,
        (),
        {},
        np.ones(len(rows)),
        np.ones(len(rows)),
        cells[rows],
        floors.memory[rows],
        floors.cycles[rows],
    )


def join(prefixes: Prefixes, table: CutTable, least_padding_ratio: float) -> tuple[Prefixes, int]:
    """Prefixes with one more operand, and how many the padding threshold has removed.

    Kept are those whose factors on every axis form a divisibility chain.
    """
    cuts = table.cuts
    entry, choice = _pairs(prefixes.rows, cuts)
    chained: BoolArray | None = None
    for axis, factor in zip(table.axes, cuts.factors, strict=True):
        if axis in prefixes.axes:
            new = factor[choice]
            for old in prefixes.axes[axis].factors:
                fits = _divides(old[entry], new)
                chained = fits if chained is None else chained & fits
    if chained is not None:
        keep = np.flatnonzero(chained)
        entry, choice = entry[keep], choice[keep]
    pruned = 0
    if least_padding_ratio > 0 and prefixes.chosen:
        keep = np.flatnonzero(_ratio(prefixes, table, entry, choice) >= least_padding_ratio * TIE)
        pruned = len(entry) - len(keep)
        if pruned:
            entry, choice = entry[keep], choice[keep]
    return _extended(prefixes, table, entry, choice), pruned


def _pairs(rows: IntArray, cuts: Cuts) -> tuple[IntArray, IntArray]:
    """All pairs of a prefix and a cut of its split: positions of the prefix and of the cut."""
    counts = cuts.counts[rows]
    entry = np.repeat(np.arange(len(rows)), counts)
    choice = np.arange(len(entry))
    choice += np.repeat(cuts.first[rows] - (np.cumsum(counts) - counts), counts)
    return entry, choice


def _divides(a: FloatArray, b: FloatArray) -> BoolArray:
    """Whether the larger of two integers is a multiple of the smaller; exact below 2**50."""
    quotient = np.maximum(a, b) / np.minimum(a, b)
    divides: BoolArray = quotient == np.floor(quotient)
    return divides


def _ratio(prefixes: Prefixes, table: CutTable, entry: IntArray, choice: IntArray) -> FloatArray:
    """Useful share of the blocks as far as they are cut; of T it is the least over the factors."""
    ratio = prefixes.ratio[entry]
    for axis, state in prefixes.axes.items():
        if axis not in table.axes:
            ratio *= state.ratio[entry]
    for axis, own in zip(table.axes, table.cuts.ratios, strict=True):
        new = own[choice]
        if axis in prefixes.axes:
            np.minimum(new, prefixes.axes[axis].ratio[entry], out=new)
        ratio *= new
    return ratio


def _extended(prefixes: Prefixes, table: CutTable, entry: IntArray, choice: IntArray) -> Prefixes:
    """The prefixes at `entry` with the cuts at `choice`."""
    axes = {a: s.take(entry) for a, s in prefixes.axes.items() if a not in table.axes}
    steps, ratio, cells = prefixes.steps[entry], prefixes.ratio[entry], prefixes.cells[entry]
    for column, axis in enumerate(table.axes):
        factor = table.cuts.factors[column][choice]
        share, cell = table.cuts.ratios[column][choice], table.cells[column][choice]
        most = factor
        factors: tuple[FloatArray, ...] = (factor,)
        if axis in prefixes.axes:
            old = prefixes.axes[axis]
            most = np.maximum(old.steps[entry], factor)
            np.minimum(share, old.ratio[entry], out=share)
            np.minimum(cell, old.cells[entry], out=cell)
            if axis not in table.closing:
                factors = (*(f[entry] for f in old.factors), factor)
        if axis in table.closing:
            steps *= most
            ratio *= share
            cells += cell
        else:
            axes[axis] = AxisState(factors, most, share, cell)
    return Prefixes(
        prefixes.rows[entry],
        (*(cut[entry] for cut in prefixes.chosen), choice),
        axes,
        steps,
        ratio,
        cells,
        prefixes.memory[entry] + table.floors.memory[choice],
        prefixes.cycles[entry] + table.floors.cycles[choice],
    )


def factor_matrix(slots: SlotTable, tables: tuple[CutTable, ...], plans: Prefixes) -> IntArray:
    """t of complete prefixes, (prefixes, slots)."""
    factors = np.ones((len(plans), len(slots.slots)), dtype=np.int64)
    for table, chosen in zip(tables, plans.chosen, strict=True):
        own = slots.by_operand[table.cuts.operand]
        for slot, column in zip(own, table.cuts.factors, strict=True):
            factors[:, slot] = column[chosen]
    return factors


def step_matrix(slots: SlotTable, factors: IntArray) -> IntArray:
    """T of plans with the given factors, (plans, axes)."""
    steps = np.ones((len(factors), len(slots.by_axis)), dtype=np.int64)
    for axis, own in enumerate(slots.by_axis):
        for slot in own:
            np.maximum(steps[:, axis], factors[:, slot], out=steps[:, axis])
    return steps


def known_shifts(tables: tuple[CutTable, ...], prefixes: Prefixes) -> tuple[FloatArray, FloatArray]:
    """Shifts that the floors of prefixes count, and cycles of the cheapest one, (prefixes,)."""
    shifts = np.zeros(len(prefixes))
    cheapest = np.full(len(prefixes), np.inf)
    for table, chosen in zip(tables, prefixes.chosen, strict=False):
        shifts += table.floors.shifts[chosen]
        np.minimum(cheapest, table.floors.once[chosen], out=cheapest)
    return shifts, cheapest


def open_steps(prefixes: Prefixes) -> FloatArray:
    """Least steps of plans that begin with the prefixes."""
    return math.prod((state.steps for state in prefixes.axes.values()), start=prefixes.steps)


def open_cells(prefixes: Prefixes) -> IntArray:
    """Cells of the tiles that prefixes stand for, as if no operand to come were cut."""
    return sum((state.cells for state in prefixes.axes.values()), prefixes.cells)
