"""ViT: patches by a strided convolution, class token, pre-norm encoder layers, classifier."""

from dataclasses import dataclass

import numpy as np

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import bidirectional_attention, gelu, gemm, layer_norm, linear
from t10c.zoo.parameters import require_multiple
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class VitParameters:
    """Hyper-parameters of a vision transformer on square images."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    image: int
    patch: int
    channels: int
    classes: int
    norm_epsilon: float

    def __post_init__(self) -> None:
        require_multiple("hidden", self.hidden, "heads", self.heads)
        require_multiple("image", self.image, "patch", self.patch)


def build_vit(g: GraphBuilder, p: VitParameters, run: Workload) -> None:
    """pixel_values [batch, channels, image, image] to logits [batch, classes]."""
    pixels = g.input("pixel_values", [run.batch, p.channels, p.image, p.image])
    x = _embed(g, p, run, pixels)
    for index in range(p.layers):
        with g.scope(f"encoder/layer.{index}"):
            x = _layer(g, p, x)
    x = layer_norm(g, x, "layernorm", p.hidden, p.norm_epsilon)
    first = g.op("Gather", x, g.constant(0, np.int64), axis=1)
    logits = gemm(g, first, "classifier", p.hidden, p.classes)
    g.output(logits, "logits", [run.batch, p.classes])


def _embed(g: GraphBuilder, p: VitParameters, run: Workload, pixels: str) -> str:
    patches = (p.image // p.patch) ** 2
    with g.scope("embeddings"):
        with g.scope("projection"):
            fan_in = p.channels * p.patch**2
            kernel = g.weight("weight", [p.hidden, p.channels, p.patch, p.patch], fan_in=fan_in)
            bias = g.weight("bias", [p.hidden], "offset")
            side = [p.patch, p.patch]
            x = g.op("Conv", pixels, kernel, bias, kernel_shape=side, strides=side)
        x = g.op("Transpose", g.op("Reshape", x, g.ints(0, 0, -1)), perm=[0, 2, 1])
        token = g.op(
            "Expand", g.weight("cls_token", [1, 1, p.hidden]), g.ints(run.batch, 1, p.hidden)
        )
        x = g.op("Concat", token, x, axis=1)
        return g.op("Add", x, g.weight("position_embeddings", [1, patches + 1, p.hidden]))


def _layer(g: GraphBuilder, p: VitParameters, x: str) -> str:
    normed = layer_norm(g, x, "layernorm_before", p.hidden, p.norm_epsilon)
    attended = bidirectional_attention(g, normed, p.hidden, p.heads, None, "output/dense")
    x = g.op("Add", attended, x)
    normed = layer_norm(g, x, "layernorm_after", p.hidden, p.norm_epsilon)
    inner = gelu(g, linear(g, normed, "intermediate/dense", p.hidden, p.intermediate, True))
    return g.op("Add", linear(g, inner, "output/dense", p.intermediate, p.hidden, True), x)
