"""Assignments: a plan and an idle option for every step, how one is found, and its exact price."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.descent import descend, forward_start, option_extra, own_keys
from t10c.schedule.knapsack import least_setup
from t10c.schedule.memory import Homes, StepMemory, fixed_demand_bytes, live_homes, step_memory
from t10c.schedule.reconcile import Allocation, Menu, reconcile
from t10c.schedule.result import Transition
from t10c.schedule.setting import Setting
from t10c.schedule.settle import settle_idle
from t10c.schedule.smallest import HOME_ROUNDS, Smallest
from t10c.schedule.steps import Step
from t10c.search.space import FloatArray, IntArray

_TRIED_ALLOCATIONS = 3


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a step's reads come to: (bytes received, whether of a copy, bytes kept) of each."""

    prices: tuple[tuple[int, bool, int], ...]
    kept_bytes: int
    cycles: float


@dataclass(frozen=True)
class Assignment:
    """A choice for every step: its option and the option's plan, with exact price and memory.

    `options` and `plans` index a step's `Choices`, `homes` and `memory` are bytes per core at every
    step, `fetches` what a step's reads come to (nothing where they are priced uniformly).
    """

    options: list[int]
    plans: list[int]
    homes: Homes
    memory: StepMemory
    fetches: list[Fetch]
    cycles: float


def choose(setting: Setting, spec: HardwareSpec) -> Assignment | None:
    """The best assignment found: greedy allocations, each improved by descent."""
    if not setting.sequence.steps:
        return nothing_to_choose(setting, spec)
    fixed = fixed_demand_bytes(setting.sequence, spec)
    homes = live_homes(setting.sequence, spec)
    best: Assignment | None = None
    done: set[tuple[int, ...]] = set()
    for _ in range(HOME_ROUNDS):
        allocations = _allocations(setting, homes, fixed, spec)
        for allocation in allocations[:_TRIED_ALLOCATIONS]:
            found = _complete(setting, allocation, homes, fixed, spec, done)
            if found is not None and (best is None or found.cycles < best.cycles - 1e-9):
                best = found
        if best is not None or not allocations:
            break
        # no allocation survived its own homes: assume what its plans really leave lying
        homes = setting.homes(setting.plans_of(allocations[0].options), spec)
    return best


def nothing_to_choose(setting: Setting, spec: HardwareSpec) -> Assignment | None:
    """The assignment of a graph without planned operators; None if its tensors do not fit."""
    homes = live_homes(setting.sequence, spec)
    none = np.zeros(0, np.int64)
    memory = step_memory(none, none, none, homes, fixed_demand_bytes(setting.sequence, spec))
    if memory.most > spec.usable_bytes:
        return None
    return Assignment([], [], homes, memory, [], 0.0)


def _allocations(
    setting: Setting, homes: Homes, fixed: int, spec: HardwareSpec
) -> list[Allocation]:
    """Greedy allocations of idle memory, with transitions at their uniform price."""
    menus: list[Menu] = []
    number: dict[tuple[int, int], int] = {}
    menu_of = []
    for step, choice in enumerate(setting.choice_of):
        key = (choice, int(homes.dying[step]))
        if key not in number:
            number[key] = len(menus)
            choices = setting.choices[choice]
            time = (choices.execution + choices.uniform_transition)[choices.plan] + choices.setup
            menus.append(Menu(choices.idle_bytes, option_extra(choices, key[1]), time))
        menu_of.append(number[key])
    most_idle = spec.usable_bytes - fixed - homes.end
    return reconcile(menus, menu_of, homes.live + fixed, spec.usable_bytes, most_idle)


def _complete(
    setting: Setting,
    allocation: Allocation,
    homes: Homes,
    fixed: int,
    spec: HardwareSpec,
    done: set[tuple[int, ...]],
) -> Assignment | None:
    """Improve an allocation by descent where transitions are exact, and settle its memory.

    Plans in `done` have been settled before and are not again; new ones are added to it.

    The greedy's own plans are a candidate too, so descent never loses to it. It can end in a local
    optimum, so it also starts from plans chosen in execution order.
    """
    greedy = setting.plans_of(allocation.options)
    candidates = [greedy]
    if setting.exact:
        allowed = spec.usable_bytes - allocation.idle_limit - homes.live - fixed
        keys = own_keys(setting, homes, allowed)
        for start in (greedy, forward_start(setting, greedy, keys, allocation.price)):
            candidates.append(descend(setting, start, keys, allocation.price))
    best: Assignment | None = None
    for plans in candidates:
        if tuple(plans) in done:
            continue
        done.add(tuple(plans))
        found = _settled_greedily(setting, plans, setting.homes(plans, spec), fixed, spec)
        if found is not None and (best is None or found.cycles < best.cycles - 1e-9):
            best = found
    return best


def _settled_greedily(
    setting: Setting, plans: list[int], homes: Homes, fixed: int, spec: HardwareSpec
) -> Assignment | None:
    """Plans with memory given to idle weights where it saves most per byte; None without room."""
    options = settle_idle(setting, plans, homes, fixed, spec.usable_bytes)
    if options is None:
        return None
    return price_assignment(setting, plans, options, homes, fixed, spec.usable_bytes)


