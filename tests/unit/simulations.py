"""Simulations written by hand, for what reports and gates make of them."""

from dataclasses import replace

import t10c
from t10c.simulate.result import (
    Breakdown,
    Effects,
    MemoryPoint,
    OperatorTiming,
    Part,
    Phase,
    Simulation,
)

CORES = 64


def chip() -> t10c.HardwareSpec:
    return t10c.load_spec("ipu-mk2", [f"cores.count={CORES}"])


def phase(part: Part, begin: float, end: float, count: int = 1, **parts: float) -> Phase:
    """A phase whose breakdown is `parts`, else all of it is of `part`."""
    spent = Breakdown(**(parts or {part: end - begin}))
    return Phase(part, f"{part} of something", count, begin, end, spent, Effects())


def operator(
    name: str, begin: float, *phases: Phase, effects: Effects | None = None, **more: object
) -> OperatorTiming:
    """A section of some phases, all of whose time is theirs."""
    parts = sum((p.breakdown for p in phases), Breakdown())
    timing = OperatorTiming(
        name=name,
        op_type="MatMul",
        kernel="matmul",
        core_count=CORES,
        begin_cycles=begin,
        breakdown=parts,
        effects=Effects() if effects is None else effects,
        phases=phases,
        peak_core_bytes=2048,
        moved_bytes=6400,
        flop=1e6,
    )
    return replace(timing, **more)


def simulation(**more: object) -> Simulation:
    """Two operators: one computes and shifts in turn, one reduces; 1,000 cycles in all."""
    first = operator(
        "/layers.0/MatMul",
        0.0,
        phase("transition", 0.0, 60.0, transition=40.0, sync=20.0),
        phase("setup", 60.0, 100.0),
        phase("compute", 100.0, 550.0, 3, compute=300.0, idle=50.0),
        phase("shift", 200.0, 450.0, 2, shift=80.0, sync=20.0),
        phase("shift", 250.0, 500.0, 2, shift=40.0, sync=10.0),
        effects=Effects(short_blocks=-20.0, transfer_rounds=10.0),
        cost_model_cycles=610.0,
    )
    second = operator(
        "/layers.1/MatMul",
        600.0,
        phase("compute", 600.0, 800.0),
        phase("reduction", 800.0, 1000.0, reduction=150.0, sync=50.0),
        effects=Effects(contention=30.0),
        cost_model_cycles=370.0,
        peak_core_bytes=4096,
        kernel="conv",
        op_type="Conv",
    )
    points = ((0.0, 1024), (100.0, 2048), (600.0, 4096), (900.0, 512))
    made = Simulation(
        model="two layers",
        spec=chip(),
        operators=(first, second),
        memory=tuple(MemoryPoint(begin, size) for begin, size in points),
        lower_bound_cycles=800.0,
    )
    return replace(made, **more)
