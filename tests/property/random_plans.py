"""Random legal plans of random expressions as device programs, and whether they run exactly.

Legality follows docs/plans.md: loops in any order, several rotations on one axis with nested
operand sets, rotating outputs, replicas, lengths that do not divide; weights are any of the inputs,
cut further while idle.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import graph_numpy
import numpy as np
from random_expressions import KINDS, Drawn, draw_expression

from t10c.execute.machine import Machine
from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec, ShiftBuffer
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import (
    Plan,
    Rotation,
    axis_steps,
    block_lengths,
    replicas,
    temporal_factor,
)
from t10c.ir.program import Program
from t10c.lower.single import OUTPUT, operator_program
from t10c.program.check import check_program
from t10c.program.document import dump_program, load_program
from t10c.schedule.idle import IdleCut
from t10c.search.placement import offsets

MOST_CORES = 64
_MOST_STEPS = 72
INFERENCES = 3


@dataclass(frozen=True)
class Case:
    """A drawn expression with a plan, idle cuts of its weights and a chip; `seed` names it."""

    seed: int
    drawn: Drawn
    plan: Plan
    idle: dict[str, IdleCut]
    spec: HardwareSpec

    def program(self) -> Program:
        """The device program."""
        types = self.drawn.element_types
        return operator_program(self.drawn.expression, self.plan, self.spec, types, self.idle)

    def __str__(self) -> str:
        """Everything that tells the case from others."""
        rotations = ", ".join(
            f"{r.axis} {r.radix} {'+'.join(r.operands)}" for r in self.plan.rotations
        )
        idle = {name: cut.factors for name, cut in self.idle.items()}
        return (
            f"seed {self.seed} ({self.drawn.kind}): lengths {self.drawn.expression.lengths}, split "
            f"{self.plan.split}, rotations [{rotations}], idle {idle}\n{self.drawn.expression}"
        )


def draw_case(seed: int) -> Case:
    """The case of a seed; kinds take turns."""
    rng = random.Random(seed)
    drawn = draw_expression(KINDS[seed % len(KINDS)], rng)
    plan = draw_plan(drawn.expression, rng)
    spare = rng.choice([0, 0, 1, 5])
    spec = chip(math.prod(plan.split) + spare, rng.choice(["fixed", "double"]))
    return Case(seed, drawn, plan, _draw_idle(drawn.expression, plan, rng), spec)


@lru_cache(maxsize=256)
def chip(cores: int, policy: str) -> HardwareSpec:
    """Many small cores with room for everything."""
    buffer = ShiftBuffer(policy, 256)  # type: ignore[arg-type]
    return replace(load_spec("ipu-mk2"), core_count=cores, sram_bytes=2**26, shift_buffer=buffer)


# Plans


def draw_plan(expression: TensorExpression, rng: random.Random) -> Plan:
    """A legal, placeable plan on at most 64 cores, with as many rotations as asked if possible."""
    wanted = rng.choice([0, 1, 2, 2, 3, 3, 4])
    best: Plan | None = None
    for _ in range(20):
        split = draw_split(expression, rng)
        plan = Plan(split)
        for _ in range(6 * wanted):
            if len(plan.rotations) == wanted:
                break
            grown = _with_rotation(expression, plan, rng)
            if grown is not None and offsets(expression, grown) is not None:
                plan = grown
        if best is None or len(plan.rotations) > len(best.rotations):
            best = plan
        if len(best.rotations) >= wanted:
            break
    assert best is not None
    return best


def draw_split(expression: TensorExpression, rng: random.Random) -> tuple[int, ...]:
    """Split factors, any numbers up to the lengths; the product is at most 64.

    Numbers with many divisors come more often: the more cores share, the more there is to rotate.
    """
    limit = rng.choice([1, 4, 12, 24, 36, 48, MOST_CORES, MOST_CORES, MOST_CORES])
    split = [1] * len(expression.axes)
    order = [index for index, axis in enumerate(expression.axes) if axis.splittable]
    rng.shuffle(order)
    for index in order:
        most = min(expression.axes[index].length, limit // math.prod(split))
        able = [f for f in (2, 4, 6, 8, 12, 16) if f <= most]
        if rng.random() < 0.7:
            split[index] = rng.choice(able) if able and rng.random() < 0.6 else rng.randint(1, most)
    return tuple(split)


def _with_rotation(expression: TensorExpression, plan: Plan, rng: random.Random) -> Plan | None:
    """The plan with one more loop anywhere, None if what was tried is not legal."""
    axis = rng.choice(expression.axes)
    blocks = dict(zip((a.name for a in expression.axes), block_lengths(expression, plan), strict=1))
    room = blocks[axis.name] // axis_steps(plan, axis.name)
    steps = math.prod(r.radix for r in plan.rotations)
    owners = [o for o in expression.operands if axis.name in o.axes and not o.fused]
    if not axis.splittable or room < 2 or not owners:
        return None
    radix = rng.choice([2, 2, rng.randint(2, min(room, 6))])
    able = [o.name for o in owners if replicas(expression, plan, o) % radix == 0]
    if not able or steps * radix > _MOST_STEPS:
        return None
    chosen = [name for name in able if rng.random() < 0.6] or [rng.choice(able)]
    others = [set(r.operands) for r in plan.rotations if r.axis == axis.name]
    if any(not (set(chosen) <= other or other <= set(chosen)) for other in others):
        return None
    rotations = list(plan.rotations)
    rotations.insert(
        rng.randint(0, len(rotations)), Rotation(axis.name, radix, _ordered(expression, chosen))
    )
    return Plan(plan.split, tuple(rotations))


def _ordered(expression: TensorExpression, names: list[str]) -> tuple[str, ...]:
    return tuple(o.name for o in expression.operands if o.name in names)


def _draw_idle(expression: TensorExpression, plan: Plan, rng: random.Random) -> dict[str, IdleCut]:
    """Random inputs as weights, each cut further along random axes, or not at all."""
    share = rng.choice([0.0, 0.4, 0.8])
    return {
        operand.name: _draw_cut(expression, plan, operand, rng)
        for operand in expression.inputs
        if rng.random() < share
    }


def _draw_cut(
    expression: TensorExpression, plan: Plan, operand: Operand, rng: random.Random
) -> IdleCut:
    """Idle t is a multiple of active t, prod(idle t) divides P, idle t[a] <= S[a]."""
    blocks = dict(zip(expression.axis_index, block_lengths(expression, plan), strict=True))
    left = replicas(expression, plan, operand)
    factors = []
    for axis in operand.axes:
        most = blocks[axis] // temporal_factor(plan, operand, axis)
        able = [f for f in range(1, most + 1) if left % f == 0]
        if expression.axes[expression.axis_index[axis]].splittable and rng.random() < 0.7:
            factor = rng.choice(able)
            left //= factor
            if factor > 1:
                factors.append((axis, factor))
    return IdleCut(math.prod(f for _, f in factors), tuple(factors), 0, 0.0)


# Running


def expected(drawn: Drawn, data: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the expression computes, point by point of its iteration space."""
    expression = drawn.expression
    inputs = [data[operand.name] for operand in expression.inputs]
    shape = tuple(dim.size for dim in expression.output.dims)
    with np.errstate(all="ignore"):
        value = graph_numpy.compute(expression, inputs, shape)
    return value.astype(drawn.element_types[expression.output.name])


