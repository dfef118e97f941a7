"""Blocks of splits with the tables of their operands' cuts, and the plans that these make."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.search.candidates import Candidates, derive_candidates
from t10c.search.floors import Floors, cut_floors, most_memory, split_floors
from t10c.search.join import (
    CutTable,
    Prefixes,
    cut_cells,
    factor_matrix,
    step_matrix,
    whole_cells,
)
from t10c.search.space import FloatArray, IntArray, Thresholds
from t10c.search.temporal import Cuts, SlotTable, cut_counts, operand_cuts
from t10c.search.tile_table import TileTable

_BLOCK_CUTS = 2**18
"""Cuts of all operands in a block: at most about 30 MiB of tables."""


@dataclass(frozen=True)
class Space:
    """What is searched: an expression on a chip, and the thresholds that plans must pass."""

    expression: TensorExpression
    spec: HardwareSpec
    slots: SlotTable
    thresholds: Thresholds


@dataclass(frozen=True)
class SplitRun:
    """Consecutive splits, (splits, axes), their block lengths S, and each operand's cuts."""

    splits: IntArray
    blocks: IntArray
    cuts: tuple[Cuts, ...]

    @property
    def combinations(self) -> FloatArray:
        """Ways to combine the operands' cuts, (splits,): at least the legal plans."""
        product = np.ones(len(self.splits))
        for cuts in self.cuts:
            product *= cuts.counts
        return product


@dataclass(frozen=True)
class Block:
    """A run of splits ready to join: tables in the order in which operands are joined.

    `cells`, `floors` and `most_memory` (bytes) are per split.
    """

    run: SplitRun
    tables: tuple[CutTable, ...]
    cells: IntArray
    floors: Floors
    most_memory: FloatArray

    def with_cuts(self, operand: int, chosen: IntArray) -> "Block":
        """The block with the chosen cuts only of the operand at a position of `tables`."""
        tables, cuts = list(self.tables), list(self.run.cuts)
        tables[operand] = tables[operand].take(chosen)
        cuts[operand] = tables[operand].cuts
        return replace(self, run=replace(self.run, cuts=tuple(cuts)), tables=tuple(tables))


def split_runs(space: Space, splits: IntArray) -> Iterator[SplitRun]:
    """The splits in order, in runs whose tables stay small."""
    if not len(splits):
        return
    load = np.cumsum(cut_counts(space.slots, splits))
    lengths = np.array(space.expression.lengths, dtype=np.int64)
    start = 0
    while start < len(splits):
        base = load[start - 1] if start else 0
        stop = int(np.searchsorted(load, base + _BLOCK_CUTS, side="right"))
        stop = max(stop, start + 1)
        yield split_run(space, splits[start:stop], -(-lengths // splits[start:stop]))
        start = stop


def split_run(space: Space, splits: IntArray, blocks: IntArray) -> SplitRun:
    """One run of the given splits."""
    cuts = tuple(
        operand_cuts(space.slots, operand, splits, blocks, space.thresholds.padding)
        for operand, own in enumerate(space.slots.by_operand)
        if own
    )
    return SplitRun(splits, blocks, cuts)


def make_block(space: Space, run: SplitRun, tiles: TileTable) -> Block:
    """The tables of a run."""
    expression, spec, slots = space.expression, space.spec, space.slots
    tables = []
    later = [{slots.slots[i].axis for i in slots.by_operand[c.operand]} for c in run.cuts]
    for position, cuts in enumerate(run.cuts):
        axes = tuple(slots.slots[i].axis for i in slots.by_operand[cuts.operand])
        still_open = set().union(*later[position + 1 :])
        floors = cut_floors(expression, spec, slots, cuts, run.splits, run.blocks)
        cells = cut_cells(tiles, cuts, axes)
        tables.append(CutTable(cuts, axes, cells, floors, frozenset(set(axes) - still_open)))
    return Block(
        run,
        tuple(tables),
        whole_cells(tiles, run.blocks),
        split_floors(expression, spec, slots, run.splits, run.blocks),
        most_memory(expression, spec, slots, run.blocks),
    )


def candidates_of(space: Space, block: Block, plans: Prefixes) -> Candidates:
    """Complete prefixes as candidates."""
    factors = factor_matrix(space.slots, block.tables, plans)
    return derive_candidates(
        space.expression,
        space.slots,
        block.run.splits[plans.rows],
        block.run.blocks[plans.rows],
        step_matrix(space.slots, factors),
        factors,
    )
