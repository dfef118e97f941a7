"""A plan's cores as formulas: coordinates, offsets, ranks among replicas, neighbours on rings.

The formulas state docs/plans.md for one core, named `core`; `t10c.search.placement` computes the
same as arrays, and a test holds the two equal.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.formula import Terms, named, total, whole
from t10c.ir.plan import Plan, Rotation, block_lengths, replicas, sharing, tile_lengths
from t10c.search.placement import (
    CoreDigit,
    PrimeMap,
    core_digits,
    free_digits,
    placement_rule,
    prime_maps,
    ring_steps,
)


@dataclass(frozen=True)
class Frame:
    """A plan whose used cores have the numbers 0 to prod(split) - 1.

    `kept` names the operands that stay on their cores between inferences: their rotations begin
    where the last inference left them. `inline` writes formulas out instead of naming their parts.
    """

    expression: TensorExpression
    plan: Plan
    kept: frozenset[str] = frozenset()
    inline: bool = False

    @property
    def cores(self) -> int:
        """Number of used cores."""
        return math.prod(self.plan.split)

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """S of every axis."""
        return block_lengths(self.expression, self.plan)

    @cached_property
    def tiles(self) -> tuple[int, ...]:
        """u of every axis."""
        return tile_lengths(self.expression, self.plan)

    @cached_property
    def _strides(self) -> tuple[int, ...]:
        """Distance in core numbers of neighbours along every axis."""
        split = self.plan.split
        return tuple(math.prod(split[index + 1 :]) for index in range(len(split)))

    def values(self) -> tuple[tuple[str, str], ...]:
        """Named values of a section, in the order in which they build on each other."""
        plain = Frame(self.expression, self.plan, self.kept, inline=False)
        found = [
            (plain._coordinate_name(index), str(self._coordinate(index)))
            for index, factor in enumerate(self.plan.split)
            if factor > 1
        ]
        for level, _ in enumerate(self.plan.rotations):
            found.append((f"o{level}", str(plain._placed_offset(level))))
        for level, _ in enumerate(self.plan.rotations):
            found.append((f"e{level}", str(plain._end(level, plain.offset(level)))))
        return tuple(found)

    # Coordinates

    def coordinate(self, index: int) -> Terms:
        """Coordinate of a core along an axis."""
        if self.plan.split[index] == 1:
            return whole(0)
        if self.inline:
            return self._coordinate(index)
        return named(self._coordinate_name(index), self.plan.split[index])

    def _coordinate(self, index: int) -> Terms:
        return named("core", self.cores) // self._strides[index] % self.plan.split[index]

    def _coordinate_name(self, index: int) -> str:
        name = f"c_{self.expression.axes[index].name}"
        return name if name.isascii() and name.isidentifier() else f"c{index}"

    def _group_rank(self, operand: Operand) -> Terms:
        """Rank in the operand's sharing group: coordinates along the axes it lacks."""
        terms = whole(0)
        for axis in self.expression.lacks(operand):
            index = self.expression.axis_index[axis]
            terms = terms * self.plan.split[index] + self.coordinate(index)
        return terms

    # Offsets and chunks

    def offset(self, level: int) -> Terms:
        """Chunk that a core begins a rotation with, in this inference."""
        if self.inline:
            return self._placed_offset(level)
        return named(f"o{level}", self.plan.rotations[level].radix)

    def end(self, level: int) -> Terms:
        """Chunk that a core holds after the loops."""
        if self.inline:
            return self._end(level, self.offset(level))
        return named(f"e{level}", self.plan.rotations[level].radix)

    def _end(self, level: int, offset: Terms) -> Terms:
        return (offset + self._advance(level)) % self.plan.rotations[level].radix

    def _advance(self, level: int) -> int:
        """Shifts of a rotation within one inference, modulo its radix."""
        rounds = math.prod(r.radix for r in self.plan.rotations[:level])
        radix = self.plan.rotations[level].radix
        return rounds * (radix - 1) % radix

    def _placed_offset(self, level: int) -> Terms:
        """The placement's offset, advanced by what earlier inferences shifted."""
        rotation = self.plan.rotations[level]
        base = self._base_offset(level)
        if self.kept.isdisjoint(rotation.operands) or not self._advance(level):
            return base
        return (base + named("run") * self._advance(level)) % rotation.radix

    def _base_offset(self, level: int) -> Terms:
        rotation = self.plan.rotations[level]
        if placement_rule(self.expression, self.plan) == "linear":
            return total(
                [
                    self._mapped(prime_map, row) * prime_map.weights[row]
                    for prime_map in self._maps
                    for row, owner in enumerate(prime_map.levels)
                    if owner == level
                ]
            )
        digits = [
            self._group_rank(operand) // self._weight(operand, level) % rotation.radix
            for operand in self.expression.operands
            if operand.name in rotation.operands
        ]
        return total(digits) % rotation.radix

    def _weight(self, operand: Operand, level: int) -> int:
        """Place value of a rotation's digit in the rank: an operand's first rotation is least."""
        return math.prod(r.radix for r in self.plan.rotations[:level] if operand.name in r.operands)

    @cached_property
    def _maps(self) -> tuple[PrimeMap, ...]:
        maps = prime_maps(self.expression, self.plan)
        if maps is None:
            raise ValueError(f"plan {self.plan} has no placement")
        return maps

    def _digit(self, digit: CoreDigit) -> Terms:
        return self.coordinate(digit.axis) // digit.scale % digit.prime

    def _mapped(self, prime_map: PrimeMap, row: int) -> Terms:
        """One prime digit of an offset."""
        products = [
            self._digit(digit) * factor
            for digit, factor in zip(prime_map.digits, prime_map.matrix[row], strict=True)
        ]
        return total(products) % prime_map.prime

    def step_digit(self, level: int) -> Terms:
        """Chunk of a rotation during the loops, whose counters are `i0`, `i1`, ...

        A rotation has shifted `rounds * (r - 1) + counter` times, modulo r: each round of the loops
        around it begins where the last one ended.
        """
        radix = self.plan.rotations[level].radix
        terms = self.offset(level)
        for outer in range(level):
            inner = math.prod(r.radix for r in self.plan.rotations[outer + 1 : level])
            weight = (radix - 1) * inner % radix
            terms = terms + named(f"i{outer}", self.plan.rotations[outer].radix) * weight
        return (terms + named(f"i{level}", radix)) % radix

    def levels_on(self, axis: str) -> list[int]:
        """Rotations on an axis, the most significant first: the larger operand set."""
        found = [i for i, r in enumerate(self.plan.rotations) if r.axis == axis]
        return sorted(found, key=lambda i: -len(self.plan.rotations[i].operands))

    def rotation(self, level: int) -> Rotation:
        """A rotation of the plan."""
        return self.plan.rotations[level]

    # Replicas and rings

    def replica_rank(self, operand: Operand) -> Terms:
        """Rank of a core among those that hold the same piece of the operand."""
        if placement_rule(self.expression, self.plan) == "linear":
            rank, weight = whole(0), 1
            for digit in free_digits(self.expression, self.plan, operand):
                rank = rank + self._digit(digit) * weight
                weight *= digit.prime
            return rank
        count = replicas(self.expression, self.plan, operand)
        pieces = sharing(self.expression, self.plan, operand) // count
        return self._group_rank(operand) // pieces

    def piece_number(self, operand: Operand) -> Terms:
        """A number that cores have in common exactly if they hold the same piece after the loops.

        It counts the sharing groups, and within them the chunks that the operand's rotations have
        reached.
        """
        number = whole(0)
        for index, axis in enumerate(self.expression.axes):
            if axis.name in operand.axes:
                number = number * self.plan.split[index] + self.coordinate(index)
        for level, rotation in enumerate(self.plan.rotations):
            if operand.name in rotation.operands:
                number = number * rotation.radix + self.end(level)
        return number

    def ring_source(self, operand: Operand, level: int) -> Terms:
        """The core whose piece a shift of the rotation brings: next on the ring.

        It is in the same sharing group, its offset in the rotation is one more, its other offsets
        and its rank among replicas are equal.
        """
        if placement_rule(self.expression, self.plan) == "linear":
            return self._linear_source(operand, level)
        weight, radix = self._weight(operand, level), self.plan.rotations[level].radix
        rank = self._group_rank(operand)
        ring = weight * radix
        ahead = rank // ring * ring + (rank + weight) % ring
        moved: dict[int, Terms] = {}
        for axis in reversed(self.expression.lacks(operand)):
            index = self.expression.axis_index[axis]
            moved[index] = ahead % self.plan.split[index]
            ahead = ahead // self.plan.split[index]
        return self._core(moved)

    def _core(self, moved: dict[int, Terms]) -> Terms:
        """Number of the core with these coordinates, those of this core where none is given."""
        return total(
            [
                moved.get(index, self.coordinate(index)) * stride
                for index, stride in enumerate(self._strides)
                if self.plan.split[index] > 1
            ]
        )

    def _linear_source(self, operand: Operand, level: int) -> Terms:
        """Digits that make the offset one more; a digit changes where those below it carry."""
        shared = {self.expression.axis_index[axis] for axis in self.expression.lacks(operand)}
        offset = self._base_offset(level)
        added: dict[CoreDigit, Terms] = {}
        for prime_map in self._maps:
            prime = prime_map.prime
            pivots, steps = ring_steps(prime_map, self.plan, operand, shared)
            for row, owner in enumerate(prime_map.levels):
                if owner != level:
                    continue
                weight = prime_map.weights[row]
                old = self._mapped(prime_map, row)
                grown = (offset + 1) // weight % prime + old * (prime - 1)
                for pivot, step in zip(pivots, steps[row], strict=True):
                    added[pivot] = added.get(pivot, whole(0)) + grown * step
        moved: dict[int, Terms] = {}
        for index in {digit.axis for digit in added}:
            terms = whole(0)
            for digit in core_digits(self.plan):
                if digit.axis == index:
                    value = self._digit(digit)
                    if digit in added:
                        value = (value + added[digit]) % digit.prime
                    terms = terms + value * digit.scale
            moved[index] = terms
        return self._core(moved)
