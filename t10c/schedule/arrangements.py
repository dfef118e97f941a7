"""Arrangements of cores on a grid that suit rings: digits of core numbers laid out as blocks.

    rings along digits of 4 and 3 values          on a grid of 4 x 3
    core = 3 m + n, rings along m and n     ->    x: fold of m, y: fold of n

The core number is cut where rings begin and end, so that each ring goes along one digit, as far as
the rings of different operators agree. The digit of the dearest ring lies closest: its neighbours
are one column or row apart before folding, those of others as far as the blocks of the former ones.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from t10c.hardware.topology import Grid
from t10c.ir.positions import CorePositions, PositionDigit, row_major
from t10c.schedule.rings import RingUse

_STARTS = 6
"""Rings that the cuts are begun with, one after another, in search of the best arrangement."""

_MOST_VISITED = 4000
"""Partial layouts that the search for one layout looks at."""

_SNAKE_FACTOR = 1.25
"""A snake's rings share links where it turns: lines of the same stride come first."""


@dataclass(frozen=True, slots=True)
class _Digit:
    """A digit of the core number; `ring` values of it form rings of this weight, 0 if none do.

    The most significant digit may have more values than cores need.
    """

    radix: int
    ring: int
    weight_cycles: float
    most_significant: bool


Block = tuple[int, int]
"""Columns and rows of a digit."""


def arrangements(grid: Grid, uses: Sequence[RingUse]) -> list[CorePositions]:
    """Candidates, each once: plain orders first, then those made for the rings."""
    found = dict.fromkeys(_plain_orders(grid))
    along = [use for use in uses if use.stride is not None]
    for first in along[:_STARTS]:
        alike = [use for use in along if use.cores == first.cores]
        for rings in ([first, *along], [first, *alike, *along]):
            found |= dict.fromkeys(_for_rings(grid, rings))
    return list(found)


def _plain_orders(grid: Grid) -> Iterable[CorePositions]:
    """Row by row, columns first, and snakes; as they are and folded."""
    width, height = grid.width, grid.height
    yield row_major(width, height)
    for fold in (0, 1):
        across = PositionDigit(width, 1, fold * width)
        along = PositionDigit(1, height, fold * height)
        yield CorePositions(width, height, (across, along))
        yield CorePositions(width, height, (along, across))
        if width > 1 and height > 1:
            snake = PositionDigit(width, height, fold * width * height)
            yield CorePositions(width, height, (snake,))


def _for_rings(grid: Grid, uses: Sequence[RingUse]) -> Iterable[CorePositions]:
    """Arrangements in which the digits of the first rings are short; later ones join if they can.

    Where the digits do not fit the grid, the last ring is left out.
    """
    taken = _compatible(uses)
    while taken:
        digits = _digits(taken)
        layouts = [_layout(grid, digits, snakes) for snakes in (True, False)]
        found = [blocks for blocks in layouts if blocks is not None]
        for blocks in found:
            yield _positions(grid, digits, blocks, False)
            if grid.wraps:
                yield _positions(grid, digits, blocks, True)
        if found:
            return
        taken.pop()


def _compatible(uses: Sequence[RingUse]) -> list[RingUse]:
    """Rings, the first ones first, that one way to cut the core number serves."""
    taken: list[RingUse] = []
    for use in uses:
        if use in taken:
            continue
        cuts = _cuts([*taken, use])
        chain = all(high % low == 0 for low, high in itertools.pairwise(cuts))
        if chain and not any(_is_cut(ring, cuts) for ring in (*taken, use)):
            taken.append(use)
    return taken


def _interval(use: RingUse) -> tuple[int, int]:
    """Place value of a ring's digit, and of the next one."""
    assert use.stride is not None
    return use.stride, use.stride * use.radix


def _cuts(uses: Iterable[RingUse]) -> list[int]:
    """Place values where digits begin, ascending."""
    return sorted({1, *(cut for use in uses for cut in _interval(use))})


def _is_cut(use: RingUse, cuts: Sequence[int]) -> bool:
    low, high = _interval(use)
    return any(low < cut < high for cut in cuts)


