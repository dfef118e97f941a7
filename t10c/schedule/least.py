"""Plans within less memory than a core has, by the same searches; and the least that will do."""

import math
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.schedule.assignment import Assignment, choose, from_smallest
from t10c.schedule.fit import does_not_fit, outputs_too_large
from t10c.schedule.memory import fixed_demand_bytes, live_homes
from t10c.schedule.result import DoesNotFit
from t10c.schedule.setting import Setting
from t10c.schedule.shares import least_idle_bytes, used_elements
from t10c.schedule.smallest import smallest_assignment
from t10c.search.space import FloatArray, IntArray

_CLOSE = 0.005
"""The least memory is narrowed down to this share of it."""

_HALVINGS = 10


@dataclass(frozen=True, slots=True)
class LeastMemory:
    """The least bytes per core for which plans were found, and what no plans can undercut."""

    peak_bytes: int
    bound_bytes: int


@dataclass(frozen=True)
class Needs:
    """Least bytes per core of every step over all feasible plans, (steps,) each.

    `idle` is what a step's own weights take while others run, `others` all idle weights but its own
    with all else that lives beside it, `own` what it takes of its own, fetching or running. `end`
    is the demand after the last step.
    """

    idle: FloatArray
    others: FloatArray
    own: FloatArray
    end: float


def with_memory(spec: HardwareSpec, usable_bytes: int) -> HardwareSpec:
    """The chip with so much memory per core for plans to use."""
    return replace(spec, sram_bytes=usable_bytes + spec.reserved_bytes)


def chosen_within(setting: Setting, spec: HardwareSpec) -> Assignment | DoesNotFit:
    """The best assignment found in the memory of `spec`, which may be less than was searched in."""
    chosen = choose(setting, spec)
    if chosen is not None:
        return chosen
    if not setting.sequence.steps:
        return outputs_too_large(setting.sequence, spec)
    smallest = smallest_assignment(setting, spec)
    if smallest.memory.most > spec.usable_bytes:
        return does_not_fit(setting, spec, smallest)
    return from_smallest(setting, smallest, spec)


def least_memory(setting: Setting, spec: HardwareSpec) -> LeastMemory:
    """The least memory in which plans are found, by halving what is between it and the bound.

    All memory of the chip if none are found in less. The setting has at least one step.
    """
    needs = least_needs(setting, spec)
    bound = max(float(np.max(needs.others + needs.own)), needs.end)
    most = smallest_assignment(setting, spec).memory.most
    without, most = int(bound), min(most, spec.usable_bytes)
    for _ in range(_HALVINGS):
        if most - without <= _CLOSE * most:
            break
        middle = (without + most) // 2
        found = choose(setting, with_memory(spec, middle))
        if found is None:
            without = middle
        else:
            most = found.memory.most
    least = math.ceil(bound - 1e-6)
    assert least <= most, "the bound holds for every plan"
    return LeastMemory(most, least)


def least_needs(setting: Setting, spec: HardwareSpec) -> Needs:
    """What every step demands at least, whatever is chosen: every tensor evenly spread."""
    sequence = setting.sequence
    made = [_even_output(setting, number, spec) for number in range(len(setting.choices))]
    homes = live_homes(sequence, spec, np.array([made[n] for n in setting.choice_of], np.int64))
    fixed = fixed_demand_bytes(sequence, spec)
    of_choices = [_least_of(setting, number, spec) for number in range(len(setting.choices))]
    rows = np.array([of_choices[number] for number in setting.choice_of])
    idle, active, inputs = rows.T
    others = idle.sum() - idle + homes.live + fixed
    own = np.maximum(active, inputs + homes.dying)
    return Needs(idle, others, own, float(idle.sum()) + homes.end + fixed)


def _even_output(setting: Setting, number: int, spec: HardwareSpec) -> int:
    """Elements per core of a problem's output, evenly spread."""
    expression = setting.choices[number].problem.expression
    return -(-used_elements(expression, expression.output) // spec.core_count)


def _least_of(setting: Setting, number: int, spec: HardwareSpec) -> tuple[float, float, float]:
    """(idle, active, inputs): least bytes per core of a problem's weights and of its pieces."""
    choices = setting.choices[number]
    expression = choices.problem.expression
    inputs = sum(
        float(size_bytes(spec, used_elements(expression, operand), operand.bits))
        for operand in expression.inputs
    )
    active = choices.search.smallest_legal_bytes - spec.shift_buffer.reserved_bytes
    return least_idle_bytes(choices.problem, spec), float(active), inputs / spec.core_count


def fitting(setting: Setting, spec: HardwareSpec) -> Setting:
    """The setting without listed plans that no schedule in the memory of `spec` can contain.

    What the shortlists sum up is left out as well where that is sure. A list that would be left
    empty stays as it is.
    """
    needs = least_needs(setting, spec)
    left = spec.usable_bytes - needs.others
    choices = []
    for number, own in enumerate(setting.choices):
        steps: IntArray = np.flatnonzero(np.array(setting.choice_of) == number)
        active = own.listed.costs.memory_bytes - spec.shift_buffer.reserved_bytes
        most = float(left[steps].max(initial=0.0))
        fits = active <= most
        listed = own.listed.take(fits) if fits.any() else own.listed
        listed = replace(listed, rest=listed.rest.within(most))
        choices.append(replace(own, shortlist=listed))
    return replace(setting, choices=tuple(choices))
