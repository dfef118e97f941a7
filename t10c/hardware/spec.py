"""The resolved hardware specification: frozen values in base units (bytes, cycles, hertz)."""

from dataclasses import dataclass
from typing import Literal

OVERRIDDEN = "overridden: "
"""How a note begins that lists what was overridden."""

Topology = Literal["all-to-all", "mesh2d", "torus2d"]
BufferPolicy = Literal["fixed", "double"]
CostForm = Literal["roofline", "tiled", "fit"]


@dataclass(frozen=True, slots=True)
class Interconnect:
    """On-chip network. `cycles_per_byte` prices a move at one core's port."""

    kind: Topology
    link_bandwidth_bytes_per_second: float
    cycles_per_byte: float
    hop_latency_cycles: float
    sync_cycles: float


@dataclass(frozen=True, slots=True)
class Chips:
    """Chips of the system. `communication_factor` >= 1 scales all communication when several."""

    count: int
    link_bandwidth_bytes_per_second: float | None
    communication_factor: float


@dataclass(frozen=True, slots=True)
class Offchip:
    """Off-chip memory of the whole system."""

    bandwidth_bytes_per_second: float
    capacity_bytes: int | None


@dataclass(frozen=True, slots=True)
class ShiftBuffer:
    """`fixed`: `size_bytes` reserved once, shifts go in rounds; `double`: rotating pieces twice."""

    policy: BufferPolicy
    size_bytes: int

    @property
    def reserved_bytes(self) -> int:
        """Bytes per core that are kept for shifts at all times."""
        return self.size_bytes if self.policy == "fixed" else 0


@dataclass(frozen=True, slots=True)
class KernelModel:
    """Cost model of one kernel family: a named form and its coefficients, with their source.

    `confidence_mape` is the cross-validated error of a fit in percent, None where unknown.
    """

    form: CostForm
    coefficients: tuple[tuple[str, float], ...]
    source: str
    confidence_mape: float | None = None

    def coefficient(self, name: str) -> float:
        """The coefficient called `name`; KeyError if the form does not have it."""
        return dict(self.coefficients)[name]


@dataclass(frozen=True)
class HardwareSpec:
    """A chip (or several) as the cost models see it; all cores alike, `core_count` over all chips.

    `sources` maps dotted key paths of the file to where the number comes from. `notes` are for the
    report: what is estimated or priced simply.
    """

    name: str
    description: str
    clock_hz: float
    element_type: str
    element_bytes: int
    accumulator_bytes: int
    core_count: int
    core_grid: tuple[int, int] | None
    sram_bytes: int
    reserved_bytes: int
    interconnect: Interconnect
    chips: Chips
    offchip: Offchip | None
    shift_buffer: ShiftBuffer
    overlap_shift_compute: bool
    kernels: tuple[tuple[str, KernelModel], ...]
    sources: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def usable_bytes(self) -> int:
        """SRAM per core that plans may use, shift buffer included."""
        return self.sram_bytes - self.reserved_bytes

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes without those that list overrides, which reports show beside the name."""
        return tuple(note for note in self.notes if not note.startswith(OVERRIDDEN))

    def has_kernel(self, family: str) -> bool:
        """Whether there is a cost model of a kernel family."""
        return family in dict(self.kernels)

    def kernel(self, family: str) -> KernelModel:
        """The cost model of a kernel family; KeyError if the specification has none."""
        return dict(self.kernels)[family]
