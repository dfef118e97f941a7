"""The rounds of a joint choice: which rates of memory are tried, the best so far, and the bound."""

from collections.abc import Iterable

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.ascent import Ascent
from t10c.schedule.assignment import Assignment, settled
from t10c.schedule.finish import can_finish, finish
from t10c.schedule.listings import Listings
from t10c.schedule.rates import Limits, Rates
from t10c.schedule.setting import Setting
from t10c.schedule.solved import Solved, solve
from t10c.schedule.splice import spliced
from t10c.search.space import FloatArray

_FIRST_OPENED = 32
"""Plans of every problem whose layouts are compared from the start."""


class JointSearch:
    """Rounds of a joint choice: solves networks, opens plans, keeps the best and the bound.

    `bound_cycles` bounds the latency of every schedule, `best` is the fastest known.
    """

    def __init__(self, setting: Setting, spec: HardwareSpec, best: Assignment | None) -> None:
        self.spec = spec
        self.best = best
        self.bound_cycles = 0.0
        sequence = setting.sequence
        even = setting.pricer.even_bytes
        self._copies = sum(
            float(setting.pricer.cycles(even(copy.elements, copy.bits))) for copy in sequence.copies
        )
        self._listings = Listings(setting, spec)
        self._limits = Limits(sequence, spec)
        prices = setting.choices[0].bound_prices
        self._least = float(prices[1])
        rates = self._limits.at_end(self._first_price())
        self._best_rates = self._rates = rates
        self._ascent = Ascent(rates.of_all, self._least)
        # per side, whether they took too much: the latest plans
        self._plans: dict[bool, list[int]] = {}
        self._latest: tuple[Solved, FloatArray] | None = None  # and its slopes in bytes
        # per side, the network with the best bound since plans were opened
        self._highest: dict[bool, Solved] = {}
        for number in range(len(setting.choices)):
            order = np.argsort(self._listings.scores(number, rates.total), kind="stable")
            self._listings.open(number, order[:_FIRST_OPENED])

    @property
    def setting(self) -> Setting:
        """The setting that plans of the best assignment are numbered in; it grows."""
        return self._listings.setting

    @property
    def cycles(self) -> float | None:
        """Latency of the best assignment."""
        return None if self.best is None else self.best.cycles + self._copies

    @property
    def opened_plans(self) -> int:
        """Number of plans whose layouts are compared, over all problems."""
        return self._listings.opened_plans

    def is_alive(self, number: int, row: int) -> bool:
        """Whether a listed plan may still be part of a schedule faster than the best."""
        return self._listings.is_alive(number, row)

    def _first_price(self) -> float:
        """The listed price at which the bound without layouts is best."""
        numbers, counts = np.unique(self.setting.choice_of, return_counts=True)
        prices = self.setting.choices[0].bound_prices
        values = [
            sum(
                int(count) * float(self._listings.scores(int(number), float(price)).min())
                for number, count in zip(numbers, counts, strict=True)
            )
            - self._limits.paid(self._limits.at_end(float(price)))
            for price in prices
        ]
        return float(prices[int(np.argmax(values))])

    # One round

    def round(self) -> None:
        """Solve the network at the present rates and learn what there is to learn from it."""
        before = None if self._latest is None else self._latest[0]
        found = solve(self._listings, self._limits, self._rates, before)
        bound_cycles = found.bound_cycles + self._copies
        if bound_cycles > self.bound_cycles:
            self.bound_cycles, self._best_rates = bound_cycles, found.rates
        plans = self._listings.plans(found.single_rows())
        self._keep(settled(self.setting, plans, self.spec))
        excess = found.excess(self._limits, self.setting.choices, plans)
        self._plans[float(found.rates.shares @ excess) > 0] = plans
        slopes = found.slopes(self._listings, self._limits)
        slope_bytes = float(found.rates.shares @ slopes)
        limit = np.inf if self.best is None else self.best.cycles + self._limits.paid(found.rates)
        self._listings.leave_out(found.variants, found.kinds, found.kind_bounds, limit)
        self._latest = found, slopes
        highest = self._highest.get(slope_bytes > 0)
        if highest is None or found.bound_cycles > highest.bound_cycles:
            self._highest[slope_bytes > 0] = found

    def _keep(self, found: Assignment | None) -> None:
        if found is not None and (self.best is None or found.cycles < self.best.cycles - 1e-9):
            self.best = found

    # Where to go on

    def next_rates(self) -> bool:
        """Whether other rates are worth trying; if so, they are the next round's."""
        assert self._latest is not None, "a round has been made"
        found, slopes = self._latest
        bound_cycles = found.bound_cycles + self._copies
        known = self.bound_cycles if self.cycles is None else self.cycles
        more = self._ascent.step(bound_cycles, slopes, known - self.bound_cycles)
        self._rates = Rates.of_limits(self._ascent.rates)
        return more

    def try_between(self) -> None:
        """Splice the latest assignments that left memory unused and that took too much."""
        if len(self._plans) == 2:
            first, last = self._plans.values()
            known_cycles = np.inf if self.best is None else self.best.cycles
            self._keep(spliced(self.setting, self.spec, first, last, known_cycles))

    def open_classes(self, every: bool) -> bool:
        """Open rows of problems whose best states are classes; give plans to rows that are states.

        The states are those where the bound is best of networks that take too much memory, and of
        networks that do not. If all are plans, or what no list has, `every` opens rows of all
        problems: they may lie better for what is listed. False if nothing was opened or given. The
        next rounds begin at the best rates.
        """
        wanted: list[set[int]] = [set() for _ in self.setting.choices]
        classes: dict[int, None] = {}
        networks = list(self._highest.values())
        for found in networks:
            for of, kind in found.best_kinds:
                number, own = found.variants[of][0], found.kinds[of]
                if kind < own.single:
                    wanted[number].add(int(own.rows[kind]))
                else:
                    classes[number] = None
        self._highest = {}
        grown = self._open_rows(networks, classes)
        grown |= self._listings.draw(wanted)
        if every and not grown:
            grown = self._open_rows(networks, range(len(self.setting.choices)))
        self._plans = {}
        self._rates = self._best_rates
        self._ascent = Ascent(self._rates.of_all, self._least, thorough=not grown)
        return grown

    def _open_rows(self, networks: list[Solved], numbers: Iterable[int]) -> bool:
        """Open rows of numbered problems, as the networks bound them; False if there are none."""
        grown = False
        for number in numbers:
            bounds = [found.row_bounds(number) for found in networks]
            grown |= self._listings.open_more(number, np.min(bounds, axis=0))
        return grown

    def finish(self) -> bool:
        """Look at all choices if they are few; returns whether the best is now proven to be so.

        No round may follow.
        """
        if not can_finish(self.setting):
            return False
        known = np.inf if self.best is None else self.best.cycles
        found = finish(self.setting, self.spec, known, self._best_rates.total)
        if found.assignment is not None:
            self._listings.setting, self.best = found.setting, found.assignment
        if found.proven and self.cycles is not None:
            self.bound_cycles = self.cycles
        return found.proven
