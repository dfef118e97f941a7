"""A simulation as a trace that ui.perfetto.dev and chrome://tracing load.

The format is the JSON object form of Chrome's trace events: `M` events name a process and its
threads, `X` events are slices with a begin `ts` and a length `dur` in microseconds, `C` events are
counters. Viewers place slices of a thread by nesting, and drop those that overlap; hence phases
that interleave within a loop stand in threads of their own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from t10c import __version__
from t10c.simulate.result import Breakdown, MemoryPoint, OperatorTiming, Part, Phase, Simulation

Event = dict[str, Any]
Item = TypeVar("Item")

MOST_OPERATORS = 5_000
MOST_PHASES = 20_000
MOST_POINTS = 10_000
"""What a trace has at most of each, so that viewers stay quick."""

_PROCESS = 1
_SLACK_NANOSECONDS = 1
"""Slices that overlap by no more follow each other: that is rounding."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Something that lasts: viewers know nanoseconds, and cut off what is finer."""

    name: str
    category: str
    begin_nanoseconds: int
    end_nanoseconds: int
    args: Event


@dataclass(frozen=True, slots=True)
class Thread:
    """A row of the viewer: slices in order, none of which overlap."""

    name: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """Cycles as whole nanoseconds."""

    hz: float

    def nanoseconds(self, cycles: float) -> int:
        """The nearest nanosecond."""
        return round(cycles / self.hz * 1e9)

    def slice(self, name: str, category: str, begin: float, end: float, args: Event) -> Slice:
        """A slice between two times in cycles."""
        return Slice(name, category, self.nanoseconds(begin), self.nanoseconds(end), args)


def perfetto_trace(simulation: Simulation) -> Event:
    """The trace as JSON values: threads for sections, their parts and phases, and a counter.

    Of very large models only the longest sections and phases, and a coarser counter; `otherData`
    says how many were left out.
    """
    clock = Clock(simulation.spec.clock_hz)
    operators = _longest(simulation.operators, MOST_OPERATORS, lambda o: o.cycles)
    phases = [phase for operator in operators for phase in _lasting(operator)]
    shown = _longest(phases, MOST_PHASES, lambda p: p.end_cycles - p.begin_cycles)
    points = _thinned(simulation.memory, MOST_POINTS)
    threads = [
        _thread("operators", (_operator_slice(operator, clock) for operator in operators)),
        _thread("parts, summed", (s for o in operators for s in _part_slices(o, clock))),
        *_phase_threads(shown, clock),
    ]
    all_phases = sum(len(_lasting(operator)) for operator in simulation.operators)
    return {
        "displayTimeUnit": "ns",
        "otherData": {
            "generator": f"t10c {__version__}",
            "model": simulation.model,
            "hardware": simulation.spec.name,
            "hardware_overrides": ", ".join(simulation.overrides),
            "latency_cycles": simulation.latency_cycles,
            "clock_hz": simulation.spec.clock_hz,
            "operators_left_out": len(simulation.operators) - len(operators),
            "phases_left_out": all_phases - len(shown),
            "memory_points_left_out": len(simulation.memory) - len(points),
        },
        "traceEvents": [
            _metadata("process_name", 0, {"name": f"{simulation.model} on {simulation.spec.name}"}),
            *(e for number, t in enumerate(threads, start=1) for e in _thread_events(number, t)),
            *_memory_events(points, simulation.latency_cycles, clock),
        ],
    }


def _lasting(operator: OperatorTiming) -> list[Phase]:
    """The phases that take any time."""
    return [phase for phase in operator.phases if phase.end_cycles > phase.begin_cycles]


def _longest(items: Sequence[Item], most: int, length: Callable[[Item], float]) -> list[Item]:
    """At most so many, the longest, in their order."""
    if len(items) <= most:
        return list(items)
    ranked = sorted(range(len(items)), key=lambda n: (-length(items[n]), n))[:most]
    return [items[n] for n in sorted(ranked)]


def _thinned(points: Sequence[MemoryPoint], most: int) -> list[MemoryPoint]:
    """At most so many points: of each run of them the highest, so that peaks stay."""
    run = max(1, math.ceil(len(points) / most))
    runs = [points[n : n + run] for n in range(0, len(points), run)]
    return [max(items, key=lambda point: point.core_bytes) for items in runs]


# Threads


