"""The search of a price against concave bounds whose best is known."""

import random

import pytest

from t10c.schedule.price import PriceSearch

LEAST, MOST = 0.25, 1000.0


def found(lines: list[tuple[float, float]], start: float) -> tuple[float, int]:
    """The best bound met, and the number of prices tried, of the least of lines (value, slope)."""
    search = PriceSearch(start, LEAST, MOST)
    best, tries = -float("inf"), 0
    while True:
        price = search.price
        assert 0 <= price <= MOST
        bound, slope = min((value + slope * price, slope) for value, slope in lines)
        best, tries = max(best, bound), tries + 1
        if not search.step(bound, slope):
            return best, tries


@pytest.mark.parametrize("seed", range(60))
def test_best_price(seed: int) -> None:
    rng = random.Random(seed)
    lines = [(1e6 * rng.random() + 1e5, rng.uniform(-1e5, 1e5)) for _ in range(rng.randint(2, 12))]
    lines.append((1e6, -1e3 * rng.random() - 1))  # at the largest price idle weights are small
    best, tries = found(lines, rng.choice([0.0, 0.25, 0.4, 3.0, 200.0]))
    grid = [min(v + s * p for v, s in lines) for p in (MOST * i / 50000 for i in range(50001))]
    assert best >= max(grid) - 2e-3 * abs(max(grid))
    assert tries <= 40


def test_ample_memory_costs_nothing() -> None:
    assert found([(5.0, -100.0)], 3.0)[0] == 5.0


def test_too_little_memory_ends_at_the_largest_price() -> None:
    best, tries = found([(5.0, 1.0)], 3.0)
    assert best == 5.0 + MOST
    assert tries < 20


def test_small_prices_are_tried_before_none() -> None:
    """Below the least listed price a bound may still be better than without a price."""
    search, prices = PriceSearch(LEAST, LEAST, MOST), [LEAST]
    while search.step(-search.price, -1.0):
        prices.append(search.price)
    assert prices == [LEAST, LEAST / 2, LEAST / 4, LEAST / 8, 0.0]
