"""The front of a model: latency against memory per core, for whoever sizes a chip."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from t10c import __version__
from t10c.hardware.document import spec_hash
from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.json_schema import ABOUT, Schema, document_schema
from t10c.schedule.assemble import assemble
from t10c.schedule.assignment import Assignment
from t10c.schedule.joint import Joint, Status, Watcher
from t10c.schedule.least import LeastMemory, chosen_within, fitting, least_memory, with_memory
from t10c.schedule.model import improved
from t10c.schedule.options import DEFAULT_SCHEDULE, ScheduleOptions
from t10c.schedule.prepare import Searcher, prepare
from t10c.schedule.result import DoesNotFit, JointRecord, ModelPlan
from t10c.schedule.rowwise import FrontSearcher
from t10c.schedule.setting import Setting
from t10c.serialise import encode

SCHEMA = "t10c.front"
VERSION = 1
DEFAULT_POINTS = 12

_HEAD: dict[str, Schema] = {
    "schema": {"const": SCHEMA},
    "version": {"const": VERSION},
    "generator": {"type": "string"},
}


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A schedule on the front; latencies are those of the cost model."""

    sram_bytes: int = field(metadata={ABOUT: "memory of a core that it was planned with"})
    peak_core_bytes: int = field(metadata={ABOUT: "most memory in use on a core at any time"})
    latency_cycles: float = field(metadata={ABOUT: "predicted cycles of one inference"})
    latency_ms: float = field(metadata={ABOUT: "the same in milliseconds, at the clock"})
    lower_bound_cycles: float = field(
        metadata={ABOUT: "no schedule in so much memory can be faster by the cost model"}
    )
    gap: float = field(metadata={ABOUT: "share of the latency above the bound"})
    joint: JointRecord | None = field(
        metadata={ABOUT: "how its joint choice ended; null if plans were chosen step by step"}
    )


@dataclass(frozen=True)
class ModelFront:
    """Latency against memory per core: no point has less of both than another."""

    model: str = field(metadata={ABOUT: "name of the model"})
    hardware: str = field(metadata={ABOUT: "name of the chip"})
    hardware_hash: str = field(metadata={ABOUT: "sha256 of the resolved specification"})
    hardware_overrides: tuple[str, ...] = field(
        metadata={ABOUT: "every `--hw-set KEY=VALUE` that changed the chip"}
    )
    core_count: int = field(metadata={ABOUT: "cores of all chips"})
    sram_bytes: int = field(metadata={ABOUT: "memory of a core of the chip"})
    reserved_bytes: int = field(metadata={ABOUT: "of that, what plans may not use"})
    clock_hz: float = field(metadata={ABOUT: "clock of the cores"})
    least_bytes: int = field(
        metadata={ABOUT: "no schedule of these operators has a lower peak per core"}
    )
    planned_points: int = field(metadata={ABOUT: "sizes of memory that were planned with"})
    truncated: bool = field(
        metadata={ABOUT: "whether more time could have brought more points or faster ones"}
    )
    points: tuple[FrontPoint, ...] = field(metadata={ABOUT: "the front, least memory first"})


@dataclass(frozen=True)
class _Point:
    """One size of memory: the chip with it, and the best so far."""

    spec: HardwareSpec
    chosen: Assignment
    joint: Joint | None = None


def memory_front(
    graph: Graph,
    spec: HardwareSpec,
    options: ScheduleOptions = DEFAULT_SCHEDULE,
    points: int = DEFAULT_POINTS,
    searcher: Searcher | None = None,
    overrides: tuple[str, ...] = (),
    fronts: FrontSearcher | None = None,
    watch: Watcher | None = None,
) -> ModelFront | DoesNotFit:
    """The front from the least memory for which plans are found to that of the chip.

    Plans are chosen for `points` sizes, the whole memory and a geometric grid from what plans take
    of it down to the least, by the same searches of operators, made once with the whole memory.
    With a time limit they are chosen together, and each size has an even share of the time that is
    left. `watch` is asked once there is a first point, after every further one, and as by
    `schedule_model`; once it says why to stop, points found so far are the answer.
    """
    end = time.monotonic() + (options.time_limit_seconds or 0.0)
    setting = prepare(graph, spec, options, searcher, fronts)
    if isinstance(setting, DoesNotFit):
        return setting
    whole = chosen_within(setting, spec)
    if isinstance(whole, DoesNotFit):
        return whole
    asked = _Asked(watch)
    found, least = _points(setting, spec, whole, points, asked)
    if options.joint and setting.sequence.steps and not asked.why:
        found = list(_improved(setting, found, asked, end))
    plans = [_plan(setting, point, options, overrides) for point in found]
    cut = any(plan.joint is not None and plan.joint.truncated for plan in plans)
    return ModelFront(
        model=graph.name,
        hardware=spec.name,
        hardware_hash=spec_hash(spec),
        hardware_overrides=overrides,
        core_count=spec.core_count,
        sram_bytes=spec.sram_bytes,
        reserved_bytes=spec.reserved_bytes,
        clock_hz=spec.clock_hz,
        least_bytes=least.bound_bytes,
        planned_points=len(plans),
        truncated=cut or bool(asked.why),
        points=tuple(_front(plans)),
    )


