"""Exhaustive search for a placement: which chunk every core begins with (docs/plans.md).

A placement gives one offset per rotation and core such that, in every sharing group of every
operand, the tuple of offsets over the operand's rotations takes each value `replicas` times.
"""

import itertools
import math
from collections import Counter
from functools import cache

from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan

from .geometry import replicas, rotations_of, sharing_groups

Offsets = tuple[tuple[int, ...], ...]  # [rotation][core]
Demand = tuple[tuple[int, ...], tuple[tuple[int, ...], ...], int]  # rotations, groups, replicas

NODE_LIMIT = 200_000


class UndecidedError(Exception):
    """The search gave up before it found a placement or proved that there is none."""


def demands(expression: TensorExpression, plan: Plan) -> tuple[Demand, ...]:
    """Per operand that rotates: its rotations, its sharing groups and its replicas."""
    found = []
    for operand in expression.operands:
        levels = tuple(rotations_of(plan, operand))
        if levels:
            groups = sharing_groups(expression, plan.split, operand)
            found.append((levels, tuple(map(tuple, groups)), replicas(expression, plan, operand)))
    return tuple(found)


def is_balanced(expression: TensorExpression, plan: Plan, offsets: Offsets) -> bool:
    """Whether the offsets are a placement of the plan, straight from the definition."""
    cores = math.prod(plan.split)
    for rotation, row in zip(plan.rotations, offsets, strict=True):
        if len(row) != cores or not all(0 <= offset < rotation.radix for offset in row):
            return False
    for levels, groups, copies in demands(expression, plan):
        values = list(itertools.product(*(range(plan.rotations[i].radix) for i in levels)))
        for group in groups:
            taken = Counter(tuple(offsets[i][core] for i in levels) for core in group)
            if any(taken[value] != copies for value in values):
                return False
    return True


def digit_rule(expression: TensorExpression, plan: Plan) -> Offsets:
    """The construction of section 4; a placement if the groups are disjoint in axes."""
    cores = math.prod(plan.split)
    offsets = [[0] * cores for _ in plan.rotations]
    for levels, groups, _ in demands(expression, plan):
        for group in groups:  # in core order: the rank is the place in the group
            for rank, core in enumerate(group):
                rest = rank
                for i in levels:
                    offsets[i][core] += rest % plan.rotations[i].radix
                    rest //= plan.rotations[i].radix
    return tuple(
        tuple(value % rotation.radix for value in row)
        for rotation, row in zip(plan.rotations, offsets, strict=True)
    )


def find_placement(expression: TensorExpression, plan: Plan) -> Offsets | None:
    """A placement, or None when there is provably none; UndecidedError beyond the node limit."""
    offsets = digit_rule(expression, plan)
    if is_balanced(expression, plan, offsets):
        return offsets
    radices = tuple(rotation.radix for rotation in plan.rotations)
    offsets = backtrack(math.prod(plan.split), radices, demands(expression, plan))
    if offsets is not None and not is_balanced(expression, plan, offsets):
        raise AssertionError("the constraint search returned something that is no placement")
    return offsets


@cache
def backtrack(cores: int, radices: tuple[int, ...], wanted: tuple[Demand, ...]) -> Offsets | None:
    """Give each core a tuple of offsets, the core with the fewest choices first.

    Adding a constant to all offsets of a rotation keeps the balance, so core 0 may begin at 0.
    """
    values = list(itertools.product(*(range(radix) for radix in radices)))
    left: dict[tuple[int, tuple[int, ...], tuple[int, ...]], int] = {}
    member: list[list[tuple[int, tuple[int, ...], tuple[int, ...]]]] = [[] for _ in range(cores)]
    for number, (levels, groups, copies) in enumerate(wanted):
        for group in groups:
            for core in group:
                member[core].append((number, group, levels))
            for seen in itertools.product(*(range(radices[i]) for i in levels)):
                left[number, group, seen] = copies
    chosen: dict[int, tuple[int, ...]] = {}
    nodes = 0

    def keys(core, value):
        return [
            (number, group, tuple(value[i] for i in levels))
            for number, group, levels in member[core]
        ]

    def choices(core):
        if core == 0:
            return [values[0]]
        return [value for value in values if all(left[key] for key in keys(core, value))]

    def can_finish(options):
        """Whether every value still wanted somewhere has enough cores that could take it."""
        takers: Counter = Counter()
        for core, candidates in options.items():
            takers.update({key for value in candidates for key in keys(core, value)})
        return all(takers[key] >= count for key, count in left.items())

    def extend():
        nonlocal nodes
        nodes += 1
        if nodes > NODE_LIMIT:
            raise UndecidedError
        options = {core: choices(core) for core in range(cores) if core not in chosen}
        if not options:
            return True
        if not can_finish(options):
            return False
        core = min(options, key=lambda c: len(options[c]))
        for value in options[core]:
            chosen[core] = value
            for key in keys(core, value):
                left[key] -= 1
            if extend():
                return True
            for key in keys(core, value):
                left[key] += 1
            del chosen[core]
        return False

    if not extend():
        return None
    return tuple(tuple(chosen[core][i] for core in range(cores)) for i in range(len(radices)))
