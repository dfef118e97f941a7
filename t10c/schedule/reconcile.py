"""T10's reconciliation of idle and active memory, and the bound on what it can reach.

T10 Algorithm 1: begin with every operator's smallest idle plan, give memory to the operator whose
time falls most per byte, and after each step let every operator re-pick its best active plan in
what is left. For a fixed total of idle bytes the choice is a multiple-choice knapsack, in which
taking the steepest steps of every operator's lower convex hull is the LP optimum up to one step.
"""

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from t10c.schedule.choices import Choices
from t10c.search.space import FloatArray, IntArray

_GRID = 40


@dataclass(frozen=True)
class Menu:
    """Options of one step: parallel arrays; `extra` is what a step needs beyond its idle bytes."""

    idle: IntArray
    extra: IntArray
    time: FloatArray


@dataclass(frozen=True)
class Hull:
    """Lower convex hull of (idle bytes, time) by rising idle bytes: option numbers and values."""

    option: IntArray
    idle: IntArray
    time: FloatArray


def lower_hull(menu: Menu, allowed_extra: int) -> Hull | None:
    """Hull of the options that need at most `allowed_extra`; None if there is none."""
    fits = np.flatnonzero(menu.extra <= allowed_extra)
    if not len(fits):
        return None
    order = fits[np.lexsort((menu.extra[fits], menu.time[fits], menu.idle[fits]))]
    best = np.minimum.accumulate(menu.time[order])
    keep = np.ones(len(order), dtype=bool)
    keep[1:] = menu.time[order][1:] < best[:-1]
    order = order[keep]
    hull: list[int] = []
    for option in order:
        while len(hull) >= 2 and _above(menu, hull[-2], hull[-1], int(option)):
            hull.pop()
        hull.append(int(option))
    chosen = np.array(hull, dtype=np.int64)
    return Hull(chosen, menu.idle[chosen], menu.time[chosen])


def _above(menu: Menu, a: int, b: int, c: int) -> bool:
    """Whether b lies on or above the line from a to c."""
    run = menu.idle[c] - menu.idle[a]
    return bool(
        (menu.time[b] - menu.time[a]) * run
        >= (menu.time[c] - menu.time[a]) * (menu.idle[b] - menu.idle[a])
    )


@dataclass(frozen=True)
class Allocation:
    """Options of every step at one total of idle bytes; `price` is the last step's cycles/byte."""

    options: IntArray
    idle_limit: int
    time: float
    price: float


def allocate(hulls: Seq[Hull], idle_limit: int) -> Allocation | None:
    """Steepest steps first until `idle_limit` bytes are given away; None if even least is more."""
    position = np.zeros(len(hulls), dtype=np.int64)
    used = sum(int(hull.idle[0]) for hull in hulls)
    if used > idle_limit:
        return None
    steps = []
    for index, hull in enumerate(hulls):
        gain = -np.diff(hull.time)
        size = np.diff(hull.idle)
        steps += [(-float(gain[k] / size[k]), index, k + 1, int(size[k])) for k in range(len(gain))]
    steps.sort()
    price = 0.0
    stuck: set[int] = set()
    for slope, index, target, more in steps:
        if index in stuck:
            continue
        if used + more > idle_limit:
            price = price or -slope
            stuck.add(index)
            continue
        used += more
        position[index] = target
    options = np.array(
        [hull.option[p] for hull, p in zip(hulls, position, strict=True)], dtype=np.int64
    )
    time = float(sum(hull.time[p] for hull, p in zip(hulls, position, strict=True)))
    return Allocation(options, idle_limit, time, price)


def reconcile(
    menus: Seq[Menu], menu_of: Seq[int], rest: IntArray, capacity_bytes: int, most_idle_bytes: int
) -> list[Allocation]:
    """Allocations over a grid of idle totals, best time first.

    `menu_of[step]` picks each step's menu; `rest[step]` is what lives besides (homes, buffers).
    With W idle bytes in all, a step's options must have extra <= capacity - W - rest; W is at most
    `most_idle_bytes`, what is left after the last step.
    """
    least = sum(int(menus[m].idle.min()) for m in menu_of)
    if least > most_idle_bytes:
        return []
    allocations = []
    for limit in np.unique(np.linspace(least, most_idle_bytes, _GRID).astype(np.int64)):
        hulls: dict[tuple[int, int], Hull | None] = {}
        chosen: list[Hull] = []
        for menu, others in zip(menu_of, rest, strict=True):
            key = (menu, int(capacity_bytes - limit - others))
            if key not in hulls:
                hulls[key] = lower_hull(menus[menu], key[1])
            hull = hulls[key]
            if hull is None:
                break
            chosen.append(hull)
        if len(chosen) < len(menu_of):
            continue
        allocation = allocate(chosen, int(limit))
        if allocation is not None:
            allocations.append(allocation)
    return sorted(allocations, key=lambda a: (a.time, a.idle_limit))


def lower_bound(choices: Seq[Choices], choice_of: Seq[int], capacity_bytes: int) -> float:
    """Cycles that no choice over all feasible plans can undercut.

    Lagrangian of the memory constraint: idle weights together take at most the capacity, so
    sum of min(time + price * idle) - price * capacity bounds from below for every price >= 0.
    Transitions are taken to be free where they are priced by layout, so the bound is not tight.
    """
    values = np.zeros(len(choices[0].bound_prices))
    for index in choice_of:
        values += choices[index].bound_values
    return float(np.max(values - choices[0].bound_prices * capacity_bytes))
