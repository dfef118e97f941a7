"""Choices of one operator: plans, and idle cuts of its weights, that a schedule may take."""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.schedule.idle import IdleCut, idle_combinations
from t10c.schedule.pool import PoolCollector
from t10c.schedule.problem import Problem, search_problem
from t10c.search.operator import FrontEntry, SearchResult
from t10c.search.options import SearchOptions
from t10c.search.space import FloatArray, IntArray


@dataclass(frozen=True)
class Choices:
    """Plans of a problem and their idle options.

    Options are parallel arrays: `plan` (index into `plans`), `idle_bytes` (all weights), `setup`
    (cycles); `cuts[option]` has one IdleCut per weight. Per plan: `active_bytes` (pieces and
    doubled buffers, without the reserved shift buffer), `input_bytes` (pieces of the inputs),
    `execution` (cycles, closing sync included, transition not), `uniform_transition` (cycles).
    `bound_prices` (cycles per byte) and `bound_values` (cycles) give, over all feasible plans,
    min(execution + setup + price * idle bytes).
    """

    problem: Problem
    plans: tuple[FrontEntry, ...]
    active_bytes: IntArray
    input_bytes: IntArray
    execution: FloatArray
    uniform_transition: FloatArray
    plan: IntArray
    idle_bytes: IntArray
    setup: FloatArray
    cuts: tuple[tuple[IdleCut, ...], ...]
    bound_prices: FloatArray
    bound_values: FloatArray
    search: SearchResult

    def demand_bytes(self, dying_bytes: int) -> IntArray:
        """Bytes per core each plan demands of its own, fetching or running, (plans,).

        `dying_bytes` are the homes that its operator reads for the last time.
        """
        demand: IntArray = np.maximum(self.active_bytes, self.input_bytes + dying_bytes)
        return demand


def find_choices(
    problem: Problem, spec: HardwareSpec, search: SearchOptions, uniform: bool
) -> Choices:
    """Search the problem and keep its choices; no plans if nothing fits the memory.

    `uniform` says that the bound may count the uniform transition, because the schedule will.
    """
    collector = PoolCollector(problem, spec, uniform)
    result = search_problem(problem.expression, spec, search, collector.visit)
    entries = _with_front(collector.pool(), result.front)
    reserve = spec.shift_buffer.reserved_bytes
    own_sync = ends_with_sync(problem.expression)
    plan, idle, setup, cuts = [], [], [], []
    for index, entry in enumerate(entries):
        for combination in idle_combinations(problem, entry, spec):
            plan.append(index)
            idle.append(sum(cut.idle_bytes for cut in combination))
            setup.append(sum(cut.setup_cycles for cut in combination))
            cuts.append(combination)
    return Choices(
        problem=problem,
        plans=tuple(entries),
        active_bytes=np.array([e.memory_bytes - reserve for e in entries], dtype=np.int64),
        input_bytes=np.array([sum(e.piece_bytes[:-1]) for e in entries], dtype=np.int64),
        execution=np.array([e.cycles - (0.0 if own_sync else e.end_cycles) for e in entries]),
        uniform_transition=np.array([0.0 if own_sync else e.end_cycles for e in entries]),
        plan=np.array(plan, dtype=np.int64),
        idle_bytes=np.array(idle, dtype=np.int64),
        setup=np.array(setup, dtype=np.float64),
        cuts=tuple(cuts),
        bound_prices=collector.prices,
        bound_values=collector.minima,
        search=result,
    )


def _with_front(pool: list[FrontEntry], front: tuple[FrontEntry, ...]) -> tuple[FrontEntry, ...]:
    """The pool and the front together, each plan once."""
    entries = {(e.plan.split, e.plan.rotations): e for e in (*front, *pool)}
    return tuple(entries.values())
