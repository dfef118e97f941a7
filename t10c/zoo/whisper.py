"""Whisper: an encoder of log-Mel spectrograms, and a decoder that attends to its output.

The decoder's cache of layer i is that of other decoders, and `present_cross_k<i>` and
`present_cross_v<i>` (prefill), which decode reads as `past_cross_k<i>` and `past_cross_v<i>`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from t10c.zoo.decoder import causal_mask
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import conv, gelu, layer_norm, linear
from t10c.zoo.parameters import require_multiple, require_positions
from t10c.zoo.request import Workload
from t10c.zoo.scaled import ScaledQueries, cross_attention, full_attention, self_attention


@dataclass(frozen=True, slots=True)
class WhisperEncoderParameters:
    """Hyper-parameters of Whisper's encoder; it sees 2 x `audio_positions` spectrogram frames."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    mels: int
    audio_positions: int
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "heads", self.heads)
        require_multiple("hidden", self.hidden, "sine and cosine", 2)


@dataclass(frozen=True, slots=True)
class WhisperDecoderParameters:
    """Hyper-parameters of Whisper's decoder; `audio_positions` is the length of what is encoded."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    audio_positions: int
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "heads", self.heads)


def build_whisper_encoder(g: GraphBuilder, p: WhisperEncoderParameters, run: Workload) -> None:
    """input_features [batch, mels, 2 x positions] to last_hidden_state [batch, positions, ..]."""
    x = g.input("input_features", [run.batch, p.mels, 2 * p.audio_positions])
    x = gelu(g, conv(g, x, "conv1", (p.mels, p.hidden), 3, dimensions=1))
    x = gelu(g, conv(g, x, "conv2", (p.hidden, p.hidden), 3, stride=2, dimensions=1))
    positions = g.table("embed_positions_cached", _sinusoids(p.audio_positions, p.hidden))
    x = g.op("Add", g.op("Transpose", x, perm=[0, 2, 1]), positions)
    attention = ScaledQueries(p.hidden, p.heads, key_bias=False)
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = layer_norm(g, x, "self_attn_layer_norm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, full_attention(g, attention, normed))
            x = _feed_forward(g, p, x)
    x = layer_norm(g, x, "layer_norm", p.hidden, p.norm_epsilon)
    g.output(x, "last_hidden_state", [run.batch, p.audio_positions, p.hidden])


def build_whisper_decoder(g: GraphBuilder, p: WhisperDecoderParameters, run: Workload) -> None:
    """Token ids and encoder_hidden_states (prefill) or cache (decode) to logits and cache."""
    require_positions(run.total, p.positions)
    ids = g.input("input_ids", [run.batch, run.seq], TensorProto.INT64)
    source = ""
    if run.phase == "prefill":
        shape = [run.batch, p.audio_positions, p.hidden]
        source = g.input("encoder_hidden_states", shape)
    words = g.weight("embed_tokens.weight", [p.vocabulary, p.hidden])
    places = g.weight("embed_positions.weight", [p.positions, p.hidden])
    here = g.op("Slice", places, g.ints(run.past), g.ints(run.total), g.ints(0))
    x = g.op("Add", g.op("Gather", words, ids), here)
    mask = causal_mask(g, run) if run.seq > 1 else None
    attention = ScaledQueries(p.hidden, p.heads, key_bias=False)
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = layer_norm(g, x, "self_attn_layer_norm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, self_attention(g, attention, normed, run, index, mask))
            normed = layer_norm(g, x, "encoder_attn_layer_norm", p.hidden, p.norm_epsilon)
            encoded = (source, p.audio_positions)
            x = g.op("Add", x, cross_attention(g, attention, normed, run, index, encoded))
            x = _feed_forward(g, p, x)
    x = layer_norm(g, x, "layer_norm", p.hidden, p.norm_epsilon)
    with g.scope("proj_out"):
        logits = g.op("MatMul", x, g.op("Transpose", words, perm=[1, 0]))
    g.output(logits, "logits", [run.batch, run.seq, p.vocabulary])


def _feed_forward(
    g: GraphBuilder, p: WhisperEncoderParameters | WhisperDecoderParameters, x: str
) -> str:
    normed = layer_norm(g, x, "final_layer_norm", p.hidden, p.norm_epsilon)
    inner = gelu(g, linear(g, normed, "fc1", p.hidden, p.intermediate, True))
    return g.op("Add", x, linear(g, inner, "fc2", p.intermediate, p.hidden, True))


def _sinusoids(rows: int, size: int) -> NDArray[np.float32]:
    """Sines, then cosines, of wavelengths from 2 pi to 10,000 x 2 pi (Vaswani et al. 2017)."""
    half = size // 2
    rates = np.exp(-math.log(10000) / max(1, half - 1) * np.arange(half))
    angles = np.outer(np.arange(rows), rates)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
