"""The ascent to the best rates against concave bounds whose best is known."""

import random

import numpy as np
import pytest

from t10c.schedule.ascent import Ascent
from t10c.search.space import FloatArray

LEAST = 0.25


class Bound:
    """The least of planes over rates, as a network's bound is."""

    def __init__(self, values: FloatArray, slopes: FloatArray) -> None:
        self.values = values
        self.slopes = slopes

    def at(self, rates: FloatArray) -> tuple[float, FloatArray]:
        every = self.values + self.slopes @ rates
        least = int(np.argmin(every))
        return float(every[least]), self.slopes[least]


def climbed(bound: Bound, begin: FloatArray) -> tuple[float, int]:
    """The best value met, and how many rates were tried: twice, the second time from the best."""
    best, tries, best_rates = -np.inf, 0, begin
    for _ in range(2):
        ascent = Ascent(best_rates, LEAST, thorough=True)
        while True:
            assert (ascent.rates >= 0).all()
            value, slopes = bound.at(ascent.rates)
            tries += 1
            if value > best:
                best, best_rates = value, ascent.rates
            if not ascent.step(value, slopes, 0.0):
                break
    return best, tries


def random_bound(seed: int, limits: int, exceeded: int) -> Bound:
    """Schedules by what they cost and by how much they exceed the first limits, and the last.

    Some exceed none, as there is always a schedule that fits.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 14))
    slopes = np.full((count, limits), -3e5)
    some = [*range(exceeded), limits - 1]
    slopes[:, some] = rng.uniform(-2e5, 2e5, (count, len(some)))
    slopes[0] = -np.abs(slopes[0])
    values = 1e6 - 0.4 * slopes.max(axis=1) + rng.uniform(0, 2e4, count)
    return Bound(values, slopes)


def best_on_a_grid(bound: Bound, exceeded: int) -> float:
    """The highest value where at most the first limits and the last are priced."""
    axis = np.linspace(0.0, 2.0, 41)
    grid = np.stack(np.meshgrid(*[axis] * (exceeded + 1)), axis=-1).reshape(-1, exceeded + 1)
    columns = [*range(exceeded), bound.slopes.shape[1] - 1]
    every = bound.values[:, None] + bound.slopes[:, columns] @ grid.T
    return float(every.min(axis=0).max())


@pytest.mark.parametrize("exceeded", [0, 1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_the_highest_bound(seed: int, exceeded: int) -> None:
    bound = random_bound(seed, 6, exceeded)
    begin = np.zeros(6)
    begin[-1] = random.Random(seed).choice([0.0, 0.1, 0.5, 3.0])
    best, tries = climbed(bound, begin)
    assert best >= best_on_a_grid(bound, exceeded) * (1 - 2e-3)
    assert tries <= 2 * 12


def test_limits_that_are_exceeded_alike_are_priced_alike() -> None:
    """Two layers' steps; a step that is exceeded less is left alone."""
    slopes = np.array([[9e4, 1e3, 9e4, -1e5], [-9e4, -2e5, -9e4, -2e5]])
    ascent = Ascent(np.zeros(4), LEAST)
    assert ascent.step(1e6, slopes[0], 1e4)
    assert ascent.rates[0] == ascent.rates[2] > 0
    assert ascent.rates[1] == 0


def test_nothing_is_tried_where_the_bound_cannot_rise() -> None:
    begin = np.array([0.0, 0.0, 0.5])
    flat = np.array([-1.0, -1.0, 0.0])
    assert not Ascent(begin, LEAST).step(1e6, flat, 0.0)
    steep = np.array([-1e5, -1e5, 1e5])
    assert Ascent(begin, LEAST).step(1e6, steep, 0.0)
    # there is far more to win by opening plans
    assert not Ascent(begin, LEAST).step(1e6, steep, 1e7)
