"""The least setup of chosen plans in the memory there is: a knapsack with one option of each step.

Giving memory where it saves most per byte (settle.py) is quick and mostly right; where few weights
of very different sizes share the memory it may leave much of it unused.
"""

import numpy as np

from t10c.schedule.choices import Choices
from t10c.schedule.memory import Homes
from t10c.schedule.setting import Setting
from t10c.search.space import FloatArray, IntArray

_MOST_UNITS = 8192
"""Memory is counted in so many units at most; sizes are rounded up to whole ones."""

_LEAST_UNIT_BYTES = 16


def least_setup(
    setting: Setting, plans: list[int], homes: Homes, fixed_bytes: int, capacity_bytes: int
) -> list[int] | None:
    """Options of fixed plans with the least sum of setups, sizes rounded up; None if none fit.

    The step that demands most limits the idle weights of all others; its own weights get what the
    other limits leave.
    """
    demand = setting.demand_bytes(plans, homes) + homes.live + fixed_bytes
    tight = int(np.argmax(demand))
    room = capacity_bytes - int(demand[tight])
    if room < 0:
        return None
    menus = [_undominated(setting.of_step(step), plan) for step, plan in enumerate(plans)]
    others = [step for step in range(len(plans)) if step != tight]
    unit = max(_LEAST_UNIT_BYTES, -(-room // _MOST_UNITS))
    picked = _least_cost(
        [-(-setting.of_step(step).idle_bytes[menus[step]] // unit) for step in others],
        [setting.of_step(step).setup[menus[step]] for step in others],
        room // unit,
    )
    if picked is None:
        return None
    options = [0] * len(plans)
    for step, pick in zip(others, picked, strict=True):
        options[step] = int(menus[step][pick])
    most_idle = capacity_bytes - homes.end - fixed_bytes
    own = setting.of_step(tight)
    for option in menus[tight][np.argsort(own.setup[menus[tight]], kind="stable")].tolist():
        options[tight] = option
        idle = np.array([setting.of_step(s).idle_bytes[o] for s, o in enumerate(options)])
        total = int(idle.sum())
        if total <= most_idle and bool((total - idle + demand <= capacity_bytes).all()):
            return options
    return None


def _undominated(choices: Choices, plan: int) -> IntArray:
    """Options of a plan of which no other has both less bytes and less setup, by rising bytes."""
    options = np.flatnonzero(choices.plan == plan)
    idle, setup = choices.idle_bytes[options], choices.setup[options]
    order = np.lexsort((setup, idle))
    before = np.minimum.accumulate(np.append(np.inf, setup[order][:-1]))
    kept: IntArray = options[order[setup[order] < before]]
    return kept


def _least_cost(sizes: list[IntArray], costs: list[FloatArray], room: int) -> list[int] | None:
    """One option of every menu with the least sum of costs within the room; None if none fit."""
    best = np.zeros(room + 1)
    taken = np.zeros((len(sizes), room + 1), dtype=np.int32)
    for menu, (size, cost) in enumerate(zip(sizes, costs, strict=True)):
        following = np.full(room + 1, np.inf)
        for option, (units, cycles) in enumerate(zip(size.tolist(), cost.tolist(), strict=True)):
            if units > room:
                continue
            total = best[: room + 1 - units] + cycles
            better = total < following[units:]
            following[units:][better] = total[better]
            taken[menu, units:][better] = option
        best = following
    if not np.isfinite(best[room]):
        return None
    picked, left = [0] * len(sizes), room
    for menu in reversed(range(len(sizes))):
        picked[menu] = int(taken[menu, left])
        left -= int(sizes[menu][picked[menu]])
    return picked
