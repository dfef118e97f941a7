"""The assignment that needs least memory: tried last, and what a misfit is measured by."""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.descent import Setting
from t10c.schedule.memory import (
    Homes,
    StepMemory,
    live_homes,
    loose_weight_bytes,
    reserve_bytes,
    step_memory,
)
from t10c.search.space import IntArray

_HOME_ROUNDS = 3


@dataclass(frozen=True)
class Smallest:
    """Options of every step, and the homes and memory they really have."""

    options: list[int]
    homes: Homes
    memory: StepMemory


def real_homes(setting: Setting, plans: list[int], spec: HardwareSpec) -> Homes:
    """Live bytes with every producer's real share per core."""
    elements = {
        step: setting.pricer.layouts.home_elements(setting.choice_of[step], plan)
        for step, plan in enumerate(plans)
    }
    return live_homes(setting.sequence, spec, elements)


def smallest_assignment(setting: Setting, spec: HardwareSpec) -> Smallest:
    """Options whose largest demand at any step is small: idle bytes first, then the worst steps.

    The homes follow from the plans and the plans from the homes, so a few rounds are made of both
    and the best is kept. The setting has at least one step.
    """
    fixed = reserve_bytes(spec) + loose_weight_bytes(setting.sequence, spec)
    homes = live_homes(setting.sequence, spec)
    best: Smallest | None = None
    for _ in range(_HOME_ROUNDS):
        options = _lower_worst(setting, homes)
        homes = real_homes(setting, _plans(setting, options), spec)
        found = Smallest(options, homes, _memory(setting, options, homes, fixed))
        if best is None or int(found.memory.peak.max()) < int(best.memory.peak.max()):
            best = found
    assert best is not None
    return best


def _plans(setting: Setting, options: list[int]) -> list[int]:
    return [int(setting.of_step(step).plan[option]) for step, option in enumerate(options)]


def _memory(setting: Setting, options: list[int], homes: Homes, fixed_bytes: int) -> StepMemory:
    """Demand of every step under the options."""
    plans = _plans(setting, options)
    idle, active, inputs = (
        np.array(values, dtype=np.int64)
        for values in (
            [setting.of_step(s).idle_bytes[o] for s, o in enumerate(options)],
            [setting.of_step(s).active_bytes[p] for s, p in enumerate(plans)],
            [setting.of_step(s).input_bytes[p] for s, p in enumerate(plans)],
        )
    )
    return step_memory(idle, active, inputs, homes, fixed_bytes)


def _needs(setting: Setting, step: int, dying: int) -> IntArray:
    """Bytes a step demands of its own under every option, fetching or running."""
    choices = setting.of_step(step)
    need: IntArray = np.maximum(choices.active_bytes, choices.input_bytes + dying)[choices.plan]
    return need


def _lower_worst(setting: Setting, homes: Homes) -> list[int]:
    """From the smallest idle bytes, lower the worst step's demand as long as that helps."""
    steps = range(len(setting.choice_of))
    needs = [_needs(setting, step, int(homes.dying[step])) for step in steps]
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
