"""Placement: with which chunk of each rotation a core begins (docs/plans.md).

A placement gives every core an offset o_l in [0, r_l) per rotation l such that for every operand
and every sharing group of it, the tuple of offsets over the operand's rotations takes each value
equally often. Two constructions:

- digit rule, where the operands of every rotation are shared over disjoint axes: o_l is the sum of
  the operands' mixed-radix digits for l. For matmul this is Cannon's skewed start.
- prime digits otherwise: coordinates and radices are written in prime digits, and for each prime p
  the offsets' digits are a linear map over GF(p) of the coordinates' digits. The map is balanced
  for X iff its rows of X's rotations have full rank on the columns that X is shared across.
"""

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, Rotation
from t10c.search.balance import PrimePattern, balanced_matrix, pivot_inverse
from t10c.search.space import BoolArray, IntArray
from t10c.search.temporal import SlotTable


def core_coordinates(split: Sequence[int], cores: IntArray | None = None) -> IntArray:
    """Coordinates of cores, (cores, axes): mixed radix of the number, last axis least significant.

    `cores` selects used cores by number; without it all used cores are meant.
    """
    if cores is None:
        cores = np.arange(math.prod(split), dtype=np.int64)
    coordinates = np.zeros((len(cores), len(split)), dtype=np.int64)
    rest = np.asarray(cores, dtype=np.int64)
    for axis in reversed(range(len(split))):
        if split[axis] > 1:
            rest, coordinates[:, axis] = np.divmod(rest, split[axis])
    return coordinates


def offsets(
    expression: TensorExpression, plan: Plan, coordinates: IntArray | None = None
) -> list[IntArray] | None:
    """Offset of every core in every rotation of the plan, each (cores,); None if not placeable.

    `coordinates` (cores, axes) selects cores; without it all used cores are meant, in core order.
    """
    if coordinates is None:
        coordinates = core_coordinates(plan.split)
    if all(_disjoint(expression, plan, rotation) for rotation in plan.rotations):
        return _digit_offsets(expression, plan, coordinates)
    return _linear_offsets(expression, plan, coordinates)


def placement_rule(expression: TensorExpression, plan: Plan) -> str:
    """Name of the construction that places the plan: `none`, `digits` or `linear`."""
    if not plan.rotations:
        return "none"
    disjoint = all(_disjoint(expression, plan, rotation) for rotation in plan.rotations)
    return "digits" if disjoint else "linear"


def _disjoint(expression: TensorExpression, plan: Plan, rotation: Rotation) -> bool:
    """Whether no two operands of the rotation are shared across one axis that is really cut."""
    operands = {operand.name: operand for operand in expression.operands}
    seen: set[str] = set()
    for name in rotation.operands:
        cut = {
            axis
            for axis in expression.lacks(operands[name])
            if plan.split[expression.axis_index[axis]] > 1
        }
        if cut & seen:
            return False
        seen |= cut
    return True


def _digit_offsets(
    expression: TensorExpression, plan: Plan, coordinates: IntArray
) -> list[IntArray]:
    """The digit rule: an operand's first rotation is the least significant digit of its rank."""
    result = [np.zeros(len(coordinates), dtype=np.int64) for _ in plan.rotations]
    for operand in expression.operands:
        rank = np.zeros(len(coordinates), dtype=np.int64)
        for axis in expression.lacks(operand):
            index = expression.axis_index[axis]
            rank = rank * plan.split[index] + coordinates[:, index]
        for level, rotation in enumerate(plan.rotations):
            if operand.name in rotation.operands:
                result[level] += rank % rotation.radix
                rank //= rotation.radix
    return [o % r.radix for o, r in zip(result, plan.rotations, strict=True)]


def prime_exponents(number: int) -> dict[int, int]:
    """Prime factorisation."""
    exponents: dict[int, int] = {}
    prime = 2
    while prime * prime <= number:
        while number % prime == 0:
            exponents[prime] = exponents.get(prime, 0) + 1
            number //= prime
        prime += 1
    if number > 1:
        exponents[number] = exponents.get(number, 0) + 1
    return exponents


@dataclass(frozen=True, slots=True)
class CoreDigit:
    """A prime digit of a core's coordinate: `coordinate // scale % prime` along an axis."""

    axis: int
    scale: int
    prime: int


