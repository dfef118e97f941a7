"""A resolved specification written down again as entries, so that overrides can be laid over it."""

from collections.abc import Iterator

from t10c.hardware.reader import Entry, FlatSpec
from t10c.hardware.schema import ELEMENT_BYTES, key_at
from t10c.hardware.spec import HardwareSpec


def written_spec(spec: HardwareSpec, place: str) -> FlatSpec:
    """Entries that resolve to `spec` again, but for its notes and the last bits of what is derived.

    Durations are in cycles and rates in bytes per second. `place` names the entries in errors.
    """
    entries = {path: Entry(text, place) for path, text in _texts(spec)}
    known = dict(spec.sources)
    sources = {p: known.get(p, place) for p in entries if p in known or _needs_source(p)}
    return FlatSpec(entries, sources, ())


def _needs_source(path: str) -> bool:
    key = key_at(path)
    return key is not None and key.numeric


def _texts(spec: HardwareSpec) -> Iterator[tuple[str, str]]:
    link = spec.interconnect
    efficiency = spec.clock_hz / (link.cycles_per_byte * link.link_bandwidth_bytes_per_second)
    yield from (
        ("name", spec.name),
        ("description", spec.description),
        ("clock", f"{spec.clock_hz!r}Hz"),
        ("element_type", spec.element_type),
        ("overlap_shift_compute", str(spec.overlap_shift_compute).lower()),
        ("cores.sram", f"{spec.sram_bytes}B"),
        ("cores.reserved", f"{spec.reserved_bytes}B"),
        ("interconnect.kind", link.kind),
        ("interconnect.link_bandwidth", f"{link.link_bandwidth_bytes_per_second!r}B/s"),
        ("interconnect.efficiency", repr(min(1.0, efficiency))),
        ("interconnect.hop_latency", f"{link.hop_latency_cycles!r}cycles"),
        ("interconnect.sync", f"{link.sync_cycles!r}cycles"),
        ("shift_buffer.policy", spec.shift_buffer.policy),
        ("shift_buffer.size", f"{spec.shift_buffer.size_bytes}B"),
    )
    if spec.accumulator_bytes != spec.element_bytes:
        sizes = {size: name for name, size in ELEMENT_BYTES.items()}
        yield "accumulator_type", sizes[spec.accumulator_bytes]
    if spec.core_grid is None:
        yield "cores.count", str(spec.core_count)
    else:
        yield "cores.grid", "x".join(map(str, spec.core_grid))
    yield from _other_chips(spec)
    for family, model in spec.kernels:
        yield f"kernels.{family}.form", model.form
        for name, coefficient in model.coefficients:
            yield f"kernels.{family}.coefficients.{name}", repr(coefficient)
        if model.confidence_mape is not None:
            yield f"kernels.{family}.confidence_mape", repr(model.confidence_mape)


def _other_chips(spec: HardwareSpec) -> Iterator[tuple[str, str]]:
    """What leads out of a chip: to the others, and to off-chip memory."""
    chips = spec.chips
    yield "chips.count", str(chips.count)
    yield "chips.communication_factor", repr(chips.communication_factor)
    if chips.link_bandwidth_bytes_per_second is not None:
        yield "chips.link_bandwidth", f"{chips.link_bandwidth_bytes_per_second!r}B/s"
    if spec.offchip is not None:
        yield "offchip.bandwidth", f"{spec.offchip.bandwidth_bytes_per_second!r}B/s"
        if spec.offchip.capacity_bytes is not None:
            yield "offchip.capacity", f"{spec.offchip.capacity_bytes}B"
