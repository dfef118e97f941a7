"""A model under compute-shift and under a baseline, side by side, both simulated.

Operators are paired by name. What only one scheme has, the links of a chain that stand for a
row-wise operator, counts with the operator after it, which has the name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from t10c import __version__
from t10c.baselines.program import lower_vgm
from t10c.baselines.result import VgmPlan
from t10c.json_schema import ABOUT, Schema, document_schema
from t10c.program.check import check_program
from t10c.schedule.result import DoesNotFit
from t10c.serialise import encode
from t10c.simulate.result import OperatorTiming, PlannedCycles, Simulation, total_breakdown
from t10c.simulate.walk import Advance, simulate_program

SCHEMA = "t10c.comparison"
VERSION = 1

_HEAD: dict[str, Schema] = {
    "schema": {"const": SCHEMA},
    "version": {"const": VERSION},
    "generator": {"type": "string"},
}


def simulate_vgm(plan: VgmPlan, advance: Advance = lambda: None) -> Simulation:
    """The simulation of a plan for a virtual global memory, its planned cycles beside."""
    program = lower_vgm(plan)
    check_program(program)
    found = simulate_program(program, plan.spec, advance)
    planned = {
        o.name: PlannedCycles(o.tiling.cycles, o.tiling.exchange_cycles) for o in plan.operators
    }
    planned |= {copy.name: PlannedCycles(copy.cycles, copy.cycles) for copy in plan.copies}
    return found.beside(planned, None)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one scheme takes for an operator or a model; simulated."""

    latency_cycles: float = field(metadata={ABOUT: "how long it takes"})
    compute_cycles: float = field(metadata={ABOUT: "of that, the average core's kernels"})
    transfer_share: float = field(
        metadata={ABOUT: "share of it in which data move between cores, with syncs"}
    )
    achieved_bytes_per_second: float = field(
        metadata={ABOUT: "what the average core receives while data move, with syncs"}
    )
    peak_core_bytes: int = field(metadata={ABOUT: "most memory in use on a core meanwhile"})


@dataclass(frozen=True, slots=True)
class ComparedOperator:
    """An operator or copy under both schemes; one of them may have none, where it is a view."""

    name: str = field(metadata={ABOUT: "name of the operator"})
    op_type: str = field(metadata={ABOUT: "ONNX operator that it stands for"})
    kernel: str = field(metadata={ABOUT: "kernel family; `copy` if nothing is computed"})
    compute_shift: Figures = field(metadata={ABOUT: "under the plan of t10c"})
    baseline: Figures = field(metadata={ABOUT: "under the baseline"})


@dataclass(frozen=True, slots=True)
class ComparedBatch:
    """The model at one batch size; figures are null where it does not fit.

    `misfits` say who does not fit then, and why.
    """

    batch: int | None = field(metadata={ABOUT: "the batch; null if the model has one of its own"})
    compute_shift: Figures | None = field(metadata={ABOUT: "the whole model under t10c's plan"})
    baseline: Figures | None = field(metadata={ABOUT: "the whole model under the baseline"})
    speedup: float | None = field(metadata={ABOUT: "latency under the baseline by that of t10c"})
    misfits: tuple[str, ...] = field(metadata={ABOUT: "why a scheme does not fit"})
    operators: tuple[ComparedOperator, ...] = field(
        metadata={ABOUT: "every operator and copy, in execution order, if both fit"}
    )


@dataclass(frozen=True, slots=True)
class LargestBatch:
    """The largest batches that fit, of those up to `searched`; 0 if not even one sample does."""

    searched: int = field(metadata={ABOUT: "no larger batch was tried"})
    compute_shift: int = field(metadata={ABOUT: "with t10c's plans"})
    baseline: int = field(metadata={ABOUT: "under the baseline"})


@dataclass(frozen=True)
class SideBySide:
    """A model on a chip under compute-shift and a baseline."""

    model: str = field(metadata={ABOUT: "name of the model"})
    hardware: str = field(metadata={ABOUT: "name of the chip"})
    hardware_overrides: tuple[str, ...] = field(
        metadata={ABOUT: "every `--hw-set KEY=VALUE` that changed the chip"}
    )
    core_count: int = field(metadata={ABOUT: "cores of all chips"})
    core_bytes: int = field(metadata={ABOUT: "memory of a core that plans may use"})
    clock_hz: float = field(metadata={ABOUT: "clock of the cores"})
    baseline: str = field(metadata={ABOUT: "name of the baseline"})
    batches: tuple[ComparedBatch, ...] = field(metadata={ABOUT: "one entry per batch size"})
    largest_batch: LargestBatch | None = field(metadata={ABOUT: "null if it was not searched"})


