"""Slow, obvious enumeration of all plans of one operator (docs/plans.md).

Plain loops over splits, temporal assignments and operands, for at most a dozen cores.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, Rotation

from .cost import best_order, memory_bytes, total_cycles, useful_share
from .geometry import block_length, sharing
from .placement import find_placement

Temporal = dict[tuple[str, str], int]  # (operand, axis) -> t[X][a]


@dataclass(frozen=True)
class Thresholds:
    """T10's pruning rules: least utilisation of a split, least useful share of a cut."""

    utilisation: Fraction
    padding: Fraction


def thresholds(expression: TensorExpression, cores: int) -> Thresholds:
    """Section 7's thresholds; axes that are never cut do not count."""
    lengths = [axis.length for axis in expression.axes if axis.splittable]
    points = math.prod(lengths)
    size = Fraction(len(lengths) * max(lengths, default=0), 220)
    crowded = min(Fraction(points, points + 2 * cores), size)
    if expression.kernel == "gather":
        return Thresholds(Fraction(951, 1000) * crowded, Fraction(951, 1000))
    roomy = min(Fraction(points, points + cores), size)
    return Thresholds(Fraction(9, 10) * crowded, Fraction(9, 10) * roomy)


def all_splits(expression: TensorExpression, cores: int) -> Iterator[tuple[int, ...]]:
    """Every F with 1 <= F[a] <= L[a], prod F <= cores, and 1 on axes that are never cut."""
    choices = [
        range(1, min(axis.length, cores) + 1) if axis.splittable else range(1, 2)
        for axis in expression.axes
    ]

    def extend(prefix: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == len(choices):
            yield prefix
            return
        for factor in choices[len(prefix)]:
            if math.prod(prefix) * factor <= cores:
                yield from extend((*prefix, factor))

    return extend(())


def passes_split(
    expression: TensorExpression, cores: int, split: tuple[int, ...], limits: Thresholds
) -> bool:
    """Whether a split meets both thresholds."""
    padded = math.prod(
        factor * block_length(expression, split, axis.name)
        for factor, axis in zip(split, expression.axes, strict=True)
    )
    useful = math.prod(axis.length for axis in expression.axes)
    return (
        Fraction(math.prod(split), cores) >= limits.utilisation
        and Fraction(useful, padded) >= limits.padding
    )


def chains(most: int, limits: list[int]) -> Iterator[tuple[int, ...]]:
    """Every tuple of factors, factor i dividing limits[i], all in one divisibility chain."""
    for factors in itertools.product(*(divisors(limit, most) for limit in limits)):
        ascending = sorted(factors)
        if all(b % a == 0 for a, b in itertools.pairwise(ascending)):
            yield factors


def divisors(number: int, most: int) -> list[int]:
    """Divisors of a number that are at most `most`."""
    return [d for d in range(1, most + 1) if number % d == 0]


def all_temporal(expression: TensorExpression, split: tuple[int, ...]) -> Iterator[Temporal]:
    """Every legal t[X][a]: rules (1) to (4) of section 4."""
    rotating = [operand for operand in expression.operands if not operand.fused]

    def extend(axes: list[str], room: dict[str, int], chosen: Temporal) -> Iterator[Temporal]:
        if not axes:
            yield dict(chosen)
            return
        axis = axes[0]
        owners = [operand.name for operand in rotating if axis in operand.axes]
        most = block_length(expression, split, axis)
        for factors in chains(most, [room[name] for name in owners]):
            now = dict(zip(owners, factors, strict=True))
            smaller = {name: room[name] // now.get(name, 1) for name in room}
            more = {(name, axis): factor for name, factor in now.items()}
            yield from extend(axes[1:], smaller, chosen | more)

    cut = [axis.name for axis in expression.axes if axis.splittable]
    groups = {operand.name: sharing(expression, split, operand) for operand in rotating}
    return extend(cut, groups, {})


def canonical_rotations(expression: TensorExpression, temporal: Temporal) -> tuple[Rotation, ...]:
    """One rotation per axis and distinct operand set, in no particular loop order."""
    rotations = []
    for axis in expression.axes:
        factors = {name: t for (name, along), t in temporal.items() if along == axis.name}
        before = 1
        for level in sorted({t for t in factors.values() if t > 1}):
            moved = [operand.name for operand in expression.operands]
            moved = [name for name in moved if factors.get(name, 1) >= level]
            rotations.append(Rotation(axis.name, level // before, tuple(moved)))
            before = level
    return tuple(rotations)


def legality_error(expression: TensorExpression, plan: Plan) -> str | None:
    """Which rule of section 4 a plan breaks, from the definitions; None for a legal plan."""
    operands: dict[str, Operand] = {operand.name: operand for operand in expression.operands}
    for factor, axis in zip(plan.split, expression.axes, strict=True):
        if not 1 <= factor <= axis.length or (factor > 1 and not axis.splittable):
            return f"split of {axis.name}"
    unsplittable = {axis.name for axis in expression.axes if not axis.splittable}
    for rotation in plan.rotations:
        if rotation.radix < 2 or not rotation.operands or rotation.axis in unsplittable:
            return "a rotation that does nothing or may not be"
        for name in rotation.operands:
            if operands[name].fused or rotation.axis not in operands[name].axes:
                return f"rule 1: {name} does not rotate along {rotation.axis}"
    for operand in operands.values():
        pieces = math.prod(r.radix for r in plan.rotations if operand.name in r.operands)
        if sharing(expression, plan.split, operand) % pieces:
            return f"rule 2: {operand.name}"
    for a, b in itertools.combinations(plan.rotations, 2):
        one, other = set(a.operands), set(b.operands)
        if a.axis == b.axis and not (one <= other or other <= one):
            return f"rule 3: {a.axis}"
    for axis in expression.axes:
        steps = math.prod(r.radix for r in plan.rotations if r.axis == axis.name)
        if steps > block_length(expression, plan.split, axis.name):
            return f"rule 4: {axis.name}"
    return None


@dataclass(frozen=True)
class BruteResult:
    """What plain enumeration saw: counts, and the Pareto front as (bytes, cycles).

    `costs` holds split, bytes and cycles of every feasible plan.
    `thresholds_dropped` says that no split met the thresholds, so that they were dropped.
    """

    all_splits: int
    splits: int
    thresholds_dropped: bool
    padding_pruned: int
    legal: int
    placeable: int
    costs: tuple[tuple[tuple[int, ...], int, float], ...]
    front: tuple[tuple[int, float], ...]

    @property
    def feasible(self) -> int:
        """Number of plans that are placeable and fit the memory."""
        return len(self.costs)


def pareto(points: set[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Points that no other point equals or beats in both coordinates."""
    kept = [p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)]
    return tuple(sorted(kept))


def brute_search(expression: TensorExpression, spec: HardwareSpec, pruned: bool) -> BruteResult:
    """Every plan of the operator on the spec's cores; UndecidedError if a placement is open."""
    cores = spec.core_count
    every = list(all_splits(expression, cores))
    splits, limits, thresholds_dropped = every, None, False
    if pruned:
        limits = thresholds(expression, cores)
        splits = [s for s in every if passes_split(expression, cores, s, limits)]
        if not splits:
            splits, limits, thresholds_dropped = every, None, True
    padding_pruned = legal = placeable = 0
    costs = []
    for split in splits:
        for temporal in all_temporal(expression, split):
            plan = Plan(split, canonical_rotations(expression, temporal))
            if limits and Fraction(*useful_share(expression, plan)) < limits.padding:
                padding_pruned += 1
                continue
            legal += 1
            if find_placement(expression, plan) is None:
                continue
            placeable += 1
            size = memory_bytes(expression, spec, plan)
            if size > spec.usable_bytes:
                continue
            cycles = total_cycles(expression, spec, best_order(expression, spec, plan))
            costs.append((split, size, cycles))
    counts = (len(every), len(splits), thresholds_dropped, padding_pruned, legal, placeable)
    front = pareto({(size, cycles) for _, size, cycles in costs})
    return BruteResult(*counts, tuple(sorted(costs)), front)
