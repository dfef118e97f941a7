"""OPT: learned positions, pre-norm decoder layers with ReLU, output tied to the embeddings."""

from dataclasses import dataclass

import numpy as np

from t10c.zoo.decoder import decoder_inputs, extend_cache
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import attend, layer_norm, linear, merge_heads, split_heads
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload

_POSITION_OFFSET = 2
"""The position table begins with two rows that no position uses (a legacy of fairseq)."""


@dataclass(frozen=True, slots=True)
class OptParameters:
    """Hyper-parameters of OPT."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "heads", self.heads)


def build_opt(g: GraphBuilder, p: OptParameters, run: Workload) -> None:
    """Token ids, position ids, mask (and cache) to logits [batch, seq, vocabulary] and cache."""
    require_positions(run.total, p.positions)
    inputs = decoder_inputs(g, run)
    words = g.weight("embed_tokens.weight", [p.vocabulary, p.hidden])
    places = g.weight("embed_positions.weight", [p.positions + _POSITION_OFFSET, p.hidden])
    shifted = g.op("Add", inputs.positions, g.constant(_POSITION_OFFSET, np.int64))
    x = g.op("Add", g.op("Gather", words, inputs.ids), g.op("Gather", places, shifted))
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = layer_norm(g, x, "self_attn_layer_norm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, _attention(g, p, run, index, normed, inputs.mask))
            normed = layer_norm(g, x, "final_layer_norm", p.hidden, p.norm_epsilon)
            inner = g.op("Relu", linear(g, normed, "fc1", p.hidden, p.intermediate, True))
            x = g.op("Add", x, linear(g, inner, "fc2", p.intermediate, p.hidden, True))
    x = layer_norm(g, x, "final_layer_norm", p.hidden, p.norm_epsilon)
    with g.scope("lm_head"):
        logits = g.op("MatMul", x, g.op("Transpose", words, perm=[1, 0]))
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])


def _attention(
    g: GraphBuilder, p: OptParameters, run: Workload, layer: int, x: str, mask: str
) -> str:
    size = p.hidden // p.heads
    with g.scope("self_attn"):
        query = linear(g, x, "q_proj", p.hidden, p.hidden, True)
        query = split_heads(g, g.op("Mul", query, g.scalar(size**-0.5)), p.heads, size)
        key, value = (
            split_heads(g, linear(g, x, name, p.hidden, p.hidden, True), p.heads, size)
            for name in ("k_proj", "v_proj")
        )
        key, value = extend_cache(g, run, layer, key, value, (p.heads, size))
        key_t = g.op("Transpose", key, perm=[0, 1, 3, 2])
        context = merge_heads(g, attend(g, query, key_t, value, mask), p.hidden)
        return linear(g, context, "out_proj", p.hidden, p.hidden, True)
