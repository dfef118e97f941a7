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
from t10c.schedule.kinds import NO_PLAN, Kinds, Progress, find_kinds, row_costs
from t10c.schedule.memory import fixed_demand_bytes, live_homes
from t10c.schedule.messages import Messages
from t10c.schedule.network import NetworkBuilder, always_floored
from t10c.schedule.price import PriceSearch
from t10c.schedule.result import JointRecord
from t10c.schedule.setting import Setting
from t10c.schedule.splice import spliced
from t10c.search.operator import FrontEntry, front_entry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import slot_table

TARGET_GAP = 0.01
"""The search ends when no schedule can be faster by more than this share."""

_FIRST_OPENED = 32
"""Plans of every problem whose layouts are compared from the start."""

_OPENED_MORE = 256
_OPEN_ALL = 1500
"""So few plans of a problem that are left are all opened at once; else so many at least."""

_SWEEPS = 8
_STILL = 1e-5
"""Sweeps end when the bound rises by less than this share."""


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
    prices = setting.choices[0].bound_prices
    at = PriceSearch(search.first_price(), float(prices[1]), float(prices[-1]))
    search.open_first(at.price)
    rounds, stopped = 0, ""
    fresh = True  # whether all prices tried were tried on what is open now
    while not stopped:
        rounds += 1
        kinds, messages, bound_cycles = search.solve(at.price)
        idle_bytes = search.try_assignment(kinds, messages, at.price)
        search.leave_out(kinds, messages, at.price)
        status = Status(rounds, search.cycles, search.bound_cycles)
        stopped = "gap" if status.gap <= TARGET_GAP else watch(status)
        if stopped or at.step(bound_cycles, idle_bytes - search.capacity_bytes):
            continue
        search.try_between()
        if search.open_classes(kinds, messages):
            fresh = False
        elif fresh:
            stopped = "exhausted"
        else:
            fresh = True
        at.again()
    if stopped in ("gap", "exhausted") and search.finish():
        stopped = "exhausted"
    record = JointRecord(rounds, search.opened_plans, stopped)
    return Joint(search.setting, search.best, search.bound_cycles, record)


