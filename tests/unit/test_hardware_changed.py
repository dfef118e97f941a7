"""Overrides on a resolved specification: as on its file, and nothing else changes."""

from dataclasses import replace

import pytest

from t10c.errors import InvalidSpecError, UsageError
from t10c.hardware.document import from_document, to_document
from t10c.hardware.load import changed_spec, load_spec, preset_names
from t10c.hardware.spec import HardwareSpec

CHANGES = [
    "cores.sram=1MiB",
    "interconnect.hop_latency=3cycles",
    "interconnect.sync=7cycles",
    "interconnect.link_bandwidth=7GB/s",
    "shift_buffer.policy=double",
    "overlap_shift_compute=true",
    "kernels.pointwise.coefficients.fixed=9",
    "chips.communication_factor=2",
    "element_type=float32",
]


def without_notes(spec: HardwareSpec) -> HardwareSpec:
    return replace(spec, notes=())


@pytest.mark.parametrize("preset", preset_names())
def test_a_change_of_a_resolved_chip_is_that_of_its_file(preset: str) -> None:
    base = from_document(to_document(load_spec(preset)))
    assert changed_spec(base, ()) is base
    tried = 0
    for change in CHANGES:
        try:
            wanted = load_spec(preset, [change])
        except InvalidSpecError:  # a coefficient that this chip's form does not have
            with pytest.raises(InvalidSpecError):
                changed_spec(base, [change])
            continue
        tried += 1
        found = changed_spec(base, [change])
        assert found.notes == (*base.notes, f"overridden: {change}")
        assert found.interconnect.cycles_per_byte == pytest.approx(
            wanted.interconnect.cycles_per_byte, rel=1e-12
        )
        network = replace(found.interconnect, cycles_per_byte=wanted.interconnect.cycles_per_byte)
        assert without_notes(replace(found, interconnect=network)) == without_notes(wanted)
        if "link_bandwidth" not in change:
            assert found.interconnect.cycles_per_byte == base.interconnect.cycles_per_byte
    assert tried >= len(CHANGES) - 1


def test_a_faster_clock_leaves_cycles_and_rates() -> None:
    base = load_spec("wse2")
    faster = changed_spec(base, ["clock=2.2GHz"])
    assert faster.clock_hz == 2 * base.clock_hz
    network, before = faster.interconnect, base.interconnect
    assert network.sync_cycles == before.sync_cycles
    assert network.link_bandwidth_bytes_per_second == before.link_bandwidth_bytes_per_second
    assert network.cycles_per_byte == pytest.approx(2 * before.cycles_per_byte)


def test_a_wider_accumulator_stays() -> None:
    base = load_spec("ipu-mk2", ["accumulator_type=float32"])
    assert changed_spec(base, ["cores.sram=1MiB"]).accumulator_bytes == 4


def test_changes_that_are_none() -> None:
    base = load_spec("ipu-mk2")
    with pytest.raises(InvalidSpecError, match=r"--hw-set cores\.srma: unknown key; did you mean"):
        changed_spec(base, ["cores.srma=1MiB"])
    with pytest.raises(InvalidSpecError, match=r"--hw-set interconnect\.kind: .*mesh2d, torus2d"):
        changed_spec(base, ["interconnect.kind=ring"])
    with pytest.raises(InvalidSpecError, match=r"mesh2d needs cores\.grid"):
        changed_spec(base, ["interconnect.kind=mesh2d"])
    with pytest.raises(UsageError, match="KEY=VALUE"):
        changed_spec(base, ["cores.sram"])


def test_the_cost_of_a_move_stays_to_the_last_bit() -> None:
    base = load_spec("ipu-mk2")
    for number in range(50):
        network = replace(base.interconnect, cycles_per_byte=0.3 + number / 7)
        changed = changed_spec(replace(base, interconnect=network), ["cores.sram=1MiB"])
        assert changed.interconnect == network
