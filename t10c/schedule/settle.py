"""What memory is left once plans are chosen goes to idle weights, where it saves the most setup."""

import heapq

import numpy as np

from t10c.schedule.choices import Choices
from t10c.schedule.memory import Homes
from t10c.schedule.setting import Setting
from t10c.search.space import FloatArray, IntArray


def settle_idle(
    setting: Setting, plans: list[int], homes: Homes, fixed_bytes: int, capacity_bytes: int
) -> list[int] | None:
    """Options for fixed plans: smallest idle cuts first, then the steepest gains that still fit.

    None if even the smallest cuts exceed the capacity at some step.
    """
    keys = list(zip(setting.choice_of, plans, strict=True))
    ladders = {key: _ladder(setting.choices[key[0]], key[1]) for key in dict.fromkeys(keys)}
    least = {key: int(setting.choices[key[0]].idle_bytes[o[0]]) for key, o in ladders.items()}
    idle = np.array([least[key] for key in keys], dtype=np.int64)
    total = int(idle.sum())
    peak = total - idle + setting.demand_bytes(plans, homes) + homes.live + fixed_bytes
    most_idle = capacity_bytes - homes.end - fixed_bytes
    if int(peak.max(initial=0)) > capacity_bytes or total > most_idle:
        return None
    gains = _gains(setting, keys, ladders)
    # the first ones fit whoever gets them
    left = min(capacity_bytes - int(peak.max()), most_idle - total)
    sure = gains[: int(np.searchsorted(np.cumsum(gains[:, 2]), left, side="right"))]
    given = np.zeros(len(keys), dtype=np.int64)
    np.add.at(given, sure[:, 0], sure[:, 2])
    ranks = np.bincount(sure[:, 0], minlength=len(keys))
    grown = int(given.sum())
    room = _Room(peak + grown - given, capacity_bytes, most_idle - total - grown)
    reached: list[int] = ranks.tolist()
    for step, rank, size in gains[len(sure) :].tolist():
        if reached[step] == rank - 1 and room.give(step, size):
            reached[step] = rank
    return [ladders[key][rank] for key, rank in zip(keys, reached, strict=True)]


class _Room:
    """Memory at every step while idle weights grow: all other steps feel the growth of one's own.

    `peak` (steps,) is what steps take before, `left_bytes` what all weights together may grow by.
    """

    def __init__(self, peak: IntArray, capacity_bytes: int, left_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._left = left_bytes
        self._grown = 0
        # demand without what all have grown by, and 0 so that no step is alone; entries of the heap
        # that say other are outdated
        self._demand: list[int] = [*peak.tolist(), 0]
        self._heap = [(-demand, step) for step, demand in enumerate(self._demand)]
        heapq.heapify(self._heap)

    def give(self, step: int, size: int) -> bool:
        """Let the weights of a step grow by `size` bytes, if that fits everywhere."""
        if size > self._left or self._most_beside(step) + self._grown + size > self._capacity:
            return False
        self._left -= size
        self._grown += size
        self._demand[step] -= size
        heapq.heappush(self._heap, (-self._demand[step], step))
        return True

    def _most_beside(self, step: int) -> int:
        """The largest demand of the other steps."""
        top = self._top()
        if top[1] != step:
            return -top[0]
        heapq.heappop(self._heap)
        second = self._top()
        heapq.heappush(self._heap, top)
        return -second[0]

    def _top(self) -> tuple[int, int]:
        heap, demand = self._heap, self._demand
        while -heap[0][0] != demand[heap[0][1]]:
            heapq.heappop(heap)
        return heap[0]


def _gains(
    setting: Setting, keys: list[tuple[int, int]], ladders: dict[tuple[int, int], list[int]]
) -> IntArray:
    """Rows of step, rank and bytes, one for every rung of the steps' ladders, steepest first."""
    members: dict[tuple[int, int], list[int]] = {}
    for step, key in enumerate(keys):
        members.setdefault(key, []).append(step)
    slopes: list[FloatArray] = []
    parts: list[IntArray] = []
    for key, steps in members.items():
        choices, ladder = setting.choices[key[0]], ladders[key]
        sizes = np.diff(choices.idle_bytes[ladder])
        # a ladder is convex; rounding must not let a rung come before the one below it
        slope = np.maximum.accumulate(np.diff(choices.setup[ladder]) / sizes)
        ranks = np.arange(1, len(ladder))
        slopes.append(np.repeat(slope, len(steps)))
        columns = (np.tile(steps, len(ranks)), *(np.repeat(x, len(steps)) for x in (ranks, sizes)))
        parts.append(np.stack(columns, axis=1).astype(np.int64))
    gains = np.concatenate(parts)
    return gains[np.lexsort((gains[:, 1], gains[:, 0], np.concatenate(slopes)))]


def _ladder(choices: Choices, plan: int) -> list[int]:
    """Options of one plan on the lower convex hull of (idle bytes, setup), by rising idle bytes."""
    options = np.flatnonzero(choices.plan == plan)
    order = options[np.lexsort((choices.setup[options], choices.idle_bytes[options]))]
    hull: list[int] = []
    for candidate in order:
        c = int(candidate)
        if hull and choices.setup[c] >= choices.setup[hull[-1]]:
            continue
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            left = (choices.setup[a] - choices.setup[b]) * (
                choices.idle_bytes[c] - choices.idle_bytes[b]
            )
            right = (choices.setup[b] - choices.setup[c]) * (
                choices.idle_bytes[b] - choices.idle_bytes[a]
            )
            if left > right:
                break
            hull.pop()
        hull.append(c)
    return hull
