"""Points of one chip, planned together in whatever process: what they share is searched once."""

import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from t10c.errors import T10cError
from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.problem import Problem
from t10c.schedule.result import DoesNotFit
from t10c.sweep.result import PointResult, misfit_result, planned_result
from t10c.timing import simulate_plan


@dataclass(frozen=True)
class PointTask:
    """Models to plan on one chip: their titles, their packed graphs, and options of each."""

    titles: tuple[str, ...]
    graphs: tuple[bytes, ...]
    options: tuple[ScheduleOptions, ...]
    spec: HardwareSpec
    simulate: bool


def pack(graph: Graph) -> bytes:
    """A graph as bytes for other processes of this t10c; never for files."""
    return zlib.compress(pickle.dumps(graph))


@lru_cache(maxsize=16)
def _unpacked(packed: bytes) -> Graph:
    graph = pickle.loads(zlib.decompress(packed))
    assert isinstance(graph, Graph)
    return graph


def plan_points(task: PointTask) -> tuple[PointResult, ...]:
    """The figures of every model of the task; an exception that is a bug says of which point."""
    known: dict[Problem, Choices] = {}
    results = []
    for title, packed, options in zip(task.titles, task.graphs, task.options, strict=True):
        search = _searcher(task.spec, options, known)
        try:
            plan = schedule_model(_unpacked(packed), task.spec, options, search)
            if isinstance(plan, DoesNotFit):
                results.append(misfit_result(plan))
            else:
                simulation = simulate_plan(plan) if task.simulate else None
                results.append(planned_result(plan, simulation))
        except T10cError as error:
            results.append(PointResult("refused", " ".join(str(error).split())))
        except Exception as error:
            error.add_note(f"while planning {title}")
            raise
    return tuple(results)


def _searcher(
    spec: HardwareSpec, options: ScheduleOptions, known: dict[Problem, Choices]
) -> Callable[[list[Problem]], list[Choices]]:
    """Searches what is not known yet on this chip."""
    uniform = options.transitions == "uniform"

    def search(problems: list[Problem]) -> list[Choices]:
        for problem in problems:
            if problem not in known:
                known[problem] = find_choices(problem, spec, options.search, uniform)
        return [known[problem] for problem in problems]

    return search
