"""Plans of all steps chosen together, transitions included, and a bound on what any choice can do.

Round by round: at a price of idle memory a network of kinds of plans (network.py) is solved by
messages; its bound, less the price of the memory there is, holds for every schedule. Classes of
plans that the network's best states fall back on are opened: their best members become single
plans. A schedule is read from the single plans' states, settled in the real memory and priced
exactly (docs/planning.md, "All steps together").
"""

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import exchange_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.schedule.assignment import Assignment, settled
from t10c.schedule.choices import Choices, with_plans
from t10c.schedule.finish import can_finish, finish
from t10c.schedule.kinds import Kinds, find_kinds, row_costs
from t10c.schedule.memory import fixed_demand_bytes, live_homes
from t10c.schedule.messages import Messages
from t10c.schedule.network import NetworkBuilder, always_floored
from t10c.schedule.result import JointRecord
from t10c.schedule.setting import Setting
from t10c.search.operator import FrontEntry, front_entry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import slot_table

TARGET_GAP = 0.01
"""The search ends when no schedule can be faster by more than this share."""

_FIRST_DRAWN = 32
"""Plans of every problem that are compared singly from the start."""

_DRAWN_PER_CLASS = 64
_SWEEPS = 8
_STILL = 1e-5
"""Sweeps end when the bound rises by less than this share."""

_PRICE_STEP = 1.5
_PRICE_CLOSE = 1.08
"""Prices are tried by steps of the first factor, and halved until within the second."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a joint search has come: the best latency and its bound, in cycles."""

    rounds: int
    cycles: float | None
    bound_cycles: float

    @property
    def gap(self) -> float:
        """Share of the latency above the bound; 1 without a schedule."""
        if not self.cycles:
            return 0.0 if self.cycles == 0.0 else 1.0
        return max(0.0, (self.cycles - self.bound_cycles) / self.cycles)


Watcher = Callable[[Status], str]
"""Asked after every round: empty to go on, or why to stop (`JointRecord.stopped`)."""


@dataclass(frozen=True)
class Joint:
    """The best assignment found, in a setting whose choices have grown, and the bound in cycles."""

    setting: Setting
    assignment: Assignment | None
    bound_cycles: float
    record: JointRecord


def improve(setting: Setting, spec: HardwareSpec, best: Assignment | None, watch: Watcher) -> Joint:
    """The best of `best` and all assignments found until the gap is small or `watch` says stop.

    Deterministic, however often `watch` is asked: a longer search goes through the rounds of a
    shorter one.
    """
    search = _Search(setting, spec, best)
    price = search.first_price()
    search.draw(search.first_rows(price))
    prices = setting.choices[0].bound_prices
    bracket = _Bracket(float(prices[1]), float(prices[-1]))
    rounds, stopped = 0, ""
    while not stopped:
        rounds += 1
        kinds, messages = search.solve(price)
        idle_bytes = search.try_assignment(kinds, messages, price)
        status = Status(rounds, search.cycles, search.bound_cycles)
        stopped = "gap" if status.gap <= TARGET_GAP else watch(status)
        following = bracket.after(price, idle_bytes > search.capacity_bytes)
        if following is not None:
            price = following
        elif not stopped and not search.open_classes(kinds, messages):
            stopped = "exhausted"
    if stopped in ("gap", "exhausted") and search.finish():
        stopped = "exhausted"
    record = JointRecord(rounds, search.drawn_plans, stopped)
    return Joint(search.setting, search.best, search.bound_cycles, record)


class _Bracket:
    """Narrows down the price at which idle weights fill the memory: there the bound is best.

    At `most` every weight lies as small as it can: what is too large there always is.
    """

    def __init__(self, least: float, most: float) -> None:
        self._least = least
        self._most = most
        self._low: float | None = None
        self._high: float | None = None

    def after(self, price: float, too_large: bool) -> float | None:
        """The price to try after `price`, at which idle weights were too large or not.

        None when the best price is known well enough.
        """
        if too_large:
            self._low = price
        else:
            self._high = price
        if self._high is None and price >= self._most:
            return None
        if self._high is None:
            return max(price * _PRICE_STEP, self._least)
        if self._low is None:
            if self._high == 0.0:
                return None
            return self._high / _PRICE_STEP if self._high > self._least else 0.0
        if self._high <= max(self._low * _PRICE_CLOSE, self._least / 2):
            return None
        return (self._low + self._high) / 2


