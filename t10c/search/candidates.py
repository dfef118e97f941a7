"""Candidates: legal (split, t) pairs of one expression, as arrays with one row each."""

from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.search.space import BoolArray, IntArray
from t10c.search.temporal import SlotTable


@dataclass(frozen=True)
class Candidates:
    """Legal (split, t) pairs of one expression and what docs/plans.md derives from them.

    `splits`, `blocks` (S), `steps` (T), `tiles` (u): (candidates, axes); `factors`: (candidates,
    slots); `piece_elements`: (candidates, operands); `replicas` of the output: (candidates,).
    """

    splits: IntArray
    blocks: IntArray
    factors: IntArray
    steps: IntArray
    tiles: IntArray
    piece_elements: IntArray
    replicas: IntArray

    def __len__(self) -> int:
        return len(self.splits)

    def take(self, selection: IntArray | BoolArray) -> "Candidates":
        """The selected candidates, in the order of the selection."""
        return Candidates(
            self.splits[selection],
            self.blocks[selection],
            self.factors[selection],
            self.steps[selection],
            self.tiles[selection],
            self.piece_elements[selection],
            self.replicas[selection],
        )


def derive_candidates(
    expression: TensorExpression,
    table: SlotTable,
    splits: IntArray,
    blocks: IntArray,
    steps: IntArray,
    factors: IntArray,
) -> Candidates:
    """Tiles and pieces of legal candidates (arguments have one row per candidate)."""
    tiles = -(-blocks // steps)
    pieces = np.empty((len(splits), len(expression.operands)), dtype=np.int64)
    for index, operand in enumerate(expression.operands):
        elements = np.ones(len(splits), dtype=np.int64)
        slot_of = {table.slots[i].axis: i for i in table.by_operand[index]}
        for dim in operand.dims:
            span = np.full(len(splits), dim.reach, dtype=np.int64)
            for name, stride in dim.terms:
                axis = expression.axis_index[name]
                length = blocks[:, axis]
                if axis in slot_of:
                    chunks = steps[:, axis] // factors[:, slot_of[axis]]
                    length = np.minimum(length, chunks * tiles[:, axis])
                elif table.by_axis[axis]:
                    length = np.minimum(length, steps[:, axis] * tiles[:, axis])
                span += abs(stride) * (length - 1)
            elements *= span
        pieces[:, index] = elements
    own = list(table.by_operand[-1])
    sharing = np.prod(splits[:, list(table.shared_axes[-1])], axis=1)
    replicas = sharing // np.prod(factors[:, own], axis=1)
    return Candidates(splits, blocks, factors, steps, tiles, pieces, replicas)
