"""Kinds of plans of one problem at a price of idle memory, as the network of choices sees them.

A kind is a single plan whose layouts are compared exactly, or a class of listed plans of similar
sizes, or all the rest. Classes and the rest have bounds in place of layouts, each the most
favourable of their members, so that a minimum over kinds is a minimum over all feasible plans or
less.
"""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices
from t10c.schedule.shares import replicas_of, weight_cycles
from t10c.schedule.shortlist import READERS
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.temporal import slot_table

_CLASS_RATIO = 1.2
"""Sizes of one class differ by less than this factor."""


@dataclass(frozen=True)
class Kinds:
    """Kinds of one problem: first single plans, then classes, then the rest, if there is one.

    `cost` (kinds,) is execution + setup + price * idle bytes in cycles; per input operand, in bytes
    (kinds, inputs): `needed` by a core that holds a whole piece, at least; `floor` received on
    average from one copy, at least; `held` by any core, at most. `home` (kinds,) is the largest
    share of the output, at most. `plans` are the single plans' numbers; `member_of` (rows,) is the
    kind that each row of the shortlist belongs to, and `row_cost` its cost.
    """

    plans: IntArray
    cost: FloatArray
    needed: FloatArray
    floor: FloatArray
    held: FloatArray
    home: FloatArray
    member_of: IntArray
    row_cost: FloatArray

    @property
    def single(self) -> int:
        """Number of single plans."""
        return len(self.plans)


def find_kinds(
    choices: Choices,
    drawn: dict[int, int],
    price: float,
    spec: HardwareSpec,
    floored: tuple[int, ...] = (),
) -> Kinds:
    """Kinds at a price; `drawn` maps rows of the shortlist to the numbers of their plans.

    `floored` operands are received from homes only, so their floor is always paid.
    """
    listed = choices.listed
    rows = np.array(list(drawn), dtype=np.int64)
    plans = np.array(list(drawn.values()), dtype=np.int64)
    row_cost = row_costs(choices, price, spec)
    floored_cost = row_cost + _exchange(spec, listed.floor_bytes[:, list(floored)].sum(axis=1))
    far = _far(choices, row_cost, floored_cost, floored, spec)
    far[rows] = False
    near = ~far
    near[rows] = False
    others = np.flatnonzero(near)
    single_cost = choices.plan_costs_at(price)[plans]
    sizes = np.column_stack([listed.fetched_bytes, listed.floor_bytes, listed.home_bytes])
    keys = np.floor(np.log(np.maximum(sizes[others], 1.0)) / np.log(_CLASS_RATIO)).astype(np.int64)
    _, member = np.unique(keys, axis=0, return_inverse=True)
    member = member.ravel()
    count = int(member.max(initial=-1)) + 1

    def lowest(values: FloatArray) -> FloatArray:
        found = np.full((count, *values.shape[1:]), np.inf)
        np.minimum.at(found, member, values[others])
        return found

    def highest(values: FloatArray) -> FloatArray:
        found = np.zeros((count, *values.shape[1:]))
        np.maximum.at(found, member, values[others])
        return found

    rest = min(listed.rest_at(price), float(floored_cost[far].min(initial=np.inf)))
    last = np.isfinite(rest)
    inputs = listed.fetched_bytes.shape[1]
    zeros, unlimited = np.zeros((int(last), inputs)), np.full((int(last), inputs), np.inf)
    fetched, floor, home = listed.fetched_bytes, listed.floor_bytes, listed.home_bytes
    member_of = np.full(len(listed), len(rows) + count)
    member_of[rows] = np.arange(len(rows))
    member_of[others] = len(rows) + member
    return Kinds(
        plans=plans,
        cost=np.concatenate([single_cost, lowest(row_cost), [rest] if last else []]),
        needed=np.concatenate([fetched[rows], lowest(fetched), zeros]),
        floor=np.concatenate([floor[rows], lowest(floor), zeros]),
        held=np.concatenate([fetched[rows], highest(fetched), unlimited]),
        home=np.concatenate([home[rows], highest(home), np.full(int(last), np.inf)]),
        member_of=member_of,
        row_cost=row_cost,
    )


def _far(
    choices: Choices,
    row_cost: FloatArray,
    floored_cost: FloatArray,
    floored: tuple[int, ...],
    spec: HardwareSpec,
) -> BoolArray:
    """Rows that some other row beats at this price, whatever the neighbours do (shortlist.py).

    They are summed up with the rest: to tell them apart could not raise the bound.
    """
    listed = choices.listed
    inputs = [i for i in range(listed.fetched_bytes.shape[1]) if i not in choices.problem.weights]
    fetched = listed.fetched_bytes[:, inputs].sum(axis=1)
    copied = listed.fetched_bytes[:, [i for i in inputs if i not in floored]].sum(axis=1)
    gain = READERS * _exchange(spec, listed.home_bytes) + _exchange(spec, copied)
    ceiling = float(np.min(row_cost + _exchange(spec, fetched), initial=np.inf))
    far: BoolArray = floored_cost - gain > ceiling
    return far


def _exchange(spec: HardwareSpec, size: FloatArray) -> FloatArray:
    cycles: FloatArray = np.where(size > 0, exchange_cycles(spec, size), 0.0)
    return cycles


def row_costs(choices: Choices, price: float, spec: HardwareSpec) -> FloatArray:
    """Execution + setup + price * idle bytes of every row, the idle cut relaxed, (rows,)."""
    listed = choices.listed
    table = slot_table(choices.problem.expression)
    cost: FloatArray = listed.priced[0].copy()  # at price 0 nothing is gathered
    per_byte, sync = float(move_cycles(spec, 1.0)), sync_cycles(spec)
    for index, size in zip(choices.problem.weights, listed.shared_bytes.T, strict=True):
        copies = replicas_of(table, listed.candidates, index).astype(np.float64)
        cost += weight_cycles(np.array(price), size, copies, per_byte, sync)
    return cost
