"""What kinds of a reader receive at least after kinds of an earlier step, in rows that differ.

Of thousands of kinds most lie in ways of their own, and yet readers receive the same few numbers of
bytes from all of them: some core has nothing of what it needs. Kinds after which every kind of the
reader receives the same share a row, and readers' kinds that are told apart by nothing a column.
"""

from dataclasses import dataclass

import numpy as np

from t10c.schedule.numbering import numbered
from t10c.schedule.pair_table import MergedPairs
from t10c.search.space import FloatArray, IntArray


@dataclass(frozen=True)
class Held:
    """Kinds of the earlier step: the first `single` are plans, others classes; (kinds,) each.

    Any core has `most_bytes` at most of what is read, and `most_cores` at most have any.
    """

    single: int
    most_bytes: FloatArray
    most_cores: IntArray


@dataclass(frozen=True)
class Needed:
    """Kinds of the reader, of which the first `single` are plans, (kinds,) each.

    So many cores, `least_cores`, need `least_bytes` at least beyond what lies evenly spread (less
    than nothing, perhaps); some core receives `floor_bytes` at least, whatever is held.
    """

    single: int
    least_bytes: FloatArray
    least_cores: IntArray
    floor_bytes: FloatArray


class SizeTable:
    """Bytes received between kinds; rows are added when they are first asked for.

    Between two plans they are those of `pairs`. Between others it is what some core needs at least
    less what any holds at most, or all of it where more cores need it than hold any.
    """

    def __init__(
        self, pairs: MergedPairs, held: Held, needed: Needed, second_ways: IntArray
    ) -> None:
        self._pairs = pairs
        self._held = held
        # where all of one side are plans, what others need or hold makes no difference
        told_apart = held.single < len(held.most_bytes)
        own = pairs.second_class[second_ways]
        columns = _with_others(own, len(needed.least_bytes))
        if told_apart:
            ranks = (
                _rank(needed.least_bytes),
                _rank(needed.least_cores),
                _rank(needed.floor_bytes),
            )
            columns = numbered(np.column_stack([columns, *ranks]))[1]
        some, self.columns = np.unique(columns, return_index=True, return_inverse=True)[1:]
        """The column of every kind of the reader, (kinds,)."""
        self._own = own[some[some < needed.single]]
        self._exact = some < needed.single
        self._least = needed.least_bytes[some]
        self._least_cores = needed.least_cores[some]
        self._floor = needed.floor_bytes[some]
        rank = np.zeros(len(held.most_bytes), dtype=np.int64)
        if not self._exact.all():
            both = np.column_stack([_rank(held.most_bytes), _rank(held.most_cores)])
            rank = numbered(both)[1]
        self._ranks = int(rank.max(initial=0)) + 1
        self._rank = rank
        self._row_of: dict[bytes, int] = {}
        self._rows: list[FloatArray] = []
        self._codes: IntArray = np.zeros(0, dtype=np.int64)  # rising
        self._row_of_code: IntArray = np.zeros(0, dtype=np.int64)

    def rows(self, first_ways: IntArray) -> IntArray:
        """The row of every kind of the earlier step, (kinds,); `first_ways` (plans,) are ways."""
        own = self._pairs.first_class[first_ways]
        codes = _with_others(own, len(self._rank), len(self._pairs.table)) * self._ranks
        codes += self._rank
        place = np.searchsorted(self._codes, codes)
        known = self._codes.take(place, mode="clip") if len(self._codes) else codes - 1
        if not np.array_equal(known, codes):
            self._add(codes, own, np.flatnonzero(known != codes))
            place = np.searchsorted(self._codes, codes)
        return self._row_of_code[place]

    def table(self) -> FloatArray:
        """Bytes received, (rows, columns)."""
        return np.stack(self._rows)

    def _add(self, codes: IntArray, own: IntArray, kinds: IntArray) -> None:
        """Add the rows of some kinds, by their codes; `own` are classes of plans."""
        new, first = np.unique(codes[kinds], return_index=True)
        kinds = kinds[first]
        held = self._held.most_bytes[kinds, None]
        lacks_all = self._held.most_cores[kinds, None] < self._least_cores
        held = np.where(lacks_all, 0.0, held)
        size = np.maximum(self._floor, np.maximum(0.0, self._least - held))
        plans = np.flatnonzero(kinds < self._held.single)
        exact = self._pairs.table[np.ix_(own[kinds[plans]], self._own)]
        size[np.ix_(plans, np.flatnonzero(self._exact))] = exact
        numbers = []
        for row in size:
            number = self._row_of.setdefault(row.tobytes(), len(self._rows))
            if number == len(self._rows):
                self._rows.append(row)
            numbers.append(number)
        every = np.append(self._codes, new)
        order = np.argsort(every)
        self._codes = every[order]
        self._row_of_code = np.append(self._row_of_code, np.array(numbers, dtype=np.int64))[order]


def _with_others(own: IntArray, count: int, least: int = 0) -> IntArray:
    """Numbers of plans, and after all of them one of its own for every other kind, (count,)."""
    after = max(least, int(own.max(initial=-1)) + 1)
    return np.append(own, after + np.arange(count - len(own)))


def _rank(values: FloatArray | IntArray) -> IntArray:
    """Numbers of different values, in their order."""
    return np.unique(values, return_inverse=True)[1].ravel()
