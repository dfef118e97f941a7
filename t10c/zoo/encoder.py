"""BERT: token, position and segment embeddings, post-norm encoder layers, pooler."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import bidirectional_attention, gelu, gemm, layer_norm, linear, padding_mask
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class BertParameters:
    """Hyper-parameters of a BERT encoder."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    segments: int
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "heads", self.heads)


def build_bert(g: GraphBuilder, p: BertParameters, run: Workload) -> None:
    """int64 input_ids, attention_mask, token_type_ids [batch, seq] to hidden states and pooled."""
    require_positions(run.seq, p.positions)
    ids, mask, segments = (
        g.input(name, [run.batch, run.seq], TensorProto.INT64)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    additive = padding_mask(g, mask)
    x = _embed(g, p, run, ids, segments)
    for index in range(p.layers):
        with g.scope(f"encoder/layer.{index}"):
            x = _layer(g, p, x, additive)
    with g.scope("pooler"):
        first = g.op("Gather", x, g.constant(0, np.int64), axis=1)
        pooled = g.op("Tanh", gemm(g, first, "dense", p.hidden, p.hidden))
    g.output(x, "last_hidden_state", [run.batch, run.seq, p.hidden])
    g.output(pooled, "pooler_output", [run.batch, p.hidden])


def _embed(g: GraphBuilder, p: BertParameters, run: Workload, ids: str, segments: str) -> str:
    with g.scope("embeddings"):
        words = g.weight("word_embeddings.weight", [p.vocabulary, p.hidden])
        places = g.weight("position_embeddings.weight", [p.positions, p.hidden])
        kinds = g.weight("token_type_embeddings.weight", [p.segments, p.hidden])
        position_ids = g.op(
            "Slice",
            g.constant(np.arange(p.positions)[None], np.int64),
            g.ints(0),
            g.ints(run.seq),
            g.ints(1),
        )
        x = g.op("Add", g.op("Gather", words, ids), g.op("Gather", kinds, segments))
        x = g.op("Add", x, g.op("Gather", places, position_ids))
        return layer_norm(g, x, "LayerNorm", p.hidden, p.norm_epsilon)


def _layer(g: GraphBuilder, p: BertParameters, x: str, mask: str) -> str:
    attended = bidirectional_attention(g, x, p.hidden, p.heads, mask, "output/dense")
    x = g.op("Add", attended, x)
    x = layer_norm(g, x, "attention/output/LayerNorm", p.hidden, p.norm_epsilon)
    inner = gelu(g, linear(g, x, "intermediate/dense", p.hidden, p.intermediate, True))
    outer = linear(g, inner, "output/dense", p.intermediate, p.hidden, True)
    return layer_norm(g, g.op("Add", outer, x), "output/LayerNorm", p.hidden, p.norm_epsilon)
