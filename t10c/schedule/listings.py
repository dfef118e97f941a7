"""What a joint choice knows of the plans on every shortlist: left out, opened, or with a plan."""

from collections.abc import Sequence as Seq
from dataclasses import replace

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices, with_plans
from t10c.schedule.kinds import Kinds, demand_bytes, find_kinds
from t10c.schedule.network import NetworkBuilder
from t10c.schedule.progress import NO_PLAN, Progress
from t10c.schedule.rates import Rates, Variant
from t10c.schedule.setting import Setting
from t10c.schedule.shares import fetch_cycles
from t10c.schedule.surroundings import find_surroundings
from t10c.search.operator import FrontEntry, front_entry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import slot_table

_OPENED_MORE = 256
"""So many plans of a problem at least are opened at once, and no fewer than are open."""

_OPEN_ALL = 2500
"""So few plans of a problem that are left are all opened at once."""


class Listings:
    """The shortlists of a setting by number of the choices; the setting grows with rows drawn.

    A row is *opened* when its layouts are to be compared, *drawn* when it becomes a plan of its
    choices, and left out once no schedule faster than the best can have it.
    """

    def __init__(self, setting: Setting, spec: HardwareSpec) -> None:
        self.setting = setting
        self.builder = NetworkBuilder(setting, spec)
        self._spec = spec
        self._known = [Progress.of_list(own.listed) for own in setting.choices]
        self._around = find_surroundings(setting, spec)

    @property
    def opened_plans(self) -> int:
        """Number of plans whose layouts are compared, over all problems."""
        return sum(int(np.count_nonzero(known.opened)) for known in self._known)

    def is_alive(self, number: int, row: int) -> bool:
        """Whether a listed plan may still be part of a schedule faster than the best."""
        return bool(self._known[number].alive[row])

    def scores(self, number: int, price: float) -> FloatArray:
        """Cost of every listed plan with the least exchange of its operands, (rows,)."""
        choices = self.setting.choices[number]
        floor = choices.listed.floor_bytes[:, list(self._around[number].floored)].sum(axis=1)
        total: FloatArray = choices.listed.costs_at(price) + fetch_cycles(self._spec, floor)
        return total

    def kinds(self, rates: Rates, variant: Variant) -> Kinds:
        """The kinds of steps that cost alike at the rates."""
        number, rate, dying_bytes = variant
        return find_kinds(
            self.setting.choices[number],
            self._known[number],
            rates.total - rate,
            self._spec,
            self._around[number],
            rate,
            dying_bytes,
        )

    def bytes_of(
        self, rates: Rates, variant: Variant, kinds: Kinds, kind: int
    ) -> tuple[float, float]:
        """(idle, own) bytes per core of what costs least of a kind at the rates."""
        number, rate, dying_bytes = variant
        listed = self.setting.choices[number].listed
        rows = np.flatnonzero(kinds.member_of == kind)
        row = int(rows[np.argmin(kinds.row_cost[rows])]) if len(rows) else -1
        price = rates.total - rate
        if row < 0 or (kind >= kinds.listed and kinds.row_cost[row] > kinds.cost[kind]):
            return listed.rest.bytes_at(int(kinds.rests[kind - kinds.listed]), price, rate)
        idle = sum(own.bytes_at(price, row) for own in listed.menus)
        return idle, float(demand_bytes(listed, self._spec, dying_bytes)[row])

    def leave_out(
        self,
        variants: Seq[Variant],
        kinds: Seq[Kinds],
        bounds: Seq[FloatArray],
        limit_cycles: float,
    ) -> None:
        """Leave out rows that are in no schedule of at most `limit_cycles`.

        `bounds` has per variant what schedules with each of its kinds cost at least, (kinds,).
        """
        row_bound = [np.full(len(known.alive), np.inf) for known in self._known]
        keeping = [np.zeros(len(known.alive), dtype=bool) for known in self._known]
        rest = [np.zeros(len(known.rest_alive), dtype=bool) for known in self._known]
        for (number, _, _), own, bound in zip(variants, kinds, bounds, strict=True):
            # instead of a row that is in no kind any choice may as well have one that is
            least = float(bound.min())
            in_none = own.member_of < 0
            of_rows = np.where(in_none, least + own.row_excess, own.row_bounds(bound))
            of_rows[~self._known[number].alive] = np.inf
            np.minimum(row_bound[number], of_rows, out=row_bound[number])
            # one to choose from must be left
            keeping[number][own.rows[np.argmin(bound[: own.single])]] = True
            of_rest = least + own.rest_excess
            of_rest[own.rests] = bound[own.listed :]
            rest[number] |= self._known[number].rest_alive & (of_rest <= limit_cycles)
        for number, known in enumerate(self._known):
            alive = (row_bound[number] <= limit_cycles) | keeping[number]
            alive &= known.alive
            self._known[number] = replace(known, alive=alive, rest_alive=rest[number])

    def open(self, number: int, rows: IntArray) -> None:
        """Have the layouts of some rows compared, and class the others anew."""
        known = self._known[number].opening(rows, self.builder.alike(number, rows))
        self._known[number] = known.classified(self.setting.choices[number].listed)

    def open_more(self, number: int, row_bounds: FloatArray) -> bool:
        """Open the rows with the lowest bounds, all that are left if they are few.

        `row_bounds` (rows,) are in cycles, inf for rows that are not to be opened. False if there
        are none.
        """
        known = self._known[number]
        closed = np.flatnonzero(known.alive & ~known.opened & np.isfinite(row_bounds))
        if not len(closed):
            return False
        if len(closed) > _OPEN_ALL:
            count = max(_OPENED_MORE, np.count_nonzero(known.opened))
            closed = closed[np.argsort(row_bounds[closed], kind="stable")[:count]]
        self.open(number, closed)
        return True

    def plans(self, rows: Seq[int]) -> list[int]:
        """The plans of a row of every step; rows that have none are drawn."""
        wanted: list[set[int]] = [set() for _ in self._known]
        for number, row in zip(self.setting.choice_of, rows, strict=True):
            wanted[number].add(row)
        self.draw(wanted)
        return [
            int(self._known[number].plan[row])
            for number, row in zip(self.setting.choice_of, rows, strict=True)
        ]

    def draw(self, wanted: Seq[set[int]]) -> bool:
        """Give plans to rows, a set per choices; returns whether any had none."""
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
            entry = front_entry(expression, table, listed.candidates, listed.costs, row, self._spec)
            key = (entry.plan.split, entry.plan.rotations)
            if key not in known:
                known[key] = len(choices.plans) + len(entries)
                entries.append(entry)
            plan[row] = known[key]
        self._known[number] = replace(self._known[number], plan=plan)
        return with_plans(choices, entries, self._spec)
