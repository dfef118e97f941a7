"""T10's reconciliation of idle and active memory, and the bound on what it can reach.

T10 Algorithm 1: begin with every operator's smallest idle plan, give memory to the operator whose
time falls most per byte, and after each step let every operator re-pick its best active plan in
what is left. For a fixed total of idle bytes the choice is a multiple-choice knapsack, in which
taking the steepest steps of every operator's lower convex hull is the LP optimum up to one step.
"""

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from itertools import accumulate, groupby

import numpy as np

from t10c.schedule.choices import Choices
from t10c.search.space import BoolArray, FloatArray, IntArray

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


def largest_within(sizes: IntArray, allowed: IntArray) -> IntArray:
    """For every entry of `allowed` the largest of the sizes that it has room for, -1 for none.

    As long as that is the same, the same options fit.
    """
    steps = np.concatenate([[-1], np.unique(sizes)])
    found: IntArray = steps[np.searchsorted(steps[1:], allowed, side="right")]
    return found


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


def allocate(hulls: Seq[Hull], hull_of: IntArray, idle_limit: int) -> Allocation | None:
    """Steepest steps first until `idle_limit` bytes are given away; None if even least is more.

    `hull_of[step]` numbers the hull of every step. Among equally steep ones the first step of the
    sequence comes first; one that does not fit ends its step's climb.
    """
    counts: list[int] = np.bincount(hull_of, minlength=len(hulls)).tolist()
    used = sum(int(hull.idle[0]) * n for hull, n in zip(hulls, counts, strict=True))
    if used > idle_limit:
        return None
    groups = [list(rungs) for _, rungs in groupby(_rungs(hulls), key=lambda rung: rung[0])]
    # at first there is room for all steps of a hull, which climb together
    together = np.zeros(len(hulls), dtype=np.int64)
    climbed = 0
    for rungs in groups:
        grown = used + sum(size * counts[hull] for _, hull, _, size in rungs)
        if grown > idle_limit:
            break
        used = grown
        climbed += 1
        for _, hull, target, _ in rungs:
            together[hull] = target
    position = together[hull_of]
    price = _climb_singly(groups[climbed:], hull_of, position, idle_limit - used)
    first = np.cumsum([0, *(len(hull.option) for hull in hulls)])[hull_of] + position
    options = np.concatenate([hull.option for hull in hulls])[first]
    times = np.concatenate([hull.time for hull in hulls])[first]
    return Allocation(options, idle_limit, float(np.cumsum(times)[-1]), price)


def _climb_singly(
    groups: Seq[list[tuple[float, int, int, int]]], hull_of: IntArray, position: IntArray, room: int
) -> float:
    """Climb equally steep rungs, group by group, as far as there is room: step by step.

    Changes `position`, where every step stands on its hull; returns the slope of the first rung
    that does not fit, 0 if there is none.
    """
    if not groups:
        return 0.0
    counts = np.bincount(hull_of, minlength=1 + max(r[1] for rungs in groups for r in rungs))
    members = np.split(np.argsort(hull_of, kind="stable"), np.cumsum(counts)[:-1])
    stuck = np.zeros(len(hull_of), dtype=bool)
    price = 0.0
    smallest = (min(size for _, _, _, size in rungs) for rungs in reversed(groups))
    least_from = list(accumulate(smallest, min))[::-1]
    for rungs, least in zip(groups, least_from, strict=True):
        if price and room < least:
            break  # nothing fits any more
        climb = _climb([(members[hull], target, size) for _, hull, target, size in rungs])
        climb = climb[:, ~stuck[climb[0]]]
        taken = _first_fit(climb, room)
        room -= int(climb[2, taken].sum())
        position[climb[0, taken]] = climb[1, taken]
        if not taken.all():
            price = price or -rungs[0][0]
            stuck[climb[0, ~taken]] = True
    return price


