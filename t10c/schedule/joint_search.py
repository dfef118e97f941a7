"""The state of a joint choice: what is known of every shortlist, the best so far, and the bound."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import exchange_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.schedule.assignment import Assignment, settled
from t10c.schedule.choices import Choices, with_plans
from t10c.schedule.fetch_sizes import always_floored
from t10c.schedule.finish import can_finish, finish
from t10c.schedule.kinds import NO_PLAN, Kinds, Progress, find_kinds, row_costs
from t10c.schedule.messages import Messages
from t10c.schedule.network import NetworkBuilder
from t10c.schedule.price import PriceSearch
from t10c.schedule.rates import Limits, Rates, Variant, turned
from t10c.schedule.setting import Setting
from t10c.schedule.splice import spliced
from t10c.search.operator import FrontEntry, front_entry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import slot_table

_FIRST_OPENED = 32
"""Plans of every problem whose layouts are compared from the start."""

_OPENED_MORE = 256
_OPEN_ALL = 1500
"""So few plans of a problem that are left are all opened at once; else so many at least."""

_SWEEPS = 8
_STILL = 1e-5
"""Sweeps end when the bound rises by less than this share."""


@dataclass(frozen=True)
class _Round:
    """A network that has been solved at some rates: kinds per variant, every step's variant."""

    rates: Rates
    variants: list[Variant]
    kinds_of: list[int]
    kinds: list[Kinds]
    messages: Messages
    bound_cycles: float


