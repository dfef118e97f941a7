"""Latency of a plan by simulation: lower, check, simulate, and set beside what the plan says."""

from dataclasses import replace

from t10c.hardware.spec import HardwareSpec
from t10c.ir.program import Program
from t10c.lower.model import lower_plan
from t10c.program.check import check_program
from t10c.schedule.result import ModelPlan
from t10c.simulate.result import PlannedCycles, Simulation
from t10c.simulate.walk import Advance, simulate_program

_ON_ANOTHER_CHIP = "cost model and lower bound are for the chip that the plan was made for"


def simulate_plan(
    plan: ModelPlan,
    spec: HardwareSpec | None = None,
    program: Program | None = None,
    advance: Advance = lambda: None,
) -> Simulation:
    """The simulation of a plan's program, on its own chip or on `spec`, if that is given.

    On its own chip the plan's costs and bound stand beside; elsewhere they would say nothing. A
    chip with the same figures is the plan's own, wherever they come from.
    `program` is the plan's, if it has been lowered and checked already.

    Raises DoesNotFitError if the chip lacks cores or memory for the program, InvalidInputError if
    its grid lacks the places where the program puts cores.
    """
    if program is None:
        program = lower_plan(plan)
        check_program(program)
    if spec is not None and _figures(spec) != _figures(plan.spec):
        found = simulate_program(program, spec, advance)
        return replace(found, notes=(*found.notes, _ON_ANOTHER_CHIP))
    found = simulate_program(program, plan.spec, advance)
    costs = {operator.name: operator.cost_cycles for operator in plan.operators}
    planned = {
        name: PlannedCycles(cost.total, cost.transition, cost.setup) for name, cost in costs.items()
    }
    planned |= {copy.name: PlannedCycles(copy.cycles, copy.cycles) for copy in plan.copies}
    return replace(found, overrides=plan.overrides).beside(planned, plan.lower_bound_cycles)


def _figures(spec: HardwareSpec) -> HardwareSpec:
    """The specification without where its numbers come from."""
    kernels = tuple((name, replace(model, source="")) for name, model in spec.kernels)
    return replace(spec, kernels=kernels, sources=(), notes=())
