"""What decoder-only language models share: inputs, masks and key-value cache.

The cache of layer i is the graph inputs `past_k<i>` and `past_v<i>` (decode) and the outputs
`present_k<i>` and `present_v<i>` (both phases), each [batch, key-value heads, positions, size]. A
layer that sees a window of w positions keeps the last w - 1.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import MASKED, padding_mask
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class DecoderInputs:
    """Values that every layer reads: token and position ids, and the additive masks.

    `window_mask` is for layers that see a window only; without one it equals `mask`.
    """

    ids: str
    positions: str
    mask: str
    window_mask: str


def decoder_inputs(g: GraphBuilder, run: Workload, window: int | None = None) -> DecoderInputs:
    """Declare int64 input_ids, position_ids [batch, seq] and attention_mask [batch, total]."""
    ids = g.input("input_ids", [run.batch, run.seq], TensorProto.INT64)
    positions = g.input("position_ids", [run.batch, run.seq], TensorProto.INT64)
    present = g.input("attention_mask", [run.batch, run.total], TensorProto.INT64)
    with g.scope("mask"):
        mask = window_mask = _mask(g, run, present, None)
        if window is not None and run.total > window:
            window_mask = _mask(g, run, present, window)
    return DecoderInputs(ids, positions, mask, window_mask)


def _mask(g: GraphBuilder, run: Workload, present: str, window: int | None) -> str:
    """Additive mask over the keys that a layer has: all, or those that a window has kept."""
    first = 0 if window is None else max(0, run.past - window + 1)
    if first:
        present = g.op("Slice", present, g.ints(first), g.ints(run.total), g.ints(1))
    mask = padding_mask(g, present)
    return g.op("Add", mask, causal_mask(g, run, first, window)) if run.seq > 1 else mask


def causal_mask(g: GraphBuilder, run: Workload, first: int = 0, window: int | None = None) -> str:
    """Additive [seq, keys] for the keys from `first` on: a position sees those up to its own.

    A `window` hides all but the last of them.
    """
    start, past, end, one = (g.constant(v, np.int64) for v in (first, run.past, run.total, 1))
    queries = g.op("Unsqueeze", g.op("Range", past, end, one), g.ints(1))
    keys = g.op("Unsqueeze", g.op("Range", start, end, one), g.ints(0))
    visible = g.op("LessOrEqual", keys, queries)
    if window is not None:
        oldest = g.op("Sub", queries, g.constant(window, np.int64))
        visible = g.op("And", visible, g.op("Greater", keys, oldest))
    return g.op("Where", visible, g.scalar(0), g.scalar(MASKED))


def extend_cache(
    g: GraphBuilder,
    run: Workload,
    layer: int,
    key: str,
    value: str,
    shape: tuple[int, int],
    window: int | None = None,
) -> tuple[str, str]:
    """Append the new keys and values to layer `layer`'s cache; `shape` is (kv heads, size).

    Returns keys and values of all positions that the layer has. The cache that it hands on, a
    graph output, holds the same, or what the next position still sees of it.
    """
    heads, size = shape
    past = run.past if window is None else min(run.past, window - 1)
    kept = past + run.seq if window is None else min(past + run.seq, window - 1)
    extended = []
    for letter, new in (("k", key), ("v", value)):
        everything = new
        if run.phase == "decode":
            cached = g.input(f"past_{letter}{layer}", [run.batch, heads, past, size])
            everything = g.op("Concat", cached, new, axis=2)
        name = f"present_{letter}{layer}"
        extended.append(everything)
        if kept < past + run.seq:
            ends = g.ints(past + run.seq - kept), g.ints(past + run.seq)
            everything = g.op("Slice", everything, *ends, g.ints(2))
        else:
            extended[-1] = name
        g.output(everything, name, [run.batch, heads, kept, size])
    return extended[0], extended[1]