class JointSearch:
    """Rounds of a joint choice: solves networks, opens plans, keeps the best and the bound."""

    def __init__(self, setting: Setting, spec: HardwareSpec, best: Assignment | None) -> None:
        self.setting = setting
        self.spec = spec
        self.best = best
        self.bound_cycles = 0.0
        sequence = setting.sequence
        even = setting.pricer.even_bytes
        self._copies = sum(
            float(setting.pricer.cycles(even(copy.elements, copy.bits))) for copy in sequence.copies
        )
        self._builder = NetworkBuilder(setting, spec)
        self._known = [Progress.of_list(own.listed) for own in setting.choices]
        self._row_bound: list[FloatArray] = [np.zeros(len(own.listed)) for own in setting.choices]
        self._floored = always_floored(setting, spec)
        self._limits = Limits(sequence, spec)
        prices = setting.choices[0].bound_prices
        self._least, self._most = float(prices[1]), float(prices[-1])
        rates = self._limits.at_end(self._first_price())
        self._best_rates = self._rates = rates
        self._totals = PriceSearch(rates.total, self._least, self._most)
        # per side, whether it took too much: the latest plans, and what every limit is exceeded by
        self._sides: dict[bool, tuple[list[int], IntArray]] = {}
        self._latest: _Round | None = None
        for number in range(len(self._known)):
            order = np.argsort(self._scores(number, rates.total), kind="stable")
            self._open(number, order[:_FIRST_OPENED])

    @property
    def cycles(self) -> float | None:
        """Latency of the best assignment."""
        return None if self.best is None else self.best.cycles + self._copies

    @property
    def opened_plans(self) -> int:
        """Number of plans whose layouts are compared, over all problems."""
        return sum(int(np.count_nonzero(known.opened)) for known in self._known)

    def is_alive(self, number: int, row: int) -> bool:
        """Whether a listed plan may still be part of a schedule faster than the best."""
        return bool(self._known[number].alive[row])

    # Where to begin

    def _scores(self, number: int, price: float) -> FloatArray:
        """Cost of every listed plan with the least exchange of its operands, (rows,)."""
        choices = self.setting.choices[number]
        floor = choices.listed.floor_bytes[:, list(self._floored[number])].sum(axis=1)
        cost = row_costs(choices, price, self.spec)
        total: FloatArray = cost + np.where(floor > 0, exchange_cycles(self.spec, floor), 0.0)
        return total

    def _first_price(self) -> float:
        """The listed price at which the bound without layouts is best."""
        numbers, counts = np.unique(self.setting.choice_of, return_counts=True)
        prices = self.setting.choices[0].bound_prices
        values = [
            sum(
                int(count) * float(self._scores(int(number), float(price)).min())
                for number, count in zip(numbers, counts, strict=True)
            )
            - self._limits.paid(self._limits.at_end(float(price)))
            for price in prices
        ]
        return float(prices[int(np.argmax(values))])

    # One round

    def round(self) -> None:
        """Solve the network at the present rates and learn what there is to learn from it."""
        found = self._solve()
        plans = self._assigned(found)
        self._keep(settled(self.setting, plans, self.spec))
        excess = self._excess(found, plans)
        slope = float(found.rates.shares @ excess)
        self._sides[slope > 0] = (plans, excess)
        self._leave_out(found)
        self._latest = found
        self._slope = slope

    def _solve(self) -> _Round:
        rates = self._rates
        every = self._limits.variants(self.setting.choice_of, rates)
        variants = list(dict.fromkeys(every))
        number_of = {variant: number for number, variant in enumerate(variants)}
        kinds = [
            find_kinds(
                self.setting.choices[number],
                self._known[number],
                rates.total - rate,
                self.spec,
                self._floored[number],
                rate,
                dying_bytes,
            )
            for number, rate, dying_bytes in variants
        ]
        kinds_of = [number_of[variant] for variant in every]
        messages = Messages(*self._builder.build(kinds, kinds_of))
        best = -np.inf
        for _ in range(_SWEEPS):
            bound = messages.sweep()
            still = bound - best <= _STILL * abs(bound)
            best = max(best, bound)
            if still:
                break
        bound_cycles = best - self._limits.paid(rates) + self._copies
        if bound_cycles > self.bound_cycles:
            self.bound_cycles, self._best_rates = bound_cycles, rates
        return _Round(rates, variants, kinds_of, kinds, messages, bound_cycles)

    def _assigned(self, found: _Round) -> list[int]:
        """Plans of all steps: the best states of the network that are single plans."""
        single_only = [np.full(len(own), np.inf) for own in found.kinds]
        for cost, own in zip(single_only, found.kinds, strict=True):
            cost[: own.single] = 0.0
        states = found.messages.assignment([single_only[number] for number in found.kinds_of])
        rows = [
            int(found.kinds[number].rows[kind])
            for number, (_, kind) in zip(found.kinds_of, states, strict=True)
        ]
        wanted: list[set[int]] = [set() for _ in self._known]
        for number, row in zip(self.setting.choice_of, rows, strict=True):
            wanted[number].add(row)
        self._draw(wanted)
        return [
            int(self._known[number].plan[row])
            for number, row in zip(self.setting.choice_of, rows, strict=True)
        ]

    def _excess(self, found: _Round, plans: list[int]) -> IntArray:
        """By how much plans with their cheapest idle cuts at the rates exceed every limit."""
        keys = [(found.variants[of], plan) for of, plan in zip(found.kinds_of, plans, strict=True)]
        taken = {key: self._taken(found.rates, *key) for key in dict.fromkeys(keys)}
        idle, demand = np.array([taken[key] for key in keys], dtype=np.int64).T
        return self._limits.excess(idle, demand)

    def _taken(self, rates: Rates, variant: Variant, plan: int) -> tuple[int, int]:
        """(idle, own) bytes of a plan."""
        number, rate, dying_bytes = variant
        choices = self.setting.choices[number]
        options = np.flatnonzero(choices.plan == plan)
        cost = choices.setup[options] + (rates.total - rate) * choices.idle_bytes[options]
        idle = choices.idle_bytes[options[int(np.argmin(cost))]]
        return int(idle), int(choices.demand_bytes(dying_bytes)[plan])

    def _leave_out(self, found: _Round) -> None:
        """Leave out rows that are in no schedule faster than the best."""
        least = [np.full(len(own), np.inf) for own in found.kinds]
        for number, bound in zip(found.kinds_of, found.messages.kind_bounds(), strict=True):
            np.minimum(least[number], bound, out=least[number])
        limit = np.inf if self.best is None else self.best.cycles + self._limits.paid(found.rates)
        row_bound = [np.full(len(known.alive), np.inf) for known in self._known]
        keeping = [np.zeros(len(known.alive), dtype=bool) for known in self._known]
        rest = [False] * len(self._known)
        for (number, _, _), own, bound in zip(found.variants, found.kinds, least, strict=True):
            of_rows = bound[own.member_of] + own.row_cost - own.cost[own.member_of]
            of_rows[~self._known[number].alive] = np.inf
            np.minimum(row_bound[number], of_rows, out=row_bound[number])
            # one to choose from must be left
            keeping[number][own.rows[np.argmin(bound[: own.single])]] = True
            rest[number] |= own.has_rest and bool(bound[-1] <= limit)
        for number, known in enumerate(self._known):
            alive = (row_bound[number] <= limit) | keeping[number]
            alive &= known.alive
            self._known[number] = replace(known, alive=alive, rest_alive=rest[number])
        self._row_bound = row_bound

    def _keep(self, found: Assignment | None) -> None:
        if found is not None and (self.best is None or found.cycles < self.best.cycles - 1e-9):
            self.best = found

    # Where to go on

    def next_total(self) -> bool:
        """Whether another total of the rates is worth trying; if so, it is the next round's."""
        assert self._latest is not None, "a round has been made"
        more = self._totals.step(self._latest.bound_cycles, self._slope)
        self._rates = replace(self._rates, total=self._totals.price)
        return more

    def try_between(self) -> None:
        """Splice the latest assignments that left memory unused and that took too much."""
        if len(self._sides) == 2:
            first, last = (plans for plans, _ in self._sides.values())
            known_cycles = np.inf if self.best is None else self.best.cycles
            self._keep(spliced(self.setting, self.spec, first, last, known_cycles))

    def turn(self) -> bool:
        """Share the rates out anew where limits are exceeded; False if that leads nowhere."""
        if self.best is None or not self._sides:
            return False
        distance = self.best.cycles + self._copies - self.bound_cycles
        following = turned(self._best_rates, self._mean_excess(), distance, self.bound_cycles)
        if following is None:
            return False
        self._from(following)
        return True

    def _mean_excess(self) -> FloatArray:
        """What limits are exceeded by between the two sides, where the total's slope is none."""
        shares = self._rates.shares
        excesses = [excess.astype(np.float64) for _, excess in self._sides.values()]
        if len(excesses) < 2:
            return excesses[0]
        slopes = [float(shares @ excess) for excess in excesses]
        if slopes[0] == slopes[1]:
            return excesses[0]
        weight = slopes[1] / (slopes[1] - slopes[0])
        mean: FloatArray = weight * excesses[0] + (1 - weight) * excesses[1]
        return mean

    def _from(self, rates: Rates) -> None:
        self._rates = rates
        self._totals = PriceSearch(rates.total, self._least, self._most)
        self._sides = {}

    def open_classes(self) -> bool:
        """Open rows of problems whose best states are classes; give plans to rows that are states.

        False if all best states are plans already. The next rounds begin at the best rates.
        """
        assert self._latest is not None, "a round has been made"
        found, grown = self._latest, False
        wanted: list[set[int]] = [set() for _ in self._known]
        classes: dict[int, None] = {}
        for of, (_, kind) in zip(found.kinds_of, found.messages.assignment(), strict=True):
            number, own = found.variants[of][0], found.kinds[of]
            if kind < own.single:
                wanted[number].add(int(own.rows[kind]))
            else:
                classes[number] = None
        for number in classes:
            grown |= self._open_more(number)
        self._from(self._best_rates)
        return self._draw(wanted) or grown

    def _open_more(self, number: int) -> bool:
        """Open all rows that are left if they are few, else the best, as many as are open."""
        known = self._known[number]
        closed = np.flatnonzero(known.alive & ~known.opened)
        if not len(closed):
            return False
        if len(closed) > _OPEN_ALL:
            order = np.argsort(self._row_bound[number][closed], kind="stable")
            closed = closed[order[: max(_OPENED_MORE, np.count_nonzero(known.opened))]]
        self._open(number, closed)
        return True

    def _open(self, number: int, rows: IntArray) -> None:
        known = self._known[number].opening(rows, self._builder.alike(number, rows))
        self._known[number] = known.classified(self.setting.choices[number].listed)

    def _draw(self, wanted: Seq[set[int]]) -> bool:
        """Give plans to rows of the shortlists; returns whether any had none."""
        choices = list(self.setting.choices)
        grown = False
        for number, rows in enumerate(wanted):
            new = [row for row in sorted(rows) if self._known[number].plan[row] == NO_PLAN]
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
        found = finish(self.setting, self.spec, known, self._best_rates.total)
        if found.assignment is not None:
            self.setting, self.best = found.setting, found.assignment
        if found.proven and self.cycles is not None:
            self.bound_cycles = self.cycles
        return found.proven
