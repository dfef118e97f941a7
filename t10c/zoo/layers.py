"""Layers that several families share, in the forms that exporters write."""

import math
from collections.abc import Callable

from t10c.zoo.graph import GraphBuilder

Activation = Callable[[GraphBuilder, str], str]

MASKED = -10000.0
"""Added to scores that must vanish: exp of it is 0, and sums of it stay finite in fp16."""


def linear(g: GraphBuilder, x: str, name: str, size_in: int, size_out: int, bias: bool) -> str:
    """x[.., size_in] @ W[size_in, size_out] (+ bias), as MatMul and Add."""
    with g.scope(name):
        out = g.op("MatMul", x, g.weight("weight", [size_in, size_out], fan_in=size_in))
        return g.op("Add", out, g.weight("bias", [size_out], "offset")) if bias else out


def gemm(g: GraphBuilder, x: str, name: str, size_in: int, size_out: int) -> str:
    """x[rows, size_in] @ W[size_out, size_in]^T + bias, as one Gemm."""
    with g.scope(name):
        weight = g.weight("weight", [size_out, size_in], fan_in=size_in)
        return g.op("Gemm", x, weight, g.weight("bias", [size_out], "offset"), transB=1)


def layer_norm(g: GraphBuilder, x: str, name: str, hidden: int, epsilon: float) -> str:
    """LayerNormalization over the last dimension."""
    with g.scope(name):
        gain = g.weight("weight", [hidden], "gain")
        offset = g.weight("bias", [hidden], "offset")
        return g.op("LayerNormalization", x, gain, offset, axis=-1, epsilon=epsilon)


def rms_norm(g: GraphBuilder, x: str, name: str, hidden: int, epsilon: float) -> str:
    """x / sqrt(mean(x^2) + epsilon) * weight, as exporters decompose it."""
    with g.scope(name):
        mean = g.op("ReduceMean", g.op("Pow", x, g.scalar(2)), axes=[-1], keepdims=1)
        root = g.op("Sqrt", g.op("Add", mean, g.scalar(epsilon)))
        normed = g.op("Mul", x, g.op("Div", g.scalar(1), root))
        return g.op("Mul", normed, g.weight("weight", [hidden], "gain"))


def gelu(g: GraphBuilder, x: str) -> str:
    """GELU by the error function: x * (1 + erf(x / sqrt 2)) * 0.5."""
    erf = g.op("Erf", g.op("Div", x, g.scalar(math.sqrt(2))))
    return g.op("Mul", g.op("Mul", x, g.op("Add", erf, g.scalar(1))), g.scalar(0.5))


def gelu_tanh(g: GraphBuilder, x: str) -> str:
    """GELU approximated: 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))."""
    cube = g.op("Mul", g.op("Pow", x, g.scalar(3)), g.scalar(0.044715))
    inner = g.op("Mul", g.op("Add", x, cube), g.scalar(math.sqrt(2 / math.pi)))
    half = g.op("Mul", x, g.scalar(0.5))
    return g.op("Mul", half, g.op("Add", g.op("Tanh", inner), g.scalar(1)))


def silu(g: GraphBuilder, x: str) -> str:
    """x * sigmoid(x)."""
    return g.op("Mul", x, g.op("Sigmoid", x))


def soft_cap(g: GraphBuilder, x: str, limit: float) -> str:
    """tanh(x / limit) * limit: the values stay within the limit."""
    return g.op("Mul", g.op("Tanh", g.op("Div", x, g.scalar(limit))), g.scalar(limit))


def gated_mlp(
    g: GraphBuilder, x: str, hidden: int, intermediate: int, activation: Activation = silu
) -> str:
    """down(activation(gate(x)) * up(x)), without biases."""
    with g.scope("mlp"):
        gate = activation(g, linear(g, x, "gate_proj", hidden, intermediate, False))
        product = g.op("Mul", gate, linear(g, x, "up_proj", hidden, intermediate, False))
        return linear(g, product, "down_proj", intermediate, hidden, False)


def conv(
    g: GraphBuilder,
    x: str,
    name: str,
    sizes: tuple[int, int],
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    dimensions: int = 2,
) -> str:
    """Convolution with bias from sizes[0] to sizes[1] channels, padded by half the kernel."""
    size_in, size_out = sizes
    with g.scope(name):
        window = [kernel] * dimensions
        shape = [size_out, size_in // groups, *window]
        grouped = {"group": groups} if groups > 1 else {}
        return g.op(
            "Conv",
            x,
            g.weight("weight", shape, fan_in=math.prod(shape[1:])),
            g.weight("bias", [size_out], "offset"),
            kernel_shape=window,
            strides=[stride] * dimensions,
            pads=[kernel // 2] * 2 * dimensions,
            **grouped,
        )


def split_heads(g: GraphBuilder, x: str, heads: int, size: int, *, transposed: bool = False) -> str:
    """[batch, seq, heads * size] to [batch, heads, seq, size], or to [.., size, seq]."""
    shaped = g.op("Reshape", x, g.ints(0, -1, heads, size))
    return g.op("Transpose", shaped, perm=[0, 2, 3, 1] if transposed else [0, 2, 1, 3])


def merge_heads(g: GraphBuilder, x: str, hidden: int) -> str:
    """[batch, heads, seq, size] to [batch, seq, heads * size]."""
    return g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.ints(0, -1, hidden))


def attend(
    g: GraphBuilder,
    query: str,
    key_t: str,
    value: str,
    mask: str | None,
    divisor: float = 1,
    cap: float | None = None,
) -> str:
    """softmax(soft_cap(query @ key_t / divisor, cap) + mask) @ value over [batch, heads, ..]."""
    scores = g.op("MatMul", query, key_t)
    if divisor != 1:
        scores = g.op("Div", scores, g.scalar(divisor))
    if cap is not None:
        scores = soft_cap(g, scores, cap)
    if mask is not None:
        scores = g.op("Add", scores, mask)
    return g.op("MatMul", g.op("Softmax", scores, axis=-1), value)


def bidirectional_attention(
    g: GraphBuilder, x: str, hidden: int, heads: int, mask: str | None, output: str
) -> str:
    """Multi-head self-attention without a cache; `output` names the projection back."""
    size = hidden // heads
    with g.scope("attention/self"):
        query, key, value = (
            linear(g, x, name, hidden, hidden, True) for name in ("query", "key", "value")
        )
        key_t = split_heads(g, key, heads, size, transposed=True)
        query, value = (split_heads(g, x, heads, size) for x in (query, value))
        merged = merge_heads(
            g, attend(g, query, key_t, value, mask, divisor=math.sqrt(size)), hidden
        )
    with g.scope("attention"):
        return linear(g, merged, output, hidden, hidden, True)


def padding_mask(g: GraphBuilder, attention_mask: str) -> str:
    """int64 [batch, keys] of 0 and 1 to float [batch, 1, 1, keys] of -10000 and 0."""
    spread = g.op("Unsqueeze", attention_mask, g.ints(1, 2))
    absent = g.op("Sub", g.scalar(1), g.op("Cast", spread, to=1))
    return g.op("Mul", absent, g.scalar(MASKED))
