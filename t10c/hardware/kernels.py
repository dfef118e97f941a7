"""Cycle costs of communication and kernels per core (docs/cost-model.md), vectorised.

Every function takes numbers or arrays that broadcast together and returns float64 of the broadcast
shape. Coefficients come from the specification; the formulas of each form are in forms.py
(`tiled`, `roofline`) and fits.py (`fit`). tiles.py prices whole compute tiles with them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t10c.hardware import fits, forms
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression

Cycles = NDArray[np.float64]

Product = Literal["matmul", "conv"]

TRANSITION_SYNCS = 6
"""Syncs of a transition, as published with the Elk artifact."""


def communication_factor(spec: HardwareSpec) -> float:
    """What all communication is scaled by: 1 on a single chip."""
    return spec.chips.communication_factor if spec.chips.count > 1 else 1.0


def move_cycles(spec: HardwareSpec, size_bytes: ArrayLike) -> Cycles:
    """Cycles to move `size_bytes` through one core's port."""
    rate = spec.interconnect.cycles_per_byte * communication_factor(spec)
    return rate * _floats(size_bytes)


def sync_cycles(spec: HardwareSpec) -> float:
    """Cycles of one synchronisation of all cores."""
    return spec.interconnect.sync_cycles * communication_factor(spec)


def exchange_cycles(spec: HardwareSpec, size_bytes: ArrayLike) -> Cycles:
    """Cycles to bring `size_bytes` into another layout: the published transition, six syncs."""
    return move_cycles(spec, size_bytes) + TRANSITION_SYNCS * sync_cycles(spec)


def product_family(spec: HardwareSpec, kernel: Product, narrow: bool) -> str:
    """The family whose cost a product has: `matmul_int8` where both inputs are narrow, if given.

    Without a family for narrow inputs the ordinary one stands in: an estimate.
    """
    family = f"{kernel}_int8"
    return family if narrow and spec.has_kernel(family) else kernel


def matmul_cycles(
    spec: HardwareSpec,
    batch: ArrayLike,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    narrow: bool = False,
) -> Cycles:
    """Cycles of `batch` products of an m x k by a k x n tile; `narrow`: both of at most 8 bits."""
    family = product_family(spec, "matmul", narrow)
    model = spec.kernel(family)
    cost = forms.matmul_tiled if model.form == "tiled" else forms.matmul_roofline
    return cost(
        dict(model.coefficients),
        _product_bytes(spec, family),
        _floats(batch),
        _floats(m),
        _floats(n),
        _floats(k),
    )


def conv_cycles(
    spec: HardwareSpec,
    batch: ArrayLike,
    in_channels: ArrayLike,
    out_channels: ArrayLike,
    out_size: ArrayLike,
    kernel_size: ArrayLike,
    narrow: bool = False,
) -> Cycles:
    """Cycles of a convolution tile; sizes are products over the spatial dimensions.

    Groups multiply `batch`; channels are those of one group. `narrow`: both inputs are at most
    8 bits wide.
    """
    family = product_family(spec, "conv", narrow)
    model = spec.kernel(family)
    coefficients = dict(model.coefficients)
    b, ci, co = _floats(batch), _floats(in_channels), _floats(out_channels)
    out, kernel = _floats(out_size), _floats(kernel_size)
    if model.form != "fit":
        element_bytes = _product_bytes(spec, family)
        return forms.matmul_roofline(coefficients, element_bytes, b, out, co, ci * kernel)
    cycles = fits.conv(coefficients, b, ci, co, out, kernel)
    pointlike = kernel == 1
    if pointlike.any():  # a 1 x 1 convolution is a matmul as it stands: never dearer than one
        as_matmul = matmul_cycles(spec, b, out, co, ci, narrow)
        cycles = np.where(pointlike, np.minimum(cycles, as_matmul), cycles)
    return cycles


def _product_bytes(spec: HardwareSpec, family: str) -> int:
    """Bytes per element of a product's inputs, as its cost form counts them."""
    return 1 if family.endswith("_int8") else spec.element_bytes