def _digits(uses: Sequence[RingUse]) -> list[_Digit]:
    """The digits that the rings need, the least significant first."""
    cuts = _cuts(uses)
    cover = max(use.cores for use in uses)
    if cover > cuts[-1]:
        cuts.append(cuts[-1] * -(-cover // cuts[-1]))
    weight: dict[tuple[int, int], float] = {}
    for use in uses:
        interval = _interval(use)
        weight[interval] = weight.get(interval, 0.0) + use.weight_cycles
    return [
        _Digit(
            high // low,
            high // low if (low, high) in weight else 0,
            weight.get((low, high), 0.0),
            high == cuts[-1],
        )
        for low, high in itertools.pairwise(cuts)
    ]


# Laying digits out


def _layout(grid: Grid, digits: Sequence[_Digit], snakes: bool) -> list[Block] | None:
    """A block for every digit, of least cost, in a grid; None if none is found.

    Digits are laid out with the dearest first, which therefore lies closest; a branch is left once
    it costs as much as the best layout.
    """
    order = sorted(range(len(digits)), key=lambda i: -digits[i].weight_cycles)
    search = _Search(grid, [digits[i] for i in order], snakes)
    search.extend([], 1, 1, 0.0)
    if search.best is None:
        return None
    blocks: list[Block] = [(1, 1)] * len(digits)
    for index, block in zip(order, search.best, strict=True):
        blocks[index] = block
    return blocks


class _Search:
    """Branch and bound over the blocks of digits, in the order given."""

    def __init__(self, grid: Grid, digits: Sequence[_Digit], snakes: bool) -> None:
        self.grid, self.digits, self.snakes = grid, digits, snakes
        self.best: list[Block] | None = None
        self.best_cycles = float("inf")
        self.visited = 0

    def extend(self, blocks: list[Block], columns: int, rows: int, cycles: float) -> None:
        """Try all blocks of the next digit, beside a block of columns x rows."""
        if cycles >= self.best_cycles or self.visited >= _MOST_VISITED:
            return
        self.visited += 1
        if len(blocks) == len(self.digits):
            self.best, self.best_cycles = blocks, cycles
            return
        digit = self.digits[len(blocks)]
        across, along = self.grid.width // columns, self.grid.height // rows
        options = sorted(
            (self._cycles(digit, block, columns, rows), -block[0], block)
            for block in _blocks(digit, across, along, self.snakes)
        )
        for more, _, (c, r) in options:
            self.extend([*blocks, (c, r)], columns * c, rows * r, cycles + more)

    @staticmethod
    def _cycles(digit: _Digit, block: Block, columns: int, rows: int) -> float:
        strides = [s for s, length in zip((columns, rows), block, strict=True) if length > 1]
        snake = _SNAKE_FACTOR if len(strides) == 2 else 1.0
        return digit.weight_cycles * max(strides, default=0) * snake


def _blocks(digit: _Digit, across: int, along: int, snakes: bool) -> set[Block]:
    """Blocks of a digit within `across` columns and `along` rows.

    The most significant digit may have blocks with cores to spare.
    """
    found = {(c, digit.radix // c) for c in range(1, across + 1) if digit.radix % c == 0}
    if digit.most_significant:
        found.add((across, -(-digit.radix // across)))
        found.add((-(-digit.radix // along), along))
    if not snakes and digit.ring:
        found = {(c, r) for c, r in found if c == 1 or r == 1}
    return {(c, r) for c, r in found if c <= across and r <= along}


def _positions(
    grid: Grid, digits: Sequence[_Digit], blocks: Sequence[Block], plain_circles: bool
) -> CorePositions:
    """Positions by the blocks of digits: the dearest closest.

    With `plain_circles`, rings that go all the way round a torus are left as they are.
    """
    strides: list[Block] = [(1, 1)] * len(digits)
    columns = rows = 1
    for index in sorted(range(len(digits)), key=lambda i: -digits[i].weight_cycles):
        c, r = blocks[index]
        strides[index] = (columns if c > 1 else 1, rows if r > 1 else 1)
        columns, rows = columns * c, rows * r
    made = []
    for digit, (c, r), (x, y) in zip(digits, blocks, strides, strict=True):
        circle = (c, r, x) == (grid.width, 1, 1) or (c, r, y) == (1, grid.height, 1)
        plain = plain_circles and circle and digit.ring == c * r
        made.append(PositionDigit(c, r, 0 if plain else digit.ring, x, y))
    return CorePositions(grid.width, grid.height, tuple(made))
