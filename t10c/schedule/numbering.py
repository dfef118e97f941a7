"""Which rows of whole numbers are equal, and the turn of each among those equal to it."""

import numpy as np

from t10c.search.space import FloatArray, IntArray

_MOST_NUMBERS = 1 << 62
"""Whole numbers of 64 bits tell so many rows apart."""


def numbered(rows: IntArray) -> tuple[int, IntArray]:
    """How many different rows there are, and which of them, in order, every row is."""
    number, most = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T:
        first = int(column.min(initial=0))
        span = int(column.max(initial=0)) - first + 1
        if most * span >= _MOST_NUMBERS:
            found, number = np.unique(number, return_inverse=True)
            most = len(found)
        number, most = number * span + (column - first), most * span
    found, number = np.unique(number, return_inverse=True)
    return len(found), number


def turns(groups: IntArray, scores: FloatArray) -> IntArray:
    """How many of the same group have a better score, (n,); equal rows of `groups` are one."""
    _, group = numbered(groups)
    order = np.lexsort((scores, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return found
