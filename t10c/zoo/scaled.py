"""Attention whose queries are scaled before the product, with biases, as in OPT and Whisper."""

from dataclasses import dataclass

from t10c.zoo.decoder import extend_cache
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import attend, linear, merge_heads, split_heads
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class ScaledQueries:
    """Sizes of the attention, and whether the projection to keys has a bias like the others."""

    hidden: int
    heads: int
    key_bias: bool = True

    @property
    def size(self) -> int:
        """Features of one head."""
        return self.hidden // self.heads


def self_attention(
    g: GraphBuilder, a: ScaledQueries, x: str, run: Workload, layer: int, mask: str | None
) -> str:
    """Causal self-attention of layer `layer` with a cache."""
    with g.scope("self_attn"):
        query = _query(g, a, x)
        key, value = _keys_and_values(g, a, x)
        key, value = extend_cache(g, run, layer, key, value, (a.heads, a.size))
        return _attended(g, a, query, key, value, mask)


def full_attention(g: GraphBuilder, a: ScaledQueries, x: str) -> str:
    """Self-attention in which every position sees every other."""
    with g.scope("self_attn"):
        return _attended(g, a, _query(g, a, x), *_keys_and_values(g, a, x), None)


def cross_attention(
    g: GraphBuilder, a: ScaledQueries, x: str, run: Workload, layer: int, encoded: tuple[str, int]
) -> str:
    """Attention to an encoder's output: `encoded` is the value and its number of positions.

    Prefill projects it once and hands the keys and values on; decode reads them as `past_cross_k`
    and `past_cross_v`, and the value is not used.
    """
    source, positions = encoded
    shape = [run.batch, a.heads, positions, a.size]
    names = [f"cross_{letter}{layer}" for letter in ("k", "v")]
    with g.scope("encoder_attn"):
        query = _query(g, a, x)
        if run.phase == "decode":
            key, value = (g.input(f"past_{name}", shape) for name in names)
        else:
            for name, made in zip(names, _keys_and_values(g, a, source), strict=True):
                g.output(made, f"present_{name}", shape)
            key, value = (f"present_{name}" for name in names)
        return _attended(g, a, query, key, value, None)


def _query(g: GraphBuilder, a: ScaledQueries, x: str) -> str:
    query = linear(g, x, "q_proj", a.hidden, a.hidden, True)
    return split_heads(g, g.op("Mul", query, g.scalar(a.size**-0.5)), a.heads, a.size)


def _keys_and_values(g: GraphBuilder, a: ScaledQueries, x: str) -> tuple[str, str]:
    key = linear(g, x, "k_proj", a.hidden, a.hidden, a.key_bias)
    key = split_heads(g, key, a.heads, a.size)
    value = linear(g, x, "v_proj", a.hidden, a.hidden, True)
    return key, split_heads(g, value, a.heads, a.size)


def _attended(
    g: GraphBuilder, a: ScaledQueries, query: str, key: str, value: str, mask: str | None
) -> str:
    key_t = g.op("Transpose", key, perm=[0, 1, 3, 2])
    context = merge_heads(g, attend(g, query, key_t, value, mask), a.hidden)
    return linear(g, context, "out_proj", a.hidden, a.hidden, True)
