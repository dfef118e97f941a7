"""Idle plans: how far the weights of an active plan may be cut while other operators run."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from t10c.hardware.kernels import move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan, block_lengths, piece_axis_lengths, temporal_factor
from t10c.schedule.problem import Problem
from t10c.search.operator import FrontEntry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import factor_tuples

_FEW_OPTIONS = 12
_EVERY_OPTION = 256

Thoroughness = Literal["few", "undominated", "every"]
"""Which combinations of idle cuts are kept per plan: some undominated ones, all, or all there are.

Of the latter two as many as `has_every_option` allows.
"""


def has_every_option(options: int) -> bool:
    """Whether a plan with so many combinations of idle cuts has all that were asked for."""
    return options < _EVERY_OPTION


@dataclass(frozen=True, slots=True)
class IdleCut:
    """An idle plan of one weight: `ratio` = prod(idle t / active t), by axis in `factors`."""

    ratio: int
    factors: tuple[tuple[str, int], ...]
    idle_bytes: int
    setup_cycles: float


def weight_cuts(problem: Problem, entry: FrontEntry, spec: HardwareSpec) -> list[list[IdleCut]]:
    """All undominated idle cuts of every weight of a problem under a plan."""
    return [idle_cuts(problem.expression, entry.plan, index, spec) for index in problem.weights]


def idle_combinations(
    by_weight: list[list[IdleCut]], thoroughness: Thoroughness = "few"
) -> list[tuple[IdleCut, ...]]:
    """Combinations of idle cuts, one per weight, by rising setup."""
    combinations: list[tuple[int, float, tuple[IdleCut, ...]]] = [(0, 0.0, ())]
    most = _FEW_OPTIONS if thoroughness == "few" else _EVERY_OPTION
    for choices in by_weight:
        extended = [
            (idle + cut.idle_bytes, setup + cut.setup_cycles, (*cuts, cut))
            for idle, setup, cuts in combinations
            for cut in choices
        ]
        extended.sort(key=lambda c: (c[1], c[0]))
        combinations = []
        for candidate in extended:
            least = combinations[-1][0] if combinations else math.inf
            if candidate[0] < least or thoroughness == "every":
                combinations.append(candidate)
        combinations = _thin(combinations, most)
    return [cuts for _, _, cuts in combinations]


def _thin(
    options: list[tuple[int, float, tuple[IdleCut, ...]]], most: int
) -> list[tuple[int, float, tuple[IdleCut, ...]]]:
    """At most `most` options, always the first and the last, evenly by position."""
    if len(options) <= most:
        return options
    picks = sorted({round(i * (len(options) - 1) / (most - 1)) for i in range(most)})
    return [options[i] for i in picks]


def idle_cuts(
    expression: TensorExpression, plan: Plan, operand_index: int, spec: HardwareSpec
) -> list[IdleCut]:
    """Idle plans of one weight under an active plan (docs/plans.md), least setup first.

    Idle t is a multiple of active t, prod(idle t) divides P and idle t[a] <= S[a]; of equal ratios
    the one with the smallest idle piece counts.
    """
    operand = expression.operands[operand_index]
    sharing = math.prod(plan.split[expression.axis_index[a]] for a in expression.lacks(operand))
    active = {a: temporal_factor(plan, operand, a) for a in operand.axes}
    most = sharing // math.prod(active.values())
    blocks = block_lengths(expression, plan)
    lengths = piece_axis_lengths(expression, plan, operand)
    axes = operand.axes
    factors = factor_tuples(most, len(axes))
    limits = np.array([blocks[expression.axis_index[a]] // active[a] for a in axes], np.int64)
    factors = factors[np.all(factors <= limits, axis=1)] if len(axes) else factors
    piece = np.array([[lengths[a] for a in axes]], dtype=np.int64)
    ratios, (sizes,), (setups,) = cut_costs(operand, piece, factors, spec)
    cuts = []
    least = np.iinfo(np.int64).max
    for row in np.lexsort((sizes, setups)):
        if sizes[row] < least:
            least = sizes[row]
            chosen = tuple((a, int(f)) for a, f in zip(axes, factors[row], strict=True) if f > 1)
            cuts.append(IdleCut(int(ratios[row]), chosen, int(sizes[row]), float(setups[row])))
    return cuts


def cut_costs(
    operand: Operand, lengths: IntArray, factors: IntArray, spec: HardwareSpec
) -> tuple[IntArray, IntArray, FloatArray]:
    """What weights cost that are cut on, idle: ratios (cuts,), bytes and setups (pieces, cuts).

    `lengths` (pieces, axes) are those of active pieces along the operand's axes, `factors` (cuts,
    axes) idle t / active t. Setup gathers the missing pieces round the ring, in cycles.
    """
    elements = np.ones((len(lengths), len(factors)), dtype=np.int64)
    column = {axis: i for i, axis in enumerate(operand.axes)}
    for dim in operand.dims:
        span = np.full(elements.shape, dim.reach, dtype=np.int64)
        for axis, stride in dim.terms:
            own = column[axis]
            span += abs(stride) * (-(-lengths[:, own, None] // factors[:, own]) - 1)
        elements *= span
    ratios = np.prod(factors, axis=1)
    sizes = size_bytes(spec, elements, operand.bits)
    setups = move_cycles(spec, (ratios - 1) * sizes) + 2 * sync_cycles(spec) * (ratios - 1)
    return ratios, sizes, np.asarray(setups)
