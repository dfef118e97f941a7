"""Choosing plans with their transitions: coordinate descent over the steps.

A step's best plan depends on its neighbours' layouts. Sweep by sweep, every step takes the plan
with the least execution + setup + price * idle bytes + transitions to and from the neighbours'
present plans, until a sweep changes nothing. What a change does to the next step's use of this
step's copy is not weighed, so a change need not lower the total, and the sweeps are limited.
"""

import numpy as np

from t10c.schedule.choices import Choices
from t10c.schedule.memory import Homes
from t10c.schedule.setting import Setting
from t10c.search.space import FloatArray, IntArray

_SWEEPS = 8


def option_extra(choices: Choices, dying: int) -> IntArray:
    """Bytes every option needs beyond its idle ones, while fetching or running."""
    return choices.demand_bytes(dying)[choices.plan] - choices.idle_bytes


def plan_costs(choices: Choices, dying: int, allowed_extra: int, price: float) -> FloatArray:
    """Per plan, least execution + setup + price * idle bytes of the options that fit, or inf."""
    fits = option_extra(choices, dying) <= allowed_extra
    cost = np.full(len(choices.plans), np.inf)
    priced = choices.setup + price * choices.idle_bytes
    np.minimum.at(cost, choices.plan[fits], priced[fits])
    return cost + choices.execution


def descend(
    setting: Setting, plans: list[int], homes: Homes, allowed: IntArray, price: float
) -> list[int]:
    """Plans of every step after descent from `plans`; `allowed` is each step's extra bytes."""
    plans = list(plans)
    own: dict[tuple[int, int, int], FloatArray] = {}
    remembered: dict[tuple[object, ...], int] = {}
    for _ in range(_SWEEPS):
        changed = False
        for step in range(len(plans)):
            key = (setting.choice_of[step], int(homes.dying[step]), int(allowed[step]))
            if key not in own:
                own[key] = plan_costs(setting.of_step(step), key[1], key[2], price)
            around = (key, *_surroundings(setting, plans, step))
            if around not in remembered:
                cost = own[key] + transition_costs(setting, plans, step)
                best = int(np.argmin(cost))
                current = plans[step]
                better = cost[best] < cost[current] - 1e-9 or not np.isfinite(cost[current])
                remembered[around] = best if better and np.isfinite(cost[best]) else current
            if remembered[around] != plans[step]:
                plans[step] = remembered[around]
                changed = True
        if not changed:
            break
    return plans


def forward_start(
    setting: Setting, plans: list[int], homes: Homes, allowed: IntArray, price: float
) -> list[int]:
    """Plans chosen in execution order, each the best after those before it.

    Readers' wishes are left out, so it starts the descent from elsewhere than the greedy does.
    """
    plans = list(plans)
    for step in range(len(plans)):
        pricer, reads = setting.pricer, setting.sequence.steps[step].reads
        cost = plan_costs(setting.of_step(step), int(homes.dying[step]), int(allowed[step]), price)
        size = np.zeros(len(cost))
        for position in range(len(reads)):
            states = pricer.states(step, position, plans)
            reuse = pricer.reuse_state(step, position, plans)
            size += pricer.bytes_in(step, position, states, reuse)
        cost = cost + pricer.cycles(size)
        if np.isfinite(cost).any():
            plans[step] = int(np.argmin(cost))
    return plans


def _surroundings(setting: Setting, plans: list[int], step: int) -> tuple[object, ...]:
    """All that a step's decision depends on: its neighbours' plans and how they are connected."""
    pricer, sequence = setting.pricer, setting.sequence
    parts: list[object] = [plans[step]]
    for position in range(len(sequence.steps[step].reads)):
        parts.append(pricer.read_key(step, position))
        parts.append(tuple(pricer.states(step, position, plans)))
        parts.append(pricer.reuse_state(step, position, plans))
    for consumer in dict.fromkeys(c for c, _ in sequence.steps[step].consumers):
        parts.append((setting.choice_of[consumer], plans[consumer]))
        for position, read in enumerate(sequence.steps[consumer].reads):
            parts.append(pricer.read_key(consumer, position))
            parts.append(tuple(source.step == step for source in read.sources))
            parts.append(tuple(pricer.states(consumer, position, plans)))
            parts.append(pricer.reuse_state(consumer, position, plans))
    return tuple(parts)


def transition_costs(setting: Setting, plans: list[int], step: int) -> FloatArray:
    """Cycles of the exchanges into a step and its consumers, for every plan of its pool.

    Every operator fetches all its operands in one exchange, so a consumer's other operands count.
    """
    pricer, sequence = setting.pricer, setting.sequence
    size = np.zeros(len(setting.of_step(step).plans))
    for position in range(len(sequence.steps[step].reads)):
        states = pricer.states(step, position, plans)
        size += pricer.bytes_in(step, position, states, pricer.reuse_state(step, position, plans))
    cost = pricer.cycles(size)
    for consumer in dict.fromkeys(c for c, _ in sequence.steps[step].consumers):
        size = np.zeros(len(cost))
        for position in range(len(sequence.steps[consumer].reads)):
            if pricer.reuses_copy(consumer, position, plans):
                continue
            states = pricer.states(consumer, position, plans)
            size += pricer.bytes_out(consumer, position, plans[consumer], states, step)
        cost += pricer.cycles(size)
    return cost
