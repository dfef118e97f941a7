"""How listed plans lie on the sampled cores: told apart once, and compared by what they are.

Of thousands of listed plans many hold an operand alike: a matmul's weight lies in hundreds of ways
where plans differ in thousands. What depends on layouts is computed per way.
"""

import hashlib
from collections.abc import Callable

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices
from t10c.schedule.layout import Layout
from t10c.schedule.layout_batch import LayoutRole, stacked_layout
from t10c.search.operator import plan_of
from t10c.search.space import IntArray
from t10c.search.temporal import slot_table

Lies = tuple[LayoutRole, int]
"""A role, and the operand that plays it (0 for the output)."""

_CHUNK_PLANS = 512
_LATEST = 16
"""Stacks of layouts that are remembered: reads that differ in their views only ask for the same."""


class ListedLayouts:
    """The ways in which listed plans of every choices lie, by choices, role and operand."""

    def __init__(self, choices: tuple[Choices, ...], sample: IntArray, spec: HardwareSpec) -> None:
        self._choices = choices
        self._sample = sample
        self._spec = spec
        self._known: dict[tuple[int, Lies], _KnownWays] = {}
        self._latest: dict[tuple[int, Lies, bytes], Layout] = {}

    def ways(self, number: int, lies: Lies, rows: IntArray) -> IntArray:
        """The ways of some rows of the shortlist, (rows,)."""
        key = (number, lies)
        if key not in self._known:
            self._known[key] = _KnownWays(len(self._choices[number].listed))
        known = self._known[key]
        new = rows[known.of[rows] < 0]
        for low in range(0, len(new), _CHUNK_PLANS):
            part = new[low : low + _CHUNK_PLANS]
            layout = self._stacked(number, lies, part)
            sides = np.concatenate([layout.start, layout.stop], axis=1)
            known.add(part, sides.reshape(len(part), -1))
        return known.of[rows]

    def layouts(self, number: int, lies: Lies, ways: IntArray) -> Layout:
        """Layouts of ways that are known, one after the other: (ways * cores, dims)."""
        key = (number, lies, ways.tobytes())
        layout = self._latest.pop(key, None)
        if layout is None:
            first = self._known[number, lies].first
            rows = np.array([first[way] for way in ways.tolist()], dtype=np.int64)
            layout = self._stacked(number, lies, rows)
        self._latest[key] = layout
        if len(self._latest) > _LATEST:
            del self._latest[next(iter(self._latest))]
        return layout

    def _stacked(self, number: int, lies: Lies, rows: IntArray) -> Layout:
        own = self._choices[number]
        expression, listed = own.problem.expression, own.listed
        table = slot_table(expression)
        plans = [
            plan_of(expression, table, listed.candidates, listed.costs, row, self._spec)
            for row in rows.tolist()
        ]
        role, operand = lies
        which = expression.output if role == "out" else expression.inputs[operand]
        return stacked_layout(expression, plans, which, role, self._sample)


class _KnownWays:
    """Ways found so far: of every row, -1 where it is not known, and the first row of each."""

    def __init__(self, rows: int) -> None:
        self.of = np.full(rows, -1, dtype=np.int64)
        self.first: list[int] = []
        self._way_of: dict[bytes, int] = {}

    def add(self, rows: IntArray, boxes: IntArray) -> None:
        """Tell rows apart by their boxes, (rows, numbers)."""
        for row, own in zip(rows.tolist(), boxes, strict=True):
            # the boxes of a way take kilobytes, and there are many
            key = hashlib.blake2b(own.tobytes(), digest_size=16).digest()
            way = self._way_of.setdefault(key, len(self.first))
            if way == len(self.first):
                self.first.append(row)
            self.of[row] = way


class PairTable:
    """Numbers of pairs of ways, computed for those that are asked for, each pair once."""

    def __init__(self, compute: Callable[[IntArray, IntArray], IntArray]) -> None:
        self._compute = compute
        self._first: dict[int, int] = {}
        self._second: dict[int, int] = {}
        self._table = np.zeros((0, 0), dtype=np.int64)

    def of(self, first: IntArray, second: IntArray) -> IntArray:
        """The numbers of all pairs, (first, second)."""
        self._grow(first, second)
        rows = [self._first[way] for way in first.tolist()]
        columns = [self._second[way] for way in second.tolist()]
        return self._table[np.ix_(rows, columns)]

    def _grow(self, first: IntArray, second: IntArray) -> None:
        old_first, old_second = list(self._first), list(self._second)
        new_first = [way for way in dict.fromkeys(first.tolist()) if way not in self._first]
        new_second = [way for way in dict.fromkeys(second.tolist()) if way not in self._second]
        if not new_first and not new_second:
            return
        every_second = old_second + new_second
        table = np.zeros((len(old_first) + len(new_first), len(every_second)), dtype=np.int64)
        table[: len(old_first), : len(old_second)] = self._table
        if old_first and new_second:
            table[: len(old_first), len(old_second) :] = self._computed(old_first, new_second)
        if new_first and every_second:
            table[len(old_first) :] = self._computed(new_first, every_second)
        self._table = table
        self._first.update(zip(new_first, range(len(old_first), len(table)), strict=True))
        self._second.update(zip(new_second, range(len(old_second), table.shape[1]), strict=True))

    def _computed(self, first: list[int], second: list[int]) -> IntArray:
        return self._compute(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64))