def inference_data(case: Case, base: int) -> list[dict[str, np.ndarray]]:
    """Values of all inputs in consecutive inferences; weights stay."""
    first = case.drawn.data(base)
    later = [case.drawn.data(base + number) for number in range(1, INFERENCES)]
    kept = {name: first[name] for name in case.idle}
    return [first, *({**values, **kept} for values in later)]


def run_program(
    case: Case, program: Program, data: list[dict[str, np.ndarray]]
) -> list[np.ndarray]:
    """The outputs of consecutive inferences on one machine."""
    machine = Machine(program, {name: data[0][name] for name in case.idle})
    return [
        machine.run({n: v for n, v in values.items() if n not in case.idle})[OUTPUT]
        for values in data
    ]


def equal(got: np.ndarray, want: np.ndarray) -> bool:
    """Integers exactly, floats of 64 bits but for the order of summation."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    if got.dtype.kind != "f":
        return bool(np.array_equal(got, want))
    return bool(np.allclose(got, want, rtol=1e-9, atol=1e-11, equal_nan=True))


def mismatch(case: Case) -> str:
    """What is wrong with the case's program: rejected, or other numbers; empty if nothing is."""
    program = case.program()
    check_program(program)
    if load_program(dump_program(program), "program") != program:
        return "the program file reads as another program"
    data = inference_data(case, case.seed)
    for number, (got, values) in enumerate(
        zip(run_program(case, program, data), data, strict=True)
    ):
        want = expected(case.drawn, values)
        if not equal(got, want):
            wrong = int(np.sum(~np.isclose(got, want, rtol=1e-9, atol=1e-11)))
            return f"{wrong} of {want.size} elements differ in inference {number}"
    return ""
