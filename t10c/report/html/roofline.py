"""The roofs of a chip: what its kernels reach at best, and what its links can feed them.

Work is counted as the simulation counts it: additions and multiplications of products, one
operation for each point and step of other kernels.
"""

from typing import Any

from t10c.hardware.kernels import (
    communication_factor,
    conv_cycles,
    gather_cycles,
    matmul_cycles,
    pointwise_cycles,
    pool_cycles,
    reduce_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.report.html.texts import compact
from t10c.simulate.result import Simulation

_LARGE = 4096
"""Length of a tile along every axis of a product: fixed costs no longer count."""


def roofline_document(simulation: Simulation) -> dict[str, Any]:
    """Peaks per kernel family in FLOP per cycle, and the bytes per cycle that all cores receive."""
    spec = simulation.spec
    kernels = sorted({operator.kernel for operator in simulation.operators})
    peaks = {kernel: peak_flop_per_cycle(spec, kernel) for kernel in kernels}
    return {
        "peaks": {kernel: compact(peak, 3) for kernel, peak in peaks.items() if peak},
        "link": compact(link_bytes_per_cycle(spec), 3),
    }


def link_bytes_per_cycle(spec: HardwareSpec) -> float:
    """Bytes that all cores receive per cycle at most, each through its own port."""
    return spec.core_count / (spec.interconnect.cycles_per_byte * communication_factor(spec))


def peak_flop_per_cycle(spec: HardwareSpec, kernel: str) -> float | None:
    """What all cores compute per cycle with a kernel on a large tile; None if it has no rate.

    Rows and other chains are taken for one scalar function on each element.
    """
    elements = _LARGE**2
    match kernel:
        case "matmul":
            cycles, flop = matmul_cycles(spec, 1, _LARGE, _LARGE, _LARGE), 2 * _LARGE * elements
        case "conv":
            cycles = conv_cycles(spec, 1, _LARGE, _LARGE, _LARGE, 1)
            flop = 2 * _LARGE * elements
        case "pool":
            cycles, flop = pool_cycles(spec, _LARGE, _LARGE, 9), 9 * elements
        case "pointwise" | "rowwise":
            cycles, flop = pointwise_cycles(spec, elements, 1), elements
        case "reduce":
            cycles, flop = reduce_cycles(spec, _LARGE, _LARGE), elements
        case "gather":
            cycles, flop = gather_cycles(spec, _LARGE, _LARGE), elements
        case _:
            return None
    return spec.core_count * flop / float(cycles)
