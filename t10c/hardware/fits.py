"""Form `fit`: cycles as a non-negative combination of features of the tile (conv and pool).

Every feature is positive and non-decreasing in every tile dimension, so that any fit with
non-negative coefficients is too. A coefficient carries its feature's name.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Coefficients = dict[str, float]

# What a fit may name: a floor at the peak rate (conv), and the features below.
COEFFICIENTS = {
    "conv": ("peak_macs_per_cycle", "im2col_matmul", "macs", "outputs", "columns", "fixed"),
    "pool": ("window", "outputs", "channel_kernel", "fixed"),
}


def conv_features(
    im2col_matmul: Array,
    batch: Array,
    in_channels: Array,
    out_channels: Array,
    out_size: Array,
    kernel_size: Array,
) -> dict[str, Array]:
    """Features of a convolution tile; `im2col_matmul` is the cost of the same work as a matmul."""
    depth = in_channels * kernel_size
    columns = batch * np.ceil(out_channels / 16.0)
    return {
        "im2col_matmul": im2col_matmul,
        "macs": batch * out_size * out_channels * depth,
        "outputs": batch * out_size * out_channels,
        "columns": columns,
        "fixed": np.ones_like(depth),
    }


def conv(
    c: Coefficients,
    im2col_matmul: Array,
    batch: Array,
    in_channels: Array,
    out_channels: Array,
    out_size: Array,
    kernel_size: Array,
) -> Array:
    """Cycles of a convolution tile, at least its multiply-accumulates at the peak rate."""
    features = conv_features(im2col_matmul, batch, in_channels, out_channels, out_size, kernel_size)
    floor = features["macs"] / c["peak_macs_per_cycle"]
    return np.asarray(np.maximum(_combine(c, features), floor), dtype=np.float64)


def pool_features(channels: Array, out_size: Array, kernel_size: Array) -> dict[str, Array]:
    """Features of a pooling tile."""
    outputs = channels * out_size
    return {
        "window": outputs * kernel_size,
        "outputs": outputs,
        "channel_kernel": channels * kernel_size,
        "fixed": np.ones_like(outputs),
    }


def pool(c: Coefficients, channels: Array, out_size: Array, kernel_size: Array) -> Array:
    """Cycles of a pooling tile."""
    features = pool_features(channels, out_size, kernel_size)
    return _combine(c, features)


def _combine(c: Coefficients, features: dict[str, Array]) -> Array:
    terms = [c[name] * feature for name, feature in features.items() if name in c]
    return np.asarray(sum(terms), dtype=np.float64)
