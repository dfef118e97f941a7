"""Layers that several families share, in the forms that exporters write."""

import math

from t10c.zoo.graph import GraphBuilder

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


def gelu(g: GraphBuilder, x: str) -> str:
    """GELU by the error function: x * (1 + erf(x / sqrt 2)) * 0.5."""
    erf = g.op("Erf", g.op("Div", x, g.scalar(math.sqrt(2))))
    return g.op("Mul", g.op("Mul", x, g.op("Add", erf, g.scalar(1))), g.scalar(0.5))


def split_heads(g: GraphBuilder, x: str, heads: int, size: int, *, transposed: bool = False) -> str:
    """[batch, seq, heads * size] to [batch, heads, seq, size], or to [.., size, seq]."""
    shaped = g.op("Reshape", x, g.ints(0, -1, heads, size))
    return g.op("Transpose", shaped, perm=[0, 2, 3, 1] if transposed else [0, 2, 1, 3])


def merge_heads(g: GraphBuilder, x: str, hidden: int) -> str:
    """[batch, heads, seq, size] to [batch, seq, heads * size]."""
    return g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.ints(0, -1, hidden))


def attend(
    g: GraphBuilder, query: str, key_t: str, value: str, mask: str | None, divisor: float = 1
) -> str:
    """softmax(query @ key_t / divisor + mask) @ value over [batch, heads, ..]."""
    scores = g.op("MatMul", query, key_t)
    if divisor != 1:
        scores = g.op("Div", scores, g.scalar(divisor))
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
