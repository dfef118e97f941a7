"""Kinds of plans of one problem at a price of idle memory, as the network of choices sees them.

A kind is a single plan whose layouts are compared exactly, or a class of listed plans of similar
sizes, or a part of the rest. Classes and the rest have bounds in place of layouts, each the most
favourable of their members, so that a minimum over kinds is a minimum over all feasible plans or
less.
"""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices
from t10c.schedule.progress import Progress
from t10c.schedule.shares import fetch_cycles, others_gain
from t10c.schedule.shortlist import Shortlist
from t10c.schedule.surroundings import UNKNOWN, Surroundings
from t10c.search.space import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Kinds:
    """Kinds of one problem: first single plans, then classes, then parts of the rest.

    `cost` (kinds,) is execution + setup + price * idle bytes in cycles; per input operand, in bytes
    (kinds, inputs): `needed` by some core, at least; `floor` received on average from one copy, at
    least; `held` by any core, at most. `home` (kinds,) is the largest share of the output, at most.
    `rows` are the single plans' rows of the shortlist; `member_of` (rows,) is the kind that each
    row belongs to, -1 for none, and `row_cost` its cost. The last kinds are parts of the rest,
    `rests` (kinds of them,) says which, ascending.

    What costs more than something else whatever the neighbours do is no kind. `row_excess` (rows,)
    says by how many cycles at least any choice gets cheaper without a row, `rest_excess` (parts,)
    without a part of what is not listed; they count only where that is in no kind.
    """

    rows: IntArray
    cost: FloatArray
    needed: FloatArray
    floor: FloatArray
    held: FloatArray
    home: FloatArray
    member_of: IntArray
    row_cost: FloatArray
    row_excess: FloatArray
    rests: IntArray
    rest_excess: FloatArray

    def __len__(self) -> int:
        return len(self.cost)

    @property
    def single(self) -> int:
        """Number of single plans."""
        return len(self.rows)

    @property
    def listed(self) -> int:
        """Number of kinds that are plans and classes; those after them are parts of the rest."""
        return len(self) - len(self.rests)

    def row_bounds(self, bounds: FloatArray) -> FloatArray:
        """Bounds of rows by those of their kinds (kinds,), inf for rows in no kind; (rows,)."""
        of_kinds = bounds[self.member_of] + self.row_cost - self.cost[self.member_of]
        return np.where(self.member_of >= 0, of_kinds, np.inf)

    def were(self, before: "Kinds") -> IntArray:
        """Which kind of the same list something of each kind belonged to before, (kinds,)."""
        member = np.full(len(self), -1)
        some = np.flatnonzero(self.member_of >= 0)
        member[self.member_of[some]] = before.member_of[some]
        member[: self.single] = before.member_of[self.rows]
        some = np.flatnonzero(np.isin(self.rests, before.rests))
        place = np.searchsorted(before.rests, self.rests[some])
        member[self.listed + some] = before.listed + place
        # what was no kind, -1, gets the messages of the last one: any will do
        return member


def find_kinds(
    choices: Choices,
    known: Progress,
    price: float,
    spec: HardwareSpec,
    around: Surroundings = UNKNOWN,
    own_rate: float = 0.0,
    dying_bytes: int = 0,
) -> Kinds:
    """Kinds at a price of what may still be part of a better schedule.

    Of opened rows that lie alike the cheapest is the kind. Operands that are always received from
    one copy are paid for by every plan (`around.floored`). Plans pay `own_rate` cycles for each
    byte per core that they demand of their own; `dying_bytes` are the homes that they read for the
    last time.
    """
    listed = choices.listed
    row_cost = listed.costs_at(price)
    if own_rate:
        row_cost += own_rate * demand_bytes(listed, spec, dying_bytes)
    floor = listed.floor_bytes[:, list(around.floored)].sum(axis=1)
    floored_cost = row_cost + fetch_cycles(spec, floor)
    ceiling = _ceiling(choices, known, row_cost, spec)
    excess = floored_cost - _gain(choices, around, spec) - ceiling
    far = _far(known, excess, around)
    near = known.alive & ~far
    rows, kind_of_alike = _cheapest_alike(known.alike, near & known.opened, row_cost)
    classes = _Classes.of(known, np.flatnonzero(near & ~known.opened))
    rest_excess = listed.rest.less_gain_at(price, own_rate) - ceiling
    rest = np.where(known.rest_alive, listed.rest.cost_at(price, own_rate), np.inf)
    if around.bounded:
        rest[rest_excess > 0] = np.inf
    else:
        # they may cut anything, as the first part may
        rest[0] = min(rest[0], float(floored_cost[far].min(initial=np.inf)))
    rests = np.flatnonzero(np.isfinite(rest))
    member_of = np.full(len(listed), -1)
    if not around.bounded:
        member_of[far] = len(rows) + classes.count
    member_of[near & known.opened] = kind_of_alike[known.alike[near & known.opened]]
    member_of[classes.rows] = len(rows) + classes.class_of
    cost = np.concatenate([row_cost[rows], classes.lowest(row_cost), rest[rests]])
    sizes = _sizes(listed, rows, classes, len(rests))
    return Kinds(rows, cost, *sizes, member_of, row_cost, excess, rests, rest_excess)


