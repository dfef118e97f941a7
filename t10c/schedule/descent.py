"""Choosing plans with their transitions: coordinate descent over the steps.

A step's best plan depends on its neighbours' layouts. Sweep by sweep, every step takes the plan
with the least execution + setup + price * idle bytes + transitions to and from the neighbours'
present plans, until a sweep changes nothing. What a change does to the next step's use of this
step's copy is not weighed, so a change need not lower the total, and the sweeps are limited.
"""

import numpy as np

from t10c.schedule.choices import Choices
from t10c.schedule.memory import Homes
from t10c.schedule.reconcile import largest_within
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
    keys = _own_keys(setting, homes, allowed)
    own: dict[tuple[int, int, int], FloatArray] = {}
    remembered: dict[tuple[object, ...], int] = {}
    for _ in range(_SWEEPS):
        changed = False
        for step, key in enumerate(keys):
            if key not in own:
                own[key] = plan_costs(setting.choices[key[0]], key[1], key[2], price)
            around = (key, *setting.neighbours.deciding(step, plans))
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
    remembered: dict[tuple[object, ...], int | None] = {}
    for step, key in enumerate(_own_keys(setting, homes, allowed)):
        before = (key, *setting.neighbours.reading(step, plans))
        if before not in remembered:
            cost = plan_costs(setting.choices[key[0]], key[1], key[2], price)
            cost = cost + setting.pricer.cycles(_bytes_in(setting, plans, step))
            remembered[before] = int(np.argmin(cost)) if np.isfinite(cost).any() else None
        best = remembered[before]
        plans[step] = plans[step] if best is None else best
    return plans


def _own_keys(setting: Setting, homes: Homes, allowed: IntArray) -> list[tuple[int, int, int]]:
    """What a step's own costs depend on: choices, homes that die there, bytes it may demand.

    Of the bytes, only which options they have room for.
    """
    dying: list[int] = homes.dying.tolist()
    members: dict[tuple[int, int], list[int]] = {}
    for step, key in enumerate(zip(setting.choice_of, dying, strict=True)):
        members.setdefault(key, []).append(step)
    most = np.zeros(len(dying), dtype=np.int64)
    for (choice, size), steps in members.items():
        most[steps] = largest_within(option_extra(setting.choices[choice], size), allowed[steps])
    return list(zip(setting.choice_of, dying, most.tolist(), strict=True))


def _bytes_in(setting: Setting, plans: list[int], step: int) -> FloatArray:
    """Bytes to bring all of a step's operands into place, for every plan of its pool."""
    pricer = setting.pricer
    size = np.zeros(len(setting.of_step(step).plans))
    for position in range(len(setting.sequence.steps[step].reads)):
        states = pricer.states(step, position, plans)
        size += pricer.bytes_in(step, position, states, pricer.reuse_state(step, position, plans))
    return size


def transition_costs(setting: Setting, plans: list[int], step: int) -> FloatArray:
    """Cycles of the exchanges into a step and its consumers, for every plan of its pool.

    Every operator fetches all its operands in one exchange, so a consumer's other operands count.
    """
    pricer, sequence = setting.pricer, setting.sequence
    cost = pricer.cycles(_bytes_in(setting, plans, step))
    for consumer in dict.fromkeys(c for c, _ in sequence.steps[step].consumers):
        size = np.zeros(len(cost))
        for position in range(len(sequence.steps[consumer].reads)):
            if pricer.reuses_copy(consumer, position, plans):
                continue
            states = pricer.states(consumer, position, plans)
            size += pricer.bytes_out(consumer, position, plans[consumer], states, step)
        cost += pricer.cycles(size)
    return cost
