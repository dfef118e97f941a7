"""The whole-model schedule: search every distinct operator, choose plans, price the result."""

import time
from collections.abc import Callable
from dataclasses import replace

from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.schedule.assemble import assemble
from t10c.schedule.assignment import choose, from_smallest
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.fit import (
    does_not_fit,
    outputs_too_large,
    too_many_weights,
    unplaceable_operator,
)
from t10c.schedule.joint import Joint, Status, Watcher, improve
from t10c.schedule.options import DEFAULT_SCHEDULE, ScheduleOptions
from t10c.schedule.positions import model_positions
from t10c.schedule.problem import Problem
from t10c.schedule.result import DoesNotFit, JointRecord, ModelPlan
from t10c.schedule.rowwise import FrontSearcher, split_rowwise
from t10c.schedule.setting import Setting
from t10c.schedule.smallest import smallest_assignment
from t10c.schedule.steps import build_sequence
from t10c.schedule.transition import TransitionPricer

Searcher = Callable[[list[Problem]], list[Choices]]
"""Searches distinct problems, in order; the caller decides where (processes, progress)."""


def schedule_model(
    graph: Graph,
    spec: HardwareSpec,
    options: ScheduleOptions = DEFAULT_SCHEDULE,
    searcher: Searcher | None = None,
    overrides: tuple[str, ...] = (),
    fronts: FrontSearcher | None = None,
    watch: Watcher | None = None,
) -> ModelPlan | DoesNotFit:
    """Choose plans for all operators within every core's memory (docs/planning.md).

    `searcher` and `fronts` search, by default here and in turn; `overrides` are recorded in the
    plan. Deterministic: the same input gives the same plan, as long as a time limit is not reached.
    `watch` is asked before a search under a time limit (round 0) and after every round of it, and
    may end it. A limit that did not end the search has decided nothing, and is not recorded.
    """
    deadline = time.monotonic() + (options.time_limit_seconds or 0.0)
    chained = split_rowwise(graph, spec, options.search, fronts)
    sequence = build_sequence(chained, options.persistent)
    problem_of: dict[Problem, int] = {}
    for step in sequence.steps:
        problem_of.setdefault(step.problem, len(problem_of))
    early = too_many_weights(sequence, spec)
    if early is not None:
        return early
    uniform = options.transitions == "uniform"
    if searcher is None:
        choices = [
            find_choices(p, spec, options.search, uniform, options.joint) for p in problem_of
        ]
    else:
        choices = searcher(list(problem_of))
    choice_of = tuple(problem_of[step.problem] for step in sequence.steps)
    for step in sequence.steps:
        if not choices[choice_of[step.index]].plans:
            return unplaceable_operator(sequence, step, choices[choice_of[step.index]], spec)
    setting = Setting(
        sequence,
        tuple(choices),
        choice_of,
        TransitionPricer(sequence, tuple(choices), choice_of, spec),
        not uniform,
    )
    chosen = choose(setting, spec)
    if chosen is None and not sequence.steps:
        return outputs_too_large(sequence, spec)
    if chosen is None:
        smallest = smallest_assignment(setting, spec)
        if smallest.memory.most > spec.usable_bytes:
            return does_not_fit(setting, spec, smallest)
        chosen = from_smallest(setting, smallest, spec)
    joint: Joint | None = None
    if options.joint and sequence.steps:
        why = watch(Status(0, chosen.cycles, 0.0)) if watch is not None else ""
        if why:
            joint = Joint(setting, chosen, 0.0, JointRecord(0, 0, why))
        else:
            joint = improve(setting, spec, chosen, _limited(watch, deadline))
        setting = joint.setting
        chosen = joint.assignment or chosen
    if joint is None or not joint.record.truncated:
        options = replace(options, time_limit_seconds=None)
    plan = assemble(setting, spec, options, chosen, overrides, joint)
    return replace(plan, positions=model_positions(plan))


def _limited(watch: Watcher | None, deadline: float) -> Watcher:
    """`watch`, and `time` once the deadline on the monotonic clock has passed."""

    def stopped(status: Status) -> str:
        why = watch(status) if watch is not None else ""
        return why or ("time" if time.monotonic() >= deadline else "")

    return stopped
