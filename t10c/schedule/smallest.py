"""The assignment that needs least memory: tried last, and what a misfit is measured by."""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.memory import Homes, StepMemory, fixed_demand_bytes, live_homes
from t10c.schedule.setting import Setting

HOME_ROUNDS = 3
"""Times that homes and plans, which follow from each other, are found anew."""


@dataclass(frozen=True)
class Smallest:
    """Options of every step, and the homes and memory they really have."""

    options: list[int]
    homes: Homes
    memory: StepMemory


def smallest_assignment(setting: Setting, spec: HardwareSpec) -> Smallest:
    """Options whose largest demand at any step is small: idle bytes first, then the worst steps.

    The homes follow from the plans and the plans from the homes, so a few rounds are made of both
    and the best is kept. The setting has at least one step.
    """
    fixed = fixed_demand_bytes(setting.sequence, spec)
    homes = live_homes(setting.sequence, spec)
    best: Smallest | None = None
    for _ in range(HOME_ROUNDS):
        options = _lower_worst(setting, homes)
        plans = setting.plans_of(options)
        homes = setting.homes(plans, spec)
        found = Smallest(options, homes, setting.memory(plans, options, homes, fixed))
        if best is None or found.memory.most < best.memory.most:
            best = found
    assert best is not None, "there is at least one round"
    return best


def _lower_worst(setting: Setting, homes: Homes) -> list[int]:
    """From the smallest idle bytes, lower the worst step's demand as long as that helps."""
    steps = range(len(setting.choice_of))
    needs = []
    for step in steps:
        choices = setting.of_step(step)
        needs.append(choices.demand_bytes(int(homes.dying[step]))[choices.plan])
    idles = [setting.of_step(step).idle_bytes for step in steps]
    options = [int(np.lexsort((needs[s], idles[s]))[0]) for s in steps]
    own = np.array([needs[s][o] - idles[s][o] for s, o in enumerate(options)]) + homes.live
    total = sum(int(idles[s][o]) for s, o in enumerate(options))
    while True:
        worst = int(np.argmax(own))
        option = options[worst]
        others = int(np.delete(own, worst).max(initial=0))
        totals = total + idles[worst] - idles[worst][option]
        owns = needs[worst] - idles[worst] + int(homes.live[worst])
        peaks = totals + np.maximum(owns, others)
        best = int(np.argmin(peaks))
        if peaks[best] >= peaks[option]:
            return options
        options[worst], own[worst], total = best, owns[best], int(totals[best])
