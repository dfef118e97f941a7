"""Temporal factors: all legal t[X][a] of many splits at once.

A *slot* is an (operand, axis) pair that may be cut in time. Rows of the tables are candidates:
(split, t) pairs. Legality (docs/plans.md, rules 2 to 4): prod(t[X]) divides P_X, the factors of the
operands on one axis form a divisibility chain, and T[a] = max over operands <= S[a].
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.search.space import TIE, BoolArray, IntArray, ragged_product


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


def _operand_factors(
    table: SlotTable, operand: int, splits: IntArray, blocks: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Factors of one operand for every split: (first entry, entries per split, factors).

    Rules (2) and, for this operand's own factors, (4).
    """
    axes = [table.slots[i].axis for i in table.by_operand[operand]]
    sharing = np.prod(splits[:, list(table.shared_axes[operand])], axis=1)
    values, inverse = np.unique(sharing, return_inverse=True)
    tables = [factor_tuples(int(value), len(axes)) for value in values]
    sizes = np.array([len(t) for t in tables])
    offsets = np.cumsum(sizes) - sizes
    factors = np.concatenate(tables)
    rows, position = ragged_product(sizes[inverse])
    factors = factors[offsets[inverse][rows] + position]
    fits = np.all(factors <= blocks[rows][:, axes], axis=1)
    counts = np.bincount(rows[fits], minlength=len(splits))
    return np.cumsum(counts) - counts, counts, factors[fits]


@dataclass(frozen=True)
class TemporalSpace:
    """Legal temporal factors of some splits, one row per candidate.

    `rows` (candidates,) is each candidate's split; `factors` (candidates, slots); `steps`
    (candidates, axes) holds T; `pruned` counts what the padding threshold cut before it was
    completed or after.
    """

    rows: IntArray
    factors: IntArray
    steps: IntArray
    pruned: int


def enumerate_temporal(
    table: SlotTable, splits: IntArray, blocks: IntArray, least_padding_ratio: float
) -> TemporalSpace:
    """All legal temporal factors of the given splits with prod S / prod (T u) >= the threshold.

    Operands are joined one after the other. Each join is cut at once by the chain rule and by the
    padding of the axes that no later operand has: their T is final, and every axis' ratio is <= 1.
    """
    rows = np.arange(len(splits))
    factors = np.ones((len(splits), 0), dtype=np.int64)
    steps = np.ones_like(splits)
    ratio = np.ones(len(splits))
    open_axes = {slot.axis for slot in table.slots}
    pruned = 0
    for operand, own in enumerate(table.by_operand):
        if not own:
            continue
        first, counts, choices = _operand_factors(table, operand, splits, blocks)
        entry, position = ragged_product(counts[rows])
        choice = first[rows[entry]] + position
        chained = _chained(table, own, factors, entry, choices, choice)
        entry, choice = entry[chained], choice[chained]
        rows, steps, ratio = rows[entry], steps[entry], ratio[entry]
        for column, slot in enumerate(own):
            axis = table.slots[slot].axis
            np.maximum(steps[:, axis], choices[choice, column], out=steps[:, axis])
        later = {table.slots[i].axis for own_ in table.by_operand[operand + 1 :] for i in own_}
        for axis in sorted(open_axes - later):
            block = blocks[rows, axis]
            ratio = ratio * (block / (steps[:, axis] * -(-block // steps[:, axis])))
        open_axes &= later
        keep = np.flatnonzero(ratio >= least_padding_ratio * TIE)
        pruned += len(rows) - len(keep)
        factors = np.column_stack([factors[entry[keep]], choices[choice[keep]]])
        rows, steps, ratio = rows[keep], steps[keep], ratio[keep]
    return TemporalSpace(rows, factors, steps, pruned)


def _chained(
    table: SlotTable,
    own: tuple[int, ...],
    factors: IntArray,
    entry: IntArray,
    choices: IntArray,
    choice: IntArray,
) -> BoolArray:
    """Whether the new operand's factors divide or are divided by those already chosen."""
    chained = np.ones(len(entry), dtype=bool)
    for column, slot in enumerate(own):
        new = choices[choice, column]
        for other in table.by_axis[table.slots[slot].axis]:
            if other < own[0]:
                old = factors[entry, other]
                large, small = np.maximum(old, new), np.minimum(old, new)
                chained &= large % small == 0
    return chained


def count_upper_bound(table: SlotTable, splits: IntArray) -> IntArray:
    """For every split, an upper bound on its temporal factors before the chain rule."""
    bound = np.ones(len(splits), dtype=np.int64)
    for operand, own in enumerate(table.by_operand):
        if own:
            sharing = np.prod(splits[:, list(table.shared_axes[operand])], axis=1)
            values, inverse = np.unique(sharing, return_inverse=True)
            sizes = np.array([len(factor_tuples(int(v), len(own))) for v in values])
            bound *= sizes[inverse]
    return bound
