"""The whole-model schedule: search every distinct operator, choose plans, price the result."""

import time
from dataclasses import replace

from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.schedule.assemble import assemble
from t10c.schedule.assignment import Assignment
from t10c.schedule.joint import Joint, Status, Watcher, improve
from t10c.schedule.least import LeastMemory, chosen_within, fitting, least_memory, with_memory
from t10c.schedule.options import DEFAULT_SCHEDULE, ScheduleOptions
from t10c.schedule.positions import model_positions
from t10c.schedule.prepare import Searcher, prepare
from t10c.schedule.result import DoesNotFit, JointRecord, ModelPlan
from t10c.schedule.rowwise import FrontSearcher
from t10c.schedule.setting import Setting


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
    setting = prepare(graph, spec, options, searcher, fronts)
    if isinstance(setting, DoesNotFit):
        return setting
    least: LeastMemory | None = None
    if options.objective == "memory" and setting.sequence.steps:
        least = least_memory(setting, spec)
    room = spec if least is None else with_memory(spec, least.peak_bytes)
    chosen = chosen_within(setting, room)
    joint: Joint | None = None
    if options.joint and setting.sequence.steps:
        best = None if isinstance(chosen, DoesNotFit) else chosen
        joint = improved(fitting(setting, room), room, best, watch, deadline)
        setting, chosen = joint.setting, joint.assignment or chosen
    if isinstance(chosen, DoesNotFit):
        return chosen
    if joint is None or not joint.record.truncated:
        options = replace(options, time_limit_seconds=None)
    # the bound is that of the memory in which the plans were chosen
    plan = replace(assemble(setting, room, options, chosen, overrides, joint), spec=spec)
    bound_bytes = None if least is None else least.bound_bytes
    return replace(plan, positions=model_positions(plan), least_bytes=bound_bytes)


def improved(
    setting: Setting,
    spec: HardwareSpec,
    best: Assignment | None,
    watch: Watcher | None,
    deadline: float,
) -> Joint:
    """The joint choice, unless `watch` says at once that there is no time for it.

    It ends when `watch` says so, or after a round that ends past `deadline` (monotonic clock).
    """
    why = watch(Status(0, None if best is None else best.cycles, 0.0)) if watch is not None else ""
    if why:
        return Joint(setting, best, 0.0, JointRecord(0, 0, why))

    def stopped(status: Status) -> str:
        said = watch(status) if watch is not None else ""
        return said or ("time" if time.monotonic() >= deadline else "")

    return improve(setting, spec, best, stopped)