class _Search:
    """What a joint search has so far: plans drawn from the shortlists, the best, the bound."""

    def __init__(self, setting: Setting, spec: HardwareSpec, best: Assignment | None) -> None:
        self.setting = setting
        self.spec = spec
        self.best = best
        self.bound_cycles = 0.0
        self._best_price = 0.0
        self._drawn: list[dict[int, int]] = [{} for _ in setting.choices]
        self._floored = always_floored(setting, spec)
        sequence = setting.sequence
        fixed = fixed_demand_bytes(sequence, spec)
        self.capacity_bytes = spec.usable_bytes - fixed - live_homes(sequence, spec).end
        even = setting.pricer.even_bytes
        self._copies = sum(
            float(setting.pricer.cycles(even(copy.elements, copy.bits))) for copy in sequence.copies
        )

    @property
    def cycles(self) -> float | None:
        """Latency of the best assignment."""
        return None if self.best is None else self.best.cycles + self._copies

    @property
    def drawn_plans(self) -> int:
        """Number of plans that are compared singly, over all problems."""
        return sum(len(drawn) for drawn in self._drawn)

    # Plans to compare

    def scores(self, number: int, price: float) -> FloatArray:
        """Cost of every listed plan with the least exchange of its operands, (rows,)."""
        choices = self.setting.choices[number]
        floor = choices.listed.floor_bytes[:, list(self._floored[number])].sum(axis=1)
        cost = row_costs(choices, price, self.spec)
        total: FloatArray = cost + np.where(floor > 0, exchange_cycles(self.spec, floor), 0.0)
        return total

    def first_price(self) -> float:
        """The listed price at which the bound without layouts is best."""
        numbers, counts = np.unique(self.setting.choice_of, return_counts=True)
        prices = self.setting.choices[0].bound_prices
        values = [
            sum(
                int(count) * float(self.scores(int(number), float(price)).min())
                for number, count in zip(numbers, counts, strict=True)
            )
            - float(price) * self.capacity_bytes
            for price in prices
        ]
        return float(prices[int(np.argmax(values))])

    def first_rows(self, price: float) -> list[IntArray]:
        """The best rows of every shortlist by their scores."""
        return [
            np.argsort(self.scores(number, price), kind="stable")[:_FIRST_DRAWN]
            for number in range(len(self.setting.choices))
        ]

    def draw(self, wanted: Seq[IntArray]) -> bool:
        """Make single plans of rows of the shortlists; returns whether any is new."""
        choices = list(self.setting.choices)
        grown = False
        for number, rows in enumerate(wanted):
            new = [int(row) for row in rows if int(row) not in self._drawn[number]]
            if new:
                choices[number] = self._with_rows(number, choices[number], new)
                grown = True
        if grown:
            old = self.setting
            pricer = old.pricer.grown(tuple(choices))
            self.setting = replace(old, choices=tuple(choices), pricer=pricer)
        return grown

    def _with_rows(self, number: int, choices: Choices, rows: Seq[int]) -> Choices:
        """Choices with plans for rows of the shortlist that had none; notes all their numbers."""
        expression, listed = choices.problem.expression, choices.listed
        table = slot_table(expression)
        known = {(e.plan.split, e.plan.rotations): i for i, e in enumerate(choices.plans)}
        entries: list[FrontEntry] = []
        for row in rows:
            entry = front_entry(expression, table, listed.candidates, listed.costs, row, self.spec)
            key = (entry.plan.split, entry.plan.rotations)
            if key not in known:
                known[key] = len(choices.plans) + len(entries)
                entries.append(entry)
            self._drawn[number][row] = known[key]
        return with_plans(choices, entries, self.spec)

    def open_classes(self, kinds: Seq[Kinds], messages: Messages) -> bool:
        """Draw the best rows of the classes in the network's best states; False if there are none.

        Where nothing else can be compared any more, the rest of a problem is all that remains.
        """
        wanted: list[set[int]] = [set() for _ in kinds]
        for number, (_, kind) in zip(self.setting.choice_of, messages.assignment(), strict=True):
            own = kinds[number]
            if kind >= own.single:
                rows = np.flatnonzero(own.member_of == kind)
                order = np.argsort(own.row_cost[rows], kind="stable")
                wanted[number].update(rows[order[:_DRAWN_PER_CLASS]].tolist())
        return self.draw([np.array(sorted(rows), dtype=np.int64) for rows in wanted])

    def finish(self) -> bool:
        """Look at all choices if they are few; returns whether the best is now proven to be so."""
        if not can_finish(self.setting):
            return False
        known = np.inf if self.best is None else self.best.cycles
        found = finish(self.setting, self.spec, known, self._best_price)
        if found.assignment is not None:
            self.setting, self.best = found.setting, found.assignment
        if found.proven and self.cycles is not None:
            self.bound_cycles = self.cycles
        return found.proven

    # One round

    def solve(self, price: float) -> tuple[list[Kinds], Messages]:
        """The network's messages at a price of idle memory; raises the bound if they can."""
        kinds = [
            find_kinds(choices, drawn, price, self.spec, floored)
            for choices, drawn, floored in zip(
                self.setting.choices, self._drawn, self._floored, strict=True
            )
        ]
        messages = Messages(*NetworkBuilder(self.setting, self.spec).build(kinds))
        best = -np.inf
        for _ in range(_SWEEPS):
            bound = messages.sweep()
            still = bound - best <= _STILL * abs(bound)
            best = max(best, bound)
            if still:
                break
        bound_cycles = best - price * self.capacity_bytes + self._copies
        if bound_cycles > self.bound_cycles:
            self.bound_cycles, self._best_price = bound_cycles, price
        return kinds, messages

    def try_assignment(self, kinds: Seq[Kinds], messages: Messages, price: float) -> int:
        """Read an assignment of single plans, settle and price it, keep it if it is the best.

        Returns the idle bytes per core that its plans take at the price.
        """
        choice_of = self.setting.choice_of
        single_only = [np.full(len(own.cost), np.inf) for own in kinds]
        for cost, own in zip(single_only, kinds, strict=True):
            cost[: own.single] = 0.0
        states = messages.assignment([single_only[number] for number in choice_of])
        plans = [
            int(kinds[number].plans[kind])
            for number, (_, kind) in zip(choice_of, states, strict=True)
        ]
        found = settled(self.setting, plans, self.spec)
        if found is not None and (self.best is None or found.cycles < self.best.cycles - 1e-9):
            self.best = found
        return sum(self._idle_bytes(step, plan, price) for step, plan in enumerate(plans))

    def _idle_bytes(self, step: int, plan: int, price: float) -> int:
        """Idle bytes of a plan's cheapest idle cuts at a price."""
        choices = self.setting.of_step(step)
        options = np.flatnonzero(choices.plan == plan)
        cost = choices.setup[options] + price * choices.idle_bytes[options]
        return int(choices.idle_bytes[options[int(np.argmin(cost))]])
