"""Where on a grid the cores of a program are: a bijection from core numbers to positions.

A core's number is cut into digits, and every digit goes along a path in a block of its own: a line
of cores, or a snake through a rectangle. A digit that rings move along is folded, so that its
neighbours, its first and its last value included, are at most two steps of the path apart:

    value     0  1  2  3  4  5  6      0, 2, 4, ... on the way there,
    step      0  2  4  6  5  3  1      1, 3, 5, ... on the way back

Blocks of other digits lie side by side: a step along a digit is `x_stride` columns and `y_stride`
rows. Cores that the digits do not count fill what is left of the grid.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from t10c.ir.formula import IntArray, named


@dataclass(frozen=True, slots=True)
class PositionDigit:
    """A digit with columns * rows values, on a path of as many steps, row by row, turning.

    The first `folded` values go there and back again; 0 where rings do not move along the digit. A
    stride says nothing, and is 1, where the block has one column or one row.
    """

    columns: int
    rows: int
    folded: int = field(default=0, metadata={"omit_default": True})
    x_stride: int = field(default=1, metadata={"omit_default": True})
    y_stride: int = field(default=1, metadata={"omit_default": True})

    def __post_init__(self) -> None:
        if self.columns < 1 or self.rows < 1:
            raise ValueError("a digit has at least one column and row")
        if not 0 <= self.folded <= self.radix:
            raise ValueError(f"of {self.radix} values {self.folded} cannot be folded")

    @property
    def radix(self) -> int:
        """Number of values."""
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class CorePositions:
    """Positions (x, y) of the cores of a grid, by the digits of their numbers, the least one first.

    The digits count the first cores; the others follow right of their block, then below it.
    Invariants (checked): strides are mixed radix, so that positions are distinct; the block is
    inside the grid.
    """

    width: int
    height: int
    digits: tuple[PositionDigit, ...]

    def __post_init__(self) -> None:
        if self.columns > self.width or self.rows > self.height:
            raise ValueError(
                f"a block of {self.columns} x {self.rows} cores is larger than the grid"
            )
        _check_strides([(digit.columns, digit.x_stride) for digit in self.digits], "x_stride")
        _check_strides([(digit.rows, digit.y_stride) for digit in self.digits], "y_stride")

    @property
    def columns(self) -> int:
        """Columns of the block that the digits count."""
        return math.prod(digit.columns for digit in self.digits)

    @property
    def rows(self) -> int:
        """Rows of the block that the digits count."""
        return math.prod(digit.rows for digit in self.digits)

    @property
    def cores(self) -> int:
        """Number of cores."""
        return self.width * self.height

    def arrays(self, cores: IntArray | None = None) -> tuple[IntArray, IntArray]:
        """x and y of the cores with these numbers, of all cores without: arrays of their shape."""
        if cores is None:
            cores = np.arange(self.cores, dtype=np.int64)
        x, y = np.zeros_like(cores), np.zeros_like(cores)
        rest = cores
        for digit in self.digits:
            rest, value = np.divmod(rest, digit.radix)
            row, column = np.divmod(_folded(value, digit), digit.columns)
            turned = np.where(row % 2 == 1, digit.columns - 1 - column, column)
            x += turned * digit.x_stride
            y += row * digit.y_stride
        counted, above = self.columns * self.rows, self.width * self.rows
        if counted < self.cores:
            right, below = cores - counted, cores - above
            strip = max(1, self.width - self.columns)
            x = np.where(right < 0, x, self.columns + right % strip)
            y = np.where(right < 0, y, right // strip)
            x = np.where(below < 0, x, below % self.width)
            y = np.where(below < 0, y, self.rows + below // self.width)
        return x, y

    def formulas(self) -> tuple[str, str]:
        """x and y as formulas over `core` (formula.py), which hold for cores of the grid."""
        x, y = ["0"], ["0"]
        place = 1
        for digit in self.digits:
            value = str(named("core", self.cores) // place % digit.radix)
            step = _folded_text(value, digit)
            if digit.columns == 1:
                y.append(_times(step, digit.y_stride))
            elif digit.rows == 1:
                x.append(_times(step, digit.x_stride))
            else:
                row, column = f"({step})//{digit.columns}", f"({step})%{digit.columns}"
                turned = f"{column} + {row}%2*({digit.columns - 1} - 2*({column}))"
                x.append(_times(turned, digit.x_stride))
                y.append(_times(row, digit.y_stride))
            place *= digit.radix
        inside = (" + ".join(x[1:] or x), " + ".join(y[1:] or y))
        return self._with_the_others(*inside)

    def _with_the_others(self, x: str, y: str) -> tuple[str, str]:
        """The formulas of the cores that the digits count, with those of all others."""
        counted, above = self.columns * self.rows, self.width * self.rows
        if counted == self.cores:
            return x, y
        strip = self.width - self.columns
        uncounted = _at_least("core", counted, self.cores)
        x, y = f"(1 - {uncounted})*({x})", f"(1 - {uncounted})*({y})"
        is_below = above < self.cores
        below = _at_least("core", above, self.cores)
        if strip:
            right = f"(core - {counted})"
            here = f"({uncounted} - {below})" if is_below else uncounted
            x += f" + {here}*({self.columns} + {right}%{strip})"
            y += f" + {here}*({right}//{strip})"
        if is_below:
            left = f"(core - {above})"
            x += f" + {below}*({left}%{self.width})"
            y += f" + {below}*({self.rows} + {left}//{self.width})"
        return x, y


def row_major(width: int, height: int) -> CorePositions:
    """Cores row by row, in the order of their numbers."""
    return CorePositions(width, height, (PositionDigit(width, 1), PositionDigit(1, height)))


def _check_strides(blocks: list[tuple[int, int]], name: str) -> None:
    """ValueError unless the strides of blocks (length, stride) along one axis are mixed radix."""
    expected = 1
    for length, stride in sorted(blocks, key=lambda block: (block[0] > 1, block[1])):
        if stride != expected:
            raise ValueError(f"{name}: is {stride}; it must be {expected}")
        expected *= length


def _folded(value: IntArray, digit: PositionDigit) -> IntArray:
    """The step on the path of every value of a digit."""
    half = -(-digit.folded // 2)
    back = 2 * (digit.folded - 1 - value) + 1
    return np.where(value < half, 2 * value, np.where(value < digit.folded, back, value))


def _folded_text(value: str, digit: PositionDigit) -> str:
    """The step on the path as a formula, like `_folded`."""
    ring, radix = digit.folded, digit.radix
    if ring <= 2:
        return value
    half = -(-ring // 2)
    text = f"2*({value}) + {_at_least(value, half, radix)}*({2 * ring - 1} - 4*({value}))"
    if ring < radix:
        text += f" + {_at_least(value, ring, radix)}*(3*({value}) - {2 * ring - 1})"
    return text


def _at_least(value: str, least: int, bound: int) -> str:
    """A formula that is 1 where a value below `bound` is at least `least`, else 0."""
    return f"(({value} + {bound - least})//{bound})"


def _times(text: str, factor: int) -> str:
    """A formula's multiple."""
    return text if factor == 1 else f"({text})*{factor}"
