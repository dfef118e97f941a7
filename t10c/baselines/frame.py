"""A tiling's cores and tiles as formulas: which tile of its block a core works on in a round.

Every core goes through all tiles of its block, but begins with another one than those cores that
need the same data, so that they do not all ask the same core at a time. The next round of an outer
loop begins where the last one ended, as with rotations: an inner tile is not loaded again then.
"""

import math
from dataclasses import dataclass

from t10c.baselines.search import Tiling
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.formula import Terms, named, whole
from t10c.ir.plan import Plan, Rotation, cut_shares
from t10c.ir.program import Piece, Range
from t10c.lower.frame import Frame
from t10c.lower.pieces import Offsets, cut_piece, tile_ranges

Counters = tuple[Terms, ...]
"""Rounds done of every loop, the outermost first."""


def tiling_plan(expression: TensorExpression, tiling: Tiling) -> Plan:
    """A tiling in the form of a plan: every loop is a rotation of all operands with its axis."""
    loops = []
    for index in tiling.loops:
        name = expression.axes[index].name
        having = tuple(o.name for o in expression.operands if name in o.axes)
        loops.append(Rotation(name, tiling.rounds[index], having))
    return Plan(tiling.split, tuple(loops))


@dataclass(frozen=True)
class TileFrame(Frame):
    """A tiling at a point of its loops, whose used cores are numbered from 0 on."""

    counters: Counters = ()

    @property
    def axes_of_loops(self) -> tuple[str, ...]:
        """The axis of every loop, the outermost first."""
        return tuple(rotation.axis for rotation in self.plan.rotations)

    @property
    def parallel_loops(self) -> int:
        """Number of loops over axes of the output; they are the outer ones."""
        own = set(self.expression.output.axes)
        return sum(axis in own for axis in self.axes_of_loops)

    @property
    def shares(self) -> int:
        """Cores that hold partial results of the same output tile."""
        lacking = self.expression.lacks(self.expression.output)
        return math.prod(self.plan.split[self.expression.axis_index[axis]] for axis in lacking)

    def at(self, counters: Counters) -> "TileFrame":
        """The same at another point of the loops."""
        return TileFrame(self.expression, self.plan, counters=counters)

    def values(self) -> tuple[tuple[str, str], ...]:
        """Named values of a section: coordinates, and the tile that each loop begins with."""
        found = [
            (self._coordinate_name(index), str(self._coordinate(index)))
            for index, factor in enumerate(self.plan.split)
            if factor > 1
        ]
        levels = range(len(self.plan.rotations))
        return (*found, *((f"o{level}", str(self._first(level))) for level in levels))

    def _first(self, level: int) -> Terms:
        """The tile that a core begins a loop with.

        Inner loops count the cores first, outer ones what is left. Cores that reduce the same tile
        begin the loops over it alike.
        """
        output = set(self.expression.output.axes)
        parallel = level < self.parallel_loops
        number = whole(0)
        for index, axis in enumerate(self.expression.axes):
            if axis.name in output or not parallel:
                number = number + self.coordinate(index)
        last = self.parallel_loops if parallel else len(self.plan.rotations)
        inside = math.prod(r.radix for r in self.plan.rotations[level + 1 : last])
        return number // inside % self.plan.rotations[level].radix

    def offset(self, level: int) -> Terms:
        """Tile that a core begins a loop with."""
        return named(f"o{level}", self.plan.rotations[level].radix)

    def step_digit(self, level: int) -> Terms:
        """Tile of a loop at the frame's point: each round begins where the last one ended."""
        radix = self.plan.rotations[level].radix
        terms = self.offset(level)
        for outer in range(level):
            inner = math.prod(r.radix for r in self.plan.rotations[outer + 1 : level])
            terms = terms + self.counters[outer] * ((radix - 1) * inner % radix)
        return (terms + self.counters[level]) % radix

    def tile_of(self, operand: Operand) -> Piece:
        """What every core holds of an operand at this point."""
        ranges = {r.axis: r for r in tile_ranges(self)}
        return Piece(self.cores, operand.dims, tuple(ranges[axis] for axis in operand.axes))

    def tile(self) -> tuple[Range, ...]:
        """The box of the iteration space that cores compute at this point."""
        return tile_ranges(self)

    def group(self) -> Terms:
        """A number that cores have in common exactly if they reduce the same output tile."""
        number = whole(0)
        for index, axis in enumerate(self.expression.axes):
            if axis.name in self.expression.output.axes:
                number = number * self.plan.split[index] + self.coordinate(index)
        return number

    def rank(self) -> Terms:
        """Rank of a core in its group."""
        return self._group_rank(self.expression.output)

    def share_of_output(self) -> tuple[Piece, Offsets]:
        """A core's share of the output tile after the reduction, and where it begins."""
        piece = self.tile_of(self.expression.output)
        return cut_piece(piece, self.rank(), cut_shares(piece.lengths, self.shares))
