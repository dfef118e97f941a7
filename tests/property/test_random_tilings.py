"""Random tilings of every kind of expression under a virtual global memory, executed exactly.

Any split and any number of tiles per axis, loops in any order that keeps reductions inside.
"""

import math
import os
import random
from dataclasses import dataclass

import numpy as np
import pytest
from random_expressions import KINDS, Drawn, draw_expression
from random_plans import chip, draw_split, equal, expected

from t10c.baselines.program import lower_vgm
from t10c.baselines.result import VgmMemory, VgmOperatorPlan, VgmPlan
from t10c.baselines.search import Tiling
from t10c.execute.machine import Machine
from t10c.ir.program import Program
from t10c.lower.single import OUTPUT, operator_graph
from t10c.program.check import check_program
from t10c.simulate.walk import simulate_program

COUNT = int(os.environ.get("T10C_RANDOM_PLANS", "320"))
EACH = -(-COUNT // len(KINDS))
MOST_STEPS = 48


@dataclass(frozen=True)
class TilingCase:
    """A drawn expression with a tiling; `seed` names it."""

    seed: int
    drawn: Drawn
    plan: VgmPlan
    weights: frozenset[str]

    @property
    def tiling(self) -> Tiling:
        return self.plan.operators[0].tiling

    def __str__(self) -> str:
        lengths = self.drawn.expression.lengths
        tiling = f"split {self.tiling.split}, rounds {self.tiling.rounds}, {self.tiling.loops}"
        return f"seed {self.seed} ({self.drawn.kind}): {lengths}, {tiling}\n{self.drawn.expression}"


def draw_tiling(seed: int) -> TilingCase:
    rng = random.Random(seed)
    drawn = draw_expression(KINDS[seed % len(KINDS)], rng)
    weights = frozenset(o.name for o in drawn.expression.inputs if rng.random() < 0.4)
    graph = operator_graph(drawn.expression, drawn.element_types, weights)
    expression = graph.planned[0].expression
    split = draw_split(expression, rng)
    rounds = [1] * len(split)
    for index in rng.sample(range(len(split)), len(split)):
        block = -(-expression.lengths[index] // split[index])
        if expression.axes[index].splittable and rng.random() < 0.6:
            most = min(block, MOST_STEPS // math.prod(rounds))
            # as many tiles as their length makes: none of them is empty
            rounds[index] = -(-block // -(-block // rng.randint(1, most)))
    loops = [index for index, n in enumerate(rounds) if n > 1]
    rng.shuffle(loops)
    output = set(expression.output.axes)
    loops.sort(key=lambda index: expression.axes[index].name not in output)
    tiling = Tiling(split, tuple(rounds), tuple(loops), (), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    operator = VgmOperatorPlan("operator", 0, tiling, VgmMemory(0, 0, 0))
    spec = chip(math.prod(split) + rng.choice([0, 0, 1, 5]), "fixed")
    plan = VgmPlan(graph, spec, (operator,), (), (expression,), 0, 0)
    return TilingCase(seed, drawn, plan, weights)


def mismatch(case: TilingCase, program: Program) -> str:
    """What is wrong with two inferences of a program, empty if nothing is."""
    first, second = (case.drawn.data(case.seed + number) for number in range(2))
    kept = {name: first[name] for name in case.weights}
    machine = Machine(program, kept)
    for number, values in enumerate((first, {**second, **kept})):
        fed = {name: value for name, value in values.items() if name not in kept}
        got, want = machine.run(fed)[OUTPUT], expected(case.drawn, values)
        if not equal(got, want):
            return f"inference {number}: {np.sum(got != want)} of {want.size} elements differ"
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_random_tilings_compute_what_the_expression_says(kind):
    for number in range(EACH):
        case = draw_tiling(KINDS.index(kind) + number * len(KINDS))
        program = lower_vgm(case.plan)
        check_program(program)
        assert mismatch(case, program) == "", str(case)
        timing = simulate_program(program, case.plan.spec)
        assert timing.latency_cycles == pytest.approx(timing.breakdown.total)


def test_what_is_drawn_covers_the_space():
    cases = [draw_tiling(seed) for seed in range(400)]
    assert {len(case.tiling.loops) for case in cases} >= {0, 1, 2, 3}
    mixed = 0
    for case in cases:
        axes = case.plan.problems[0].axes
        mixed += len({axes[index].reduction for index in case.tiling.loops}) == 2
    assert mixed >= 20
