"""Form `fit`: cycles as a non-negative combination of features of the tile (conv and pool).

Every feature is positive and non-decreasing in every tile dimension, so that any fit with
non-negative coefficients is too, also far from its samples. A coefficient carries its feature's
name; docs/cost-model.md tells how the features were chosen.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Coefficients = dict[str, float]

# What a fit may name: a peak rate that no tile exceeds (conv), and the features below.
COEFFICIENTS = {
    "conv": (
        "peak_macs_per_cycle",
        "fixed",
        "macs",
        "blocks",
        "deep_blocks",
        "large_kernel_blocks",
        "rows",
        "kernel_rows",
    ),
    "pool": ("fixed", "window", "window_rows"),
}
COEFFICIENTS["conv_int8"] = COEFFICIENTS["conv"]

# Kernels up to 3x3 run on the matrix unit; larger ones were measured 2-5x slower per MAC.
_LARGEST_FAST_KERNEL = 9


def conv_features(
    batch: Array, in_channels: Array, out_channels: Array, out_size: Array, kernel_size: Array
) -> dict[str, Array]:
    """Features of a convolution tile; sizes are products over the spatial dimensions."""
    outputs = batch * out_size
    width, kernel_width = np.sqrt(out_size), np.sqrt(kernel_size)
    in4, in16 = np.ceil(in_channels / 4), np.ceil(in_channels / 16)
    out4, out16 = np.ceil(out_channels / 4), np.ceil(out_channels / 16)
    kernel4 = np.ceil(kernel_size / 4)
    large = (kernel_size > _LARGEST_FAST_KERNEL).astype(np.float64)
    return {
        "fixed": np.ones_like(outputs),
        "macs": outputs * in_channels * out_channels * kernel_size,
        "blocks": outputs * in_channels * out4 * kernel4,
        "deep_blocks": outputs * in16 * out4 * kernel4,
        "large_kernel_blocks": outputs * in4 * out4 * large,
        "rows": batch * width * in_channels * out16,
        "kernel_rows": batch * width * in_channels * out4 * kernel_width,
    }


def conv(
    c: Coefficients,
    batch: Array,
    in_channels: Array,
    out_channels: Array,
    out_size: Array,
    kernel_size: Array,
) -> Array:
    """Cycles of a convolution tile, at least its multiply-accumulates at the peak rate."""
    features = conv_features(batch, in_channels, out_channels, out_size, kernel_size)
    floor = features["macs"] / c["peak_macs_per_cycle"]
    return np.asarray(np.maximum(combine(c, features), floor), dtype=np.float64)


def pool_features(channels: Array, out_size: Array, kernel_size: Array) -> dict[str, Array]:
    """Features of a pooling tile; `window_rows` is work that all channels share."""
    return {
        "fixed": np.ones_like(channels * out_size),
        "window": channels * out_size * kernel_size,
        "window_rows": out_size * np.sqrt(kernel_size) * np.ones_like(channels),
    }


def pool(c: Coefficients, channels: Array, out_size: Array, kernel_size: Array) -> Array:
    """Cycles of a pooling tile."""
    return combine(c, pool_features(channels, out_size, kernel_size))


def combine(c: Coefficients, features: dict[str, Array]) -> Array:
    """The sum of coefficient times feature, over the features that have a coefficient."""
    terms = [c[name] * feature for name, feature in features.items() if name in c]
    return np.asarray(sum(terms), dtype=np.float64)
