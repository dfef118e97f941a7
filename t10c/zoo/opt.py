"""OPT: learned positions, pre-norm decoder layers with ReLU, output tied to the embeddings."""

from dataclasses import dataclass

import numpy as np

from t10c.zoo.decoder import decoder_inputs
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import layer_norm, linear
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload
from t10c.zoo.scaled import ScaledQueries, self_attention

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
    attention = ScaledQueries(p.hidden, p.heads)
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = layer_norm(g, x, "self_attn_layer_norm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, self_attention(g, attention, normed, run, index, inputs.mask))
            normed = layer_norm(g, x, "final_layer_norm", p.hidden, p.norm_epsilon)
            inner = g.op("Relu", linear(g, normed, "fc1", p.hidden, p.intermediate, True))
            x = g.op("Add", x, linear(g, inner, "fc2", p.intermediate, p.hidden, True))
    x = layer_norm(g, x, "final_layer_norm", p.hidden, p.norm_epsilon)
    with g.scope("lm_head"):
        logits = g.op("MatMul", x, g.op("Transpose", words, perm=[1, 0]))
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])
