"""Gemma 2: local and global attention in turn, capped logits, norms before and after, GeGLU."""

import math
from dataclasses import dataclass

from t10c.zoo.decoder import DecoderInputs, decoder_inputs
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.grouped import GroupedQueries, grouped_attention
from t10c.zoo.layers import gated_mlp, gelu_tanh, rms_norm, soft_cap
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload
from t10c.zoo.rotary import Rotary, rotary_frequencies, rotary_tables


@dataclass(frozen=True, slots=True)
class GemmaParameters:
    """Hyper-parameters of Gemma 2; even layers see `window` positions, odd ones all.

    Queries are divided by the root of `query_scale`. RMS norms multiply by 1 + their weight; the
    zoo's weights include the one, as an exporter that folds constants leaves them.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    positions: int
    window: int
    query_scale: float
    attention_cap: float
    logit_cap: float
    rotary_base: float
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("head_size", self.head_size, "pairs", 2)
        require_multiple("heads", self.heads, "kv_heads", self.kv_heads)
        if self.window < 2:
            raise ValueError("window must be at least 2: a position and one before it")

    def attention(self, layer: int) -> GroupedQueries:
        """The attention of a layer."""
        return GroupedQueries(
            self.hidden,
            self.heads,
            self.kv_heads,
            self.head_size,
            divisor=math.sqrt(self.query_scale),
            cap=self.attention_cap,
            window=None if layer % 2 else self.window,
        )


def build_gemma(g: GraphBuilder, p: GemmaParameters, run: Workload) -> None:
    """Token ids, position ids, mask (and cache) to logits [batch, seq, vocabulary] and cache."""
    require_positions(run.total, p.positions)
    inputs = decoder_inputs(g, run, p.window)
    words = g.weight("embed_tokens.weight", [p.vocabulary, p.hidden], fan_in=p.hidden)
    frequencies = rotary_frequencies(p.head_size, p.rotary_base)
    rotary = rotary_tables(g, frequencies, p.positions, inputs.positions)
    x = g.op("Mul", g.op("Gather", words, inputs.ids), g.scalar(math.sqrt(p.hidden)))
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            x = _layer(g, p, run, index, x, rotary, inputs)
    x = rms_norm(g, x, "norm", p.hidden, p.norm_epsilon)
    with g.scope("lm_head"):
        logits = g.op("MatMul", x, g.op("Transpose", words, perm=[1, 0]))
        logits = soft_cap(g, logits, p.logit_cap)
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])


def _layer(
    g: GraphBuilder,
    p: GemmaParameters,
    run: Workload,
    index: int,
    x: str,
    rotary: Rotary,
    inputs: DecoderInputs,
) -> str:
    attention = p.attention(index)
    mask = inputs.mask if attention.window is None else inputs.window_mask
    normed = rms_norm(g, x, "input_layernorm", p.hidden, p.norm_epsilon)
    attended = grouped_attention(g, attention, run, index, normed, rotary, mask)
    x = g.op("Add", x, rms_norm(g, attended, "post_attention_layernorm", p.hidden, p.norm_epsilon))
    normed = rms_norm(g, x, "pre_feedforward_layernorm", p.hidden, p.norm_epsilon)
    fed = gated_mlp(g, normed, p.hidden, p.intermediate, gelu_tanh)
    return g.op("Add", x, rms_norm(g, fed, "post_feedforward_layernorm", p.hidden, p.norm_epsilon))
