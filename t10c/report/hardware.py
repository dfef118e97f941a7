"""A resolved specification as rows of key, value with unit and source, for people to read."""

from dataclasses import dataclass

from t10c.hardware.spec import HardwareSpec

_RATES = ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1.0, "B/s"))
_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
_CLOCKS = ((1e9, "GHz"), (1e6, "MHz"), (1.0, "Hz"))


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a specification; `source` is empty for what is not a number."""

    key: str
    value: str
    source: str


def rows(spec: HardwareSpec) -> list[Row]:
    """Every key of the specification in the order of the reference (docs/hardware-spec.md)."""
    sources = dict(spec.sources)
    values = {**_chip_values(spec), **_kernel_values(spec)}
    return [Row(key, value, sources.get(key, "")) for key, value in values.items()]


def _chip_values(spec: HardwareSpec) -> dict[str, str]:
    link, chips = spec.interconnect, spec.chips
    values = {
        "name": spec.name,
        "description": spec.description,
        "clock": _scaled(spec.clock_hz, _CLOCKS),
        "element_type": spec.element_type,
        "accumulator_bytes": f"{spec.accumulator_bytes}B",
        "overlap_shift_compute": str(spec.overlap_shift_compute).lower(),
        "cores.count": str(spec.core_count),
    }
    if spec.core_grid is not None:
        values["cores.grid"] = f"{spec.core_grid[0]}x{spec.core_grid[1]}"
    efficiency = spec.clock_hz / (link.cycles_per_byte * link.link_bandwidth_bytes_per_second)
    values |= {
        "cores.sram": size_text(spec.sram_bytes),
        "cores.reserved": size_text(spec.reserved_bytes),
        "interconnect.kind": link.kind,
        "interconnect.link_bandwidth": _scaled(link.link_bandwidth_bytes_per_second, _RATES),
        "interconnect.efficiency": f"{efficiency:.6g} ({link.cycles_per_byte:.6g} cycles/B)",
        "interconnect.hop_latency": f"{link.hop_latency_cycles:.10g}cycles",
        "interconnect.sync": f"{link.sync_cycles:.10g}cycles",
        "chips.count": str(chips.count),
    }
    if chips.link_bandwidth_bytes_per_second is not None:
        values["chips.link_bandwidth"] = _scaled(chips.link_bandwidth_bytes_per_second, _RATES)
    values["chips.communication_factor"] = f"{chips.communication_factor:.10g}"
    if spec.offchip is not None:
        values["offchip.bandwidth"] = _scaled(spec.offchip.bandwidth_bytes_per_second, _RATES)
        if spec.offchip.capacity_bytes is not None:
            values["offchip.capacity"] = size_text(spec.offchip.capacity_bytes)
    values["shift_buffer.policy"] = spec.shift_buffer.policy
    values["shift_buffer.size"] = size_text(spec.shift_buffer.size_bytes)
    return values


def _kernel_values(spec: HardwareSpec) -> dict[str, str]:
    values: dict[str, str] = {}
    for family, model in spec.kernels:
        values[f"kernels.{family}.form"] = model.form
        for name, coefficient in model.coefficients:
            values[f"kernels.{family}.coefficients.{name}"] = f"{coefficient:.10g}"
        if model.confidence_mape is not None:
            values[f"kernels.{family}.confidence_mape"] = f"{model.confidence_mape:.10g}"
    return values


def size_text(size_bytes: int) -> str:
    """The size in the largest binary unit that divides it, else in bytes."""
    for scale, unit in _SIZES:
        if size_bytes % scale == 0 and size_bytes >= scale:
            return f"{size_bytes // scale}{unit}"
    return f"{size_bytes}B"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    scale, unit = next(((s, u) for s, u in units if value >= s), units[-1])
    return f"{value / scale:.10g}{unit}"
