"""From a graph to the setting of a choice: its steps, and what every one may choose from."""

from collections.abc import Callable

from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.fit import too_many_weights, unplaceable_operator
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.problem import Problem
from t10c.schedule.result import DoesNotFit
from t10c.schedule.rowwise import FrontSearcher, split_rowwise
from t10c.schedule.setting import Setting
from t10c.schedule.steps import build_sequence, with_readers
from t10c.schedule.transition import TransitionPricer

Searcher = Callable[[list[Problem]], list[Choices]]
"""Searches distinct problems, in order; the caller decides where (processes, progress)."""


def prepare(
    graph: Graph,
    spec: HardwareSpec,
    options: ScheduleOptions,
    searcher: Searcher | None = None,
    fronts: FrontSearcher | None = None,
) -> Setting | DoesNotFit:
    """Search every distinct operator of the graph, each with the whole memory of a core.

    `searcher` and `fronts` search, by default here and in turn.
    """
    chained = split_rowwise(graph, spec, options.search, fronts)
    sequence = build_sequence(chained, options.persistent)
    if options.joint:
        sequence = with_readers(sequence)
    # equal problems are one object
    problems = {id(step.problem): step.problem for step in sequence.steps}
    number_of = dict(zip(problems, range(len(problems)), strict=True))
    early = too_many_weights(sequence, spec)
    if early is not None:
        return early
    uniform = options.transitions == "uniform"
    if searcher is None:
        choices = [
            find_choices(p, spec, options.search, uniform, options.joint) for p in problems.values()
        ]
    else:
        choices = searcher(list(problems.values()))
    choice_of = tuple([number_of[id(step.problem)] for step in sequence.steps])
    for step, number in zip(sequence.steps, choice_of, strict=True):
        if not choices[number].plans:
            return unplaceable_operator(sequence, step, choices[number], spec)
    pricer = TransitionPricer(sequence, tuple(choices), choice_of, spec)
    return Setting(sequence, tuple(choices), choice_of, pricer, not uniform)
