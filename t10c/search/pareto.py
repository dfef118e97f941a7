"""Pareto fronts of arrays, exact and in chunks, and what they rule out."""

from dataclasses import dataclass

import numpy as np

from t10c.search.space import FloatArray, IntArray


def pareto_front(memory: IntArray | FloatArray, cycles: FloatArray) -> IntArray:
    """Indices of the candidates that no other beats in both coordinates, by rising memory.

    Of equal candidates the first stays, so the front does not depend on how it was chunked.
    """
    order = np.lexsort((cycles, memory))  # stable: equal candidates keep their order
    best = np.minimum.accumulate(cycles[order])
    keep = np.ones(len(order), dtype=bool)
    keep[1:] = cycles[order][1:] < best[:-1]
    return order[keep]


@dataclass(frozen=True)
class Staircase:
    """Plans known so far that no other beats, by rising memory: what a new plan must beat.

    `memory` (bytes) rises and `cycles` fall strictly.
    """

    memory: FloatArray
    cycles: FloatArray

    def least_cycles(self, memory: IntArray | FloatArray) -> FloatArray:
        """Cycles of the fastest known plan of at most that memory; infinite if there is none."""
        steps = np.concatenate([[np.inf], self.cycles])
        least: FloatArray = steps[np.searchsorted(self.memory, memory, side="right")]
        return least

    def with_plans(self, memory: IntArray | FloatArray, cycles: FloatArray) -> "Staircase":
        """The staircase of these plans too."""
        both = np.concatenate([self.memory, memory])
        cycles = np.concatenate([self.cycles, cycles])
        front = pareto_front(both, cycles)
        return Staircase(both[front], cycles[front])


NO_PLANS = Staircase(np.zeros(0), np.zeros(0))
