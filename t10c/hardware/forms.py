"""Formulas of the cost forms `tiled` and `roofline`: coefficients and float64 arrays to cycles.

`tiled` is the ceil-structured form published for the IPU with the Elk artifact (MICRO 2025); its
coefficients are named below. `roofline` knows only a peak rate and a fixed cost per call.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Coefficients = dict[str, float]

# Outputs of a reduction are worked on in these group sizes, then in multiples of `output_block`.
_OUTPUT_STEPS = np.array([1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0])

FAMILIES = ("matmul", "conv", "pool", "pointwise", "reduce", "gather")
NARROW_FAMILIES = ("matmul_int8", "conv_int8")
"""Products whose inputs are both at most 8 bits wide; a specification may leave them out."""
ALL_FAMILIES = (*FAMILIES, *NARROW_FAMILIES)

# Coefficients that each (form, family) must have; `fit` names its own features (fits.py).
COEFFICIENTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("tiled", "matmul"): (
        "group_cycles_per_byte",
        "m_group",
        "n_group",
        "k_group_bytes",
        "load_cycles",
        "column_cycles",
        "fixed_cycles",
        "swap_at",
    ),
    ("tiled", "pointwise"): (
        "unary_cycles",
        "unary_fixed",
        "nary_cycles",
        "nary_fixed",
        "nary_small_cycles",
        "nary_small_fixed",
        "nary_small_cap",
        "nary_small_elements",
    ),
    ("tiled", "reduce"): (
        "element_cycles",
        "fixed",
        "small_element_cycles",
        "small_cap",
        "small_elements",
        "output_block",
    ),
    ("tiled", "gather"): ("fixed", "index_cycles", "elements_per_cycle"),
    ("roofline", "matmul"): ("macs_per_cycle", "granule", "fixed"),
    ("roofline", "conv"): ("macs_per_cycle", "granule", "fixed"),
    ("roofline", "pool"): ("elements_per_cycle", "fixed"),
    ("roofline", "pointwise"): ("elements_per_cycle", "fixed"),
    ("roofline", "reduce"): ("elements_per_cycle", "fixed"),
    ("roofline", "gather"): ("elements_per_cycle", "index_cycles", "fixed"),
}
COEFFICIENTS |= {
    (form, f"{family}_int8"): names
    for (form, family), names in COEFFICIENTS.items()
    if f"{family}_int8" in NARROW_FAMILIES
}

# Coefficients that something is divided by.
DIVISORS = frozenset(
    {
        "m_group",
        "n_group",
        "k_group_bytes",
        "output_block",
        "elements_per_cycle",
        "macs_per_cycle",
        "peak_macs_per_cycle",
        "granule",
    }
)


def matmul_tiled(
    c: Coefficients, element_bytes: int, batch: Array, m: Array, n: Array, k: Array
) -> Array:
    """b (g e ceil(m/6) K N + 514 K N + 113 N + 173), K = ceil(k / (32/e)), N = ceil(n/16).

    m is the larger of the two, unless the larger is at most `swap_at`.
    """
    large, small = np.maximum(m, n), np.minimum(m, n)
    swapped = large <= c["swap_at"]
    rows = np.ceil(np.where(swapped, small, large) / c["m_group"])
    columns = np.ceil(np.where(swapped, large, small) / c["n_group"])
    depth = np.ceil(k * (element_bytes / c["k_group_bytes"]))
    group = c["group_cycles_per_byte"] * element_bytes
    per_column = (group * rows + c["load_cycles"]) * depth + c["column_cycles"]
    return batch * (per_column * columns + c["fixed_cycles"])


def pointwise_tiled(c: Coefficients, elements: Array, tensor_inputs: int) -> Array:
    """0.5 n + 200; with two or more inputs 0.5 n + 300, or min(0.75 n + 290, 8517) if small."""
    if tensor_inputs < 2:
        return c["unary_cycles"] * elements + c["unary_fixed"]
    small = np.minimum(
        c["nary_small_cycles"] * elements + c["nary_small_fixed"], c["nary_small_cap"]
    )
    large = c["nary_cycles"] * elements + c["nary_fixed"]
    return np.where(elements > c["nary_small_elements"], large, small)


def pointwise_marginal_tiled(c: Coefficients, elements: Array, tensor_inputs: int) -> Array:
    """`pointwise_tiled` without its fixed parts."""
    if tensor_inputs < 2:
        return c["unary_cycles"] * elements
    cap = c["nary_small_cap"] - c["nary_small_fixed"]
    small = np.minimum(c["nary_small_cycles"] * elements, cap)
    return np.where(elements > c["nary_small_elements"], c["nary_cycles"] * elements, small)


def reduce_tiled(c: Coefficients, outputs: Array, inputs_per_output: Array) -> Array:
    """o q > 480: 0.25 o q + 175, else min(1.5 o q + 175, 295.25), with o rounded up."""
    step = _OUTPUT_STEPS[np.minimum(np.searchsorted(_OUTPUT_STEPS, outputs), 6)]
    blocks = np.ceil(outputs / c["output_block"]) * c["output_block"]
    elements = np.where(outputs <= _OUTPUT_STEPS[-1], step, blocks) * inputs_per_output
    small = np.minimum(c["small_element_cycles"] * elements + c["fixed"], c["small_cap"])
    large = c["element_cycles"] * elements + c["fixed"]
    return np.where(elements > c["small_elements"], large, small)


def gather_tiled(c: Coefficients, indices: Array, elements_per_index: Array) -> Array:
    """300 + i ceil(T/i/2) + i, with T = i * e elements in all."""
    copies = np.ceil(elements_per_index / c["elements_per_cycle"])
    return c["fixed"] + indices * (copies + c["index_cycles"])


def matmul_roofline(
    c: Coefficients, element_bytes: int, batch: Array, m: Array, n: Array, k: Array
) -> Array:
    """Peak rate on m, n and k rounded up to the `granule` of the matrix unit, plus `fixed`.

    `element_bytes` is not used: the peak is the one of the specification's element type.
    """
    g = c["granule"]
    volume = np.ceil(m / g) * np.ceil(n / g) * np.ceil(k / g) * g**3
    return batch * volume / c["macs_per_cycle"] + c["fixed"]


def elements_roofline(c: Coefficients, elements: Array) -> Array:
    """Peak rate plus `fixed`."""
    return elements / c["elements_per_cycle"] + c["fixed"]


def pointwise_roofline(c: Coefficients, elements: Array, tensor_inputs: int) -> Array:
    """Peak rate plus `fixed`, for any number of inputs."""
    return elements_roofline(c, elements)


def pointwise_marginal_roofline(c: Coefficients, elements: Array, tensor_inputs: int) -> Array:
    """Peak rate alone."""
    return elements / c["elements_per_cycle"]


def reduce_roofline(c: Coefficients, outputs: Array, inputs_per_output: Array) -> Array:
    """Peak rate on all inputs (at least one element), plus `fixed`."""
    return elements_roofline(c, np.maximum(outputs * inputs_per_output, 1.0))


def gather_roofline(c: Coefficients, indices: Array, elements_per_index: Array) -> Array:
    """Peak rate on all copied elements, a cost per index, plus `fixed`."""
    per_index = elements_per_index / c["elements_per_cycle"] + c["index_cycles"]
    return indices * per_index + c["fixed"]
