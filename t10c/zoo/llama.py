"""Llama-2: RMS norms written out, rotary positions from tables, gated SiLU, grouped key heads."""

import math
from dataclasses import dataclass

import numpy as np

from t10c.zoo.decoder import decoder_inputs, extend_cache
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import attend, linear, merge_heads, split_heads
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class LlamaParameters:
    """Hyper-parameters of Llama; fewer `kv_heads` than `heads` is grouped-query attention."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    positions: int
    rotary_base: float
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "2 x heads", 2 * self.heads)
        require_multiple("heads", self.heads, "kv_heads", self.kv_heads)

    @property
    def head_size(self) -> int:
        """Features of one head."""
        return self.hidden // self.heads


@dataclass(frozen=True, slots=True)
class _Shared:
    """Values that every layer reads: cosines and sines [batch, 1, seq, size], additive mask."""

    cos: str
    sin: str
    mask: str


def build_llama(g: GraphBuilder, p: LlamaParameters, run: Workload) -> None:
    """Token ids, position ids, mask (and cache) to logits [batch, seq, vocabulary] and cache."""
    require_positions(run.total, p.positions)
    inputs = decoder_inputs(g, run)
    words = g.weight("embed_tokens.weight", [p.vocabulary, p.hidden])
    cos, sin = _rotary_tables(g, p, inputs.positions)
    shared = _Shared(cos, sin, inputs.mask)
    x = g.op("Gather", words, inputs.ids)
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = _rms_norm(g, x, "input_layernorm", p)
            x = g.op("Add", x, _attention(g, p, run, index, normed, shared))
            normed = _rms_norm(g, x, "post_attention_layernorm", p)
            x = g.op("Add", x, _gated_mlp(g, p, normed))
    x = _rms_norm(g, x, "norm", p)
    logits = linear(g, x, "lm_head", p.hidden, p.vocabulary, False)
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])


def _rotary_tables(g: GraphBuilder, p: LlamaParameters, positions: str) -> tuple[str, str]:
    """Rows of the cosine and sine tables (Su et al. 2021) at the given positions."""
    half = np.arange(0, p.head_size, 2) / p.head_size
    angles = np.outer(np.arange(p.positions), p.rotary_base**-half)
    angles = np.concatenate([angles, angles], axis=1)
    with g.scope("rotary_emb"):
        cos, sin = (
            g.op(
                "Unsqueeze",
                g.op("Gather", g.table(f"rotary_emb.{name}", table), positions),
                g.ints(1),
            )
            for name, table in (
                ("cos_cached", np.cos(angles).astype(np.float32)),
                ("sin_cached", np.sin(angles).astype(np.float32)),
            )
        )
    return cos, sin


def _rotate(g: GraphBuilder, x: str, size: int, shared: _Shared) -> str:
    """x * cos + (-second half, first half of x) * sin."""
    middle = size // 2
    first = g.op("Slice", x, g.ints(0), g.ints(middle), g.ints(3))
    second = g.op("Slice", x, g.ints(middle), g.ints(size), g.ints(3))
    turned = g.op("Concat", g.op("Neg", second), first, axis=-1)
    return g.op("Add", g.op("Mul", x, shared.cos), g.op("Mul", turned, shared.sin))


def _rms_norm(g: GraphBuilder, x: str, name: str, p: LlamaParameters) -> str:
    """x / sqrt(mean(x^2) + epsilon) * weight, as exporters decompose it."""
    with g.scope(name):
        mean = g.op("ReduceMean", g.op("Pow", x, g.scalar(2)), axes=[-1], keepdims=1)
        root = g.op("Sqrt", g.op("Add", mean, g.scalar(p.norm_epsilon)))
        normed = g.op("Mul", x, g.op("Div", g.scalar(1), root))
        return g.op("Mul", normed, g.weight("weight", [p.hidden], "gain"))


def _attention(
    g: GraphBuilder, p: LlamaParameters, run: Workload, layer: int, x: str, shared: _Shared
) -> str:
    size = p.head_size
    with g.scope("self_attn"):
        query, key, value = (
            split_heads(g, linear(g, x, name, p.hidden, heads * size, False), heads, size)
            for name, heads in (("q_proj", p.heads), ("k_proj", p.kv_heads), ("v_proj", p.kv_heads))
        )
        query = _rotate(g, query, size, shared)
        key = _rotate(g, key, size, shared)
        key, value = extend_cache(g, run, layer, key, value, (p.kv_heads, size))
        key, value = (_repeat_heads(g, p, run, cached) for cached in (key, value))
        key_t = g.op("Transpose", key, perm=[0, 1, 3, 2])
        context = attend(g, query, key_t, value, shared.mask, divisor=math.sqrt(size))
        return linear(g, merge_heads(g, context, p.hidden), "o_proj", p.hidden, p.hidden, False)


def _repeat_heads(g: GraphBuilder, p: LlamaParameters, run: Workload, cached: str) -> str:
    """[batch, kv_heads, total, size] to [batch, heads, ..]: each head beside its copies."""
    if p.kv_heads == p.heads:
        return cached
    spread = (run.batch, p.kv_heads, p.heads // p.kv_heads, run.total, p.head_size)
    copies = g.op("Expand", g.op("Unsqueeze", cached, g.ints(2)), g.ints(*spread))
    return g.op("Reshape", copies, g.ints(run.batch, p.heads, run.total, p.head_size))


def _gated_mlp(g: GraphBuilder, p: LlamaParameters, x: str) -> str:
    with g.scope("mlp"):
        gate = linear(g, x, "gate_proj", p.hidden, p.intermediate, False)
        gated = g.op("Mul", gate, g.op("Sigmoid", gate))
        product = g.op("Mul", gated, linear(g, x, "up_proj", p.hidden, p.intermediate, False))
        return linear(g, product, "down_proj", p.intermediate, p.hidden, False)