def settled(setting: Setting, plans: list[int], spec: HardwareSpec) -> Assignment | None:
    """Plans of all steps with their weights settled in the memory; None if there is no room."""
    fixed = fixed_demand_bytes(setting.sequence, spec)
    homes = setting.homes(plans, spec)
    found = _settled_greedily(setting, plans, homes, fixed, spec)
    if found is None or not any(
        setting.of_step(step).setup[option] for step, option in enumerate(found.options)
    ):
        return found
    options = least_setup(setting, plans, homes, fixed, spec.usable_bytes)
    if options is None:
        return found
    other = price_assignment(setting, plans, options, homes, fixed, spec.usable_bytes)
    return min(found, other, key=lambda assignment: assignment.cycles)


def from_smallest(setting: Setting, smallest: Smallest, spec: HardwareSpec) -> Assignment:
    """The plans that need least memory, with what is left of it given to idle weights."""
    fixed = fixed_demand_bytes(setting.sequence, spec)
    plans = setting.plans_of(smallest.options)
    found = _settled_greedily(setting, plans, smallest.homes, fixed, spec)
    assert found is not None, "the smallest assignment fits"
    return found


def price_assignment(
    setting: Setting,
    plans: list[int],
    options: list[int],
    homes: Homes,
    fixed: int,
    available: int,
) -> Assignment:
    """Exact price and memory of a complete assignment in `available` bytes per core."""
    memory = setting.memory(plans, options, homes, fixed)
    fetches = _fetches(setting, plans, options, memory.fetch, available)
    kept_bytes = np.array([fetch.kept_bytes for fetch in fetches], np.int64)
    memory = replace(memory, fetch=memory.fetch + kept_bytes)
    moves: FloatArray = np.array([fetch.cycles for fetch in fetches], np.float64)
    if not setting.exact:
        moves = uniform_transitions(setting, plans)
    cycles = added_up(running(setting, plans, options), moves)
    return Assignment(options, plans, homes, memory, fetches, cycles)


def running(setting: Setting, plans: Seq[int], options: Seq[int]) -> FloatArray:
    """Cycles that every step takes but for its transitions, (steps,)."""
    execution = setting.chosen([own.execution for own in setting.choices], plans)
    return execution + setting.chosen([own.setup for own in setting.choices], options)


def uniform_transitions(setting: Setting, plans: Seq[int]) -> FloatArray:
    """Cycles of every step's transition at its uniform price, (steps,)."""
    return setting.chosen([own.uniform_transition for own in setting.choices], plans)


def added_up(running_cycles: FloatArray, transition_cycles: FloatArray) -> float:
    """The sum of both step by step, one after the other: the same however steps are grouped."""
    parts = np.stack([running_cycles, transition_cycles], axis=1).reshape(-1)
    return float(np.cumsum(parts)[-1]) if len(parts) else 0.0


def _fetches(
    setting: Setting, plans: list[int], options: list[int], fetch_bytes: IntArray, available: int
) -> list[Fetch]:
    """Every step's fetch; copies are reused where `available` bytes have room for them."""
    known: dict[tuple[object, ...], Fetch] = {}

    def found(step: int, reusing: bool) -> Fetch:
        key = (reusing, *setting.neighbours.fetching(step, plans, options))
        if key not in known:
            known[key] = _fetch(setting, plans, options, step, reusing)
        return known[key]

    if not setting.exact:
        return [Fetch((), 0, 0.0)] * len(plans)
    fetches = [found(step, True) for step in range(len(plans))]
    for step, demand_bytes in enumerate(fetch_bytes.tolist()):
        kept = fetches[step].kept_bytes
        if kept and demand_bytes + kept > available:  # no room for the copies
            fetches[step] = found(step, False)
    return fetches


def _fetch(
    setting: Setting, plans: list[int], options: list[int], step: int, reusing: bool
) -> Fetch:
    """Exact prices of a step's reads."""
    pricer = setting.pricer
    prices = []
    for position in range(len(setting.sequence.steps[step].reads)):
        states = pricer.states(step, position, plans)
        reuse = pricer.reuse_state(step, position, plans) if reusing else None
        prices.append(pricer.received_bytes(step, position, plans[step], states, reuse, options))
    cycles = pricer.exchange_cycles(sum(size for size, _, _ in prices))
    return Fetch(tuple(prices), sum(kept for _, _, kept in prices), cycles)


def transitions(step: Step, fetch: Fetch) -> tuple[Transition, ...]:
    """The transitions of a step's reads; none where they are priced uniformly."""
    inputs = step.problem.expression.inputs
    return tuple(
        [
            Transition(
                operand=inputs[read.operand].name,
                tensor=read.tensor,
                sources=tuple([source.tensor for source in read.sources]),
                received_bytes=size,
                reused=reused,
                kept_bytes=kept,
            )
            for read, (size, reused, kept) in zip(step.reads, fetch.prices, strict=False)
        ]
    )
