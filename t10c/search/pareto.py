"""Pareto fronts of arrays, exact and in chunks."""

import numpy as np

from t10c.search.space import FloatArray, IntArray


def pareto_front(memory: IntArray, cycles: FloatArray) -> IntArray:
    """Indices of the candidates that no other beats in both coordinates, by rising memory.

    Of equal candidates the first stays, so the front does not depend on how it was chunked.
    """
    order = np.lexsort((np.arange(len(memory)), cycles, memory))
    best = np.minimum.accumulate(cycles[order])
    keep = np.ones(len(order), dtype=bool)
    keep[1:] = cycles[order][1:] < best[:-1]
    return order[keep]
