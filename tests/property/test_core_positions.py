"""Positions of cores are a bijection, formulas equal arrays, folds keep rings short."""

import math
import random

import numpy as np
import pytest

from t10c.ir.formula import evaluate
from t10c.ir.positions import CorePositions, PositionDigit, row_major


def draw_positions(seed: int) -> CorePositions:
    """Digits of any shape and fold, in any order of strides, on a grid with or without room."""
    rng = random.Random(seed)
    shapes = [(rng.randint(1, 5), rng.randint(1, 4)) for _ in range(rng.randint(0, 4))]
    x_strides = _strides([columns for columns, _ in shapes], rng)
    y_strides = _strides([rows for _, rows in shapes], rng)
    digits = tuple(
        PositionDigit(columns, rows, rng.randint(0, columns * rows), x, y)
        for (columns, rows), x, y in zip(shapes, x_strides, y_strides, strict=True)
    )
    columns = math.prod(columns for columns, _ in shapes) + rng.choice([0, 0, 1, 3])
    return CorePositions(columns, math.prod(r for _, r in shapes) + rng.choice([0, 2]), digits)


def _strides(lengths: list[int], rng: random.Random) -> list[int]:
    strides, stride = [1] * len(lengths), 1
    for index in rng.sample(range(len(lengths)), len(lengths)):
        if lengths[index] > 1:
            strides[index] = stride
            stride *= lengths[index]
    return strides


@pytest.mark.parametrize("seed", range(300))
def test_positions_are_a_bijection_onto_the_grid_and_formulas_say_the_same(seed):
    positions = draw_positions(seed)
    x, y = positions.arrays()
    assert sorted(zip(x.tolist(), y.tolist(), strict=True)) == [
        (i, j) for i in range(positions.width) for j in range(positions.height)
    ]
    cores = np.arange(positions.cores)
    for found, formula in zip((x, y), positions.formulas(), strict=True):
        value = np.broadcast_to(evaluate(formula, {"core": cores}), len(cores))
        assert value.tolist() == found.tolist(), (positions, formula)
    some = cores[:: max(1, len(cores) // 7)]
    assert positions.arrays(some)[0].tolist() == x[some].tolist()


@pytest.mark.parametrize("columns", range(1, 9))
@pytest.mark.parametrize("rows", range(1, 6))
def test_a_fold_keeps_neighbours_on_a_ring_within_two_hops(columns, rows):
    for folded in range(1, columns * rows + 1):
        digit = PositionDigit(columns, rows, folded)
        x, y = CorePositions(columns, rows, (digit,)).arrays()
        ring = np.arange(folded)
        ahead = (ring + 1) % folded
        assert np.all(abs(x[ahead] - x[ring]) + abs(y[ahead] - y[ring]) <= 2)


def test_row_major_is_in_the_order_of_numbers():
    x, y = row_major(3, 2).arrays()
    assert (x.tolist(), y.tolist()) == ([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1])
    assert row_major(3, 2).formulas() == ("core%3", "core//3")


@pytest.mark.parametrize(
    ("width", "digits", "says"),
    [
        (6, (PositionDigit(2, 1), PositionDigit(3, 1)), "x_stride: is 1; it must be 2"),
        (6, (PositionDigit(2, 1, 0, 3), PositionDigit(3, 1, 0, 2)), "x_stride: is 2; it must be 1"),
        (5, (PositionDigit(1, 4, 0, 2),), "x_stride: is 2; it must be 1"),
        (5, (PositionDigit(1, 2), PositionDigit(1, 2, 0, 1, 3)), "y_stride: is 3; it must be 2"),
        (5, (PositionDigit(6, 1),), "a block of 6 x 1 cores is larger than the grid"),
    ],
)
def test_what_is_no_bijection_is_refused(width, digits, says):
    with pytest.raises(ValueError, match=says):
        CorePositions(width, 4, digits)


def test_a_digit_has_a_block_and_a_fold_within():
    for wrong in ((0, 1, 0), (1, 0, 0), (2, 2, 5), (2, 2, -1)):
        with pytest.raises(ValueError, match=r"digit|folded"):
            PositionDigit(*wrong)
