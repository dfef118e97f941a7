"""Temporal factors of one operand at a time: its legal cuts, for many splits at once.

A *slot* is an (operand, axis) pair that may be cut in time, and a *cut* of an operand is one choice
of its factors t[X]. Legality (docs/plans.md, rules 2 to 4): prod(t[X]) divides P_X, the factors of
the operands on one axis form a divisibility chain, and T[a] = max over operands <= S[a]. Cuts obey
what concerns one operand; join.py puts the operands together.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.search.space import TIE, FloatArray, IntArray, ragged_product


@dataclass(frozen=True, slots=True)
class Slot:
    """A factor t[operand][axis], by position in `expression.operands` and `expression.axes`."""

    operand: int
    axis: int


@dataclass(frozen=True)
class SlotTable:
    """Which slots an expression has, and which axes each operand is shared across."""

    slots: tuple[Slot, ...]
    by_operand: tuple[tuple[int, ...], ...]
    by_axis: tuple[tuple[int, ...], ...]
    shared_axes: tuple[tuple[int, ...], ...]


def slot_table(expression: TensorExpression) -> SlotTable:
    """Slots of every operand that is not fused, over the axes that may be cut."""
    slots: list[Slot] = []
    by_operand: list[tuple[int, ...]] = []
    shared_axes: list[tuple[int, ...]] = []
    for index, operand in enumerate(expression.operands):
        lacking = expression.lacks(operand)
        shared_axes.append(tuple(expression.axis_index[name] for name in lacking))
        first = len(slots)
        if not operand.fused and any(expression.axes[a].splittable for a in shared_axes[-1]):
            axes = sorted(expression.axis_index[name] for name in operand.axes)
            slots += [Slot(index, a) for a in axes if expression.axes[a].splittable]
        by_operand.append(tuple(range(first, len(slots))))
    by_axis = tuple(
        tuple(i for i, slot in enumerate(slots) if slot.axis == axis)
        for axis in range(len(expression.axes))
    )
    return SlotTable(tuple(slots), tuple(by_operand), by_axis, tuple(shared_axes))


@lru_cache(maxsize=65536)
def _divisors(number: int) -> tuple[int, ...]:
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


@lru_cache(maxsize=65536)
def factor_tuples(number: int, count: int) -> IntArray:
    """All `count`-tuples of positive integers whose product divides `number`, lexicographic."""
    if count == 0:
        return np.ones((1, 0), dtype=np.int64)
    if count == 1:
        return np.array(_divisors(number), dtype=np.int64)[:, None]
    parts = []
    for divisor in _divisors(number):
        rest = factor_tuples(number // divisor, count - 1)
        parts.append(np.column_stack([np.full(len(rest), divisor, dtype=np.int64), rest]))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Cuts:
    """Cuts of one operand, those of a split in lexicographic order, split after split.

    `first`, `counts` (splits,): where a split's cuts begin, and how many there are; `rows` (cuts,):
    each cut's split. Per slot of the operand, (cuts,): `factors`, t as float64, exact; `blocks`,
    S of the slot's axis; `ratios`, the share of the cut block that is useful work. `pruned` counts
    cuts that the padding threshold removed.
    """

    operand: int
    first: IntArray
    counts: IntArray
    rows: IntArray
    factors: tuple[FloatArray, ...]
    blocks: tuple[FloatArray, ...]
    ratios: tuple[FloatArray, ...]
    pruned: int

    def take(self, chosen: IntArray) -> "Cuts":
        """The chosen cuts only, in ascending order; a split may be left without any."""
        rows = self.rows[chosen]
        counts = np.bincount(rows, minlength=len(self.counts))
        return Cuts(
            self.operand,
            np.cumsum(counts) - counts,
            counts,
            rows,
            tuple(factor[chosen] for factor in self.factors),
            tuple(block[chosen] for block in self.blocks),
            tuple(ratio[chosen] for ratio in self.ratios),
            self.pruned,
        )


def operand_cuts(
    table: SlotTable, operand: int, splits: IntArray, blocks: IntArray, least_padding_ratio: float
) -> Cuts:
    """The operand's cuts of every split; an uncut operand is always among them.

    A cut that pads too much alone does so in every plan: T is a multiple of t, and so of what
    covers the block.
    """
    own = table.by_operand[operand]
    sharing, inverse = _sharing(table, operand, splits)
    tables = [factor_tuples(int(value), len(own)) for value in sharing]
    sizes = np.array([len(t) for t in tables])
    offsets = np.cumsum(sizes) - sizes
    columns = np.concatenate(tables).T.astype(np.float64)
    rows, position = ragged_product(sizes[inverse])
    position += offsets[inverse][rows]
    factors = [column[position] for column in columns]
    lengths = [blocks[:, table.slots[i].axis].astype(np.float64)[rows] for i in own]
    keep = np.ones(len(rows), dtype=bool)
    for factor, length in zip(factors, lengths, strict=True):
        keep &= factor <= length
    legal = int(np.count_nonzero(keep))
    ratios = [b / (t * np.ceil(b / t)) for t, b in zip(factors, lengths, strict=True)]
    if least_padding_ratio > 0:
        keep &= math.prod(ratios) >= least_padding_ratio * TIE
    chosen = np.flatnonzero(keep)
    rows = rows[chosen]
    counts = np.bincount(rows, minlength=len(splits))
    return Cuts(
        operand,
        np.cumsum(counts) - counts,
        counts,
        rows,
        tuple(factor[chosen] for factor in factors),
        tuple(length[chosen] for length in lengths),
        tuple(ratio[chosen] for ratio in ratios),
        legal - len(chosen),
    )


def _sharing(table: SlotTable, operand: int, splits: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct sizes P_X of the operand's sharing groups, and which of them every split has."""
    sharing = np.prod(splits[:, list(table.shared_axes[operand])], axis=1)
    values, inverse = np.unique(sharing, return_inverse=True)
    return values, inverse


def cut_counts(table: SlotTable, splits: IntArray) -> IntArray:
    """For every split, one more than an upper bound on the cuts of all its operands, (splits,)."""
    bound = np.ones(len(splits), dtype=np.int64)
    for operand, own in enumerate(table.by_operand):
        if own:
            sharing, inverse = _sharing(table, operand, splits)
            bound += np.array([len(factor_tuples(int(v), len(own))) for v in sharing])[inverse]
    return bound
