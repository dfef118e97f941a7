"""Plans behind a simulation: the front of every problem, and the rTensors of what was chosen."""

from collections import defaultdict
from typing import Any

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.report.explain import RTENSOR_HEADER, rtensor_rows
from t10c.report.expression import expression_text
from t10c.report.front import rotations_text, split_text
from t10c.report.html.rings import ring_picture
from t10c.report.html.texts import Table, compact, longest, shown
from t10c.schedule.result import ModelPlan, OperatorPlan, ProblemRecord
from t10c.search.evaluate import end_cycles
from t10c.simulate.result import Simulation

MOST_PICTURES = 200
"""Distinct plans of which the cores are drawn: those that take longest."""

MOST_FRONT_PLANS = 20_000
"""Plans on fronts that a page holds: fronts of the operators that take longest."""

_EXPRESSION_TEXT = 400


def plans_document(simulation: Simulation, plan: ModelPlan) -> dict[str, Any]:
    """Problems with their fronts, distinct chosen plans, and which one every section runs.

    `chosen` has a number into `plans` per section, null for sections that are no planned operator.
    """
    plans = Table()
    owners: dict[str, int] = {}
    first: dict[int, OperatorPlan] = {}
    for operator in plan.operators:
        number = plans.number((operator.problem, operator.plan))
        owners[operator.name] = number
        first.setdefault(number, operator)
    chosen = [owners.get(operator.name) for operator in simulation.operators]
    cycles: dict[int, float] = defaultdict(float)
    searched: dict[int, float] = defaultdict(float)
    for owner, timing in zip(chosen, simulation.operators, strict=True):
        if owner is not None:
            cycles[owner] += timing.cycles
            searched[first[owner].problem] += timing.cycles
    drawn = longest(cycles, [1] * len(first), MOST_PICTURES)
    shown_fronts = longest(searched, [len(p.front) for p in plan.problems], MOST_FRONT_PLANS)
    return {
        "chosen": chosen,
        "problems": [
            _problem(problem, number in shown_fronts)
            for number, problem in enumerate(plan.problems)
        ],
        "rtensor_header": list(RTENSOR_HEADER),
        "plans": [
            _chosen(plan, operator, picture=number in drawn) for number, operator in first.items()
        ],
        "without_picture": len(first) - len(drawn),
    }


def _problem(problem: ProblemRecord, front: bool) -> dict[str, Any]:
    """A front by rising memory: bytes per core, cycles, split, rotations; null if left out."""
    expression = problem.expression
    return {
        "text": shown(expression_text(expression), _EXPRESSION_TEXT),
        "axes": " ".join(f"{axis.name}={axis.length}" for axis in expression.axes),
        "operators": problem.operators,
        "front": [
            [
                entry.memory_bytes,
                compact(entry.cycles),
                split_text(expression, entry.plan),
                rotations_text(entry.plan),
            ]
            for entry in problem.front
        ]
        if front
        else None,
    }


def _chosen(plan: ModelPlan, operator: OperatorPlan, picture: bool) -> dict[str, Any]:
    """One chosen plan in the coordinates of its problem's front, its rTensors and its rings."""
    problem = plan.problems[operator.problem]
    expression = problem.expression
    on_front = [entry.plan for entry in problem.front]
    return {
        "problem": operator.problem,
        "at": [
            sum(operator.piece_bytes) + operator.memory_bytes.shift_buffer,
            compact(_uniform_cycles(plan.spec, problem, operator)),
            split_text(expression, operator.plan),
            rotations_text(operator.plan),
        ],
        "front": on_front.index(operator.plan) if operator.plan in on_front else None,
        "rtensors": [[shown(cell) for cell in row] for row in rtensor_rows(operator)],
        **({"rings": ring_picture(expression, operator.plan)} if picture else {}),
    }


def _uniform_cycles(spec: HardwareSpec, problem: ProblemRecord, operator: OperatorPlan) -> float:
    """Cycles as the front counts them: with the uniform transition, and without setup."""
    cost = operator.cost_cycles
    output = np.array(operator.piece_bytes[-1], dtype=np.int64)
    end = float(end_cycles(spec, problem.expression, output))
    return cost.compute + cost.epilogue + cost.shift + cost.reduction + end