def pool_cycles(
    spec: HardwareSpec, channels: ArrayLike, out_size: ArrayLike, kernel_size: ArrayLike
) -> Cycles:
    """Cycles of a pooling tile; `channels` counts the batch too."""
    model = spec.kernel("pool")
    coefficients = dict(model.coefficients)
    c, out, kernel = _floats(channels), _floats(out_size), _floats(kernel_size)
    if model.form == "fit":
        return fits.pool(coefficients, c, out, kernel)
    return forms.elements_roofline(coefficients, c * out * kernel)


def pointwise_cycles(spec: HardwareSpec, elements: ArrayLike, tensor_inputs: int) -> Cycles:
    """Cycles of one scalar function over `elements`, with its fixed part."""
    model = spec.kernel("pointwise")
    cost = forms.pointwise_tiled if model.form == "tiled" else forms.pointwise_roofline
    return cost(dict(model.coefficients), _floats(elements), tensor_inputs)


def pointwise_marginal_cycles(
    spec: HardwareSpec, elements: ArrayLike, tensor_inputs: int
) -> Cycles:
    """Cycles of one more scalar function on elements already in hand: no fixed part."""
    model = spec.kernel("pointwise")
    tiled = model.form == "tiled"
    cost = forms.pointwise_marginal_tiled if tiled else forms.pointwise_marginal_roofline
    return cost(dict(model.coefficients), _floats(elements), tensor_inputs)


def epilogue_cycles(
    spec: HardwareSpec, expression: TensorExpression, elements: ArrayLike
) -> Cycles:
    """Cycles of the fused epilogue on `elements` of the output; 0 without one."""
    total = np.zeros_like(_floats(elements))
    for step in expression.epilogue:
        total = total + pointwise_marginal_cycles(spec, elements, step.tensor_inputs)
    return total


def reduce_cycles(spec: HardwareSpec, outputs: ArrayLike, inputs_per_output: ArrayLike) -> Cycles:
    """Cycles to reduce to `outputs` results of `inputs_per_output` elements each."""
    model = spec.kernel("reduce")
    cost = forms.reduce_tiled if model.form == "tiled" else forms.reduce_roofline
    return cost(dict(model.coefficients), _floats(outputs), _floats(inputs_per_output))


def gather_cycles(spec: HardwareSpec, indices: ArrayLike, elements_per_index: ArrayLike) -> Cycles:
    """Cycles to copy `elements_per_index` elements for each of `indices`."""
    model = spec.kernel("gather")
    cost = forms.gather_tiled if model.form == "tiled" else forms.gather_roofline
    return cost(dict(model.coefficients), _floats(indices), _floats(elements_per_index))


@dataclass(frozen=True, slots=True)
class ReductionTerms:
    """Cycles of a reduction of partial pieces, by what they are spent on."""

    sync: Cycles
    transfer: Cycles
    arithmetic: Cycles


def reduction_terms(
    spec: HardwareSpec, q: ArrayLike, elements: ArrayLike, bits: int = 0
) -> ReductionTerms:
    """Cycles of the final reduction of `q` partial pieces of `elements` each; 0 for q = 1.

    `bits` is the width of what moves, by default the accumulator's.
    As published, q > 2 moves the whole piece although a reduce-scatter needs (q - 1) / q of it.
    Without partial pieces the arithmetic of the other branches is evaluated and discarded.
    """
    count, piece = np.broadcast_arrays(_floats(q), _floats(elements))
    width = bits / 8 or spec.accumulator_bytes
    pair, none = count == 2, count <= 1
    moved = np.where(pair, piece / 2, piece) * width
    add = np.where(
        pair, pointwise_cycles(spec, piece / 2, 2), reduce_cycles(spec, piece / count, count)
    )
    return ReductionTerms(
        np.where(none, 0.0, count * sync_cycles(spec)),
        np.where(none, 0.0, move_cycles(spec, moved)),
        np.where(none, 0.0, add),
    )


def reduction_cycles(
    spec: HardwareSpec, q: ArrayLike, elements: ArrayLike, bits: int = 0
) -> Cycles:
    """The sum of `reduction_terms`."""
    terms = reduction_terms(spec, q, elements, bits)
    return terms.sync + terms.transfer + terms.arithmetic


def _floats(values: ArrayLike) -> Cycles:
    return np.asarray(values, dtype=np.float64)
