"""Sharing out idle memory, against loops that go step by step."""

import numpy as np
import pytest

from t10c.schedule.reconcile import Allocation, Hull, allocate, largest_within
from t10c.schedule.settle import _Room

SEEDS = range(60)


def random_hull(random: np.random.Generator) -> Hull:
    """Convex, of few different slopes, so that many rungs are equally steep."""
    slopes = sorted(random.choice([1, 2, 3, 4, 8], random.integers(0, 4), replace=False))[::-1]
    sizes = random.integers(1, 4, len(slopes))
    idle = np.cumsum([int(random.integers(0, 3)), *sizes])
    time = 100 - np.cumsum([0, *(s * n for s, n in zip(slopes, sizes, strict=True))])
    return Hull(np.arange(len(idle)) + 10, idle, time.astype(float))


def slow_allocation(hulls: list[Hull], idle_limit: int) -> Allocation | None:
    """T10's loop with one hull per step."""
    position = [0] * len(hulls)
    used = sum(int(hull.idle[0]) for hull in hulls)
    if used > idle_limit:
        return None
    rungs = []
    for step, hull in enumerate(hulls):
        for k in range(1, len(hull.option)):
            size = int(hull.idle[k] - hull.idle[k - 1])
            rungs.append((-float((hull.time[k - 1] - hull.time[k]) / size), step, k, size))
    price, stuck = 0.0, set()
    for slope, step, k, size in sorted(rungs):
        if step in stuck:
            continue
        if used + size > idle_limit:
            price = price or -slope
            stuck.add(step)
        else:
            used += size
            position[step] = k
    options = np.array([hull.option[p] for hull, p in zip(hulls, position, strict=True)])
    time = sum(hull.time[p] for hull, p in zip(hulls, position, strict=True))
    return Allocation(options, idle_limit, float(time), price)


@pytest.mark.parametrize("seed", SEEDS)
def test_allocation_of_steps_that_share_hulls(seed: int) -> None:
    random = np.random.default_rng(seed)
    hulls = [random_hull(random) for _ in range(random.integers(1, 5))]
    hull_of = np.unique(random.integers(0, len(hulls), 12), return_inverse=True)
    kinds = [hulls[number] for number in hull_of[0]]
    own = [kinds[number] for number in hull_of[1]]
    least = sum(int(hull.idle[0]) for hull in own)
    for limit in range(least - 1, least + 40):
        expected = slow_allocation(own, limit)
        found = allocate(kinds, hull_of[1], limit)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert found.options.tolist() == expected.options.tolist()
            assert (found.time, found.price) == (expected.time, expected.price)


@pytest.mark.parametrize("seed", SEEDS)
def test_room_for_growing_weights(seed: int) -> None:
    """What is given to one step all others feel, and its own demand stays."""
    random = np.random.default_rng(seed)
    peak = random.integers(0, 30, random.integers(1, 6))
    capacity, left = int(peak.max()) + int(random.integers(0, 20)), int(random.integers(0, 60))
    left = min(left, capacity)
    room = _Room(peak.copy(), capacity, left)
    for _ in range(30):
        step, size = int(random.integers(len(peak))), int(random.integers(1, 5))
        others = peak.copy()
        others[step] -= size
        fits = int(others.max()) + size <= capacity and size <= left
        assert room.give(step, size) == fits
        if fits:
            peak, left = others + size, left - size


def test_sizes_that_fit() -> None:
    allowed = np.array([-5, 0, 3, 4, 9, 100])
    assert largest_within(np.array([9, 4, 4, 0]), allowed).tolist() == [-1, 0, 0, 4, 9, 9]
