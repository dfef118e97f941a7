"""Simulation reports: the figures of a simulation as one JSON document, and back.

What a report is compared by later, by people, scripts and `t10c diff`: totals and one entry per
section, without the single phases. Keys end in their units; shares and counts have none.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from t10c import __version__
from t10c.errors import InvalidInputError
from t10c.hardware.document import spec_hash
from t10c.json_schema import ABOUT, Schema, document_schema
from t10c.serialise import decode, encode, own_document
from t10c.simulate.result import Breakdown, Effects, OperatorTiming, Simulation

SCHEMA = "t10c.simulation"
VERSION = 1

_HEAD: dict[str, Schema] = {
    "schema": {"const": SCHEMA},
    "version": {"const": VERSION},
    "generator": {"type": "string"},
}
_WRITE_ONE = "write one with: t10c simulate PLAN --format json -o REPORT.json"


@dataclass(frozen=True, slots=True)
class OperatorReport:
    """One section of the program: a planned operator, or a copy."""

    name: str = field(metadata={ABOUT: "name of the section, unique in the program"})
    op_type: str = field(metadata={ABOUT: "ONNX operator that it stands for"})
    kernel: str = field(metadata={ABOUT: "kernel family; `copy` if nothing is computed"})
    core_count: int = field(metadata={ABOUT: "cores that take part"})
    begin_cycles: float = field(metadata={ABOUT: "when it begins"})
    latency_cycles: float = field(metadata={ABOUT: "how long it takes"})
    breakdown_cycles: Breakdown = field(metadata={ABOUT: "where that goes; sums to it"})
    effects_cycles: Effects = field(metadata={ABOUT: "of that, what full tiles alone do not cost"})
    cost_model_cycles: float | None = field(metadata={ABOUT: "what the plan says; null if unknown"})
    peak_core_bytes: int = field(metadata={ABOUT: "most memory in use on a core meanwhile"})
    moved_bytes: int = field(metadata={ABOUT: "what all cores receive from others, together"})
    flop: float = field(metadata={ABOUT: "arithmetic operations of its kernel, on all cores"})


@dataclass(frozen=True)
class SimulationReport:
    """The simulated latency of one inference on a chip, and where time and memory go.

    Cycles are those of the chip's clock, bytes those of one core unless all cores are meant.
    """

    model: str = field(metadata={ABOUT: "name of the model"})
    hardware: str = field(metadata={ABOUT: "name of the chip"})
    hardware_hash: str = field(metadata={ABOUT: "sha256 of the resolved specification"})
    hardware_overrides: tuple[str, ...] = field(
        metadata={ABOUT: "every `--hw-set KEY=VALUE` that changed the chip"}
    )
    chip_count: int = field(metadata={ABOUT: "chips of the system"})
    core_count: int = field(metadata={ABOUT: "cores of all chips"})
    core_bytes: int = field(metadata={ABOUT: "memory of a core that plans may use"})
    clock_hz: float = field(metadata={ABOUT: "clock of the cores"})
    latency_cycles: float = field(
        metadata={ABOUT: "from the first exchange to the end of the last section"}
    )
    latency_ms: float = field(metadata={ABOUT: "the same in milliseconds, at the clock"})
    breakdown_cycles: Breakdown = field(metadata={ABOUT: "where the latency goes; sums to it"})
    effects_cycles: Effects = field(
        metadata={ABOUT: "of the latency, what full and undisturbed tiles alone do not cost"}
    )
    cost_model_cycles: float | None = field(
        metadata={ABOUT: "what the plan's cost model says; null if unknown"}
    )
    lower_bound_cycles: float | None = field(
        metadata={ABOUT: "no plan searched can be faster by the cost model; null if unknown"}
    )
    peak_core_bytes: int = field(metadata={ABOUT: "most memory in use on a core at any time"})
    peak_operator: str = field(metadata={ABOUT: "the section that sets it"})
    utilisation: float = field(
        metadata={ABOUT: "share of the latency in which the average core computes"}
    )
    transfer_share: float = field(
        metadata={ABOUT: "share of the latency in which data move between cores, with syncs"}
    )
    achieved_bytes_per_second: float = field(
        metadata={ABOUT: "what the average core receives while data move, with syncs"}
    )
    operators: tuple[OperatorReport, ...] = field(
        metadata={ABOUT: "the sections in the order in which they run"}
    )
    notes: tuple[str, ...] = field(metadata={ABOUT: "what one should know to judge the figures"})


def simulation_report(simulation: Simulation) -> SimulationReport:
    """The figures of a simulation."""
    spec = simulation.spec
    effects = sum((o.effects for o in simulation.operators), Effects())
    return SimulationReport(
        model=simulation.model,
        hardware=spec.name,
        hardware_hash=spec_hash(spec),
        hardware_overrides=simulation.overrides,
        chip_count=spec.chips.count,
        core_count=spec.core_count,
        core_bytes=spec.usable_bytes,
        clock_hz=spec.clock_hz,
        latency_cycles=simulation.latency_cycles,
        latency_ms=simulation.latency_seconds * 1e3,
        breakdown_cycles=simulation.breakdown,
        effects_cycles=effects,
        cost_model_cycles=simulation.cost_model_cycles,
        lower_bound_cycles=simulation.lower_bound_cycles,
        peak_core_bytes=simulation.peak_core_bytes,
        peak_operator=simulation.peak_operator,
        utilisation=simulation.utilisation,
        transfer_share=simulation.transfer_share,
        achieved_bytes_per_second=simulation.achieved_bytes_per_second,
        operators=tuple(map(_operator_report, simulation.operators)),
        notes=(*simulation.notes, *spec.remarks),
    )


def _operator_report(operator: OperatorTiming) -> OperatorReport:
    return OperatorReport(
        name=operator.name,
        op_type=operator.op_type,
        kernel=operator.kernel,
        core_count=operator.core_count,
        begin_cycles=operator.begin_cycles,
        latency_cycles=operator.cycles,
        breakdown_cycles=operator.breakdown,
        effects_cycles=operator.effects,
        cost_model_cycles=operator.cost_model_cycles,
        peak_core_bytes=operator.peak_core_bytes,
        moved_bytes=operator.moved_bytes,
        flop=operator.flop,
    )


def simulation_document(report: SimulationReport) -> dict[str, Any]:
    """The report as JSON values; equal reports give equal documents."""
    body = encode(report)
    return {"schema": SCHEMA, "version": VERSION, "generator": f"t10c {__version__}", **body}


def load_simulation(data: bytes, place: str) -> SimulationReport:
    """The report of a JSON document's bytes; `place` names it in errors (InvalidInputError)."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{place}: not a simulation report: {str(error)[:120]}\n{_WRITE_ONE}"
        ) from error
    try:
        return _from_document(document)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error