def _sizes(
    listed: Shortlist, rows: IntArray, classes: "_Classes", rests: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(needed, floor, held, home) of single plans, classes, and so many parts of the rest."""

    def least(size: FloatArray) -> FloatArray:
        none = np.zeros((rests, *size.shape[1:]))
        return np.concatenate([size[rows], classes.lowest(size), none])

    def most(size: FloatArray) -> FloatArray:
        unlimited = np.full((rests, *size.shape[1:]), np.inf)
        return np.concatenate([size[rows], classes.highest(size), unlimited])

    needed, floor = least(listed.needed_bytes), least(listed.floor_bytes)
    return needed, floor, most(listed.fetched_bytes), most(listed.home_bytes)


@dataclass(frozen=True)
class _Classes:
    """Rows of similar sizes, `class_of` (rows,) numbers the class of each of `rows`."""

    rows: IntArray
    class_of: IntArray
    count: int

    @classmethod
    def of(cls, known: Progress, rows: IntArray) -> "_Classes":
        """The classes that are left of some rows."""
        found, class_of = np.unique(known.size_class[rows], return_inverse=True)
        return cls(rows, class_of, len(found))

    def lowest(self, values: FloatArray) -> FloatArray:
        """Least value in every class; (all rows, ...) become (classes, ...)."""
        found = np.full((self.count, *values.shape[1:]), np.inf)
        np.minimum.at(found, self.class_of, values[self.rows])
        return found

    def highest(self, values: FloatArray) -> FloatArray:
        """Largest value in every class, at least 0; (all rows, ...) become (classes, ...)."""
        found = np.zeros((self.count, *values.shape[1:]))
        np.maximum.at(found, self.class_of, values[self.rows])
        return found


def _cheapest_alike(
    alike: IntArray, compared: BoolArray, row_cost: FloatArray
) -> tuple[IntArray, IntArray]:
    """Compared rows that stand for all that lie like them, ascending; by `alike`, their places."""
    rows = np.flatnonzero(compared)
    order = rows[np.lexsort((row_cost[rows], alike[rows]))]
    cheapest = np.sort(order[np.diff(alike[order], prepend=-1) != 0])
    position = np.full(int(alike.max(initial=0)) + 1, -1)
    position[alike[cheapest]] = np.arange(len(cheapest))
    return cheapest, position


def _far(known: Progress, excess: FloatArray, around: Surroundings) -> BoolArray:
    """Rows alive that something else beats whatever the neighbours do, (rows,).

    Opened ones only where that is sure, and where one of them is left to choose.
    """
    far = known.alive & (excess > 0)
    if not around.bounded or not (known.alive & known.opened & ~far).any():
        far &= ~known.opened
    return far


def demand_bytes(listed: Shortlist, spec: HardwareSpec, dying_bytes: int) -> IntArray:
    """Bytes per core that every row takes itself, fetching or running, (rows,)."""
    active = listed.costs.memory_bytes - spec.shift_buffer.reserved_bytes
    demand: IntArray = np.maximum(active, listed.input_bytes + dying_bytes)
    return demand


def _ceiling(choices: Choices, known: Progress, row_cost: FloatArray, spec: HardwareSpec) -> float:
    """What the best plan costs at most, whatever the neighbours do, if nobody gains by it."""
    inputs = [
        i for i in range(len(choices.problem.expression.inputs)) if i not in choices.problem.weights
    ]
    fetched = choices.listed.fetched_bytes[:, inputs].sum(axis=1)
    total = row_cost + fetch_cycles(spec, fetched)
    return float(total[known.alive].min(initial=np.inf))


def _gain(choices: Choices, around: Surroundings, spec: HardwareSpec) -> FloatArray:
    """Most cycles that others save by every row's plan, (rows,)."""
    listed = choices.listed
    copied = listed.fetched_bytes[:, list(around.copied)].sum(axis=1)
    lent = listed.fetched_bytes[:, list(choices.problem.lent)]
    return others_gain(spec, around.readers, listed.home_bytes, copied, lent)
