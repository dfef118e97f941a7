"""What a joint choice has learnt of every row of a shortlist."""

from dataclasses import dataclass, replace

import numpy as np

from t10c.schedule.numbering import numbered
from t10c.schedule.shortlist import Shortlist
from t10c.search.space import BoolArray, IntArray

_CLASS_RATIOS = (1.2, 1.5, 2.0, 4.0, 16.0, 256.0, 1e9)
"""Sizes of one class differ by less than such a factor: the first with few enough classes."""

_MOST_CLASSES = 400

NO_PLAN = -1


@dataclass(frozen=True)
class Progress:
    """What is known of every row of a shortlist, (rows,) each.

    `alive` rows may still be part of a better schedule, `opened` ones are compared by their
    layouts; opened rows with the same `alike` lie alike for whatever is connected to them, others
    with the same `size_class` have similar sizes. `plan` is the number of the row's plan in its
    choices, or NO_PLAN. `rest_alive` (parts,) says which parts of what the list sums up are alive.
    """

    alive: BoolArray
    opened: BoolArray
    alike: IntArray
    size_class: IntArray
    plan: IntArray
    rest_alive: BoolArray

    @classmethod
    def of_list(cls, listed: Shortlist) -> "Progress":
        """Nothing known yet of a shortlist."""
        rows = len(listed)
        none = np.zeros(rows, dtype=bool)
        plan = np.full(rows, NO_PLAN, dtype=np.int64)
        rest = np.ones(len(listed.rest.cuts), dtype=bool)
        first = cls(~none, none, np.arange(rows), np.zeros(rows, np.int64), plan, rest)
        return first.classified(listed)

    def opening(self, rows: IntArray, alike: IntArray) -> "Progress":
        """The same with more rows opened, (rows,) each."""
        opened, every = self.opened.copy(), self.alike.copy()
        opened[rows] = True
        every[rows] = alike
        return replace(self, opened=opened, alike=every)

    def classified(self, listed: Shortlist) -> "Progress":
        """The same with classes as fine as may be for the rows that are left.

        Rows of one class cut the same dimensions of the output, where that is told apart.
        """
        rows = np.flatnonzero(self.alive & ~self.opened)
        sizes = np.column_stack([listed.fetched_bytes, listed.floor_bytes, listed.home_bytes])
        logs = np.log(np.maximum(sizes[rows], 1.0))
        size_class = np.zeros(len(listed), dtype=np.int64)
        for ratio in _CLASS_RATIOS:
            keys = np.floor(logs / np.log(ratio)).astype(np.int64)
            keys = np.column_stack([listed.cuts[rows], keys])
            count, size_class[rows] = numbered(keys)
            if count <= _MOST_CLASSES:
                break
        return replace(self, size_class=size_class)
