"""Which rows of whole numbers are equal."""

import numpy as np

from t10c.search.space import IntArray

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
