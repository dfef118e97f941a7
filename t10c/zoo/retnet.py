"""RetNet: retention in three equal forms over a state of fixed size, in place of attention.

The state of layer i is the graph input `past_s<i>` (decode) and the output `present_s<i>`, each
[batch, heads, key size, value size].
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import gelu, layer_norm, linear, silu, split_heads
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload
from t10c.zoo.rotary import Rotary, rotary_frequencies, rotary_tables, rotate


@dataclass(frozen=True, slots=True)
class RetnetParameters:
    """Hyper-parameters of RetNet; `value_factor` is a value's features over a key's."""

    layers: int
    hidden: int
    heads: int
    value_factor: int
    intermediate: int
    vocabulary: int
    positions: int
    rotary_base: float
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "2 x heads", 2 * self.heads)

    @property
    def key_size(self) -> int:
        """Features of a head's query or key."""
        return self.hidden // self.heads

    @property
    def value_size(self) -> int:
        """Features of a head's value."""
        return self.key_size * self.value_factor


@dataclass(frozen=True, slots=True)
class _Shared:
    """Values that every layer reads: rotary tables, and powers of each head's decay.

    For `n` new positions: `whole` [heads, 1, 1] holds decay^n, `matrix` [heads, n, n] decay^(i - j)
    at j <= i and 0 elsewhere, `until` [heads, 1, n] decay^(n - 1 - j), and `since` [heads, n, 1]
    decay^(i + 1). Empty if the form at hand has no use for it.
    """

    rotary: Rotary
    whole: str = ""
    matrix: str = ""
    until: str = ""
    since: str = ""


def build_retnet(g: GraphBuilder, p: RetnetParameters, run: Workload) -> None:
    """Token ids and position ids (and state) to logits [batch, seq, vocabulary] and state."""
    require_positions(run.seq, p.positions)
    ids = g.input("input_ids", [run.batch, run.seq], TensorProto.INT64)
    positions = g.input("position_ids", [run.batch, run.seq], TensorProto.INT64)
    words = g.weight("embed_tokens.weight", [p.vocabulary, p.hidden], fan_in=p.hidden)
    frequencies = rotary_frequencies(p.key_size, p.rotary_base)
    shared = _decays(g, p, run, rotary_tables(g, frequencies, p.positions, positions))
    x = g.op("Mul", g.op("Gather", words, ids), g.scalar(math.sqrt(p.hidden)))
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = layer_norm(g, x, "retention_layer_norm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, _retention(g, p, run, index, normed, shared))
            normed = layer_norm(g, x, "final_layer_norm", p.hidden, p.norm_epsilon)
            with g.scope("ffn"):
                inner = gelu(g, linear(g, normed, "fc1", p.hidden, p.intermediate, False))
                x = g.op("Add", x, linear(g, inner, "fc2", p.intermediate, p.hidden, False))
    x = layer_norm(g, x, "layer_norm", p.hidden, p.norm_epsilon)
    with g.scope("lm_head"):
        logits = g.op("MatMul", x, g.op("Transpose", words, perm=[1, 0]))
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])


def _decays(g: GraphBuilder, p: RetnetParameters, run: Workload, rotary: Rotary) -> _Shared:
    """Powers of the decays 1 - 2^(-5 - head) (Sun et al. 2023, equation 8)."""
    logs = np.log(1 - 2.0 ** (-5 - np.arange(p.heads)))
    log = g.constant(logs[:, None, None], np.float32)

    def power(exponent: str) -> str:
        return g.op("Exp", g.op("Mul", log, exponent))

    with g.scope("decay"):
        whole = power(g.scalar(run.seq)) if run.phase == "decode" else ""
        if _is_recurrent(run):
            return _Shared(rotary, whole)
        start, end, one = (g.scalar(value) for value in (0, run.seq, 1))
        steps = g.op("Range", start, end, one)
        rows, columns = (g.op("Unsqueeze", steps, g.ints(axis)) for axis in (1, 0))
        distance = g.op("Abs", g.op("Sub", rows, columns))
        seen = g.op("GreaterOrEqual", rows, columns)
        matrix = g.op("Where", seen, power(distance), g.scalar(0))
        until = power(g.op("Sub", g.scalar(run.seq - 1), columns))
        since = power(g.op("Add", rows, g.scalar(1))) if whole else ""
        return _Shared(rotary, whole, matrix, until, since)


def _is_recurrent(run: Workload) -> bool:
    """Whether one position follows a state."""
    return run.phase == "decode" and run.seq == 1


def _retention(
    g: GraphBuilder, p: RetnetParameters, run: Workload, layer: int, x: str, shared: _Shared
) -> str:
    """Gated multi-scale retention (Sun et al. 2023, equation 8)."""
    values = p.heads * p.value_size
    with g.scope("retention"):
        query, key = (
            rotate(g, split_heads(g, projected, p.heads, p.key_size), p.key_size, shared.rotary)
            for projected in (
                linear(g, x, "q_proj", p.hidden, p.hidden, False),
                g.op(
                    "Mul",
                    linear(g, x, "k_proj", p.hidden, p.hidden, False),
                    g.scalar(p.key_size**-0.5),
                ),
            )
        )
        value = split_heads(
            g, linear(g, x, "v_proj", p.hidden, values, False), p.heads, p.value_size
        )
        retained = _retain(g, p, run, layer, (query, key, value), shared)
        # the group norm of the paper: each head by itself, without learned values
        ones = g.constant(np.ones(p.value_size), np.float32)
        normed = g.op(
            "LayerNormalization",
            g.op("Transpose", retained, perm=[0, 2, 1, 3]),
            ones,
            axis=-1,
            epsilon=p.norm_epsilon,
        )
        merged = g.op("Reshape", normed, g.ints(0, -1, values))
        gate = silu(g, linear(g, x, "g_proj", p.hidden, values, False))
        return linear(g, g.op("Mul", gate, merged), "out_proj", values, p.hidden, False)


def _retain(
    g: GraphBuilder,
    p: RetnetParameters,
    run: Workload,
    layer: int,
    operands: tuple[str, str, str],
    shared: _Shared,
) -> str:
    """Retention of the new positions, [batch, heads, seq, value size]; hands on the state.

    One position after a state is the recurrent form (equation 6), all positions at once the
    parallel one (equation 5), several positions after a state the chunkwise one (equation 7).
    """
    query, key, value = operands
    shape = [run.batch, p.heads, p.key_size, p.value_size]
    decode = run.phase == "decode"
    past = g.input(f"past_s{layer}", shape) if decode else ""
    key_t = g.op("Transpose", key, perm=[0, 1, 3, 2])
    weighted = key_t if _is_recurrent(run) else g.op("Mul", key_t, shared.until)
    state = g.op("MatMul", weighted, value)
    if decode:
        state = g.op("Add", g.op("Mul", past, shared.whole), state)
    name = f"present_s{layer}"
    g.output(state, name, shape)
    if _is_recurrent(run):
        return g.op("MatMul", query, name)
    scores = g.op("Mul", g.op("MatMul", query, key_t), shared.matrix)
    inner = g.op("MatMul", scores, value)
    if not decode:
        return inner
    cross = g.op("Mul", g.op("MatMul", query, past), shared.since)
    return g.op("Add", inner, cross)