def _thread(name: str, slices: Iterable[Slice]) -> Thread:
    """A thread of slices in order: each ends at the latest where the next one begins."""
    found = list(slices)
    begins = [s.begin_nanoseconds for s in found[1:]]
    clipped = [
        replace(s, end_nanoseconds=max(s.begin_nanoseconds, min(s.end_nanoseconds, begin)))
        for s, begin in zip(found, begins, strict=False)
    ]
    return Thread(name, (*clipped, *found[-1:]))


def _phase_threads(phases: Iterable[Phase], clock: Clock) -> Iterator[Thread]:
    """Phases by part; those of a part that overlap in time are in different lanes of it."""
    lanes: dict[Part, list[list[Slice]]] = {part: [] for part in Breakdown().as_dict()}
    for phase in sorted(phases, key=lambda p: (p.begin_cycles, -p.end_cycles)):
        made = _phase_slice(phase, clock)
        latest = made.begin_nanoseconds + _SLACK_NANOSECONDS
        own = lanes[phase.part]
        free = next((lane for lane in own if lane[-1].end_nanoseconds <= latest), None)
        if free is None:
            own.append([made])
        else:
            free.append(made)
    for part, own in lanes.items():
        for number, lane in enumerate(own):
            yield _thread(f"{part} phases{f' {number + 1}' if number else ''}", lane)


def _operator_slice(operator: OperatorTiming, clock: Clock) -> Slice:
    arguments: Event = {
        "op_type": operator.op_type,
        "kernel": operator.kernel,
        "core_count": operator.core_count,
        "cycles": operator.cycles,
        "cost_model_cycles": operator.cost_model_cycles,
        "peak_core_bytes": operator.peak_core_bytes,
        "moved_bytes": operator.moved_bytes,
        **_spent(operator.breakdown),
    }
    known = {name: value for name, value in arguments.items() if value is not None}
    kind = operator.kernel or "copy"
    return clock.slice(operator.name, kind, operator.begin_cycles, operator.end_cycles, known)


def _part_slices(operator: OperatorTiming, clock: Clock) -> Iterator[Slice]:
    """The parts of a section, each in one piece: how long they take in all, not when."""
    begin = operator.begin_cycles
    for part, cycles in operator.breakdown.as_dict().items():
        if cycles > 0:
            share = cycles / operator.cycles
            arguments = {"operator": operator.name, "cycles": cycles, "share": share}
            yield clock.slice(part, part, begin, begin + cycles, arguments)
            begin += cycles


def _phase_slice(phase: Phase, clock: Clock) -> Slice:
    arguments = {
        "rounds": phase.count,
        "cycles": phase.breakdown.total,
        "received_bytes": phase.received_bytes,
        "sent_bytes": phase.sent_bytes,
        "moved_bytes": phase.moved_bytes,
        "hops": phase.hops,
        **_spent(phase.breakdown),
    }
    return clock.slice(phase.text, phase.part, phase.begin_cycles, phase.end_cycles, arguments)


def _spent(breakdown: Breakdown) -> dict[str, float]:
    parts = breakdown.as_dict().items()
    return {f"{part}_cycles": cycles for part, cycles in parts if cycles}


# Events


def _thread_events(number: int, thread: Thread) -> Iterator[Event]:
    """The name of a thread, its place in the viewer, and its slices."""
    yield _metadata("thread_name", number, {"name": thread.name})
    yield _metadata("thread_sort_index", number, {"sort_index": number})
    for found in thread.slices:
        yield {
            "name": found.name,
            "cat": found.category,
            "ph": "X",
            "pid": _PROCESS,
            "tid": number,
            "ts": _microseconds(found.begin_nanoseconds),
            "dur": _microseconds(found.end_nanoseconds - found.begin_nanoseconds),
            "args": found.args,
        }


def _metadata(kind: str, thread: int, args: Event) -> Event:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": thread, "args": args}


def _memory_events(
    points: Sequence[MemoryPoint], latency_cycles: float, clock: Clock
) -> list[Event]:
    """The counter; one more point at the end, where viewers would stop drawing it."""
    ends = [MemoryPoint(latency_cycles, points[-1].core_bytes)] if points else []
    return [
        {
            "name": "memory per core",
            "ph": "C",
            "pid": _PROCESS,
            "tid": 0,
            "ts": _microseconds(clock.nanoseconds(point.begin_cycles)),
            "args": {"bytes": point.core_bytes},
        }
        for point in (*points, *ends)
    ]


def _microseconds(nanoseconds: int) -> float:
    """Microseconds that viewers take for these nanoseconds: they multiply by 1,000 and cut."""
    value = nanoseconds / 1000
    while int(value * 1000) < nanoseconds:
        value = math.nextafter(value, math.inf)
    return value
