"""Which plans of a problem may be part of a best schedule, and what all the others cost at least.

In a schedule a plan also costs the exchange that fetches its operands, and its output's home makes
its readers' exchanges dearer or cheaper. Both are bounded, whatever the neighbours do. Let c be a
plan's execution and setup, its idle bytes priced. A plan with

    c  >  c' + exchange of all operands of c'  +  most that readers can gain

for some other plan c' is in no best schedule at that price (docs/planning.md). Thousands of plans
remain of hundreds of thousands. The rest is summed up by its least cost (rest.py). Nothing is lost
by that, because a schedule may always be bounded with neighbours that cost nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.schedule.cuts import CUT_SETS, cut_dims, cut_dims_of_splits, most_of_more_cuts
from t10c.schedule.idle_menus import IdleMenus, find_menus
from t10c.schedule.kept import Kept
from t10c.schedule.numbering import turns
from t10c.schedule.problem import MANY_READERS, Problem
from t10c.schedule.rest import Rest, RestCollector
from t10c.schedule.shares import (
    fetch_cycles,
    floor_bytes,
    home_bytes,
    least_idle_bytes,
    needed_bytes,
    others_gain,
    replicas_of,
    shared_bytes,
    weight_cycles,
)
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs, input_bytes
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.temporal import slot_table

MOST_PLANS = 50_000
"""Plans kept of a problem; more are summed up in the rest, dearest first."""

FEW_PLANS = 256
"""A problem with so few feasible plans lists them all, for a search of all choices (finish.py)."""

_OWN_RATES = (0.25, 0.5, 1.0, 2.0, 5.0, 18.0, 100.0)
"""Rates of active bytes at which plans are compared, in times that to move a byte takes."""


@dataclass(frozen=True)
class Shortlist:
    """Plans that may be part of a best schedule, and the rest.

    `candidates` and `costs` have one row per plan. `execution` (plans,) are cycles without setup
    and transition; `menus` has the idle cuts of every weight; `rest` sums up all feasible plans not
    listed. `cuts` (plans,) are the dimensions of the output that are cut (`cut_dims`; zeros where
    plans are not told apart by them), `input_bytes` (plans,) what the inputs take. `fetched_bytes`
    (plans, inputs) are pieces, `needed_bytes` (plans, inputs) what some core needs of them at
    least, `floor_bytes` (plans, inputs) what a core receives at least, on average over the cores
    used, if the operand lies in one copy; `home_bytes` (plans,) the largest share of the output, at
    most.
    """

    candidates: Candidates
    costs: Costs
    execution: FloatArray
    rest: Rest
    cuts: IntArray
    input_bytes: IntArray
    fetched_bytes: FloatArray
    needed_bytes: FloatArray
    floor_bytes: FloatArray
    home_bytes: FloatArray
    menus: tuple[IdleMenus, ...]

    def __len__(self) -> int:
        return len(self.candidates)

    def take(self, selection: BoolArray) -> "Shortlist":
        """The selected plans; what the rest costs at least stays as it is."""
        return replace(
            self,
            candidates=self.candidates.take(selection),
            costs=self.costs.take(selection),
            execution=self.execution[selection],
            cuts=self.cuts[selection],
            input_bytes=self.input_bytes[selection],
            fetched_bytes=self.fetched_bytes[selection],
            needed_bytes=self.needed_bytes[selection],
            floor_bytes=self.floor_bytes[selection],
            home_bytes=self.home_bytes[selection],
            menus=tuple(own.take(selection) for own in self.menus),
        )

    def costs_at(self, price: float) -> FloatArray:
        """Execution and the cheapest idle cuts at a price, of every plan, (plans,)."""
        cost: FloatArray = self.execution + sum(own.cycles_at(price) for own in self.menus)
        return cost


class ShortlistCollector:
    """Sees feasible candidates of a problem in chunks and keeps its shortlist.

    All of them, or those that `rules_out` does not say to leave out (listing_sieve.py).
    """

    def __init__(self, problem: Problem, spec: HardwareSpec, prices: FloatArray) -> None:
        self.problem = problem
        self.spec = spec
        self.table = slot_table(problem.expression)
        self.prices = prices if problem.weights else prices[:1]
        self._least_idle = least_idle_bytes(problem, spec)
        self._points = _points(self.prices, spec)
        self._ceiling = np.full(len(self._points), np.inf)
        # how the output lies is told apart where it is read often
        self._by_cuts = problem.readers > MANY_READERS
        cut_sets = CUT_SETS if self._by_cuts else 1
        self._rest = RestCollector(self.prices, cut_sets)
        self._kept: list[Kept] = []
        self._since = 0  # plans kept since the last time that they were looked through
        # beyond which plans are not listed, by what they cut
        self._most_excess = np.full(cut_sets, np.inf)
        self._seen = 0

    def visit(self, candidates: Candidates, costs: Costs, execution: FloatArray) -> None:
        """Keep those of a chunk that may be part of a best schedule; `execution` in cycles."""
        fetched = self._fetched(costs)
        gain = self._gain(costs, fetched)
        self._seen += len(candidates)
        few = self._seen <= FEW_PLANS
        active = self._active(costs)
        # a first cut by the least that idle bytes can cost
        base = self.prices * self._least_idle
        floor = np.broadcast_to(base[:, None], (len(base), 1))
        cuts = self._cuts(candidates)
        near_by = np.minimum(gain, self._most_excess[cuts])
        is_near = few | (execution + self._excess(floor, active) <= near_by)
        near, far = np.flatnonzero(is_near), np.flatnonzero(~is_near)
        self._rest.add(cuts[far], active[far], execution[None, far], gain[far], base)
        candidates, costs = candidates.take(near), costs.take(near)
        gain, active, cuts = gain[near], active[near], cuts[near]
        priced = execution[near] + self._weights(candidates, costs)
        self._lower_ceiling(priced, active, fetched[near])
        excess = self._excess(priced, active)
        kept = few | ((excess <= gain) & (excess <= self._most_excess[cuts]))
        left = np.flatnonzero(~kept)
        self._rest.add(cuts[left], active[left], priced[:, left], gain[left])
        chunk = Kept(candidates, costs, priced, gain, cuts)
        self._kept.append(chunk.take(np.flatnonzero(kept)))
        self._since += int(np.count_nonzero(kept))
        if self._since > MOST_PLANS:
            self._look_through()

    def learn(self, candidates: Candidates, costs: Costs, execution: FloatArray) -> None:
        """Let plans that are seen again in their turn rule out others."""
        priced = execution + self._weights(candidates, costs)
        self._lower_ceiling(priced, self._active(costs), self._fetched(costs))

    def cuts_of_splits(self, splits: IntArray) -> IntArray:
        """What plans of splits cut at least, where they are told apart by that, (splits,)."""
        if not self._by_cuts:
            return np.zeros(len(splits), dtype=np.int64)
        return cut_dims_of_splits(self.problem.expression, splits)

    def rules_out(self, cuts: IntArray, floors: FloatArray, active_bytes: FloatArray) -> BoolArray:
        """Which plans, costing so much at least at every price, are not listed, (plans,).

        `floors` are (prices, plans), and the plans cut and take so much at least, (plans,) each.
        """
        limits = self._most_excess
        if self._by_cuts:
            limits = most_of_more_cuts(self.problem.expression, limits)
        ruled_out: BoolArray = self._excess(floors, active_bytes) > limits[cuts]
        return ruled_out

    def leave_out(
        self, cuts: IntArray, floors: FloatArray, active_bytes: FloatArray, count: int
    ) -> None:
        """Sum so many plans up that were ruled out, each of which has some of the floors."""
        self._seen += count
        # what others gain by them is not known
        self._rest.add(cuts, active_bytes, floors, np.full(len(active_bytes), np.inf))

    def may_be_few(self, more: int) -> bool:
        """Whether all plans are to be listed if no more than so many follow."""
        return self._seen + more <= FEW_PLANS

    def _lower_ceiling(self, priced: FloatArray, active: FloatArray, fetched: FloatArray) -> None:
        exchange = fetch_cycles(self.spec, fetched)
        ceiling = np.array(
            [
                np.min(priced[price] + rate * active + exchange, initial=np.inf)
                for price, rate in self._points
            ]
        )
        ceiling = np.minimum(self._ceiling, ceiling)
        if np.isfinite(self._most_excess).any():
            self._most_excess += float(np.max(self._ceiling - ceiling))
        self._ceiling = ceiling

    def _active(self, costs: Costs) -> FloatArray:
        """Bytes per core of plans' own pieces, (candidates,)."""
        active = costs.memory_bytes - self.spec.shift_buffer.reserved_bytes
        return active.astype(np.float64)

    def _fetched(self, costs: Costs) -> FloatArray:
        """Bytes per core of all operands that are no weights, (candidates,)."""
        inputs = [i for i in range(len(costs.piece_bytes[0]) - 1) if i not in self.problem.weights]
        fetched: FloatArray = costs.piece_bytes[:, inputs].sum(axis=1).astype(np.float64)
        return fetched

    def _cuts(self, candidates: Candidates) -> IntArray:
        """`cut_dims` where plans are told apart by them, otherwise zeros, (candidates,)."""
        if not self._by_cuts:
            return np.zeros(len(candidates), dtype=np.int64)
        return cut_dims(self.problem.expression, self.table, candidates)

    def _look_through(self) -> Kept:
        """Of all that is kept, what may be listed: MOST_PLANS at most, the dearest left out.

        Every set of cut dimensions has an even share, if it has so many plans. Which plans they are
        depends a little on the order in which they came.
        """
        kept = Kept.merged(self._kept)
        cuts, active = kept.cuts, self._active(kept.costs)
        excess = self._excess(kept.priced, active)
        possible = (excess <= kept.gain) | (self._seen <= FEW_PLANS)
        some = np.flatnonzero(possible)
        if len(some) > MOST_PLANS:
            turn = turns(cuts[some, None], excess[some])
            dearest = some[np.lexsort((excess[some], turn))[MOST_PLANS:]]
            possible[dearest] = False
            np.minimum.at(self._most_excess, cuts[dearest], excess[dearest])
        else:
            self._most_excess[:] = np.inf
        left = np.flatnonzero(~possible)
        self._rest.add(cuts[left], active[left], kept.priced[:, left], kept.gain[left])
        self._kept, self._since = [kept.take(np.flatnonzero(possible))], 0
        return self._kept[0]

    def _gain(self, costs: Costs, fetched: FloatArray) -> FloatArray:
        """Most cycles that others can save because a plan is this one.

        A reader of the output saves at most what it would receive of it, the core's piece, and the
        syncs of its exchange; so does a next operator that uses a copy of an operand, and one that
        reads a weight where it lies idle.
        """
        home = costs.piece_bytes[:, -1].astype(np.float64)
        lent = costs.piece_bytes[:, list(self.problem.lent)].astype(np.float64)
        return others_gain(self.spec, self.problem.readers, home, fetched, lent)

    def _excess(self, priced: FloatArray, active: FloatArray) -> FloatArray:
        """By what plans cost more than some other at the rates that favour them, (plans,)."""
        excess = np.full(len(active), np.inf)
        for (price, rate), ceiling in zip(self._points, self._ceiling.tolist(), strict=True):
            np.minimum(excess, priced[price] + (rate * active - ceiling), out=excess)
        return excess

    def _weights(self, candidates: Candidates, costs: Costs) -> FloatArray:
        """Least setup + price * idle bytes of all weights, (prices, candidates)."""
        total = np.zeros((len(self.prices), len(candidates)))
        shared = self._shared(candidates, costs)
        for index, size in zip(self.problem.weights, shared.T, strict=True):
            copies = replicas_of(self.table, candidates, index).astype(np.float64)
            total += weight_cycles(self.prices[:, None], size, copies, self.spec)
        return total

    def _shared(self, candidates: Candidates, costs: Costs) -> FloatArray:
        """`shared_bytes` of every weight, (candidates, weights)."""
        expression, spec = self.problem.expression, self.spec
        shared = np.empty((len(candidates), len(self.problem.weights)))
        for column, index in enumerate(self.problem.weights):
            pieces = costs.piece_bytes[:, index]
            shared[:, column] = shared_bytes(
                expression, self.table, candidates, index, pieces, spec
            )
        return shared

    def shortlist(self) -> Shortlist:
        """What is left when all chunks have been seen."""
        kept = self._look_through()
        merged, own = kept.candidates, kept.costs
        expression = self.problem.expression
        return Shortlist(
            merged,
            own,
            kept.priced[0],  # at the first price idle bytes cost nothing, and nothing is cut
            self._rest.rest(),
            kept.cuts,
            input_bytes(self.table, merged, own, self.spec),
            own.piece_bytes[:, :-1].astype(np.float64),
            needed_bytes(expression, self.table, merged, self.spec),
            floor_bytes(expression, self.table, merged, self.spec),
            home_bytes(expression, self.table, merged, self.spec),
            tuple(
                find_menus(expression, self.table, merged, weight, self.spec)
                for weight in self.problem.weights
            ),
        )


def _points(prices: FloatArray, spec: HardwareSpec) -> list[tuple[int, float]]:
    """(position of a price of idle bytes, rate of active bytes) at which plans are compared.

    Where a step's own memory is what is scarce, a part of the price is on its active bytes, up to
    all of it (rates.py).
    """
    per_byte = float(move_cycles(spec, 1.0))
    idle_only = [(number, 0.0) for number in range(len(prices))]
    both = [(number, float(price)) for number, price in enumerate(prices) if price > 0]
    return [*idle_only, *both, *((0, per_byte * rate) for rate in _OWN_RATES)]
