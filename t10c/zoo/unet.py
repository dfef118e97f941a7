"""A block of a latent-diffusion U-Net: residual block with time embedding, spatial transformer."""

import math
from dataclasses import dataclass

import numpy as np

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import (
    attend,
    conv,
    gelu,
    gemm,
    layer_norm,
    linear,
    merge_heads,
    silu,
    split_heads,
)
from t10c.zoo.parameters import require_multiple
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class UnetBlockParameters:
    """Hyper-parameters: a square latent `image` goes from `channels_in` to `channels`.

    `context` features of `context_length` positions condition it (text), as does a time embedding
    of `time` features. The two epsilons are those of the residual block's group norms and of the
    transformer's.
    """

    channels_in: int
    channels: int
    image: int
    heads: int
    groups: int
    time: int
    context: int
    context_length: int
    residual_epsilon: float
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("channels_in", self.channels_in, "groups", self.groups)
        require_multiple("channels", self.channels, "groups", self.groups)
        require_multiple("channels", self.channels, "heads", self.heads)


_FEED_FORWARD = 4
"""Inner features of the transformer's gated feed-forward layer over its channels."""

_LAYER_NORM_EPSILON = 1e-5


def build_unet_block(g: GraphBuilder, p: UnetBlockParameters, run: Workload) -> None:
    """sample [batch, channels_in, image, image], time_embedding and context to output."""
    sample = g.input("sample", [run.batch, p.channels_in, p.image, p.image])
    time = g.input("time_embedding", [run.batch, p.time])
    context = g.input("encoder_hidden_states", [run.batch, p.context_length, p.context])
    with g.scope("resnet"):
        x = _residual(g, p, run, sample, time)
    with g.scope("transformer"):
        x = _spatial_transformer(g, p, run, x, context)
    g.output(x, "output", [run.batch, p.channels, p.image, p.image])


def _residual(g: GraphBuilder, p: UnetBlockParameters, run: Workload, x: str, time: str) -> str:
    """Two convolutions; the time embedding shifts the channels in between."""
    y = silu(g, _group_norm(g, p, run, x, "norm1", p.channels_in, p.residual_epsilon))
    y = conv(g, y, "conv1", (p.channels_in, p.channels), 3)
    shift = gemm(g, silu(g, time), "time_emb_proj", p.time, p.channels)
    y = g.op("Add", y, g.op("Unsqueeze", shift, g.ints(2, 3)))
    y = silu(g, _group_norm(g, p, run, y, "norm2", p.channels, p.residual_epsilon))
    y = conv(g, y, "conv2", (p.channels, p.channels), 3)
    if p.channels_in != p.channels:
        x = conv(g, x, "conv_shortcut", (p.channels_in, p.channels), 1)
    return g.op("Add", x, y)


def _spatial_transformer(
    g: GraphBuilder, p: UnetBlockParameters, run: Workload, x: str, context: str
) -> str:
    """One transformer layer over the pixels: self-attention, cross-attention, GeGLU."""
    size = p.channels
    y = _group_norm(g, p, run, x, "norm", size, p.norm_epsilon)
    y = conv(g, y, "proj_in", (size, size), 1)
    y = g.op("Transpose", y, perm=[0, 2, 3, 1])
    y = g.op("Reshape", y, g.ints(run.batch, p.image**2, size))
    with g.scope("transformer_blocks.0"):
        normed = layer_norm(g, y, "norm1", size, _LAYER_NORM_EPSILON)
        y = g.op("Add", y, _attention(g, p, "attn1", normed, normed, size))
        normed = layer_norm(g, y, "norm2", size, _LAYER_NORM_EPSILON)
        y = g.op("Add", y, _attention(g, p, "attn2", normed, context, p.context))
        normed = layer_norm(g, y, "norm3", size, _LAYER_NORM_EPSILON)
        y = g.op("Add", y, _feed_forward(g, normed, size))
    y = g.op("Reshape", y, g.ints(run.batch, p.image, p.image, size))
    y = conv(g, g.op("Transpose", y, perm=[0, 3, 1, 2]), "proj_out", (size, size), 1)
    return g.op("Add", y, x)


def _attention(
    g: GraphBuilder, p: UnetBlockParameters, name: str, x: str, source: str, source_size: int
) -> str:
    """Attention of x to the source; only the projection back has a bias."""
    width, size = p.channels, p.channels // p.heads
    with g.scope(name):
        query = split_heads(g, linear(g, x, "to_q", width, width, False), p.heads, size)
        key, value = (linear(g, source, to, source_size, width, False) for to in ("to_k", "to_v"))
        key_t = split_heads(g, key, p.heads, size, transposed=True)
        value = split_heads(g, value, p.heads, size)
        context = attend(g, query, key_t, value, None, divisor=math.sqrt(size))
        return linear(g, merge_heads(g, context, width), "to_out", width, width, True)


def _feed_forward(g: GraphBuilder, x: str, size: int) -> str:
    """Of a projection to twice the inner size, one half times GELU of the other, projected back."""
    inner = size * _FEED_FORWARD
    with g.scope("ff"):
        both = linear(g, x, "proj", size, 2 * inner, True)
        value, gate = g.ops("Split", both, g.ints(inner, inner), outputs=2, axis=-1)
        return linear(g, g.op("Mul", value, gelu(g, gate)), "out", inner, size, True)


def _group_norm(
    g: GraphBuilder,
    p: UnetBlockParameters,
    run: Workload,
    x: str,
    name: str,
    channels: int,
    epsilon: float,
) -> str:
    """Group norm as exporters write it: each group is an instance, scale and shift come after."""
    with g.scope(name):
        grouped = g.op("Reshape", x, g.ints(0, p.groups, -1))
        one, zero = (g.constant(np.full(p.groups, v), np.float32) for v in (1, 0))
        normed = g.op("InstanceNormalization", grouped, one, zero, epsilon=epsilon)
        normed = g.op("Reshape", normed, g.ints(run.batch, channels, p.image, p.image))
        scaled = g.op("Mul", normed, g.weight("weight", [channels, 1, 1], "gain"))
        return g.op("Add", scaled, g.weight("bias", [channels, 1, 1], "offset"))
