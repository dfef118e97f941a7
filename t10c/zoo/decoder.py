"""What decoder-only language models share: inputs, causal mask and key-value cache.

The cache of layer i is the graph inputs `past_k<i>` and `past_v<i>` (decode) and the outputs
`present_k<i>` and `present_v<i>` (both phases), each [batch, key-value heads, positions, size].
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import MASKED, padding_mask
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class DecoderInputs:
    """Values that every layer reads: token and position ids, and the additive mask."""

    ids: str
    positions: str
    mask: str


def decoder_inputs(g: GraphBuilder, run: Workload) -> DecoderInputs:
    """Declare int64 input_ids, position_ids [batch, seq] and attention_mask [batch, total]."""
    ids = g.input("input_ids", [run.batch, run.seq], TensorProto.INT64)
    positions = g.input("position_ids", [run.batch, run.seq], TensorProto.INT64)
    present = g.input("attention_mask", [run.batch, run.total], TensorProto.INT64)
    with g.scope("mask"):
        mask = padding_mask(g, present)
        if run.seq > 1:
            mask = g.op("Add", mask, _causal_mask(g, run))
    return DecoderInputs(ids, positions, mask)


def _causal_mask(g: GraphBuilder, run: Workload) -> str:
    """Additive [seq, total]: position past + i sees the keys 0 .. past + i."""
    start, past, end, one = (g.constant(v, np.int64) for v in (0, run.past, run.total, 1))
    queries = g.op("Unsqueeze", g.op("Range", past, end, one), g.ints(1))
    keys = g.op("Unsqueeze", g.op("Range", start, end, one), g.ints(0))
    visible = g.op("LessOrEqual", keys, queries)
    return g.op("Where", visible, g.scalar(0), g.scalar(MASKED))


def extend_cache(
    g: GraphBuilder, run: Workload, layer: int, key: str, value: str, shape: tuple[int, int]
) -> tuple[str, str]:
    """Append the new keys and values to layer `layer`'s cache; `shape` is (kv heads, size).

    Returns keys and values of all positions, which are also graph outputs.
    """
    heads, size = shape
    extended = []
    for letter, new in (("k", key), ("v", value)):
        everything = new
        if run.phase == "decode":
            past = g.input(f"past_{letter}{layer}", [run.batch, heads, run.past, size])
            everything = g.op("Concat", past, new, axis=2)
        name = f"present_{letter}{layer}"
        g.output(everything, name, [run.batch, heads, run.total, size])
        extended.append(name)
    return extended[0], extended[1]
