"""The figures of one point of a sweep: of its plan, of its simulation, or why there are none."""

import math
from dataclasses import dataclass, field
from typing import Literal

from t10c.hardware.width import size_bytes
from t10c.json_schema import ABOUT
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.simulate.result import Simulation

Status = Literal["fits", "does_not_fit", "invalid_spec", "refused"]


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """What the cost model says of a plan, in cycles of the chip's clock."""

    latency_cycles: float = field(metadata={ABOUT: "one inference, as the cost model says"})
    latency_ms: float = field(metadata={ABOUT: "the same in milliseconds, at the clock"})
    compute_cycles: float = field(metadata={ABOUT: "of the latency: kernels and epilogues"})
    shift_cycles: float = field(metadata={ABOUT: "of the latency: pieces that rotate"})
    reduction_cycles: float = field(
        metadata={ABOUT: "of the latency: partial results brought together"}
    )
    transition_cycles: float = field(
        metadata={ABOUT: "of the latency: activations brought into place, copies"}
    )
    setup_cycles: float = field(metadata={ABOUT: "of the latency: pieces of idle weights gathered"})
    sync_cycles: float = field(metadata={ABOUT: "of the latency: closing syncs of operators"})
    fallback_cycles: float = field(
        metadata={ABOUT: "of the latency: operators that run on one core, with what they move"}
    )
    lower_bound_cycles: float = field(metadata={ABOUT: "no plan searched can be faster"})
    gap: float = field(metadata={ABOUT: "share of the latency above the lower bound"})
    uniform_cycles: float = field(
        metadata={ABOUT: "what the latency would be with uniform transitions"}
    )
    peak_core_bytes: int = field(metadata={ABOUT: "most memory in use on a core at any time"})
    weight_bytes: int = field(metadata={ABOUT: "all weights, once, on all cores together"})
    operator_count: int = field(metadata={ABOUT: "operators that are planned"})
    distinct_operator_count: int = field(metadata={ABOUT: "distinct ones, each searched once"})


@dataclass(frozen=True, slots=True)
class SimulatedFigures:
    """What the simulator says of a plan, in cycles of the chip's clock."""

    latency_cycles: float = field(metadata={ABOUT: "one inference, as the simulator says"})
    latency_ms: float = field(metadata={ABOUT: "the same in milliseconds, at the clock"})
    compute_cycles: float = field(metadata={ABOUT: "of it: what the average core computes"})
    shift_cycles: float = field(metadata={ABOUT: "of it: pieces that rotate"})
    sync_cycles: float = field(metadata={ABOUT: "of it: synchronisations of all cores"})
    reduction_cycles: float = field(metadata={ABOUT: "of it: partial results brought together"})
    transition_cycles: float = field(
        metadata={ABOUT: "of it: activations brought into place, copies"}
    )
    setup_cycles: float = field(metadata={ABOUT: "of it: pieces of idle weights gathered"})
    offchip_cycles: float = field(metadata={ABOUT: "of it: off-chip memory"})
    idle_cycles: float = field(
        metadata={ABOUT: "of it: what the average core waits for the slowest"}
    )
    peak_core_bytes: int = field(metadata={ABOUT: "most memory in use on a core at any time"})
    utilisation: float = field(metadata={ABOUT: "share of it that the average core computes"})
    transfer_share: float = field(metadata={ABOUT: "share of it in which data move, with syncs"})


@dataclass(frozen=True, slots=True)
class PointResult:
    """What a point is worth; `plan` only if it fits, `simulated` only if that is asked for.

    `demanded_bytes` are those of one core, of a model that does not fit.
    """

    status: Status
    reason: str = ""
    demanded_bytes: int | None = None
    plan: PlanFigures | None = None
    simulated: SimulatedFigures | None = None


def misfit_result(misfit: DoesNotFit) -> PointResult:
    """Why a model does not fit, in one line."""
    proof = "no plan can fit" if misfit.proven else "no plan was found"
    terms = ", ".join(f"{name} {size}" for name, size in misfit.terms if size)
    reason = f"{misfit.operator}: {proof}; bytes per core: {terms}"
    return PointResult("does_not_fit", reason, misfit.demanded_bytes)


def planned_result(plan: ModelPlan, simulation: Simulation | None = None) -> PointResult:
    """The figures of a plan, and of its simulation, if there is one."""
    cycles = plan.breakdown_cycles()
    weights = [t for t in plan.graph.tensors if t.kind == "weight"]
    figures = PlanFigures(
        latency_cycles=plan.latency_cycles,
        latency_ms=plan.latency_seconds * 1e3,
        compute_cycles=cycles["compute"],
        shift_cycles=cycles["shift"],
        reduction_cycles=cycles["reduction"],
        transition_cycles=cycles["transition"],
        setup_cycles=cycles["setup"],
        sync_cycles=cycles["sync"],
        fallback_cycles=plan.fallback_cycles(),
        lower_bound_cycles=plan.lower_bound_cycles,
        gap=plan.gap,
        uniform_cycles=plan.uniform_cycles,
        peak_core_bytes=plan.peak_core_bytes,
        weight_bytes=sum(size_bytes(plan.spec, math.prod(t.shape), t.bits) for t in weights),
        operator_count=len(plan.operators),
        distinct_operator_count=len(plan.problems),
    )
    simulated = None if simulation is None else _simulated(simulation)
    return PointResult("fits", plan=figures, simulated=simulated)


def _simulated(simulation: Simulation) -> SimulatedFigures:
    parts = simulation.breakdown
    return SimulatedFigures(
        latency_cycles=simulation.latency_cycles,
        latency_ms=simulation.latency_seconds * 1e3,
        compute_cycles=parts.compute,
        shift_cycles=parts.shift,
        sync_cycles=parts.sync,
        reduction_cycles=parts.reduction,
        transition_cycles=parts.transition,
        setup_cycles=parts.setup,
        offchip_cycles=parts.offchip,
        idle_cycles=parts.idle,
        peak_core_bytes=simulation.peak_core_bytes,
        utilisation=simulation.utilisation,
        transfer_share=simulation.transfer_share,
    )
