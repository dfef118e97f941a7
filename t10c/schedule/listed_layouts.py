"""How listed plans lie on the sampled cores: told apart once, and compared by what they are.

Of thousands of listed plans many hold an operand alike: a matmul's weight lies in hundreds of ways
where plans differ in thousands. What depends on layouts is computed per way.
"""

from collections.abc import Callable

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.plan import Plan
from t10c.schedule.choices import Choices
from t10c.schedule.layout import Layout
from t10c.schedule.layout_batch import LayoutRole, stacked_layout
from t10c.search.operator import front_entry
from t10c.search.space import IntArray
from t10c.search.temporal import slot_table

Lies = tuple[LayoutRole, int]
"""A role, and the operand that plays it (0 for the output)."""

_CHUNK_PLANS = 512


class ListedLayouts:
    """The ways in which all listed plans of every choices lie, by choices, role and operand."""

    def __init__(self, choices: tuple[Choices, ...], sample: IntArray, spec: HardwareSpec) -> None:
        self._choices = choices
        self._sample = sample
        self._spec = spec
        self._plans: dict[int, list[Plan]] = {}
        self._ways: dict[tuple[int, Lies], IntArray] = {}
        self._first: dict[tuple[int, Lies], IntArray] = {}

    def ways(self, number: int, lies: Lies) -> IntArray:
        """The way of every row of the shortlist, (rows,)."""
        key = (number, lies)
        if key not in self._ways:
            plans = self._listed_plans(number)
            known: dict[bytes, int] = {}
            found: list[int] = []
            first: list[int] = []
            for low in range(0, len(plans), _CHUNK_PLANS):
                part = plans[low : low + _CHUNK_PLANS]
                layout = self._stacked(number, lies, part)
                sides = np.concatenate([layout.start, layout.stop], axis=1)
                for row, boxes in enumerate(sides.reshape(len(part), -1), start=low):
                    way = known.setdefault(boxes.tobytes(), len(known))
                    if way == len(first):
                        first.append(row)
                    found.append(way)
            self._ways[key] = np.array(found, dtype=np.int64)
            self._first[key] = np.array(first, dtype=np.int64)
        return self._ways[key]

    def layouts(self, number: int, lies: Lies, ways: IntArray) -> Layout:
        """Layouts of some ways, one after the other: (ways * cores, dims)."""
        self.ways(number, lies)
        plans = self._listed_plans(number)
        rows = self._first[number, lies][ways].tolist()
        return self._stacked(number, lies, [plans[row] for row in rows])

    def _stacked(self, number: int, lies: Lies, plans: list[Plan]) -> Layout:
        expression = self._choices[number].problem.expression
        role, operand = lies
        which = expression.output if role == "out" else expression.inputs[operand]
        return stacked_layout(expression, plans, which, role, self._sample)

    def _listed_plans(self, number: int) -> list[Plan]:
        if number not in self._plans:
            own = self._choices[number]
            expression, listed = own.problem.expression, own.listed
            table = slot_table(expression)
            self._plans[number] = [
                front_entry(
                    expression, table, listed.candidates, listed.costs, row, self._spec
                ).plan
                for row in range(len(listed))
            ]
        return self._plans[number]


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