def front_document(front: ModelFront) -> dict[str, Any]:
    """A front as JSON values."""
    generator = f"t10c {__version__}"
    return {"schema": SCHEMA, "version": VERSION, "generator": generator, **encode(front)}


def front_schema() -> Schema:
    """The JSON Schema of documents of fronts."""
    return document_schema(ModelFront, "t10c front of a model", _HEAD, list(_HEAD))


class _Asked:
    """A watcher that is asked by many: once it has said why to stop, it is asked no more."""

    def __init__(self, watch: Watcher | None) -> None:
        self._watch = watch
        self.why = ""

    def __call__(self, status: Status) -> str:
        if not self.why and self._watch is not None:
            self.why = self._watch(status)
        return self.why

    def stop(self, cycles: float) -> bool:
        """Whether to plan no further points."""
        return bool(self(Status(0, cycles, 0.0)))


def _points(
    setting: Setting, spec: HardwareSpec, whole: Assignment, points: int, asked: _Asked
) -> tuple[list[_Point], LeastMemory]:
    """Plans for at most `points` sizes, the whole memory first, until told to stop."""
    found = [_Point(spec, whole)]
    least = LeastMemory(whole.memory.most, 0)
    if asked.stop(whole.cycles) or not setting.sequence.steps:
        return found, least
    least = least_memory(setting, spec)
    for size in _grid(least.peak_bytes, whole.memory.most, points):
        if asked.stop(found[-1].chosen.cycles):
            break
        room = with_memory(spec, size)
        chosen = chosen_within(setting, room)
        if not isinstance(chosen, DoesNotFit):
            found.append(_Point(room, chosen))
    return found, least


def _grid(least_bytes: int, most_bytes: int, points: int) -> list[int]:
    """At most `points` - 1 sizes below the largest, in geometric steps down to the least."""
    sizes = np.geomspace(most_bytes, max(least_bytes, 1), points)[1:-1]
    inner = [int(size) for size in sizes if least_bytes < int(size) < most_bytes]
    last = [least_bytes] if least_bytes < most_bytes and points > 1 else []
    return list(dict.fromkeys(inner + last))


def _improved(
    setting: Setting, points: list[_Point], asked: _Asked, end: float
) -> Iterator[_Point]:
    """Every point after its joint choice, each with an even share of the time that is left."""
    for number, point in enumerate(points):
        now = time.monotonic()
        share = now + max(0.0, end - now) / (len(points) - number)
        within = fitting(setting, point.spec)
        joint = improved(within, point.spec, point.chosen, asked, share)
        yield replace(point, chosen=joint.assignment or point.chosen, joint=joint)


def _plan(
    setting: Setting, point: _Point, options: ScheduleOptions, overrides: tuple[str, ...]
) -> ModelPlan:
    own = setting if point.joint is None else point.joint.setting
    return assemble(own, point.spec, options, point.chosen, overrides, point.joint)


def _front(plans: list[ModelPlan]) -> list[FrontPoint]:
    """The points that no other undercuts in memory and latency, least memory first.

    A bound holds for less memory too.
    """
    bounds = np.maximum.accumulate([plan.lower_bound_cycles for plan in plans])
    found = []
    fastest = np.inf
    order = sorted(
        range(len(plans)), key=lambda i: (plans[i].peak_core_bytes, plans[i].latency_cycles)
    )
    for number in order:
        plan = plans[number]
        latency = plan.latency_cycles
        if latency >= fastest:
            continue
        fastest = latency
        bound = min(float(bounds[number]), latency)
        found.append(
            FrontPoint(
                sram_bytes=plan.spec.sram_bytes,
                peak_core_bytes=plan.peak_core_bytes,
                latency_cycles=latency,
                latency_ms=plan.latency_seconds * 1e3,
                lower_bound_cycles=bound,
                gap=(latency - bound) / latency if latency else 0.0,
                joint=plan.joint,
            )
        )
    return found
