"""Sharing out idle memory, against loops that go step by step."""

import itertools
from typing import Any

import numpy as np
import pytest
from planned_graphs import chip, residual

from t10c.schedule import assignment
from t10c.schedule.memory import Homes
from t10c.schedule.model import schedule_model
from t10c.schedule.reconcile import (
    Allocation,
    Hull,
    Menu,
    allocate,
    largest_within,
    lower_hull,
    reconcile,
)
from t10c.schedule.setting import Setting
from t10c.schedule.settle import _ladder, _Room, settle_idle

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


@pytest.mark.parametrize("seed", SEEDS)
def test_allocations_of_steps_that_share_menus(seed: int) -> None:
    """Every limit's allocation, and the options that need as much as there is left."""
    random = np.random.default_rng(seed)

    def menu() -> Menu:
        count = int(random.integers(1, 5))
        idle, extra = random.integers(0, 8, count), random.integers(0, 6, count)
        return Menu(idle, extra, random.integers(1, 50, count).astype(float))

    menus = [menu() for _ in range(random.integers(1, 4))]
    menu_of = random.integers(0, len(menus), 8).tolist()
    rest = random.integers(0, 5, 8)
    capacity = int(random.integers(10, 60))
    expected = []
    most = capacity - 2
    least = sum(int(menus[number].idle.min()) for number in menu_of)
    limits = np.linspace(least, most, 40).astype(int) if least <= most else []
    for limit in np.unique(limits).tolist():
        left = (capacity - limit - rest).tolist()
        hulls = [lower_hull(menus[m], allowed) for m, allowed in zip(menu_of, left, strict=True)]
        own = [hull for hull in hulls if hull is not None]
        found = slow_allocation(own, limit) if len(own) == len(hulls) else None
        if found is not None:
            expected.append(found)
    expected.sort(key=lambda found: (found.time, found.idle_limit))
    found = reconcile(menus, menu_of, rest, capacity, most)
    assert [each.options.tolist() for each in found] == [e.options.tolist() for e in expected]
    assert [(f.idle_limit, f.price) for f in found] == [(e.idle_limit, e.price) for e in expected]


def test_sizes_that_fit() -> None:
    allowed = np.array([-5, 0, 3, 4, 9, 100])
    assert largest_within(np.array([9, 4, 4, 0]), allowed).tolist() == [-1, 0, 0, 4, 9, 9]


def slow_settling(
    setting: Setting, plans: list[int], homes: Homes, fixed_bytes: int, capacity_bytes: int
) -> list[int] | None:
    """Smallest idle cuts first, then gain after gain, every one tried on all steps."""
    steps = range(len(plans))
    ladders = [_ladder(setting.of_step(step), plans[step]) for step in steps]
    option = [ladder[0] for ladder in ladders]
    idle = np.array([setting.of_step(s).idle_bytes[option[s]] for s in steps])
    needs = [setting.of_step(s).demand_bytes(int(homes.dying[s]))[plans[s]] for s in steps]
    peak = int(idle.sum()) - idle + np.array(needs) + homes.live + fixed_bytes
    total, most_idle = int(idle.sum()), capacity_bytes - homes.end - fixed_bytes
    if int(peak.max()) > capacity_bytes or total > most_idle:
        return None
    gains = []
    for step, ladder in enumerate(ladders):
        choices = setting.of_step(step)
        for rank, (low, high) in enumerate(itertools.pairwise(ladder), start=1):
            size = int(choices.idle_bytes[high] - choices.idle_bytes[low])
            gain = float(choices.setup[low] - choices.setup[high])
            gains.append((-gain / size, step, rank, size))
    reached = [0] * len(plans)
    for _, step, rank, size in sorted(gains):
        others = peak.copy()
        others[step] -= size
        fits = int(others.max()) + size <= capacity_bytes and total + size <= most_idle
        if reached[step] == rank - 1 and fits:
            peak, total = others + size, total + size
            reached[step] = rank
            option[step] = ladders[step][rank]
    return option


def test_settled_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of a few layers, where little, some and all memory is left for idle weights."""
    met: list[tuple[Any, ...]] = []

    def noted(*given: Any) -> list[int] | None:
        met.append(given)
        return settle_idle(*given)

    monkeypatch.setattr(assignment, "settle_idle", noted)
    schedule_model(residual(layers=5), chip(cores=8, kib=10))
    setting, _, homes, fixed_bytes, _ = met[0]
    random = np.random.default_rng(0)
    different = set()
    for _ in range(20):
        plans = [
            int(random.integers(len(setting.of_step(s).plans))) for s in range(len(homes.live))
        ]
        for capacity in range(fixed_bytes, 16 * 1024, 211):
            found = settle_idle(setting, plans, homes, fixed_bytes, capacity)
            assert found == slow_settling(setting, plans, homes, fixed_bytes, capacity)
            different.add(None if found is None else tuple(found))
    assert None in different
    assert len(different) > 60
