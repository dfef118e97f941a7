"""Tables of sweeps made by hand, for what shows them."""

import itertools
from dataclasses import fields
from pathlib import Path

import t10c
from t10c.sweep.document import Axis, Chip, ModelEntry, SweepFile, SweepOptions, ZooModel
from t10c.sweep.grid import Point
from t10c.sweep.result import PlanFigures, PointResult, SimulatedFigures
from t10c.sweep.run import Sweep, SweepRow
from t10c.sweep.table import SweepTable, sweep_table

AXES = (
    Axis("cores", "cores.count", ("32", "64", "128")),
    Axis("sram", "cores.sram", ("16KiB", "64KiB", "256KiB", "1MiB")),
    Axis("link_bandwidth", "interconnect.link_bandwidth", ("5GB/s", "10GB/s")),
)


def made_table(
    models: tuple[str, ...] = ("one", "two"), axes: tuple[Axis, ...] = AXES, simulated: bool = False
) -> SweepTable:
    """Points that are faster with more of anything; those of 16 KiB do not fit."""
    entries = tuple(ModelEntry(name, ZooModel("nerf"), "") for name in models)
    options = SweepOptions(simulate=simulated)
    file = SweepFile(entries, (Chip("ipu-mk2", Path("ipu-mk2")),), axes, options)
    rows = []
    for number, name in enumerate(models):
        for places in itertools.product(*(range(len(axis.values)) for axis in axes)):
            values = tuple(a.values[place] for a, place in zip(axes, places, strict=True))
            changes = [f"{a.key}={v}" for a, v in zip(axes, values, strict=True)]
            spec = t10c.load_spec("ipu-mk2", changes)
            titles = tuple(axis.name for axis in axes)
            point = Point(number, name, "ipu-mk2", titles, values, spec)
            rows.append(SweepRow(point, made_result(1 + number, sum(places), values, simulated)))
    return sweep_table(Sweep(file, (), (), ()), rows)


def made_result(size: int, speed: int, values: tuple[str, ...], simulated: bool) -> PointResult:
    if "16KiB" in values:
        return PointResult("does_not_fit", "(all weights): <b>no plan</b> can fit", 20_000)
    figures = {item.name: 1000 * size // (1 + speed) for item in fields(PlanFigures)}
    figures |= {"latency_ms": size / (1 + speed), "gap": 0.25}
    beside = {item.name: 2.0 * size / (1 + speed) for item in fields(SimulatedFigures)}
    return PointResult(
        "fits",
        plan=PlanFigures(**figures),
        simulated=SimulatedFigures(**beside) if simulated else None,
    )
