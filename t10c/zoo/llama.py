"""Llama: RMS norms written out, rotary positions from tables, gated SiLU, grouped key heads."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from t10c.zoo.decoder import decoder_inputs
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.grouped import GroupedQueries, grouped_attention
from t10c.zoo.layers import gated_mlp, linear, rms_norm
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload
from t10c.zoo.rotary import rotary_frequencies, rotary_tables


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


def build_llama(g: GraphBuilder, p: LlamaParameters, run: Workload) -> None:
    """Token ids, position ids, mask (and cache) to logits [batch, seq, vocabulary] and cache."""
    build_llama_with(g, p, run, lambda x: gated_mlp(g, x, p.hidden, p.intermediate))


def build_llama_with(
    g: GraphBuilder, p: LlamaParameters, run: Workload, feed_forward: Callable[[str], str]
) -> None:
    """As `build_llama`, with another function of the normed values in place of the gated MLP."""
    require_positions(run.total, p.positions)
    inputs = decoder_inputs(g, run)
    words = g.weight("embed_tokens.weight", [p.vocabulary, p.hidden])
    frequencies = rotary_frequencies(p.head_size, p.rotary_base)
    rotary = rotary_tables(g, frequencies, p.positions, inputs.positions)
    size = p.head_size
    attention = GroupedQueries(p.hidden, p.heads, p.kv_heads, size, divisor=math.sqrt(size))
    x = g.op("Gather", words, inputs.ids)
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = rms_norm(g, x, "input_layernorm", p.hidden, p.norm_epsilon)
            attended = grouped_attention(g, attention, run, index, normed, rotary, inputs.mask)
            x = g.op("Add", x, attended)
            normed = rms_norm(g, x, "post_attention_layernorm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, feed_forward(normed))
    x = rms_norm(g, x, "norm", p.hidden, p.norm_epsilon)
    logits = linear(g, x, "lm_head", p.hidden, p.vocabulary, False)
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])