class _Search:
    """What a joint search has so far: what is known of every shortlist, the best, the bound."""

    def __init__(self, setting: Setting, spec: HardwareSpec, best: Assignment | None) -> None:
        self.setting = setting
        self.spec = spec
        self.best = best
        self.bound_cycles = 0.0
        self._best_price = 0.0
        self._sides: dict[bool, list[int]] = {}
        self._builder = NetworkBuilder(setting, spec)
        self._known = [Progress.of_list(own.listed) for own in setting.choices]
        self._row_bound: list[FloatArray] = [np.zeros(len(own.listed)) for own in setting.choices]
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
    def opened_plans(self) -> int:
        """Number of plans whose layouts are compared, over all problems."""
        return sum(int(np.count_nonzero(known.opened)) for known in self._known)

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

    def open_first(self, price: float) -> None:
        """Open the best rows of every shortlist by their scores."""
        for number in range(len(self._known)):
            order = np.argsort(self.scores(number, price), kind="stable")
            self._open(number, order[:_FIRST_OPENED])

    def _open(self, number: int, rows: IntArray) -> None:
        known = self._known[number].opening(rows, self._builder.alike(number, rows))
        self._known[number] = known.classified(self.setting.choices[number].listed)

    def open_classes(self, kinds: Seq[Kinds], messages: Messages) -> bool:
        """Open rows of problems whose best states in the network are classes, or give opened rows
        plans; False if all best states are plans already.

        All rows that are left if they are few, else as many as are open.
        """
        grown = False
        states = messages.assignment()
        used: list[set[int]] = [set() for _ in kinds]
        for number, (_, kind) in zip(self.setting.choice_of, states, strict=True):
            used[number].add(kind)
        for number, own in enumerate(kinds):
            if max(used[number]) >= own.single:
                grown |= self._open_more(number, own)
        wanted = [
            own.rows[[kind for kind in sorted(some) if kind < own.single]]
            for own, some in zip(kinds, used, strict=True)
        ]
        return self.draw(wanted) or grown

    def _open_more(self, number: int, own: Kinds) -> bool:
        known = self._known[number]
        closed = np.flatnonzero(known.alive & ~known.opened)
        if not len(closed):
            return False
        if len(closed) > _OPEN_ALL:
            order = np.argsort(self._row_bound[number][closed], kind="stable")
            closed = closed[order[: max(_OPENED_MORE, np.count_nonzero(known.opened))]]
        self._open(number, closed)
        return True

    def draw(self, wanted: Seq[IntArray]) -> bool:
        """Give plans to rows of the shortlists; returns whether any had none."""
        choices = list(self.setting.choices)
        grown = False
        for number, rows in enumerate(wanted):
            new = [int(row) for row in rows if self._known[number].plan[row] == NO_PLAN]
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
        plan = self._known[number].plan.copy()
        for row in rows:
            entry = front_entry(expression, table, listed.candidates, listed.costs, row, self.spec)
            key = (entry.plan.split, entry.plan.rotations)
            if key not in known:
                known[key] = len(choices.plans) + len(entries)
                entries.append(entry)
            plan[row] = known[key]
        self._known[number] = replace(self._known[number], plan=plan)
        return with_plans(choices, entries, self.spec)

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

    def solve(self, price: float) -> tuple[list[Kinds], Messages, float]:
        """The network's messages at a price of idle memory, and their bound in cycles."""
        kinds = [
            find_kinds(choices, known, price, self.spec, floored)
            for choices, known, floored in zip(
                self.setting.choices, self._known, self._floored, strict=True
            )
        ]
        messages = Messages(*self._builder.build(kinds))
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
        return kinds, messages, bound_cycles

    def leave_out(self, kinds: Seq[Kinds], messages: Messages, price: float) -> None:
        """Leave out rows that are in no schedule faster than the best."""
        bounds = messages.kind_bounds()
        least = [np.full(len(own), np.inf) for own in kinds]
        for number, bound in zip(self.setting.choice_of, bounds, strict=True):
            np.minimum(least[number], bound, out=least[number])
        limit = np.inf if self.best is None else self.best.cycles
        limit += price * self.capacity_bytes
        for number, (own, bound) in enumerate(zip(kinds, least, strict=True)):
            known = self._known[number]
            row_bound = bound[own.member_of] + own.row_cost - own.cost[own.member_of]
            row_bound[~known.alive] = np.inf
            alive = row_bound <= limit
            # one to choose from must be left
            alive[own.rows[np.argmin(bound[: own.single])]] = True
            rest = known.rest_alive and bool(bound[-1] <= limit or not own.has_rest)
            self._known[number] = replace(known, alive=alive, rest_alive=rest)
            self._row_bound[number] = row_bound

    def try_assignment(self, kinds: Seq[Kinds], messages: Messages, price: float) -> int:
        """Read an assignment of single plans, settle and price it, keep it if it is the best.

        Returns the idle bytes per core that its plans take at the price.
        """
        choice_of = self.setting.choice_of
        single_only = [np.full(len(own), np.inf) for own in kinds]
        for cost, own in zip(single_only, kinds, strict=True):
            cost[: own.single] = 0.0
        states = messages.assignment([single_only[number] for number in choice_of])
        rows = [
            int(kinds[number].rows[kind])
            for number, (_, kind) in zip(choice_of, states, strict=True)
        ]
        wanted: list[set[int]] = [set() for _ in kinds]
        for number, row in zip(choice_of, rows, strict=True):
            wanted[number].add(row)
        self.draw([np.array(sorted(some), dtype=np.int64) for some in wanted])
        plans = [
            int(self._known[number].plan[row]) for number, row in zip(choice_of, rows, strict=True)
        ]
        self._keep(settled(self.setting, plans, self.spec))
        idle_bytes = sum(self._idle_bytes(step, plan, price) for step, plan in enumerate(plans))
        self._sides[idle_bytes > self.capacity_bytes] = plans
        return idle_bytes

    def try_between(self) -> None:
        """Splice the latest assignments that left memory unused and that took too much."""
        if len(self._sides) == 2:
            self._keep(spliced(self.setting, self.spec, *self._sides.values()))

    def _keep(self, found: Assignment | None) -> None:
        if found is not None and (self.best is None or found.cycles < self.best.cycles - 1e-9):
            self.best = found

    def _idle_bytes(self, step: int, plan: int, price: float) -> int:
        """Idle bytes of a plan's cheapest idle cuts at a price."""
        choices = self.setting.of_step(step)
        options = np.flatnonzero(choices.plan == plan)
        cost = choices.setup[options] + price * choices.idle_bytes[options]
        return int(choices.idle_bytes[options[int(np.argmin(cost))]])
