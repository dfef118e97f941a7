"""Choices of one operator: plans, and idle cuts of its weights, that a schedule may take."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.schedule.idle import (
    IdleCut,
    Thoroughness,
    has_every_option,
    idle_combinations,
    weight_cuts,
)
from t10c.schedule.listing_sieve import ListingSieve
from t10c.schedule.pool import PoolCollector, execution_cycles
from t10c.schedule.pool_sieve import PoolSieve
from t10c.schedule.problem import Problem, search_problem
from t10c.schedule.shortlist import Shortlist, ShortlistCollector
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.operator import FrontEntry, SearchResult, front_entry
from t10c.search.options import SearchOptions
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import slot_table

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True)
class Choices:
    """Plans of a problem and their idle options.

    Options are parallel arrays: `plan` (index into `plans`), `idle_bytes` (all weights), `setup`
    (cycles); `cuts[option]` has one IdleCut per weight. Per plan: `active_bytes` (pieces and
    doubled buffers, without the reserved shift buffer), `input_bytes` (those of the inputs alone),
    `execution` (cycles, closing sync included, transition not), `uniform_transition` (cycles).
    `bound_prices` (cycles per byte) and `bound_values` (cycles) give, over all feasible plans,
    min(execution + setup + price * idle bytes). Options are thinned out.
    `shortlist` has the plans that may be part of a best schedule, and what the others cost at least
    (None unless asked for).
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
    shortlist: Shortlist | None
    search: SearchResult

    @classmethod
    def without_plans(
        cls,
        problem: Problem,
        bound_prices: FloatArray,
        bound_values: FloatArray,
        shortlist: Shortlist | None,
        search: SearchResult,
    ) -> "Choices":
        """What was found of a problem, before any of its plans is one to choose."""
        none, no_cycles = np.zeros(0, np.int64), np.zeros(0)
        return cls(
            problem=problem,
            plans=(),
            active_bytes=none,
            input_bytes=none,
            execution=no_cycles,
            uniform_transition=no_cycles,
            plan=none,
            idle_bytes=none,
            setup=no_cycles,
            cuts=(),
            bound_prices=bound_prices,
            bound_values=bound_values,
            shortlist=shortlist,
            search=search,
        )

    @property
    def listed(self) -> Shortlist:
        """The shortlist of choices that were searched for a joint choice."""
        if self.shortlist is None:
            raise ValueError("these choices were searched without a shortlist")
        return self.shortlist

    @property
    def has_every_option(self) -> bool:
        """Whether the options of no plan of `all_listed` had to be thinned out."""
        return has_every_option(int(np.bincount(self.plan).max(initial=0)))

    def demand_bytes(self, dying_bytes: int) -> IntArray:
        """Bytes per core each plan demands of its own, fetching or running, (plans,).

        `dying_bytes` are the homes that its operator reads for the last time.
        """
        demand: IntArray = np.maximum(self.active_bytes, self.input_bytes + dying_bytes)
        return demand


def find_choices(
    problem: Problem,
    spec: HardwareSpec,
    search: SearchOptions,
    uniform: bool,
    joint: bool = False,
) -> Choices:
    """Search the problem and keep its choices; no plans if nothing fits the memory.

    `uniform` says that the bound may count the uniform transition, because the schedule will;
    `joint`, that a shortlist is wanted.
    """
    collector = PoolCollector(problem, spec, uniform)
    listing = ShortlistCollector(problem, spec, collector.prices) if joint else None

    def visit(candidates: Candidates, costs: Costs) -> None:
        collector.visit(candidates, costs)
        if listing is not None:
            listing.visit(candidates, costs, execution_cycles(problem.expression, costs))

    sieve: PoolSieve | None = None
    if listing is None:
        sieve = PoolSieve(collector)
    elif ListingSieve.serves(collector):
        sieve = ListingSieve(collector, listing)
    result = search_problem(problem.expression, spec, search, visit, sieve)
    entries = _with_front(collector.pool(), result.front)
    shortlist = listing.shortlist() if listing is not None and entries else None
    empty = Choices.without_plans(problem, collector.prices, collector.minima, shortlist, result)
    return with_plans(empty, entries, spec)


def all_listed(choices: Choices, spec: HardwareSpec, lending: bool) -> Choices:
    """The choices with the shortlist's plans, row by row, in place of their own, and all options.

    Combinations of idle cuts that others beat in both bytes and setup are options only where the
    weights are lent: then others read them where they lie idle.
    """
    empty = Choices.without_plans(
        choices.problem,
        choices.bound_prices,
        choices.bound_values,
        choices.shortlist,
        choices.search,
    )
    expression, listed = choices.problem.expression, choices.listed
    table = slot_table(expression)
    entries = [
        front_entry(expression, table, listed.candidates, listed.costs, row, spec)
        for row in range(len(listed))
    ]
    return with_plans(empty, entries, spec, "every" if lending else "undominated")


def with_plans(
    choices: Choices,
    entries: Seq[FrontEntry],
    spec: HardwareSpec,
    thoroughness: Thoroughness = "few",
) -> Choices:
    """The choices with more plans after those they have, and so many options of each."""
    reserve = spec.shift_buffer.reserved_bytes
    own_sync = ends_with_sync(choices.problem.expression)
    plan, idle, setup, cuts = [], [], [], []
    for index, entry in enumerate(entries, start=len(choices.plans)):
        by_weight = weight_cuts(choices.problem, entry, spec)
        for combination in idle_combinations(by_weight, thoroughness):
            plan.append(index)
            idle.append(sum(cut.idle_bytes for cut in combination))
            setup.append(sum(cut.setup_cycles for cut in combination))
            cuts.append(combination)
    ends = [0.0 if own_sync else e.end_cycles for e in entries]
    execution = [e.cycles - end for e, end in zip(entries, ends, strict=True)]
    return replace(
        choices,
        plans=(*choices.plans, *entries),
        active_bytes=_longer(choices.active_bytes, [e.memory_bytes - reserve for e in entries]),
        input_bytes=_longer(choices.input_bytes, [_input_bytes(choices, e, spec) for e in entries]),
        execution=_longer(choices.execution, execution),
        uniform_transition=_longer(choices.uniform_transition, ends),
        plan=_longer(choices.plan, plan),
        idle_bytes=_longer(choices.idle_bytes, idle),
        setup=_longer(choices.setup, setup),
        cuts=(*choices.cuts, *cuts),
    )


def _input_bytes(choices: Choices, entry: FrontEntry, spec: HardwareSpec) -> int:
    """Bytes per core of a plan's inputs as they are held: rotating ones twice if buffers double."""
    output = choices.problem.expression.output.name
    moves = any(output in rotation.operands for rotation in entry.plan.rotations)
    copies = 2 if moves and spec.shift_buffer.policy == "double" else 1
    return entry.memory_bytes - spec.shift_buffer.reserved_bytes - copies * entry.piece_bytes[-1]


def _longer(values: NDArray[Number], more: Seq[float]) -> NDArray[Number]:
    return np.concatenate([values, np.array(more, dtype=values.dtype)])


def _with_front(pool: list[FrontEntry], front: tuple[FrontEntry, ...]) -> tuple[FrontEntry, ...]:
    """The pool and the front together, each plan once."""
    entries = {(e.plan.split, e.plan.rotations): e for e in (*front, *pool)}
    return tuple(entries.values())
