"""Options of chosen plans, against trying all of them."""

import itertools
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from t10c.schedule import knapsack
from t10c.schedule.memory import Homes

UNIT = 16


class Steps:
    """Steps with one plan each and some options, as far as a knapsack looks at a setting."""

    def __init__(self, rng: random.Random, count: int) -> None:
        self.own = [self._choices(rng) for _ in range(count)]
        least = rng.choice([0, 36])  # demands that are close limit other weights
        self.demand = np.array([UNIT * rng.randint(least, 40) for _ in range(count)])

    @staticmethod
    def _choices(rng: random.Random) -> Any:
        options = rng.randint(1, 4)
        return SimpleNamespace(
            plan=np.zeros(options, dtype=np.int64),
            idle_bytes=np.array([UNIT * rng.randint(0, 12) for _ in range(options)]),
            setup=np.array([float(rng.randint(0, 50)) for _ in range(options)]),
        )

    def of_step(self, step: int) -> Any:
        return self.own[step]

    def demand_bytes(self, plans: list[int], homes: Homes) -> np.ndarray:
        return self.demand

    def idle(self, options: tuple[int, ...]) -> int:
        """Idle bytes of options together."""
        return sum(int(own.idle_bytes[o]) for own, o in zip(self.own, options, strict=True))

    def cost(self, options: tuple[int, ...], homes: Homes, fixed: int, room: int) -> float:
        """Setup of options, inf where they do not fit."""
        idle = np.array([own.idle_bytes[o] for own, o in zip(self.own, options, strict=True)])
        total = int(idle.sum())
        peak = int((total - idle + self.demand + homes.live).max()) + fixed
        if max(peak, total + homes.end + fixed) > room:
            return float("inf")
        return sum(float(own.setup[o]) for own, o in zip(self.own, options, strict=True))


@pytest.mark.parametrize("seed", range(200))
def test_least_setup_that_fits(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(1, 5)
    steps: Any = Steps(rng, count)
    live = np.array([UNIT * rng.randint(0, 10) for _ in range(count)])
    homes = Homes(live, np.zeros(count, dtype=np.int64), 0)
    room = UNIT * rng.randint(20, 90)
    every = itertools.product(*(range(len(own.plan)) for own in steps.own))
    tight = int(np.argmax(steps.demand + live))
    # of two limits: all but the demanding step's own, and all beside the next demand
    beside = int(np.delete(steps.demand + live, tight).max(initial=0)) + UNIT
    best = min(
        (
            steps.cost(options, homes, UNIT, room)
            for options in every
            if steps.idle(options) + beside <= room
        ),
        default=float("inf"),
    )
    found = knapsack.least_setup(steps, [0] * count, homes, UNIT, room)
    cost = float("inf")
    if found is not None:
        cost = steps.cost(tuple(found), homes, UNIT, room)
        assert np.isfinite(cost)
    assert cost <= best


def test_the_greedy_would_leave_memory_unused() -> None:
    """The steepest option first takes the room of two that save more together."""
    steps: Any = Steps(random.Random(0), 4)
    small = (np.array([0, 6]) * UNIT, np.array([50.0, 0.0]))
    large = (np.array([0, 7]) * UNIT, np.array([70.0, 0.0]))
    none = (np.zeros(1, dtype=np.int64), np.zeros(1))
    for own, (idle, setup) in zip(steps.own, (small, small, large, none), strict=True):
        own.plan, own.idle_bytes, own.setup = np.zeros(len(idle), dtype=np.int64), idle, setup
    steps.demand = np.array([0, 0, 0, 8 * UNIT])
    nothing = np.zeros(4, dtype=np.int64)
    found = knapsack.least_setup(steps, [0] * 4, Homes(nothing, nothing, 0), 0, 20 * UNIT)
    assert found == [1, 1, 0, 0]
