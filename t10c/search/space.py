"""Splits: all F with 1 <= F[a] <= L[a] and prod(F) <= C, filtered by T10's thresholds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.errors import UsageError
from t10c.ir.expression import TensorExpression

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Least utilisation prod(F)/C and padding ratio that a plan must reach (0 admits all)."""

    utilisation: float
    padding: float


def t10_thresholds(expression: TensorExpression, core_count: int) -> Thresholds:
    """T10's thresholds as published (docs/plans.md has the formulas).

    Axes that a row-wise operator may not cut do not count: no plan can use cores along them.
    """
    lengths = [axis.length for axis in expression.axes if axis.splittable] or [1]
    points = math.prod(lengths)
    reach = len(lengths) * max(lengths) / 220
    utilisation_ratio = min(points / (points + 2 * core_count), reach)
    if expression.kernel == "gather":
        return Thresholds(0.951 * utilisation_ratio, 0.951)
    return Thresholds(0.9 * utilisation_ratio, 0.9 * min(points / (points + core_count), reach))


NO_THRESHOLDS = Thresholds(0.0, 0.0)

TIE = 1 - 1e-12
"""A ratio that equals its threshold passes; this absorbs the rounding of either."""

MOST_SPLITS = 2**24
"""More are not searched: they would take minutes, and over a gigabyte."""


def ragged_product(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Indices of a ragged product: (row of each entry, position of the entry within its row)."""
    rows = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return rows, np.arange(len(rows)) - starts[rows]


def enumerate_splits(
    expression: TensorExpression, core_count: int, thresholds: Thresholds
) -> IntArray:
    """All splits that pass both thresholds, shape (splits, axes), in lexicographic order.

    Axis by axis: a partial split survives if the cores still suffice, its padding ratio (which only
    falls) still passes, and the axes to come can still reach the utilisation. UsageError if there
    are more than MOST_SPLITS.
    """
    lengths = expression.lengths
    limits = [min(axis.length, core_count) if axis.splittable else 1 for axis in expression.axes]
    splits = np.zeros((1, 0), dtype=np.int64)
    product = np.ones(1, dtype=np.int64)
    padding = np.ones(1)
    for index, (length, limit) in enumerate(zip(lengths, limits, strict=True)):
        reachable = math.prod(limits[index + 1 :])
        factors = np.arange(1, limit + 1)
        ratios = length / (factors * -(-length // factors))
        useful = ratios >= thresholds.padding * TIE
        factors, ratios = factors[useful], ratios[useful]
        # only factors up to C / product remain, and those that may still use enough cores: the
        # factors are sorted, so they are a range
        least = thresholds.utilisation * TIE * core_count / reachable * TIE
        first = np.searchsorted(factors, least / product, side="left")
        counts = np.searchsorted(factors, core_count // product, side="right") - first
        np.maximum(counts, 0, out=counts)
        if int(counts.sum()) > MOST_SPLITS:
            names = ", ".join(axis.name for axis in expression.axes)
            raise UsageError(
                f"{core_count:,} cores can share the axes {names}"
                f" in more than {MOST_SPLITS:,} ways, too many to search\n"
                "use fewer cores, or --search pruned"
            )
        rows, which = ragged_product(counts)
        which += first[rows]
        new_product = product[rows] * factors[which]
        new_padding = padding[rows] * ratios[which]
        keep = (new_padding >= thresholds.padding * TIE) & (
            np.minimum(new_product * float(reachable), core_count) / core_count
            >= thresholds.utilisation * TIE
        )
        rows, which = rows[keep], which[keep]
        splits = np.column_stack([splits[rows], factors[which]])
        product, padding = new_product[keep], new_padding[keep]
    exact = _passes(expression, splits, core_count, thresholds)
    return splits[exact]


def _passes(
    expression: TensorExpression, splits: IntArray, core_count: int, thresholds: Thresholds
) -> BoolArray:
    """The thresholds applied to whole splits, in the published form."""
    cut = [index for index, axis in enumerate(expression.axes) if axis.splittable]
    lengths = np.array(expression.lengths, dtype=np.int64)[cut]
    blocks = -(-lengths // splits[:, cut])
    padded = np.prod((splits[:, cut] * blocks).astype(np.float64), axis=1)
    padding = math.prod(lengths.tolist()) / padded
    utilisation = np.prod(splits, axis=1) / core_count
    passes: BoolArray = (utilisation >= thresholds.utilisation * TIE) & (
        padding >= thresholds.padding * TIE
    )
    return passes