@dataclass(frozen=True, slots=True)
class PrimeMap:
    """The linear map of one prime: offset digits (`levels`, `weights`) from core digits.

    Digit i of the offsets belongs to rotation `levels[i]`, counts `weights[i]` in it, and is
    `sum(matrix[i][j] * digits[j]) % prime`.
    """

    prime: int
    digits: tuple[CoreDigit, ...]
    levels: tuple[int, ...]
    weights: tuple[int, ...]
    matrix: tuple[tuple[int, ...], ...]


def core_digits(plan: Plan) -> tuple[CoreDigit, ...]:
    """All prime digits of the coordinates, axis by axis, least significant first."""
    found = []
    for index, factor in enumerate(plan.split):
        scale = 1
        for prime, exponent in prime_exponents(factor).items():
            for _ in range(exponent):
                found.append(CoreDigit(index, scale, prime))
                scale *= prime
    return tuple(found)


def prime_maps(expression: TensorExpression, plan: Plan) -> tuple[PrimeMap, ...] | None:
    """Prime digits: one linear map per prime that divides a radix; None if one is not balanced."""
    maps = []
    weight = [1] * len(plan.rotations)
    names = [operand.name for operand in expression.operands]
    for prime in sorted({p for r in plan.rotations for p in prime_exponents(r.radix)}):
        digits = tuple(digit for digit in core_digits(plan) if digit.prime == prime)
        columns = tuple(
            tuple(
                i
                for i, operand in enumerate(expression.operands)
                if expression.axes[digit.axis].name not in operand.axes
            )
            for digit in digits
        )
        rows, levels, weights = [], [], []
        for level, rotation in enumerate(plan.rotations):
            for _ in range(prime_exponents(rotation.radix).get(prime, 0)):
                rows.append(tuple(names.index(name) for name in rotation.operands))
                levels.append(level)
                weights.append(weight[level])
                weight[level] *= prime
        matrix = balanced_matrix(prime, (columns, tuple(rows)))
        if matrix is None:
            return None
        maps.append(PrimeMap(prime, digits, tuple(levels), tuple(weights), matrix))
    return tuple(maps)