def compared_batch(
    batch: int | None, ours: Simulation | DoesNotFit, baseline: Simulation | DoesNotFit
) -> ComparedBatch:
    """One batch size under both schemes; either may not fit."""
    mine = figures_of(ours) if isinstance(ours, Simulation) else None
    theirs = figures_of(baseline) if isinstance(baseline, Simulation) else None
    operators: tuple[ComparedOperator, ...] = ()
    if isinstance(ours, Simulation) and isinstance(baseline, Simulation):
        operators = _operators(ours, baseline)
    known = mine is not None and theirs is not None and mine.latency_cycles > 0
    misfits = [
        _misfit_text(who, found)
        for who, found in (("t10c", ours), ("the baseline", baseline))
        if isinstance(found, DoesNotFit)
    ]
    speedup = theirs.latency_cycles / mine.latency_cycles if known and mine and theirs else None
    return ComparedBatch(batch, mine, theirs, speedup, tuple(misfits), operators)


def _misfit_text(who: str, found: DoesNotFit) -> str:
    return (
        f"{who}: {found.operator.strip('()')} needs {found.demanded_bytes:,} bytes per core of"
        f" {found.available_bytes:,}"
    )


def figures_of(simulation: Simulation) -> Figures:
    """The totals of a simulation."""
    return Figures(
        simulation.latency_cycles,
        simulation.breakdown.compute,
        simulation.transfer_share,
        simulation.achieved_bytes_per_second,
        simulation.peak_core_bytes,
    )


# Operators


def _operators(ours: Simulation, baseline: Simulation) -> tuple[ComparedOperator, ...]:
    """Sections of both, paired by name, in the order in which t10c runs them."""
    names = {o.name for o in ours.operators} & {o.name for o in baseline.operators}
    mine, theirs = _grouped(ours.operators, names), _grouped(baseline.operators, names)
    found = []
    for name, group in mine.items():
        last = group[-1]
        found.append(
            ComparedOperator(
                name,
                last.op_type,
                _kernel(group, theirs.get(name, ())),
                _figures(group, ours),
                _figures(theirs.get(name, ()), baseline),
            )
        )
    return tuple(found)


def _kernel(mine: Sequence[OperatorTiming], theirs: Sequence[OperatorTiming]) -> str:
    """The kernel of the operator; that of a whole row-wise operator, where one scheme has it."""
    whole = [o.kernel for o in (mine[-1], *theirs[-1:]) if o.kernel == "rowwise"]
    return whole[0] if whole else mine[-1].kernel


def _grouped(
    operators: Sequence[OperatorTiming], names: set[str]
) -> dict[str, tuple[OperatorTiming, ...]]:
    """Sections by the next one that both have; what is behind the last of these stands alone."""
    found: dict[str, tuple[OperatorTiming, ...]] = {}
    waiting: list[OperatorTiming] = []
    for operator in operators:
        waiting.append(operator)
        if operator.name in names:
            found[operator.name] = tuple(waiting)
            waiting = []
    return found | {operator.name: (operator,) for operator in waiting}


def _figures(group: Sequence[OperatorTiming], simulation: Simulation) -> Figures:
    parts = total_breakdown(operator.breakdown for operator in group)
    moving = parts.transfer + parts.sync
    moved = sum(operator.moved_bytes for operator in group) / simulation.spec.core_count
    return Figures(
        parts.total,
        parts.compute,
        moving / parts.total if parts.total else 0.0,
        moved / moving * simulation.spec.clock_hz if moving else 0.0,
        max((operator.peak_core_bytes for operator in group), default=0),
    )


# Batches, documents


def largest_fitting(fits: Callable[[int], bool], most: int) -> int:
    """The largest batch up to `most` that fits, by doubling and bisection; 0 if 1 does not.

    A batch is taken to fit if a larger one does.
    """
    good, bad = 0, most + 1
    while bad - good > 1:
        tried = min(2 * good or 1, most) if bad > most else (good + bad) // 2
        if fits(tried):
            good = tried
        else:
            bad = tried
    return good


def comparison_document(comparison: SideBySide) -> dict[str, Any]:
    """The comparison as JSON values; equal comparisons give equal documents."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "generator": f"t10c {__version__}",
    }
    body: dict[str, Any] = encode(comparison)
    return head | body


def comparison_schema() -> Schema:
    """A JSON Schema (2020-12) that every comparison obeys."""
    return document_schema(SideBySide, "t10c comparison", _HEAD, tuple(_HEAD))
