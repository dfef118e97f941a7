"""LSTM language models: embedding, stacked LSTM nodes, output projection.

The state of layer i is the graph inputs `past_h<i>` and `past_c<i>` (decode) and the outputs
`present_h<i>` and `present_c<i>`, each [1, batch, hidden].
"""

from dataclasses import dataclass

from onnx import TensorProto

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import linear
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class LstmParameters:
    """Hyper-parameters of an LSTM language model."""

    layers: int
    hidden: int
    vocabulary: int


def build_lstm(g: GraphBuilder, p: LstmParameters, run: Workload) -> None:
    """Token ids [batch, seq] (and state) to logits [batch, seq, vocabulary] and state."""
    ids = g.input("input_ids", [run.batch, run.seq], TensorProto.INT64)
    words = g.weight("embedding.weight", [p.vocabulary, p.hidden])
    # an LSTM node takes the positions first
    x = g.op("Gather", words, g.op("Transpose", ids, perm=[1, 0]))
    for index in range(p.layers):
        with g.scope(f"lstm.{index}"):
            x = _layer(g, p, run, index, x)
    x = g.op("Transpose", x, perm=[1, 0, 2])
    logits = linear(g, x, "decoder", p.hidden, p.vocabulary, True)
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])


def _layer(g: GraphBuilder, p: LstmParameters, run: Workload, layer: int, x: str) -> str:
    """One direction over [seq, batch, hidden]; states are zero at the beginning of a prefill."""
    shape = [1, run.batch, p.hidden]
    operands = [
        x,
        g.weight("W", [1, 4 * p.hidden, p.hidden], fan_in=p.hidden),
        g.weight("R", [1, 4 * p.hidden, p.hidden], fan_in=p.hidden),
        g.weight("B", [1, 8 * p.hidden], "offset"),
    ]
    if run.phase == "decode":
        # between the bias and the state is the length of each sequence, which is the same for all
        operands += ["", *(g.input(f"past_{letter}{layer}", shape) for letter in ("h", "c"))]
    y, hidden, cell = g.ops("LSTM", *operands, outputs=3, hidden_size=p.hidden)
    g.output(hidden, f"present_h{layer}", shape)
    g.output(cell, f"present_c{layer}", shape)
    return g.op("Squeeze", y, g.ints(1))