def _linear_offsets(
    expression: TensorExpression, plan: Plan, coordinates: IntArray
) -> list[IntArray] | None:
    """Offsets by the linear maps, mixed radix of their prime digits."""
    maps = prime_maps(expression, plan)
    if maps is None:
        return None
    result = [np.zeros(len(coordinates), dtype=np.int64) for _ in plan.rotations]
    for prime_map in maps:
        digits = [coordinates[:, d.axis] // d.scale % d.prime for d in prime_map.digits]
        for row, level, weight in zip(
            prime_map.matrix, prime_map.levels, prime_map.weights, strict=True
        ):
            digit = sum(w * d for w, d in zip(row, digits, strict=True)) % prime_map.prime
            result[level] += weight * digit
    return result


def free_digits(
    expression: TensorExpression, plan: Plan, operand: Operand
) -> tuple[CoreDigit, ...]:
    """Core digits that tell the replicas of a piece apart, where placement is linear.

    They are those of the operand's sharing group that the offsets of its rotations leave free: all
    but one pivot per offset digit.
    """
    shared = {expression.axis_index[axis] for axis in expression.lacks(operand)}
    pivots: set[CoreDigit] = set()
    for prime_map in prime_maps(expression, plan) or ():
        pivots.update(ring_steps(prime_map, plan, operand, shared)[0])
    return tuple(d for d in core_digits(plan) if d.axis in shared and d not in pivots)


def ring_steps(
    prime_map: PrimeMap, plan: Plan, operand: Operand, shared: Collection[int]
) -> tuple[tuple[CoreDigit, ...], dict[int, tuple[int, ...]]]:
    """Pivots of an operand's sharing group, and how to move by one in each offset digit.

    `shared` are the axes that the operand lacks. The second result gives, for every offset digit i
    of the operand's rotations, what to add to the pivots so that digit i grows by one and the
    operand's other offset digits stay.
    """
    rows = [
        i
        for i, level in enumerate(prime_map.levels)
        if operand.name in plan.rotations[level].operands
    ]
    columns = [j for j, digit in enumerate(prime_map.digits) if digit.axis in shared]
    pivots, inverse = pivot_inverse(
        [[prime_map.matrix[i][j] for j in columns] for i in rows], prime_map.prime
    )
    steps = {row: tuple(line[k] for line in inverse) for k, row in enumerate(rows)}
    return tuple(prime_map.digits[columns[j]] for j in pivots), steps


def may_overlap(table: SlotTable, splits: IntArray) -> bool:
    """Whether any plan of the splits rotates operands together that are shared over one axis."""
    return any(bool((splits[:, common] > 1).any()) for _, _, common in _overlaps(table))


def _overlaps(table: SlotTable) -> Iterator[tuple[int, int, list[int]]]:
    """Pairs of slots on one axis whose operands are both shared over some axes, and those axes."""
    for slots in table.by_axis:
        for a, b in itertools.combinations(slots, 2):
            common = set(table.shared_axes[table.slots[a].operand]) & set(
                table.shared_axes[table.slots[b].operand]
            )
            if common:
                yield a, b, sorted(common)


def placeable_mask(
    expression: TensorExpression, table: SlotTable, splits: IntArray, factors: IntArray
) -> BoolArray:
    """Which candidates have a placement; rows of `splits` and `factors` are candidates.

    The digit rule settles all candidates whose rotating operands are shared over disjoint axes.
    The rest fall into few patterns of prime exponents, and each pattern is decided once.
    """
    overlapping = np.zeros(len(splits), dtype=bool)
    for a, b, common in _overlaps(table):
        both = (factors[:, a] > 1) & (factors[:, b] > 1)
        overlapping |= both & np.any(splits[:, common] > 1, axis=1)
    mask = np.ones(len(splits), dtype=bool)
    unsure = np.flatnonzero(overlapping)
    if len(unsure):
        numbers = np.column_stack([splits[unsure], factors[unsure]])
        verdict = np.ones(len(unsure), dtype=bool)
        sharers = [
            tuple(i for i, shared in enumerate(table.shared_axes) if axis in shared)
            for axis in range(len(expression.axes))
        ]
        for prime in _primes_dividing(factors[unsure]):
            exponent_of = _exponent_table(prime, int(numbers.max()))
            cut = np.flatnonzero((exponent_of[factors[unsure]] > 0).any(axis=1))
            exponents = exponent_of[numbers[cut]]
            first, inverse = _distinct_rows(exponents)
            balanced = [
                balanced_matrix(prime, _pattern(sharers, table, pattern)) is not None
                for pattern in exponents[first].tolist()
            ]
            verdict[cut] &= np.array(balanced)[inverse]
        mask[unsure] = verdict
    return mask


def _primes_dividing(numbers: IntArray) -> list[int]:
    """Primes that divide any of the numbers, ascending."""
    return sorted({p for number in np.unique(numbers) for p in prime_exponents(int(number))})


def _exponent_table(prime: int, most: int) -> IntArray:
    """Exponent of the prime in every number up to `most` (0 has none)."""
    exponents = np.zeros(most + 1, dtype=np.int64)
    power = prime
    while power <= most:
        exponents[power::power] += 1
        power *= prime
    return exponents


def _distinct_rows(numbers: IntArray) -> tuple[IntArray, IntArray]:
    """Where each distinct row of small numbers occurs first, and which of them every row is."""
    base = int(numbers.max(initial=0)) + 1
    width = numbers.shape[1]
    if base**width < 1 << 62:
        keys = numbers @ (np.int64(base) ** np.arange(width))
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(numbers, axis=0, return_index=True, return_inverse=True)
    return first, inverse.ravel()


def _pattern(
    sharers: Sequence[tuple[int, ...]], table: SlotTable, exponents: Sequence[int]
) -> PrimePattern:
    """Coordinate and offset digits of one prime, from its exponents in splits and factors.

    `sharers` are the operands shared across each axis.
    """
    columns: list[tuple[int, ...]] = []
    for shared, exponent in zip(sharers, exponents, strict=False):
        columns += [shared] * exponent
    rows: list[tuple[int, ...]] = []
    for slots in table.by_axis:
        own = [exponents[len(sharers) + i] for i in slots]
        below = 0
        for level in sorted({*own} - {0}):
            moving = zip(slots, own, strict=True)
            rows += [tuple(table.slots[i].operand for i, e in moving if e >= level)] * (
                level - below
            )
            below = level
    # the order of digits does not matter for whether they can be balanced
    return tuple(sorted(columns)), tuple(sorted(rows))
