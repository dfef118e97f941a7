"""From a resolved model to a machine that runs it: planned and lowered for a small chip."""

from dataclasses import dataclass
from functools import lru_cache

import onnx

from t10c.errors import T10cError
from t10c.execute.machine import Machine
from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec
from t10c.ir.program import Program
from t10c.lower.model import lower_plan
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolved import ResolvedModel
from t10c.program.check import check_program
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.model import schedule_model
from t10c.schedule.problem import Problem
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.search.options import SearchOptions
from t10c.verify.model import LoadedModel
from t10c.verify.weights import fill_weights, graph_weights

PRESET = "ipu-mk2"
CORES = 16
"""The chip that models run on: few cores of a preset, since all are simulated."""


class DoesNotFitError(T10cError):
    """A model that does not fit the chip of the backend (exit 7)."""

    exit_code = 7


@dataclass(frozen=True)
class Prepared:
    """A model made ready for inputs of certain shapes, and values of the inputs that are `fixed`.

    The machine keeps the weights from one inference to the next.
    """

    plan: ModelPlan
    program: Program
    machine: Machine
    fixed: tuple[str, ...]


@lru_cache(maxsize=1)
def chip() -> HardwareSpec:
    """The chip that models run on."""
    return load_spec(PRESET, (f"cores.count={CORES}",))


def prepare(model: onnx.ModelProto, resolved: ResolvedModel, fixed: tuple[str, ...]) -> Prepared:
    """Plan, lower and check a model, and load its weights.

    `fixed` are the inputs that `resolved` has as constants. Raises DoesNotFitError.
    """
    plan = schedule_model(lower_model(resolved), chip(), searcher=_search)
    if isinstance(plan, DoesNotFit):
        raise DoesNotFitError(
            f"the model does not fit {CORES} cores of {PRESET}: operator '{plan.operator}'\n"
            "plan it for a larger chip: t10c compile"
        )
    program = lower_plan(plan)
    check_program(program)
    loaded = LoadedModel(model, None, "model", resolved, plan.graph)
    weights = graph_weights(loaded, fill_weights(loaded))
    return Prepared(plan, program, Machine(program, weights), fixed)


def _search(problems: list[Problem]) -> list[Choices]:
    return [_choices(problem) for problem in problems]


@lru_cache(maxsize=1024)
def _choices(problem: Problem) -> Choices:
    """Many models share operators; each is searched once."""
    return find_choices(problem, chip(), SearchOptions(), uniform=False)
