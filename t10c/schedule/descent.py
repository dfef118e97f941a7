"""Choosing plans with their transitions: coordinate descent over the steps.

A step's best plan depends on its neighbours' layouts. Sweep by sweep, every step takes the plan
with the least execution + setup + price * idle bytes + transitions to and from the neighbours'
present plans, until a sweep changes nothing. What a change does to the next step's use of this
step's copy is not weighed, so a change need not lower the total, and the sweeps are limited.
"""

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from t10c.schedule.choices import Choices
from t10c.schedule.memory import Homes
from t10c.schedule.neighbours import Getter, Group
from t10c.schedule.reconcile import largest_within
from t10c.schedule.setting import Setting
from t10c.search.space import FloatArray, IntArray

OwnKey = tuple[int, int, int]
"""A step's choices, bytes of homes that die there, and extra bytes it may demand."""

_SWEEPS = 8


@dataclass(frozen=True)
class OwnKeys:
    """What the steps' own costs depend on: the distinct `keys`, and which of them a step has.

    `numbers` is (steps,).
    """

    keys: list[OwnKey]
    numbers: IntArray

    def of_step(self, step: int) -> OwnKey:
        """The key of a step."""
        return self.keys[int(self.numbers[step])]


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


def descend(setting: Setting, plans: list[int], keys: OwnKeys, price: float) -> list[int]:
    """Plans of every step after descent from `plans`; `keys` are those of the steps' own costs."""
    plans = list(plans)
    kinds, getters = _groups(keys, setting.neighbours.deciding)
    own: dict[OwnKey, FloatArray] = {}
    remembered: dict[tuple[int, object], int] = {}
    for _ in range(_SWEEPS):
        changed = False
        for step, of in enumerate(getters):
            around = (kinds[step], of(plans))
            chosen = remembered.get(around)
            if chosen is None:
                key = keys.of_step(step)
                if key not in own:
                    own[key] = plan_costs(setting.choices[key[0]], key[1], key[2], price)
                chosen = remembered[around] = _best(setting, plans, step, own[key])
            if chosen != plans[step]:
                plans[step] = chosen
                changed = True
        if not changed:
            break
    return plans


def _best(setting: Setting, plans: list[int], step: int, own: FloatArray) -> int:
    """A step's best plan among its neighbours' present ones; its own if none is better."""
    cost = own + transition_costs(setting, plans, step)
    best, current = int(np.argmin(cost)), plans[step]
    better = cost[best] < cost[current] - 1e-9 or not np.isfinite(cost[current])
    return best if better and np.isfinite(cost[best]) else current


def forward_start(setting: Setting, plans: list[int], keys: OwnKeys, price: float) -> list[int]:
    """Plans chosen in execution order, each the best after those before it.

    Readers' wishes are left out, so it starts the descent from elsewhere than the greedy does.
    """
    plans = list(plans)
    remembered: dict[tuple[int, object], int | None] = {}
    kinds, getters = _groups(keys, setting.neighbours.reading)
    for step, of in enumerate(getters):
        before = (kinds[step], of(plans))
        if before not in remembered:
            choice, dying, most = keys.of_step(step)
            cost = plan_costs(setting.choices[choice], dying, most, price)
            cost = cost + setting.pricer.cycles(_bytes_in(setting, plans, step))
            remembered[before] = int(np.argmin(cost)) if np.isfinite(cost).any() else None
        best = remembered[before]
        plans[step] = plans[step] if best is None else best
    return plans


def own_keys(setting: Setting, homes: Homes, allowed: IntArray) -> OwnKeys:
    """What every step's own costs depend on; `allowed` is each step's extra bytes.

    Of the bytes, only which options they have room for.
    """
    dying: list[int] = homes.dying.tolist()
    members: dict[tuple[int, int], list[int]] = {}
    for step, key in enumerate(zip(setting.choice_of, dying, strict=True)):
        members.setdefault(key, []).append(step)
    keys: list[OwnKey] = []
    numbers = np.zeros(len(dying), dtype=np.int64)
    for (choice, size), steps in members.items():
        most = largest_within(option_extra(setting.choices[choice], size), allowed[steps])
        sizes, ranks = np.unique(most, return_inverse=True)
        numbers[steps] = len(keys) + ranks
        keys += [(choice, size, extra) for extra in sizes.tolist()]
    return OwnKeys(keys, numbers)


def _groups(keys: OwnKeys, groups: Seq[Group]) -> tuple[list[int], list[Getter]]:
    """The kinds of the steps' groups and their getters.

    Kinds are numbered anew: equal only where the steps' keys are, too.
    """
    kinds = np.array([group.kind for group in groups], dtype=np.int64)
    numbers: list[int] = (keys.numbers * (1 + int(kinds.max(initial=0))) + kinds).tolist()
    return numbers, [group.of for group in groups]


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
    cost = setting.pricer.cycles(_bytes_in(setting, plans, step))
    known: dict[object, FloatArray] = {}
    for consumer in dict.fromkeys(c for c, _ in setting.sequence.steps[step].consumers):
        group = setting.neighbours.reading[consumer]
        own = tuple([owner == step for owner in group.steps])
        key = (group.kind, group.of(plans), plans[consumer], own)
        if key not in known:
            known[key] = _cycles_out(setting, plans, step, consumer)
        cost += known[key]
    return cost


def _cycles_out(setting: Setting, plans: list[int], step: int, consumer: int) -> FloatArray:
    """Cycles of the exchange into one consumer, for every plan of the pool of `step`."""
    pricer = setting.pricer
    size = np.zeros(len(setting.of_step(step).plans))
    for position in range(len(setting.sequence.steps[consumer].reads)):
        if pricer.reuses_copy(consumer, position, plans):
            continue
        states = pricer.states(consumer, position, plans)
        size += pricer.bytes_out(consumer, position, plans[consumer], states, step)
    return pricer.cycles(size)