def _rungs(hulls: Seq[Hull]) -> list[tuple[float, int, int, int]]:
    """(slope, hull, position it leads to, bytes) of all hulls' segments, steepest first."""
    rungs = []
    for index, hull in enumerate(hulls):
        gain = -np.diff(hull.time)
        size = np.diff(hull.idle)
        rungs += [(-float(gain[k] / size[k]), index, k + 1, int(size[k])) for k in range(len(gain))]
    return sorted(rungs)


def _climb(rungs: list[tuple[IntArray, int, int]]) -> IntArray:
    """Equally steep rungs (steps, position, bytes) as rows step, position and bytes, in order."""
    steps = np.concatenate([steps for steps, _, _ in rungs])
    lengths = [len(steps) for steps, _, _ in rungs]
    climb = np.stack([steps, *(np.repeat([r[i] for r in rungs], lengths) for i in (1, 2))])
    return climb if len(rungs) == 1 else climb[:, np.lexsort((climb[1], climb[0]))]


def _first_fit(climb: IntArray, room: int) -> BoolArray:
    """Which rungs are taken: in order those that fit, of a step none after one that does not."""
    steps, targets, sizes = climb
    taken = np.zeros(len(steps), dtype=bool)
    left = np.arange(len(steps))
    while len(left):
        total = np.cumsum(sizes[left])
        fitting = int(np.searchsorted(total, room, side="right"))
        taken[left[:fitting]] = True
        room -= int(total[fitting - 1]) if fitting else 0
        left = left[fitting:]
        # what is too large now stays so, the first that is left among it
        ends = np.full(int(steps.max()) + 1, np.iinfo(np.int64).max)
        large = left[sizes[left] > room]
        np.minimum.at(ends, steps[large], targets[large])
        left = left[targets[left] < ends[steps[left]]]
    return taken


def reconcile(
    menus: Seq[Menu], menu_of: Seq[int], rest: IntArray, capacity_bytes: int, most_idle_bytes: int
) -> list[Allocation]:
    """Allocations over a grid of idle totals, best time first.

    `menu_of[step]` picks each step's menu; `rest[step]` is what lives besides (homes, buffers).
    With W idle bytes in all, a step's options must have extra <= capacity - W - rest; W is at most
    `most_idle_bytes`, what is left after the last step.
    """
    menu = np.asarray(menu_of, dtype=np.int64)
    counts = np.bincount(menu, minlength=len(menus))
    least = sum(int(m.idle.min()) * int(n) for m, n in zip(menus, counts, strict=True))
    if least > most_idle_bytes:
        return []
    members = [np.flatnonzero(menu == number) for number in range(len(menus))]
    sizes = [np.unique(m.extra) for m in menus]
    begins = np.cumsum([0, *(1 + len(own) for own in sizes)])
    number = np.zeros(len(menu), dtype=np.int64)
    allocations = []
    for limit in np.unique(np.linspace(least, most_idle_bytes, _GRID).astype(np.int64)):
        allowed = capacity_bytes - int(limit) - rest
        # steps with the same menu and the same options that fit have the same hull
        for own, begin, steps in zip(sizes, begins[:-1], members, strict=True):
            number[steps] = begin + np.searchsorted(own, allowed[steps], side="right")
        first, kind_of = _first_of_kinds(number, int(begins[-1]))
        hulls: list[Hull] = []
        for step in first:
            hull = lower_hull(menus[menu[step]], int(allowed[step]))
            if hull is None:
                break
            hulls.append(hull)
        if len(hulls) < len(first):
            continue
        allocation = allocate(hulls, kind_of, int(limit))
        if allocation is not None:
            allocations.append(allocation)
    return sorted(allocations, key=lambda a: (a.time, a.idle_limit))


def _first_of_kinds(numbers: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """The first entry of every number below `count` that occurs, and every entry's rank of these.

    As `np.unique` gives them, without sorting.
    """
    first = np.full(count, -1)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    occurs = first >= 0
    ranks: IntArray = np.cumsum(occurs) - 1
    return first[occurs], ranks[numbers]


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
