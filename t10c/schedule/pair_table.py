"""Tables over pairs of ways that plans lie, of which many are alike."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t10c.schedule.received_matrix import first_alike
from t10c.search.space import IntArray


@dataclass(frozen=True)
class MergedPairs:
    """Numbers of pairs of ways: `table[first_class[first], second_class[second]]`.

    Ways whose numbers are the same with all others are of one class. Ways that were not asked for
    have none, -1.
    """

    table: IntArray
    first_class: IntArray
    second_class: IntArray


class PairTable:
    """Numbers of pairs of ways, computed for those that are asked for, each pair once."""

    def __init__(self, compute: Callable[[IntArray, IntArray], IntArray]) -> None:
        self._compute = compute
        self._first = _Places()
        self._second = _Places()
        self._table = np.zeros((0, 0), dtype=np.int64)
        self._merged: MergedPairs | None = None

    def of(self, first: IntArray, second: IntArray) -> IntArray:
        """The numbers of all pairs, (first, second)."""
        new_first, new_second = self._first.missing(first), self._second.missing(second)
        if len(new_first) or len(new_second):
            self._grow(new_first, new_second)
        return self._table[np.ix_(self._first.of(first), self._second.of(second))]

    def merged(self, first: IntArray, second: IntArray) -> "MergedPairs":
        """The numbers of all pairs of these ways and of those asked for before."""
        new_first, new_second = self._first.missing(first), self._second.missing(second)
        if len(new_first) or len(new_second):
            self._grow(new_first, new_second)
        if self._merged is None:
            some_rows, row_class = first_alike(self._table)
            some_columns, column_class = first_alike(self._table[some_rows].T.copy())
            self._merged = MergedPairs(
                self._table[np.ix_(some_rows, some_columns)],
                self._first.spread(row_class),
                self._second.spread(column_class),
            )
        return self._merged

    def _grow(self, new_first: IntArray, new_second: IntArray) -> None:
        old_first, old_second = self._first.ways, self._second.ways
        self._first.add(new_first)
        self._second.add(new_second)
        table = np.zeros((len(self._first.ways), len(self._second.ways)), dtype=np.int64)
        table[: len(old_first), : len(old_second)] = self._table
        if len(old_first) and len(new_second):
            table[: len(old_first), len(old_second) :] = self._compute(old_first, new_second)
        if len(new_first) and table.shape[1]:
            table[len(old_first) :] = self._compute(new_first, self._second.ways)
        self._table, self._merged = table, None


class _Places:
    """Places of ways in a table, in the order in which they came: `ways` are those with one."""

    def __init__(self) -> None:
        self.ways: IntArray = np.zeros(0, dtype=np.int64)
        self._of: IntArray = np.zeros(0, dtype=np.int64)

    def missing(self, ways: IntArray) -> IntArray:
        """The ways that have no place, each once."""
        longer = int(ways.max(initial=-1)) + 1 - len(self._of)
        if longer > 0:
            self._of = np.append(self._of, np.full(longer, -1, dtype=np.int64))
        return np.unique(ways[self._of[ways] < 0])

    def add(self, ways: IntArray) -> None:
        """Give places to ways that have none."""
        self._of[ways] = len(self.ways) + np.arange(len(ways))
        self.ways = np.append(self.ways, ways)

    def of(self, ways: IntArray) -> IntArray:
        """The places of ways that have one, (ways,)."""
        return self._of[ways]

    def spread(self, values: IntArray) -> IntArray:
        """Values of the ways in their order, by the number of the way; -1 where it has none."""
        found = np.full(len(self._of), -1, dtype=np.int64)
        found[self.ways] = values
        return found
