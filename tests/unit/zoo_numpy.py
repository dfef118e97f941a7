"""Layers of the zoo's models in NumPy, one position and one head at a time, in float64."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from zoo_models import Array

Weights = Mapping[str, Array]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def gelu_tanh(x: Array) -> Array:
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max())
    return shifted / shifted.sum()


def rms_norm(x: Array, gain: Array, epsilon: float) -> Array:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * gain


def layer_norm(x: Array, w: Weights, name: str, epsilon: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return centred / deviation * w[name] + w[f"{name}.bias"]


def dense(x: Array, w: Weights, name: str) -> Array:
    return x @ w[name].astype(np.float64) + w.get(f"{name}.bias", 0)


def rotated(x: Array, position: int, base: float) -> Array:
    """Feature i and i + half as a complex number, turned by position * base^(-2 i / size)."""
    half = len(x) // 2
    angles = position * base ** (-np.arange(half) / half)
    turned = (x[:half] + 1j * x[half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag])


def attention(
    query: Array,
    key: Array,
    value: Array,
    visible: Callable[[int], range],
    divisor: float = 1,
    cap: float = math.inf,
) -> Array:
    """[queries, heads, size] for [keys, fewer heads, size]: each head by itself."""
    heads = query.shape[1]
    sharing = heads // key.shape[1]
    out = np.zeros((len(query), heads, value.shape[-1]))
    for i in range(len(query)):
        for h in range(heads):
            seen = list(visible(i))
            scores = key[seen, h // sharing] @ query[i, h] / divisor
            if cap < math.inf:
                scores = cap * np.tanh(scores / cap)
            out[i, h] = softmax(scores) @ value[seen, h // sharing]
    return out.reshape(len(query), -1)


def convolution(x: Array, w: Weights, name: str, stride: int = 1, groups: int = 1) -> Array:
    """[channels, *positions], one or two dimensions, padded with half the kernel of zeros."""
    kernel = w[name].astype(np.float64)
    size = kernel.shape[-1]
    padded = np.pad(x, [(0, 0)] + [(size // 2, size // 2)] * (x.ndim - 1))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, kernel.shape[2:], axis=tuple(range(1, x.ndim))
    )
    windows = windows[(slice(None), *[slice(None, None, stride)] * (x.ndim - 1))]
    inputs, outputs = len(x) // groups, len(kernel) // groups
    out = []
    for o, filter_ in enumerate(kernel):
        first = o // outputs * inputs
        positions = tuple(range(x.ndim, windows.ndim))
        taps = windows[first : first + inputs]
        shaped = filter_.reshape(inputs, *[1] * (x.ndim - 1), *kernel.shape[2:])
        out.append((taps * shaped).sum(axis=(0, *positions)) + w[f"{name}.bias"][o])
    return np.stack(out)
