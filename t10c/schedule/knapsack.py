"""The least setup of chosen plans in the memory there is: a knapsack with one option of each step.

Giving memory where it saves most per byte (settle.py) is quick and mostly right; where few weights
of very different sizes share the memory it may leave much of it unused.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

    The step that demands most limits the idle weights of all others. Its own idle cuts are gone
    through one by one, because what they take is missing where other limits count it.
    """
    demand = setting.demand_bytes(plans, homes) + homes.live + fixed_bytes
    tight = int(np.argmax(demand))
    room_bytes = capacity_bytes - int(demand[tight])
    if room_bytes < 0:
        return None
    menus = [_undominated(setting.of_step(step), plan) for step, plan in enumerate(plans)]
    others = [step for step in range(len(plans)) if step != tight]
    unit_bytes = max(_LEAST_UNIT_BYTES, -(-room_bytes // _MOST_UNITS))
    sack = _Sack.filled(
        [-(-setting.of_step(step).idle_bytes[menus[step]] // unit_bytes) for step in others],
        [setting.of_step(step).setup[menus[step]] for step in others],
        room_bytes // unit_bytes,
    )
    most_idle_bytes = capacity_bytes - homes.end - fixed_bytes
    # another step's own weights do not count while it runs: what they take may not fit, or may
    rest_bytes = capacity_bytes - int(demand[others].max(initial=0))
    best: tuple[float, list[int]] = (np.inf, [])
    own = setting.of_step(tight)
    for option in menus[tight].tolist():
        size, setup = int(own.idle_bytes[option]), float(own.setup[option])
        for left_bytes in (
            min(room_bytes, most_idle_bytes - size),
            min(room_bytes, most_idle_bytes - size, rest_bytes - size),
        ):
            cycles = setup + sack.least(left_bytes // unit_bytes)
            if cycles >= best[0]:
                continue
            options = [0] * len(plans)
            options[tight] = option
            for step, pick in zip(others, sack.picked(left_bytes // unit_bytes), strict=True):
                options[step] = int(menus[step][pick])
            idle = np.array([setting.of_step(s).idle_bytes[o] for s, o in enumerate(options)])
            if bool((idle.sum() - idle + demand <= capacity_bytes).all()):
                best = cycles, options
    return best[1] or None


def _undominated(choices: Choices, plan: int) -> IntArray:
    """Options of a plan of which no other has both less bytes and less setup, by rising bytes."""
    options = np.flatnonzero(choices.plan == plan)
    idle, setup = choices.idle_bytes[options], choices.setup[options]
    order = np.lexsort((setup, idle))
    before = np.minimum.accumulate(np.append(np.inf, setup[order][:-1]))
    kept: IntArray = options[order[setup[order] < before]]
    return kept


@dataclass(frozen=True)
class _Sack:
    """The least sum of costs of one option of every menu, for every room in units.

    `best` (rooms,) are costs, inf where nothing fits, `taken` (menus, rooms) the options, and
    `sizes` those of the options.
    """

    sizes: list[IntArray]
    best: FloatArray
    taken: NDArray[np.int32]

    @classmethod
    def filled(cls, sizes: list[IntArray], costs: list[FloatArray], room: int) -> "_Sack":
        """For all rooms up to a largest."""
        best = np.zeros(room + 1)
        taken = np.zeros((len(sizes), room + 1), dtype=np.int32)
        for menu, (size, cost) in enumerate(zip(sizes, costs, strict=True)):
            following = np.full(room + 1, np.inf)
            for option, (units, cycles) in enumerate(
                zip(size.tolist(), cost.tolist(), strict=True)
            ):
                if units > room:
                    continue
                total = best[: room + 1 - units] + cycles
                better = total < following[units:]
                following[units:][better] = total[better]
                taken[menu, units:][better] = option
            best = following
        return cls(sizes, best, taken)

    def least(self, room: int) -> float:
        """The least cost in a room, inf if nothing fits."""
        return float(self.best[room]) if room >= 0 else np.inf

    def picked(self, room: int) -> list[int]:
        """The options of the least cost, one of every menu."""
        picked, left = [0] * len(self.sizes), room
        for menu in reversed(range(len(self.sizes))):
            picked[menu] = int(self.taken[menu, left])
            left -= int(self.sizes[menu][picked[menu]])
        return picked
