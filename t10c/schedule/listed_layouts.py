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
from t10c.schedule.windows import Extent, SmallArray, Window, clipped, earliest
from t10c.search.operator import plan_of
from t10c.search.space import IntArray
from t10c.search.temporal import slot_table

Lies = tuple[LayoutRole, int]
"""A role, and the operand that plays it (0 for the output)."""

_CHUNK_PLANS = 512
_LATEST = 16
"""Stacks of layouts that are remembered: reads that differ in their views only ask for the same."""


class ListedLayouts:
    """The ways in which listed plans of every choices lie, by choices, role and operand.

    Seen through a window plans lie in other ways, fewer of them; windows of equal extent have their
    ways in common.
    """

    def __init__(self, choices: tuple[Choices, ...], sample: IntArray, spec: HardwareSpec) -> None:
        self._choices = choices
        self._sample = sample
        self._spec = spec
        self._known: dict[tuple[int, Lies], _KnownWays] = {}
        self._seen: dict[tuple[int, Lies, Extent], _SeenWays] = {}
        self._latest: dict[tuple[int, Lies, Extent, bytes], Layout] = {}

    def ways(
        self, number: int, lies: Lies, rows: IntArray, window: Window | None = None
    ) -> IntArray:
        """The ways of some rows of the shortlist, (rows,), or how these lie within a window."""
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
        whole = known.of[rows]
        return whole if window is None else self._seen_ways(number, lies, whole, window)

    def _seen_ways(self, number: int, lies: Lies, ways: IntArray, window: Window) -> IntArray:
        """How ways lie within a window, (ways,)."""
        key = (number, lies, window.extent)
        if key not in self._seen:
            self._seen[key] = _SeenWays()
        seen = self._seen[key]
        new = seen.unknown(ways, window.low)
        if len(new):
            layout, cores = self.layouts(number, lies, new), len(self._sample)
            begins, group = np.unique(earliest(layout, window, cores), axis=0, return_inverse=True)
            for which, low in enumerate(map(tuple, begins.tolist())):
                members = np.flatnonzero(group.ravel() == which)
                lacking = np.flatnonzero(np.isin(new[members], seen.unknown(new[members], low)))
                if len(lacking):
                    rows = (members[lacking][:, None] * cores + np.arange(cores)).ravel()
                    own = Layout(layout.start[rows], layout.stop[rows])
                    boxes = clipped(own, Window(low, window.extent))
                    seen.add(new[members[lacking]], low, boxes.reshape(len(lacking), cores, -1))
                seen.repeat(new[members], low, window.low)
        return seen.of(window.low)[ways]

    def layouts(self, number: int, lies: Lies, ways: IntArray, extent: Extent = None) -> Layout:
        """Layouts of ways that are known, one after the other: (ways * cores, dims).

        With an extent, of ways within windows of that extent.
        """
        key = (number, lies, extent, ways.tobytes())
        layout = self._latest.pop(key, None)
        if layout is None:
            if extent is None:
                rows = self._known[number, lies].first_rows(ways)
                layout = self._stacked(number, lies, rows)
            else:
                layout = self._seen[number, lies, extent].layouts(ways)
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


class _Numbers:
    """Numbers of boxes, by what they are: the same for the same boxes."""

    def __init__(self) -> None:
        self._of: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._of)

    def of(self, boxes: IntArray | SmallArray) -> list[int]:
        """The numbers of boxes, (plans, numbers) of them."""
        # the boxes of a way take kilobytes, and there are many
        keys = (hashlib.blake2b(own.tobytes(), digest_size=16).digest() for own in boxes)
        return [self._of.setdefault(key, len(self._of)) for key in keys]


class _KnownWays:
    """Ways found so far: of every row, -1 where it is not known, and the first row of each."""

    def __init__(self, rows: int) -> None:
        self.of = np.full(rows, -1, dtype=np.int64)
        self._first: list[int] = []
        self._numbers = _Numbers()

    def add(self, rows: IntArray, boxes: IntArray) -> None:
        """Tell rows apart by their boxes, (rows, numbers)."""
        for row, way in zip(rows.tolist(), self._numbers.of(boxes), strict=True):
            if way == len(self._first):
                self._first.append(row)
            self.of[row] = way

    def first_rows(self, ways: IntArray) -> IntArray:
        """A row of every way, (ways,)."""
        return np.array([self._first[way] for way in ways.tolist()], dtype=np.int64)


class _SeenWays:
    """Ways within windows of one extent, and what the first of each holds of its window."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, ...], IntArray] = {}
        self._first: list[SmallArray] = []
        self._numbers = _Numbers()

    def of(self, low: tuple[int, ...]) -> IntArray:
        """By whole way, the way within the window that begins at `low`; -1 if not known."""
        return self._of.get(low, np.zeros(0, dtype=np.int64))

    def unknown(self, ways: IntArray, low: tuple[int, ...]) -> IntArray:
        """Those of some whole ways that have not been seen through the window, each once."""
        known = self.of(low)
        every = np.unique(ways)
        longer = int(every.max(initial=-1)) + 1 - len(known)
        if longer > 0:
            known = self._of[low] = np.append(known, np.full(longer, -1, dtype=np.int64))
        return every[known[every] < 0]

    def add(self, ways: IntArray, low: tuple[int, ...], boxes: SmallArray) -> None:
        """Tell whole ways apart by their boxes within the window, (ways, cores, sides)."""
        numbers = self._numbers.of(boxes)
        self._of[low][ways] = numbers
        for way, own in zip(numbers, boxes, strict=True):
            if way == len(self._first):
                self._first.append(own.copy())

    def repeat(self, ways: IntArray, known: tuple[int, ...], low: tuple[int, ...]) -> None:
        """Whole ways lie within a window as they do within a known one."""
        self._of[low][ways] = self._of[known][ways]

    def layouts(self, ways: IntArray) -> Layout:
        """Layouts of ways within windows, one after the other: (ways * cores, dims)."""
        boxes = np.concatenate([self._first[way] for way in ways.tolist()]).astype(np.int64)
        dims = boxes.shape[1] // 2
        return Layout(boxes[:, :dims], boxes[:, dims:])


class PairTable:
    """Numbers of pairs of ways, computed for those that are asked for, each pair once."""

    def __init__(self, compute: Callable[[IntArray, IntArray], IntArray]) -> None:
        self._compute = compute
        self._first = _Places()
        self._second = _Places()
        self._table = np.zeros((0, 0), dtype=np.int64)

    def of(self, first: IntArray, second: IntArray) -> IntArray:
        """The numbers of all pairs, (first, second)."""
        new_first, new_second = self._first.missing(first), self._second.missing(second)
        if len(new_first) or len(new_second):
            self._grow(new_first, new_second)
        return self._table[np.ix_(self._first.of(first), self._second.of(second))]

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
        self._table = table


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
