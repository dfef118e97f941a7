"""How listed plans lie on the sampled cores: told apart once, and compared by what they are.

Of thousands of listed plans many hold an operand alike: a matmul's weight lies in hundreds of ways
where plans differ in thousands. What depends on layouts is computed per way.
"""

import hashlib

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices
from t10c.schedule.layout import Layout
from t10c.schedule.layout_batch import LayoutRole, stacked_layout
from t10c.schedule.numbering import numbered
from t10c.schedule.windows import Extent, SmallArray, Window, clipped_to, shown_alike
from t10c.search.operator import plan_of
from t10c.search.space import IntArray
from t10c.search.temporal import slot_table

Lies = tuple[LayoutRole, int]
"""A role, and the operand that plays it (0 for the output)."""

_CHUNK_PLANS = 512
_CHUNK_WAYS = 4096
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

    def every_way(
        self, number: int, lies: Lies, rows: IntArray, extent: tuple[int, ...]
    ) -> IntArray:
        """The ways of some rows within any of the windows of an extent, each once, ascending."""
        whole = np.unique(self.ways(number, lies, rows))
        seen = self._windows(number, lies, extent)
        self._look(number, lies, whole, seen)
        return seen.every(whole)

    def look_through(self, number: int, lies: Lies, window: Window) -> None:
        """Note a window of rows: those of one extent are looked through together."""
        self._windows(number, lies, window.extent).note(window.low)

    def _windows(self, number: int, lies: Lies, extent: tuple[int, ...]) -> "_SeenWays":
        key = (number, lies, extent)
        if key not in self._seen:
            self._seen[key] = _SeenWays(extent)
        return self._seen[key]

    def _seen_ways(self, number: int, lies: Lies, whole: IntArray, window: Window) -> IntArray:
        """How whole ways lie within a window, (ways,)."""
        seen = self._windows(number, lies, window.extent)
        seen.note(window.low)
        self._look(number, lies, whole, seen)
        return seen.of(window.low, whole)

    def _look(self, number: int, lies: Lies, whole: IntArray, seen: "_SeenWays") -> None:
        """See whole ways through all windows noted."""
        cores = len(self._sample)
        new = seen.unknown(whole)
        for low in range(0, len(new), _CHUNK_WAYS):
            part = new[low : low + _CHUNK_WAYS]
            seen.add(part, self.layouts(number, lies, part), cores)

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

    def __init__(self, extent: tuple[int, ...]) -> None:
        self._extent = extent
        self._place: dict[tuple[int, ...], int] = {}  # of a window, by where it begins
        # by window and whole way, the way within the window; -1 if not known
        self._of = np.zeros((0, 0), dtype=np.int32)
        self._through_all = np.zeros(0, dtype=bool)  # by whole way
        self._first: list[SmallArray] = []
        self._numbers = _Numbers()

    def note(self, low: tuple[int, ...]) -> None:
        """A window begins at `low`."""
        if low not in self._place:
            self._place[low] = len(self._place)
            self._through_all[:] = False

    def of(self, low: tuple[int, ...], whole: IntArray) -> IntArray:
        """The ways within the window at `low` of whole ways that are known, (ways,)."""
        found: IntArray = self._of[self._place[low], whole].astype(np.int64)
        return found

    def every(self, whole: IntArray) -> IntArray:
        """The ways within any window of whole ways that are known, each once, ascending."""
        present = np.zeros(len(self._first), dtype=bool)
        present[self._of[:, whole]] = True
        return np.flatnonzero(present)

    def unknown(self, whole: IntArray) -> IntArray:
        """Those of some whole ways that have not been seen through all windows, each once."""
        longer = int(whole.max(initial=-1)) + 1 - len(self._through_all)
        if longer > 0:
            self._through_all = np.append(self._through_all, np.zeros(longer, dtype=bool))
        shape = (len(self._place), len(self._through_all))
        if shape != self._of.shape:
            old = self._of
            self._of = np.full(shape, -1, dtype=np.int32)
            self._of[: old.shape[0], : old.shape[1]] = old
        return np.unique(whole[~self._through_all[whole]])

    def add(self, whole: IntArray, layout: Layout, cores: int) -> None:
        """See whole ways, whose layouts these are one after the other, through all windows."""
        lows = np.array(list(self._place), dtype=np.int64)
        shown = shown_alike(layout, lows, self._extent, cores)
        count, which = numbered(shown.reshape(-1, shown.shape[2]))
        some = np.empty(count, dtype=np.int64)
        some[which] = np.arange(len(which))
        rows, windows, dims = len(whole), len(lows), len(self._extent)
        start, stop = (side.reshape(rows, cores, dims) for side in (layout.start, layout.stop))
        numbers: list[int] = []
        for first in range(0, count, _CHUNK_PLANS):
            row, window = np.divmod(some[first : first + _CHUNK_PLANS], windows)
            boxes = clipped_to(start[row], stop[row], lows[window, None], self._extent)
            found = self._numbers.of(boxes)
            for way, box in zip(found, boxes, strict=True):
                if way == len(self._first):
                    self._first.append(box.copy())
            numbers += found
        ways = np.array(numbers, dtype=np.int32)[which]
        self._of[:, whole] = ways.reshape(rows, windows).T
        self._through_all[whole] = True

    def layouts(self, ways: IntArray) -> Layout:
        """Layouts of ways within windows, one after the other: (ways * cores, dims)."""
        boxes = np.concatenate([self._first[way] for way in ways.tolist()]).astype(np.int64)
        dims = boxes.shape[1] // 2
        return Layout(boxes[:, :dims], boxes[:, dims:])