def _from_document(document: object) -> SimulationReport:
    known = own_document(document, SCHEMA, VERSION, _WRITE_ONE, "simulate the plan again")
    body = {key: value for key, value in known.items() if key not in _HEAD}
    report = decode(SimulationReport, body, "simulation")
    for name, total, parts in (
        ("", report.latency_cycles, report.breakdown_cycles),
        *((f"{o.name}: ", o.latency_cycles, o.breakdown_cycles) for o in report.operators),
    ):
        if not math.isclose(total, parts.total, rel_tol=1e-9, abs_tol=1e-6):
            raise InvalidInputError(
                f"{name[:80]}breakdown_cycles sums to {parts.total:g}, latency_cycles is {total:g}:"
                " one of them was edited\nsimulate the plan again"
            )
    _check_derived(report)
    return report


def _check_derived(report: SimulationReport) -> None:
    """Refuse a report whose time and utilisation are not those of its cycles."""
    latency, clock = report.latency_cycles, report.clock_hz
    derived = {
        "latency_ms": latency / clock * 1e3 if clock > 0 else math.nan,
        "utilisation": report.breakdown_cycles.compute / latency if latency else 0.0,
    }
    for name, value in derived.items():
        found = getattr(report, name)
        if not math.isclose(found, value, rel_tol=1e-9, abs_tol=1e-12):
            raise InvalidInputError(
                f"{name} is {found:g}, latency_cycles, breakdown_cycles and clock_hz give"
                f" {value:g}: one of them was edited\nsimulate the plan again"
            )


def simulation_schema() -> Schema:
    """A JSON Schema (2020-12) that every simulation report obeys."""
    return document_schema(SimulationReport, "t10c simulation report", _HEAD, tuple(_HEAD))
